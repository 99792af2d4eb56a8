"""The master program: the cheapest mixture of options that keeps the rows found so far.

A variable for every option of every stage, of each stage one in all; a row for every late path and
every budget. Of the options, which are up to hundreds of thousands, only those take part that may
help: after each solution all options are priced by the rows' duals at once, and the cheapest join.
The same prices give a bound that does not depend on the solver's tolerances: the cheapest option of
each stage at these prices, less what the rows allow (a Lagrangian bound).

Where a stage's cost depends on the beats that come, an option takes part once for each width of
beats, and for every arm and width a row holds what is sent equal to what is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray

from pilaster.sim.mapper.paths import LatePath
from pilaster.sim.mapper.question import Question, StageOptions
from pilaster.sim.mapper.space import WorkTable

__all__ = ["Master", "Mixture", "Prices", "Whole"]

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]

JOINING = 4
"""Options of each stage that join after a solution."""

EXACT = 1e-7
"""Share of the cost by which a bound may be below the solver's solution."""

Column = tuple[int, int, tuple[int, ...]]
"""A stage, an option of it, and the width of the beats that come to each of its arms."""


@dataclass(frozen=True, eq=False)
class _Row:
    """Sum of coefficients of the chosen options <= bound.

    coefficients : by stage, (options,)
    """

    coefficients: tuple[Reals, ...]
    bound: float

    @property
    def scale(self) -> float:
        return max(1.0, abs(self.bound))


@dataclass(frozen=True, eq=False)
class Prices:
    """What the rows' duals make of every option.

    Attributes
    ----------
    values : by stage, (options,), cost of each option at these prices, with the best widths
    by_width : by stage and arm, (options, widths), what each width adds to the value
    bound : least cost of any machine that keeps the rows
    """

    values: tuple[Reals, ...]
    by_width: tuple[tuple[Reals, ...], ...]
    bound: float

    def least_with(self, stage: int) -> Reals:
        """Least cost of any machine that keeps the rows and has each option: (options,)."""
        least: Reals = self.bound + self.values[stage] - self.values[stage].min()
        return least


@dataclass(frozen=True, eq=False)
class Mixture:
    """The cheapest mixture.

    Attributes
    ----------
    work : of every stage, averaged
    excess : by how much rows are broken, each as a share of its bound, added up
    """

    work: tuple[WorkTable, ...]
    excess: float
    prices: Prices


@dataclass(frozen=True)
class Whole:
    """The cheapest machine of some options.

    Attributes
    ----------
    choice : an option of every stage; None where no machine of them keeps the rows
    bound : no machine of them that keeps the rows costs less
    """

    choice: tuple[int, ...] | None
    bound: float


