"""Action counts: how often each countable event happens, as exact integers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pilaster.models.energy.actions import Action, Attributes
from pilaster.sim.beats import Beats
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.stages import Stage
from pilaster.sim.stages.kinds import kind_of

__all__ = ["ActionCounts", "count_actions", "machine_actions", "nonzero_counts"]


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

    def without(self, *actions: Action) -> ActionCounts:
        """Leave some actions out."""
        counts = {key: count for key, count in self.counts.items() if key[0] not in actions}
        return ActionCounts(MappingProxyType(counts))

    def of_action(self, action: Action) -> int:
        """Count of `action`, whatever its attributes."""
        return sum(count for (found, _), count in self.counts.items() if found is action)


def count_actions(
    stage: Stage, sources: Sequence[Beats], images: int, nonzero: NDArray[np.int64] | None
) -> ActionCounts:
    """Count every action of a stage over `images` images; the clock is not among them.

    Parameters
    ----------
    sources : beats of the streams that the stage reads
    nonzero : (H, W, C), in how many of the images each value of the first input is not zero; None
        where there are no data, which counts every value as not zero
    """
    return ActionCounts.of(kind_of(stage).actions(stage, sources, images, nonzero))


def machine_actions(
    pipeline: Pipeline, images: int = 1, nonzero: Mapping[str, NDArray[np.int64]] | None = None
) -> tuple[ActionCounts, ...]:
    """Count every action of each stage of a machine, see `count_actions`.

    nonzero : by tensor, (H, W, C), in how many of the images each value is not zero; a tensor
        without counts has no zeros
    """
    known = nonzero or {}
    triples = zip(pipeline.network.graph.nodes, pipeline.stages, pipeline.beats, strict=True)
    return tuple(
        count_actions(stage, beats, images, known.get(node.inputs[0]))
        for node, stage, beats in triples
    )


def nonzero_counts(tensors: Mapping[str, NDArray[np.int32]]) -> dict[str, NDArray[np.int64]]:
    """Count in how many images each value of each tensor (N, H, W, C) is not zero: (H, W, C)."""
    return {name: (values != 0).sum(axis=0, dtype=np.int64) for name, values in tensors.items()}
