"""Stages: the hardware of each layer kind, in tiles, passes and cycles."""

from pilaster.sim.stages.conv import ConvStage, Widths
from pilaster.sim.stages.join import JoinStage
from pilaster.sim.stages.pool import PoolStage
from pilaster.sim.stages.upsample import UpsampleStage

__all__ = ["ConvStage", "JoinStage", "PoolStage", "Stage", "UpsampleStage", "Widths"]

Stage = ConvStage | PoolStage | UpsampleStage | JoinStage