class Master:
    """The rows found so far, and the options that take part.

    Parameters
    ----------
    penalty : cost of breaking a row by its whole bound
    """

    def __init__(self, question: Question, penalty: float) -> None:
        self.question = question
        self.penalty = penalty
        self._rows: list[_Row] = []
        self._links: dict[tuple[int, int, int], int] = {}
        for stage, options in enumerate(question.stages):
            for arm, cost in enumerate(options.arms):
                for width in range(cost.cost.shape[1]):
                    self._links[stage, arm, width] = len(self._links)
        self._columns: dict[Column, None] = {}
        for stage, options in enumerate(question.stages):
            fast = int(np.lexsort((options.work.last_column, options.work.busy))[0])
            for option in (fast, int(np.argmin(options.cost))):
                self._join(stage, option, tuple(0 for _ in options.arms))
        if question.max_lanes is not None:
            lanes = tuple(stage.lanes.astype(np.float64) for stage in question.stages)
            self.add_budget(lanes, question.max_lanes)

    def asked(self, question: Question, penalty: float) -> Master:
        """Ask another question of the same options, with the same rows."""
        other = Master(replace(question, max_lanes=None), penalty)
        other._rows = list(self._rows)
        return other

    def add_budget(self, coefficients: tuple[Reals, ...], bound: float) -> None:
        """Add a row on what the options take of something."""
        self._rows.append(_Row(coefficients, float(bound)))

    def add_path(self, path: LatePath) -> None:
        """Add the row of a late path."""
        pairs = zip(path.counts, self.question.stages, strict=True)
        coefficients = tuple((counts @ stage.work.cycles).astype(float) for counts, stage in pairs)
        self._rows.append(_Row(coefficients, float(path.bound)))

    def exclude(self, choice: Sequence[int]) -> None:
        """Add a row that one machine alone breaks."""
        marks = [np.zeros(len(stage)) for stage in self.question.stages]
        for mark, option in zip(marks, choice, strict=True):
            mark[option] = 1.0
        self._rows.append(_Row(tuple(marks), len(choice) - 1.0))

    def mixture(self) -> Mixture:
        """Find the cheapest mixture of all options."""
        while True:
            columns = list(self._columns)
            solver = self._program(columns, whole=False)
            solver.run()
            solution = solver.getSolution()
            values = np.array(solution.col_value)
            prices = self._prices(np.array(solution.row_dual))
            cost = solver.getObjectiveValue()
            if cost - prices.bound <= EXACT * max(1.0, abs(cost)) or not self._widen(prices):
                excess = float(values[len(columns) :].sum())
                return Mixture(self._average(columns, values), excess, prices)

    def whole(self, columns: Sequence[Column], nodes: int) -> Whole:
        """Find the cheapest machine of some columns.

        nodes : of the solver's tree, after which it gives the best that it has
        """
        if {stage for stage, _, _ in columns} != set(range(len(self.question.stages))):
            return Whole(None, np.inf)
        solver = self._program(columns, whole=True)
        solver.setOptionValue("mip_max_nodes", nodes)
        solver.run()
        status = solver.getModelStatus()
        info = solver.getInfo()
        if status == highspy.HighsModelStatus.kInfeasible:
            return Whole(None, np.inf)
        bound = float(info.mip_dual_bound)
        if info.primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
            return Whole(None, bound)
        values = solver.getSolution().col_value
        choice = dict.fromkeys(range(len(self.question.stages)), 0)
        for (stage, option, _), value in zip(columns, values, strict=False):
            if value > 0.5:
                choice[stage] = option
        return Whole(tuple(choice.values()), bound)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The options that take part."""
        return tuple(self._columns)

    def columns_below(self, prices: Prices, cost: float) -> Iterator[Column]:
        """Give every column that a machine of at most this cost may have."""
        for stage in range(len(self.question.stages)):
            least = prices.least_with(stage)
            for option in np.flatnonzero(least <= cost).tolist():
                extra = [by[option] - by[option].min() for by in prices.by_width[stage]]
                spare = cost - least[option]
                choices = [np.flatnonzero(each <= spare).tolist() for each in extra]
                for widths in product(*choices):
                    more = sum(float(each[w]) for each, w in zip(extra, widths, strict=True))
                    if more <= spare:
                        yield stage, option, widths

    def _join(self, stage: int, option: int, widths: tuple[int, ...]) -> bool:
        key = (stage, option, widths)
        new = key not in self._columns
        self._columns[key] = None
        return new

    def _widen(self, prices: Prices) -> bool:
        """Let the cheapest options of every stage take part; whether any is new."""
        new = False
        for stage, values in enumerate(prices.values):
            many = min(JOINING, len(values))
            for option in np.argpartition(values, many - 1)[:many].tolist():
                widths = tuple(int(by[option].argmin()) for by in prices.by_width[stage])
                new |= self._join(stage, option, widths)
        return new

    def _prices(self, duals: Reals) -> Prices:
        """Price all options by the duals of the solver's rows, in the order of `_program`."""
        stages = self.question.stages
        paid = np.maximum(0.0, -duals[len(stages) : len(stages) + len(self._rows)])
        links = duals[len(stages) + len(self._rows) :]
        values = [stage.cost.copy() for stage in stages]
        bound = 0.0
        for price, row in zip(paid.tolist(), self._rows, strict=True):
            if price > 0:
                for value, coefficients in zip(values, row.coefficients, strict=True):
                    value += price / row.scale * coefficients
                bound -= price / row.scale * row.bound
        by_width: list[tuple[Reals, ...]] = []
        for stage, options in enumerate(stages):
            added = []
            for arm, cost in enumerate(options.arms):
                widths = range(cost.cost.shape[1])
                price_of = links[[self._links[stage, arm, width] for width in widths]]
                values[cost.source] = values[cost.source] + price_of[stages[cost.source].sends]
                added.append(cost.cost - price_of)
            by_width.append(tuple(added))
        for value, added_to in zip(values, by_width, strict=True):
            for each in added_to:
                value += each.min(axis=1)
        bound += sum(float(value.min()) for value in values)
        return Prices(tuple(values), tuple(by_width), bound)

    def _average(self, columns: Sequence[Column], values: Reals) -> tuple[WorkTable, ...]:
        """Mix the work of every stage's options."""
        stages = self.question.stages
        shares = [np.zeros(len(options)) for options in stages]
        for (stage, option, _), value in zip(columns, values, strict=False):
            shares[stage][option] += max(0.0, float(value))
        work = []
        for options, share in zip(stages, shares, strict=True):
            table, which = options.work, np.flatnonzero(share)
            cycles = table.cycles[:, which] @ (share[which] / share[which].sum())
            work.append(WorkTable(table.kinds, table.completions, cycles[:, np.newaxis]))
        return tuple(work)

    def _program(self, columns: Sequence[Column], whole: bool) -> Any:
        """Pose the program: rows of the stages, those found, those that link sent and read beats.

        A row that is found has a variable that breaks it, a link two; none does in whole solutions.
        """
        stages, found, links = len(self.question.stages), len(self._rows), len(self._links)
        solver = highspy._Highs()  # type: ignore[attr-defined] # `Highs` prints a banner
        solver.setOptionValue("output_flag", False)
        solver.setOptionValue("threads", 1)
        most = 0.0 if whole else highspy.kHighsInf
        upper = np.concatenate([np.full(len(columns), 1.0), np.full(found + 2 * links, most)])
        costs = np.array([self._cost(column) for column in columns])
        costs = np.append(costs, np.full(found + 2 * links, self.penalty))
        entries = self._entries(columns)
        begins = np.cumsum([0, *(len(rows) for rows, _ in entries)])[:-1]
        low = np.concatenate([np.ones(stages), np.full(found, -highspy.kHighsInf), np.zeros(links)])
        scaled = np.array([row.bound / row.scale for row in self._rows])
        high = np.concatenate([np.ones(stages), scaled, np.zeros(links)])
        none = np.zeros(0, np.int32), np.zeros(0)
        solver.addRows(len(low), low, high, 0, np.zeros(len(low), np.int32), *none)
        solver.addCols(
            len(costs),
            costs,
            np.zeros(len(costs)),
            upper,
            sum(len(rows) for rows, _ in entries),
            begins.astype(np.int32),
            np.concatenate([rows for rows, _ in entries]).astype(np.int32),
            np.concatenate([numbers for _, numbers in entries]),
        )
        if whole:
            kinds = np.full(len(columns), highspy.HighsVarType.kInteger)
            solver.changeColsIntegrality(
                len(columns), np.arange(len(columns), dtype=np.int32), kinds
            )
            gap = 1 - 1e-6 if self.question.whole_costs else 0.0
            solver.setOptionValue("mip_abs_gap", gap)
            solver.setOptionValue("mip_rel_gap", 1e-10)
        return solver

    def _cost(self, column: Column) -> float:
        stage, option, widths = column
        options: StageOptions = self.question.stages[stage]
        arms = zip(options.arms, widths, strict=True)
        return float(options.cost[option]) + sum(
            float(arm.cost[option, width]) for arm, width in arms
        )

    def _entries(self, columns: Sequence[Column]) -> list[tuple[Ints, Reals]]:
        """Rows and coefficients of every column, and of the variables that break rows."""
        stages, found = len(self.question.stages), len(self._rows)
        readers: list[list[tuple[int, int]]] = [[] for _ in self.question.stages]
        for stage, options in enumerate(self.question.stages):
            for arm, cost in enumerate(options.arms):
                readers[cost.source].append((stage, arm))
        first = stages + found
        entries = []
        for stage, option, widths in columns:
            rows = [stage, *range(stages, first)]
            numbers = [1.0, *(row.coefficients[stage][option] / row.scale for row in self._rows)]
            sent = int(self.question.stages[stage].sends[option])
            for reader, arm in readers[stage]:
                rows.append(first + self._links[reader, arm, sent])
                numbers.append(-1.0)
            for arm, width in enumerate(widths):
                rows.append(first + self._links[stage, arm, width])
                numbers.append(1.0)
            entries.append((np.array(rows, np.int64), np.array(numbers)))
        one = np.ones(1)
        entries += [(np.array([stages + row]), -one) for row in range(found)]
        for link in range(len(self._links)):
            entries += [(np.array([first + link]), one), (np.array([first + link]), -one)]
        return entries
