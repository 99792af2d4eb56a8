"""Times that no machine beats, and costs that none undercuts: what the search prunes with.

*Stage by stage*: without the waits that a full buffer causes, a stage's columns follow from those
of the stage before. The stamps so found are never later than the machine's. What full buffers do
demand is that each column is finished in time for the source not to be held up: every stage hands
on such deadlines. Paths that go forwards and backwards in turns are left out, so the stamps and
deadlines are bounds; the closed form decides.

*The rest*: from the last column of a stage to the answer it takes at least the sum of each later
stage's work on its last column. The least cost of stages whose sum is within a budget is a
multiple-choice knapsack, solved exactly on a grid of cycles, rounded in the machine's favour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.mapper.problem import Costs, Ints, Problem
from pilaster.sim.mapper.space import WorkTable
from pilaster.sim.timing import COLUMN_BUFFERS

__all__ = ["Rest", "Times", "first_times", "step"]

GRID = 4096
"""Cells that the latency is divided in at most."""

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


class Rest:
    """Least cost of the stages from one on, by the cycles that are left from its last column."""

    def __init__(self, problem: Problem) -> None:
        self._latency = problem.max_latency
        # Rounded down, the cycles of a stage fit wherever they did.
        self._cell = 1 if self._latency is None else max(1, -(-self._latency // GRID))
        cells = 1 if self._latency is None else self._latency // self._cell + 1
        self.costs: list[Costs] = [np.zeros((problem.schedules, cells))]
        self.choices: list[NDArray[np.intp]] = []
        for stage in reversed(problem.stages):
            found = np.full((problem.schedules, cells), np.inf)
            chosen = np.full((problem.schedules, cells), -1, np.intp)
            after = self.costs[0]
            cycles = self.cells_of(stage.work.last_column)
            for option in range(len(stage)):
                skip = int(cycles[option])
                if skip >= cells:
                    continue
                own = stage.schedule[option]
                best = (after + stage.cost[option][:, np.newaxis]).min(axis=0)
                better = best[: cells - skip] < found[own, skip:]
                found[own, skip:][better] = best[: cells - skip][better]
                chosen[own, skip:][better] = option
            self.costs.insert(0, found)
            self.choices.insert(0, chosen)
        least: NDArray[np.int64] = np.zeros(1, np.int64)
        self.lanes = [least]
        for stage in reversed(problem.stages):
            least = least + stage.lanes.min()
            self.lanes.insert(0, least)

    def cells_of(self, cycles: Ints) -> Ints:
        """Cells that so many cycles take."""
        return np.zeros_like(cycles) if self._latency is None else cycles // self._cell

    def bound(self, stage: int, cost: Costs, elapsed: Ints) -> Costs:
        """Least cost of machines whose stages before `stage` are chosen.

        Parameters
        ----------
        cost : (machines, schedules), of those stages, where `stage` has each schedule
        elapsed : (machines,), cycles from the last input column to the last column of `stage`
        """
        if self._latency is None:
            cells = np.zeros(len(elapsed), np.int64)
        else:
            cells = (self._latency - elapsed) // self._cell
        total = (cost + self.costs[stage][:, np.maximum(cells, 0)].T).min(axis=1)
        return np.where(cells < 0, np.inf, total)
