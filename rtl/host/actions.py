"""The actions that a device counts, and how often the model has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.models.energy.actions import Action
from pilaster.models.graph import INPUT
from pilaster.models.reference.network import tensors
from pilaster.rtl.components.probes import ACTION_PROBES
from pilaster.rtl.host.protocol import ActionCount
from pilaster.rtl.stages.kinds import most_actions
from pilaster.sim.actions import machine_actions, nonzero_counts
from pilaster.sim.pipeline import Pipeline

__all__ = ["Compared", "Counter", "compare", "counters_of"]


_WRAP = 1 << ActionCount.BITS


@dataclass(frozen=True)
class Counter:
    """An action of a stage, and the most of it in a cycle."""

    stage: str
    action: Action
    most: int


def counters_of(pipeline: Pipeline) -> tuple[Counter, ...]:
    """Counters of a machine, in the order of their numbers on the link."""
    return tuple(
        Counter(stage.name, action, most[action])
        for stage in pipeline.stages
        for most in [most_actions(stage)]
        for action in ACTION_PROBES
        if action in most
    )


@dataclass(frozen=True)
class Compared:
    """How often a device has counted an action of a stage, and the model; both modulo 2**32."""

    stage: str
    action: Action
    device: int
    model: int

    @property
    def equal(self) -> bool:
        """Whether the two agree."""
        return self.device == self.model


def compare(
    pipeline: Pipeline, values: NDArray[np.int32], counts: Sequence[int]
) -> tuple[Compared, ...]:
    """Put a device's counts beside the model's.

    Parameters
    ----------
    values : stream values (N, H, W, C) of all images that the device has had since its reset
    counts : in the order of `counters_of`
    """
    outputs = {INPUT: values, **dict(tensors(pipeline.network, values))}
    actions = machine_actions(pipeline, len(values), nonzero_counts(outputs))
    names = (stage.name for stage in pipeline.stages)
    expected = dict(zip(names, actions, strict=True))
    return tuple(
        Compared(c.stage, c.action, count, expected[c.stage].of_action(c.action) % _WRAP)
        for c, count in zip(counters_of(pipeline), counts, strict=True)
    )
