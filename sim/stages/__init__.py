"""Stages: the hardware of each layer kind, in tiles, passes and cycles."""

from pilaster.sim.stages.conv import ConvStage, Widths
from pilaster.sim.stages.join import JoinStage
from pilaster.sim.stages.pool import PoolStage

__all__ = ["ConvStage", "JoinStage", "PoolStage", "Stage", "Widths"]

Stage = ConvStage | PoolStage | JoinStage
