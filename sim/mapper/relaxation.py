"""Times that no machine beats, and costs that none undercuts: what the search prunes with.

*Stage by stage*: without the waits that a full buffer causes, a stage's columns follow from those
of the stage before. The stamps so found are never later than the machine's. What full buffers do
demand is that each column is finished in time for the source not to be held up: every stage hands
on such deadlines. Paths that go forwards and backwards in turns are left out, so the stamps and
deadlines are bounds; the closed form decides.

*The rest*: from the last column of a stage to the answer it takes at least the sum of each later
stage's work on its last column. The least cost of stages whose sum is within a budget is a
multiple-choice knapsack, solved exactly on a grid of cycles, rounded in the machine's favor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.mapper.pareto import front
from pilaster.sim.mapper.problem import Costs, Ints, Problem, StageOptions
from pilaster.sim.mapper.space import WorkTable
from pilaster.sim.timing import COLUMN_BUFFERS

__all__ = ["Rest", "Route", "Times", "first_times", "step"]

GRID = 4096
"""Cells that the latency is divided in at most."""

ROUNDING = 1e-6
"""Of a cell: in favor of the machine."""

NEVER = np.iinfo(np.int64).max // 4


@dataclass(frozen=True, eq=False)
class Times:
    """A stream between two stages, for many machines, counted from when an image's start is due.

    Attributes
    ----------
    arrivals : (columns, machines), when each column stands in the buffer, at the soonest
    deadlines : (columns, machines), when the work on it must have ended, at the latest
    """

    arrivals: Ints
    deadlines: Ints

    def of(self, choice: NDArray[np.intp]) -> Times:
        """Give those of some machines."""
        return Times(self.arrivals[:, choice], self.deadlines[:, choice])


def first_times(problem: Problem) -> Times:
    """Give the stream from the source: column w + 2 takes the buffer of column w."""
    due = problem.column_interval * np.arange(problem.columns, dtype=np.int64)[:, np.newaxis]
    later = COLUMN_BUFFERS * problem.column_interval
    return Times(due + problem.rows, due + later)


def step(times: Times, work: WorkTable, image_cycles: int) -> tuple[Times, NDArray[np.bool_]]:
    """Pass a stream through a stage.

    Parameters
    ----------
    times : of the stream that the stage reads, and `work` of the stage, machine by machine

    Returns
    -------
    Times
        Of the stream that it writes.
    array
        (machines,), whether all deadlines are kept.
    """
    machines = work.cycles.shape[1]
    columns, outputs = len(work.kinds), sum(work.completions[kind] for kind in work.kinds)
    busy = work.busy_of_kind
    slack = times.deadlines.copy()
    for _ in range(2):  # the second time round, the next image's first column is known
        following = slack[0] + image_cycles
        for column in range(columns - 1, -1, -1):
            after = work.kinds[(column + 1) % columns]
            following = np.minimum(slack[column], following - busy[after])
            slack[column] = following
    emitted = np.empty((outputs, machines), np.int64)
    due = np.full((outputs, machines), NEVER, np.int64)
    finished = np.full(machines, -NEVER, np.int64)
    for _ in range(2):  # again where work is left over from the image before
        kept = np.ones(machines, bool)
        output = 0
        for column, kind in enumerate(work.kinds):
            time = np.maximum(times.arrivals[column], finished)
            left = slack[column] - busy[kind]
            for run in range(work.completions[kind]):
                before = work.cycles[work.row(kind, run, 0)]
                body = work.cycles[work.row(kind, run, 1)]
                time, left = time + before, left + before
                emitted[output] = time + work.cycles[work.row(kind, run, 2)]
                turns, place = divmod(output - COLUMN_BUFFERS, outputs)
                due[place] = left - turns * image_cycles
                time, left = time + body, left + body
                output += 1
            finished = time + work.cycles[work.deferred_row(kind)]
            kept &= finished <= slack[column]
        finished = finished - image_cycles
        if (finished <= times.arrivals[0]).all():
            break
    return Times(emitted, due), kept


@dataclass(frozen=True)
class Route:
    """A way from the source to the answer: the input column by which it enters each stage."""

    entries: tuple[int, ...]

    @classmethod
    def last(cls, problem: Problem) -> Route:
        """Enter every stage by the column that completes what the next one is entered by."""
        output = -1
        entries: list[int] = []
        for stage in reversed(problem.stages):
            output = stage.work.outputs[output][0]
            entries.insert(0, output)
        return cls(tuple(entries))

    @classmethod
    def critical(cls, problem: Problem, choice: NDArray[np.intp]) -> Route:
        """Find the longest way of a machine: `choice` is (stages,), an option of each."""
        return cls.longest(problem, problem.work(choice[:, np.newaxis]))

    @classmethod
    def longest(cls, problem: Problem, works: Sequence[WorkTable]) -> Route:
        """Find the way that makes a machine's answer as late as it is, full buffers aside.

        works : of every stage of one machine
        """
        times, arrivals = first_times(problem), []
        for work in works:
            arrivals.append(times.arrivals[:, 0].tolist())
            times, _ = step(times, work, problem.image_cycles)
        entries: list[int] = []
        output = -1
        for work, came in zip(reversed(works), reversed(arrivals), strict=True):
            busy = work.busy_of_kind[:, 0]
            waits, finished = [], -NEVER
            for column, kind in enumerate(work.kinds):
                waits.append(finished > came[column])
                finished = max(finished, came[column]) + int(busy[kind])
            output = work.outputs[output][0]
            while waits[output]:
                output -= 1
            entries.insert(0, output)
        return cls(tuple(entries))

    def begin(self, problem: Problem) -> int:
        """When the column by which the way enters the first stage is accepted."""
        return problem.column_interval * self.entries[0] + problem.rows

    def least_latency(self, problem: Problem) -> list[Ints]:
        """Bound the latency of machines that have each option: by stage, (options,)."""
        cycles = self.cycles(problem)
        total = (
            self.begin(problem) - problem.last_accepted + sum(int(each.min()) for each in cycles)
        )
        return [total - each.min() + each for each in cycles]

    def cycles(self, problem: Problem) -> list[Ints]:
        """Cycles that the way takes through each option of every stage."""
        exits = (*self.entries[1:], -1)
        return [
            stage.work.between(entry, leave)
            for stage, entry, leave in zip(problem.stages, self.entries, exits, strict=True)
        ]


class Rest:
    """Least cost of the stages from one on, by the cycles left on the ways to the answer.

    Several ways are taken together, each with a weight: the mean of what they take must be within
    the mean of what they may.

    Parameters
    ----------
    weights : (ways,), that add up to 1
    """

    def __init__(
        self, problem: Problem, routes: tuple[Route, ...], weights: NDArray[np.float64]
    ) -> None:
        self._ways = [(w, route) for w, route in zip(weights, routes, strict=True) if w]
        tables = [[w * each for each in route.cycles(problem)] for w, route in self._ways]
        self.cycles: list[Costs] = [np.sum(each, axis=0) for each in zip(*tables, strict=True)]
        self._due: int | None = None
        most = 0.0
        if problem.max_latency is not None:
            self._due = problem.last_accepted + problem.max_latency
            most = sum(w * (self._due - route.begin(problem)) for w, route in self._ways)
        # Rounded down, the cycles of a stage fit wherever they did.
        self._cell = max(1.0, most / GRID)
        cells = int(self._cells(np.array([most]))[0]) + 1
        self.costs: list[Costs] = [np.zeros((1, cells))]
        self.choices: list[NDArray[np.intp]] = []
        for stage, cycles in zip(reversed(problem.stages), reversed(self.cycles), strict=True):
            widths = stage.cost.shape[1]
            found = np.full((widths, cells), np.inf)
            chosen = np.full((widths, cells), -1, np.intp)
            takes = self.cells_of(cycles)
            for option in _cheapest(stage, takes):
                skip = int(takes[option])
                if skip >= cells:
                    continue
                after = self.costs[0][stage.sends[option], : cells - skip]
                new = stage.cost[option][:, np.newaxis] + after
                better = new < found[:, skip:]
                found[:, skip:][better] = new[better]
                chosen[:, skip:][better] = option
            self.costs.insert(0, found)
            self.choices.insert(0, chosen)

    @classmethod
    def on(cls, problem: Problem, route: Route) -> Rest:
        """Take one way alone."""
        return cls(problem, (route,), np.ones(1))

    def left(self, stage: int, arrivals: Ints) -> Costs:
        """Cycles that are left of the latency when the ways enter a stage: (machines,).

        arrivals : (columns, machines), of the columns of `stage`, or of the answer's
        """
        left: Costs = np.zeros(arrivals.shape[1])
        if self._due is None:
            return left
        for weight, route in self._ways:
            entry = route.entries[stage] if stage < len(route.entries) else -1
            left += weight * (self._due - arrivals[entry])
        return left

    def cells_of(self, cycles: Costs) -> Ints:
        """Cells that so many cycles take at least."""
        if self._due is None:
            return np.zeros(len(cycles), np.int64)
        return np.maximum(0, np.floor(cycles / self._cell - ROUNDING)).astype(np.int64)

    def _cells(self, left: Costs) -> Ints:
        """Cells that so many cycles are at most."""
        if self._due is None:
            return np.zeros(len(left), np.int64)
        cells: Ints = np.floor(left / self._cell + ROUNDING).astype(np.int64)
        return cells

    def bound(self, stage: int, cost: Costs, coming: NDArray[np.intp], left: Costs) -> Costs:
        """Least cost of machines whose stages before `stage` are chosen.

        Parameters
        ----------
        cost : (machines,), of those stages
        coming : (machines,), index of the width of the beats that come to `stage`
        left : (machines,), cycles that are left when the ways enter `stage`
        """
        cells = self._cells(left)
        total = cost + self.costs[stage][coming, np.maximum(cells, 0)]
        return np.where(cells < 0, np.inf, total)


def _cheapest(stage: StageOptions, cycles: Ints) -> NDArray[np.intp]:
    """Find the options that no other one that sends the same beats is as good as."""
    kept = []
    for width in np.unique(stage.sends):
        members = np.flatnonzero(stage.sends == width)
        rows = np.concatenate([stage.cost[members].T, cycles[np.newaxis, members]])
        kept.append(members[front(rows)])
    return np.concatenate(kept)
