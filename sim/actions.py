"""Action counts: how often each countable event happens, as exact integers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pilaster.models.energy.actions import Action, Attributes
from pilaster.sim.stages import ConvStage, PoolStage, Stage
from pilaster.sim.stages.conv_actions import conv_actions
from pilaster.sim.stages.pool_actions import pool_actions

__all__ = ["ActionCounts", "count_actions"]


@dataclass(frozen=True)
class ActionCounts:
    """Counts by action and the attributes that price it."""

    counts: Mapping[tuple[Action, Attributes], int]

    @classmethod
    def of(cls, pairs: Iterable[tuple[Action, Attributes, int]]) -> ActionCounts:
        """Add up (action, attributes, count); zeros are left out."""
        total: dict[tuple[Action, Attributes], int] = {}
        for action, attributes, count in pairs:
            if count:
                key = (action, attributes)
                total[key] = total.get(key, 0) + int(count)
        return cls(MappingProxyType(total))

    def of_action(self, action: Action) -> int:
        """Count of `action`, whatever its attributes."""
        return sum(count for (found, _), count in self.counts.items() if found is action)


def count_actions(
    stage: Stage, beat_channels: int, images: int, nonzero: NDArray[np.int64] | None
) -> ActionCounts:
    """Count every action of a stage over `images` images; the clock is not among them.

    Parameters
    ----------
    beat_channels : channels of one beat of the stream that the stage reads
    nonzero : (H, W, C), in how many of the images each input value is not zero; None where there
        are no data, which counts every value as not zero
    """
    if isinstance(stage, PoolStage):
        pairs = pool_actions(stage, beat_channels)
        return ActionCounts.of((a, attributes, n * images) for a, attributes, n in pairs)
    assert isinstance(stage, ConvStage)
    if nonzero is None:
        shape = stage.geometry.shape
        nonzero = np.full((shape.height, shape.width, shape.channels), images, np.int64)
    return ActionCounts.of(conv_actions(stage, beat_channels, images, nonzero))
