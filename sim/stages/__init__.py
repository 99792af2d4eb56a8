"""Stages: the hardware of each layer kind, in tiles, passes and cycles."""

from pilaster.sim.stages.conv import ConvStage, Widths
from pilaster.sim.stages.pool import PoolStage

__all__ = ["ConvStage", "PoolStage", "Stage", "Widths"]

Stage = ConvStage | PoolStage
