"""The search: late paths make the program tighter until its answer is a machine that is not late.

The master program knows the limits only by the rows found so far, so its cost bounds that of every
machine within them. Where its answer, timed by the closed form, keeps the limits, it is the
cheapest machine; otherwise its late paths become rows. That is done first for mixtures of options,
which is fast and prices every option; then for whole machines, of the options that may still be in
the cheapest one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice, product

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.mapper.check import MOST_IMAGES, steady_times
from pilaster.sim.mapper.master import Column, Master, Mixture, Prices
from pilaster.sim.mapper.paths import late_paths
from pilaster.sim.mapper.question import Question
from pilaster.sim.mapper.space import WorkTable

__all__ = ["ROUNDING", "Effort", "Found", "solve"]

NEVER_LATE = 1e-6
"""Share of the rows' bounds that a mixture may break them by."""

ROUNDING = 1e-9
"""Share of a cost that is rounding."""


@dataclass(frozen=True)
class Effort:
    """How hard to search.

    Attributes
    ----------
    paths : late paths taken from one machine
    rounds : mixtures tried at most, and machines of one set of options
    widths : options of each stage among which a first machine is looked for, one after the other
    columns : options among which the cheapest machine is looked for at most
    nodes : of the solver's tree at most, in a search for the least cost, and for the fewest small
        units
    """

    paths: int = 8
    rounds: int = 200
    widths: tuple[int, ...] = (8, 64, 512)
    columns: int = 20_000
    nodes: tuple[int, int] = (20_000, 500)


@dataclass(frozen=True, eq=False)
class Found:
    """The best machine found.

    Attributes
    ----------
    choice : (stages,), a candidate of each; None where no machine keeps the limits
    cost : its cost
    bound : least cost that a machine within the limits may have
    """

    choice: NDArray[np.intp] | None
    cost: float
    bound: float

    @property
    def proven(self) -> bool:
        """Whether no machine costs less: or, where none was found, whether there is none."""
        if not np.isfinite(self.cost):
            return not np.isfinite(self.bound)
        return self.bound >= self.cost - ROUNDING * abs(self.cost)


def solve(question: Question, effort: Effort | None = None) -> Found:
    """Find the machine of least cost that keeps the limits; of equal ones, of fewest small units.

    Small units count where the costs are whole numbers.
    """
    effort = effort or Effort()
    if not all(len(stage) for stage in question.stages):
        return Found(None, np.inf, np.inf)
    search = _Search(question, effort)
    mixture = search.tightened()
    if mixture is None:
        return Found(None, np.inf, np.inf)
    return search.found(mixture.prices)


class _Search:
    def __init__(self, question: Question, effort: Effort) -> None:
        self._question = question
        self._effort = effort
        highest = sum(float(stage.cost.max()) for stage in question.stages)
        self._master = Master(question, max(1.0, highest))
        self._cost = np.inf
        self._choice: tuple[int, ...] | None = None

    def tightened(self) -> Mixture | None:
        """Add rows until the cheapest mixture is not late; None where no mixture keeps them."""
        for _ in range(self._effort.rounds):
            mixture = self._master.mixture()
            if mixture.excess > NEVER_LATE:
                if self._impossible():
                    return None
                self._master.penalty *= 100
                continue
            if not self._add_paths(mixture.work, self._master):
                break
        return mixture

    def _add_paths(self, work: Sequence[WorkTable], master: Master) -> bool:
        paths = late_paths(work, self._question.limits, MOST_IMAGES, self._effort.paths)
        for path in paths:
            master.add_path(path)
        return bool(paths)

    def _impossible(self) -> bool:
        """Whether no mixture keeps the rows: those that break them least still break them."""
        free = replace(
            self._question,
            stages=tuple(
                replace(stage, cost=np.zeros(len(stage)), arms=())
                for stage in self._question.stages
            ),
            whole_costs=False,
        )
        feasible = self._master.asked(free, 1.0).mixture()
        return feasible.prices.bound > NEVER_LATE

    def found(self, prices: Prices) -> Found:
        """Find the cheapest machine."""
        bound = self._rounded(prices.bound)
        self._look_among(self._master, self._master.columns)
        for width in self._effort.widths:
            if self._choice is None:
                self._look_among(self._master, self._nearest(prices, width))
        if bound < self._cost:
            columns = self._columns_below(prices, self._below(self._cost))
            if len(columns) <= self._effort.columns:
                bound = max(bound, self._rounded(self._look_among(self._master, columns)))
            else:
                self._look_among(self._master, self._nearest(prices, self._effort.widths[-1]))
        if self._choice is None:
            return Found(None, np.inf, bound)
        if self._question.whole_costs:
            self._spare_small_units(prices)
        choice = self._question.indices(self._choice)
        return Found(choice, self._cost, min(bound, self._cost))

    def _look_among(
        self, master: Master, columns: Sequence[Column], nodes: int | None = None
    ) -> float:
        """Look for a cheaper machine of some options; gives a cost that none of them is below."""
        for _ in range(self._effort.rounds):
            whole = master.whole(columns, nodes or self._effort.nodes[0])
            if whole.choice is None:
                return whole.bound
            work = master.question.work(whole.choice)
            if self._add_paths(work, master):
                continue
            if not self._keeps(work):
                master.exclude(whole.choice)
                continue
            cost = self._question.cost(whole.choice)
            if cost <= self._cost:
                self._cost, self._choice = cost, whole.choice
            return whole.bound
        return -np.inf

    def _keeps(self, work: Sequence[WorkTable]) -> bool:
        limits = self._question.limits
        times = steady_times(limits.rows, limits.column_interval, work, arms=limits.arms)
        late = limits.max_latency is not None and times.latency[0] > limits.max_latency
        return bool(times.holds[0]) and not late

    def _spare_small_units(self, prices: Prices) -> None:
        """Find the fewest small units that a machine of the same cost has."""
        columns = self._columns_below(prices, self._cost + NEVER_LATE)
        if len(columns) > self._effort.columns:
            columns = list(self._nearest(prices, self._effort.widths[0]))
        stages = self._question.stages
        small = tuple(replace(s, cost=s.small_units.astype(np.float64), arms=()) for s in stages)
        master = self._master.asked(replace(self._question, stages=small), 1.0)
        master.add_budget(tuple(stage.cost for stage in stages), self._cost)
        self._look_among(master, columns, self._effort.nodes[1])

    def _columns_below(self, prices: Prices, cost: float) -> list[Column]:
        """Give the columns of machines of at most this cost, up to one more than are looked at."""
        columns = self._master.columns_below(prices, cost)
        return list(islice(columns, self._effort.columns + 1))

    def _nearest(self, prices: Prices, width: int) -> list[Column]:
        """Give the options of each stage that are cheapest at the prices, with all widths."""
        columns: list[Column] = []
        for stage, values in enumerate(prices.values):
            many = min(width, len(values))
            for option in np.argpartition(values, many - 1)[:many].tolist():
                widths = [range(by.shape[1]) for by in prices.by_width[stage]]
                columns += [(stage, option, each) for each in product(*widths)]
        return columns

    def _below(self, cost: float) -> float:
        """Give the greatest cost that counts as less."""
        if not np.isfinite(cost):
            return cost
        return cost - 1 + NEVER_LATE if self._question.whole_costs else cost * (1 - ROUNDING)

    def _rounded(self, bound: float) -> float:
        """Raise a bound to the next cost that there may be."""
        return float(np.ceil(bound - NEVER_LATE)) if self._question.whole_costs else bound
