"""What the search is given: for every stage its options, and the limits that a machine keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.mapper.pareto import front
from pilaster.sim.mapper.space import WorkTable

__all__ = ["Problem", "StageOptions"]

Ints = NDArray[np.int64]
Costs = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StageOptions:
    """What a stage may be.

    Attributes
    ----------
    work : of every option
    cost : (options, widths), by the width of the beats that come
    sends : (options,), index of the width of its own beats among those that come to the next stage
    lanes : (options,)
    index : (options,), place among the stage's candidates
    """

    name: str
    work: WorkTable
    cost: Costs
    sends: NDArray[np.intp]
    lanes: Ints
    index: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.lanes)

    def of(self, choice: NDArray[np.intp]) -> StageOptions:
        """Leave out all options but some."""
        return replace(
            self,
            work=self.work.of(choice),
            cost=self.cost[choice],
            sends=self.sends[choice],
            lanes=self.lanes[choice],
            index=self.index[choice],
        )

    @property
    def excess(self) -> Costs:
        """What beats of a width cost more than those of another at most: (widths, widths)."""
        more: Costs = (self.cost[:, :, np.newaxis] - self.cost[:, np.newaxis]).max(axis=0)
        return more

    def useful(self, count_lanes: bool, excess: Costs) -> NDArray[np.intp]:
        """Find the options that no other beats in cost and in every quantity of work.

        All stamps rise with every quantity of work, so that the other holds what this one holds.

        excess : of the next stage
        """
        rows = [self.cost.T, self.work.cycles, excess[self.sends].T]
        if count_lanes:
            rows.append(self.lanes[np.newaxis])
        return front(np.concatenate(rows))


@dataclass(frozen=True, eq=False)
class Problem:
    """Choose an option of every stage: the least cost within the limits.

    Attributes
    ----------
    rows, columns : of the input
    column_interval : cycles
    max_latency : cycles from when the last column is due to the answer; None for any
    max_lanes : None for any
    """

    stages: tuple[StageOptions, ...]
    rows: int
    columns: int
    column_interval: int
    max_latency: int | None
    max_lanes: int | None

    @property
    def image_cycles(self) -> int:
        """Cycles in which an image's columns arrive."""
        return self.column_interval * self.columns

    @property
    def last_accepted(self) -> int:
        """When an image's last column is accepted, counted from when its first is due."""
        return self.column_interval * (self.columns - 1) + self.rows

    @cached_property
    def excess(self) -> tuple[Costs, ...]:
        """What the beats of each stage cost the next more than those of another width at most."""
        return (*(stage.excess for stage in self.stages[1:]), np.zeros((1, 1)))

    def cost(self, choice: NDArray[np.intp]) -> Costs:
        """Cost of machines, (machines,): `choice` is (stages, machines)."""
        total = np.zeros(choice.shape[1])
        coming = np.zeros(choice.shape[1], np.intp)
        for stage, chosen in zip(self.stages, choice, strict=True):
            total += stage.cost[chosen, coming]
            coming = stage.sends[chosen]
        return total

    def lanes(self, choice: NDArray[np.intp]) -> Ints:
        """Lanes of machines, (machines,)."""
        pairs = zip(self.stages, choice, strict=True)
        total: Ints = np.sum([stage.lanes[chosen] for stage, chosen in pairs], axis=0)
        return total

    def work(self, choice: NDArray[np.intp]) -> Sequence[WorkTable]:
        """Work of every stage of some machines."""
        return [stage.work.of(c) for stage, c in zip(self.stages, choice, strict=True)]

    def of(self, choices: Sequence[NDArray[np.intp]]) -> Problem:
        """Leave out all options of each stage but some, and widths that none of them sends."""
        stages: list[StageOptions] = []
        for stage, choice in zip(self.stages, choices, strict=True):
            left = stage.of(choice)
            if stages:
                widths, sends = np.unique(stages[-1].sends, return_inverse=True)
                stages[-1] = replace(stages[-1], sends=sends)
                left = replace(left, cost=left.cost[:, widths])
            stages.append(left)
        return replace(self, stages=tuple(stages))

    def useful(self) -> Problem:
        """Leave out options that another beats in everything."""
        count_lanes = self.max_lanes is not None
        pairs = zip(self.stages, self.excess, strict=True)
        return self.of([stage.useful(count_lanes, more) for stage, more in pairs])

    def indices(self, choice: NDArray[np.intp]) -> NDArray[np.intp]:
        """Give a machine's candidates: `choice` is (stages,), an option of each."""
        pairs = zip(self.stages, choice, strict=True)
        return np.array([stage.index[chosen] for stage, chosen in pairs], np.intp)

    def options(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """Find the options that are some candidates: the inverse of `indices`."""
        pairs = zip(self.stages, indices, strict=True)
        return np.array([np.searchsorted(stage.index, index) for stage, index in pairs], np.intp)
