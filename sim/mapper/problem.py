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
    cost : (options, schedules), where the next stage has each schedule
    schedule : (options,), index of the option's own schedule among those that costs tell apart
    lanes : (options,)
    index : (options,), place among the stage's candidates
    """

    name: str
    work: WorkTable
    cost: Costs
    schedule: NDArray[np.intp]
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
            schedule=self.schedule[choice],
            lanes=self.lanes[choice],
            index=self.index[choice],
        )

    def useful(self, count_lanes: bool) -> StageOptions:
        """Leave out options that another beats in cost and in every quantity of work.

        All stamps rise with every quantity of work, so that the other holds what this one holds.
        """
        kept = []
        for schedule in np.unique(self.schedule):
            members = np.flatnonzero(self.schedule == schedule)
            rows = [self.cost[members].T, self.work.cycles[:, members]]
            if count_lanes:
                rows.append(self.lanes[np.newaxis, members])
            kept.append(members[front(np.concatenate(rows))])
        return self.of(np.sort(np.concatenate(kept)))


@dataclass(frozen=True, eq=False)
class Problem:
    """Choose an option of every stage: the least cost within the limits.

    Attributes
    ----------
    rows, columns : of the input
    column_interval : cycles
    max_latency : cycles from the last column accepted to the answer; None for any
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
    def schedules(self) -> int:
        """Schedules that costs tell apart."""
        return int(self.stages[0].cost.shape[1])

    def cost(self, choice: NDArray[np.intp]) -> Costs:
        """Cost of machines, (machines,): `choice` is (stages, machines)."""
        total = np.zeros(choice.shape[1])
        for number, stage in enumerate(self.stages):
            following = np.zeros(choice.shape[1], np.intp)
            if number + 1 < len(self.stages):
                following = self.stages[number + 1].schedule[choice[number + 1]]
            total += stage.cost[choice[number], following]
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
        """Leave out all options of each stage but some."""
        pairs = zip(self.stages, choices, strict=True)
        return replace(self, stages=tuple(stage.of(choice) for stage, choice in pairs))

    def useful(self) -> Problem:
        """Leave out options that another beats in everything."""
        count_lanes = self.max_lanes is not None
        return replace(self, stages=tuple(stage.useful(count_lanes) for stage in self.stages))

    def indices(self, choice: NDArray[np.intp]) -> NDArray[np.intp]:
        """Give a machine's candidates: `choice` is (stages,), an option of each."""
        pairs = zip(self.stages, choice, strict=True)
        return np.array([stage.index[chosen] for stage, chosen in pairs], np.intp)

    def options(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """Find the options that are some candidates: the inverse of `indices`."""
        pairs = zip(self.stages, indices, strict=True)
        return np.array([np.searchsorted(stage.index, index) for stage, index in pairs], np.intp)
