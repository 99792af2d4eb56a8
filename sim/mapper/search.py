"""The search: stage by stage, with bounds, and a proof where nothing was left out.

Partial machines grow by a stage at a time. One is dropped for good where its bound is not below
the best machine found, or where another is at least as good in cost, in every arrival and in every
deadline. Of the others the search keeps as many as its width; the least bound of those left out
limits what is proven. The width grows until nothing is left out or the effort is spent.

A machine counts as found only once the closed form has checked it. The comparison of partial
machines does not see what full buffers do to the stages before; where the machine that it leads to
fails the check, the search goes on without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.mapper.check import steady_times
from pilaster.sim.mapper.lagrange import Prices, price_routes
from pilaster.sim.mapper.pareto import front
from pilaster.sim.mapper.problem import Costs, Ints, Problem, StageOptions
from pilaster.sim.mapper.relaxation import (
    Rest,
    Route,
    Times,
    first_times,
    step,
)
from pilaster.sim.mapper.solve import Found
from pilaster.sim.mapper.space import WorkTable

__all__ = ["Effort", "search"]

CHUNK = 8192
"""Partial machines whose times are computed together."""

CHECKED = 256
"""Machines that the closed form checks together."""

SEEDS = 16
"""Latencies that the first machines are made for."""

SHARES = (1.0, 0.95, 0.9, 0.8, 0.65, 0.5)
"""Shares of the time in which the stages of the first machines do their work."""


@dataclass(frozen=True)
class Effort:
    """How hard to search.

    Attributes
    ----------
    first_width : partial machines kept in the search among few options
    widths : partial machines kept, one search after the other
    columns : columns of all stages times the width, beyond which no search is begun
    grown : partial machines timed for each one kept
    checks : machines checked at the end of each search
    """

    first_width: int = 64
    widths: tuple[int, ...] = (64, 512, 2048)
    columns: int = 2_000_000
    grown: int = 32
    checks: int = 4096


def _below(left: float, right: float) -> bool:
    """Whether a cost is less than another by more than rounding."""
    return bool(left < right - 1e-12 * abs(right)) if np.isfinite(right) else left < right


@dataclass(eq=False)
class _Best:
    """The best machine that the closed form has confirmed."""

    cost: float = np.inf
    choice: NDArray[np.intp] | None = None
    work: Sequence[WorkTable] | None = None

    def check(self, problem: Problem, choice: NDArray[np.intp], most: int) -> float:
        """Check machines, cheapest first, until one holds; (stages, machines).

        Returns the least cost of those not checked, infinite where there are none.
        """
        if not choice.shape[1]:
            return np.inf
        costs = problem.cost(choice)
        order = np.argsort(costs, kind="stable")
        for first in range(0, len(order), CHECKED):
            part = order[first : first + CHECKED]
            part = part[[_below(cost, self.cost) for cost in costs[part]]]
            if not len(part):
                return np.inf
            if first >= most:
                return float(costs[part[0]])
            found = steady_times(
                problem.rows, problem.column_interval, problem.work(choice[:, part])
            )
            good = found.holds
            if problem.max_latency is not None:
                good = good & (found.latency <= problem.max_latency)
            if problem.max_lanes is not None:
                good = good & (problem.lanes(choice[:, part]) <= problem.max_lanes)
            if good.any():
                index = part[int(np.argmax(good))]
                self.cost, self.choice = float(costs[index]), problem.indices(choice[:, index])
                self.work = problem.work(choice[:, [index]])
                return np.inf
        return np.inf


@dataclass(eq=False)
class _Partial:
    """Machines whose first stages are chosen: (…, machines).

    Attributes
    ----------
    coming : index of the width of the beats that come to the next stage
    """

    times: Times
    cost: Costs
    coming: NDArray[np.intp]
    lanes: Ints
    choice: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.lanes)

    def of(self, index: NDArray[np.intp]) -> _Partial:
        """Give some of them."""
        return _Partial(
            self.times.of(index),
            self.cost[index],
            self.coming[index],
            self.lanes[index],
            self.choice[:, index],
        )

    @classmethod
    def joined(cls, parts: list[_Partial]) -> _Partial:
        """Put several together."""
        times = Times(
            np.concatenate([part.times.arrivals for part in parts], axis=1),
            np.concatenate([part.times.deadlines for part in parts], axis=1),
        )
        cost = np.concatenate([part.cost for part in parts])
        coming = np.concatenate([part.coming for part in parts])
        lanes = np.concatenate([part.lanes for part in parts])
        choice = np.concatenate([part.choice for part in parts], axis=1)
        return cls(times, cost, coming, lanes, choice)


def search(problem: Problem, effort: Effort | None = None) -> Found:
    """Find the machine of least cost that keeps the limits.

    The choice of the result is of candidates: the `index` of options.
    """
    effort = effort or Effort()
    best = _Best()
    if not all(len(stage) for stage in problem.stages):
        return Found(None, np.inf, np.inf)
    thin = _thinned(problem)
    last = Route.last(problem)
    _check_seeds(thin, best)
    _widen(thin, [Rest.on(thin, last)], best, effort.first_width, effort, compare=True)
    small = _promising(problem, price_routes(thin, (last,), best.cost), best.cost)
    bound = best.cost if small is None else -np.inf
    columns = sum(len(stage.work.kinds) for stage in problem.stages)
    widths = [width for width in effort.widths if width * columns <= effort.columns]
    for compare in (True, False):
        unknown = None
        for width in widths:
            if small is None or not _below(bound, best.cost):
                break
            prices = price_routes(small, _routes(small, best), best.cost)
            small = _promising(small, prices, best.cost)
            if small is None:
                bound = best.cost
                break
            rests = [Rest.on(small, route) for route in prices.routes[:2]]
            if prices.prices.any():
                rests.append(Rest(small, prices.routes, prices.prices / prices.prices.sum()))
            unknown = _widen(small, rests, best, width, effort, compare)
            bound = max(bound, min(unknown.left_out, unknown.stood_for, best.cost))
        if unknown is None or unknown.stood_for >= unknown.left_out:
            break  # to compare left nothing out that the width would not have
    return Found(best.choice, best.cost, min(bound, best.cost))


@dataclass(frozen=True)
class _Unknown:
    """Least cost of the machines that a search did not look at.

    Attributes
    ----------
    left_out : of those for which there was no room
    stood_for : of those that were compared with others, which then did not keep the limits
    """

    left_out: float
    stood_for: float = np.inf


def _routes(problem: Problem, best: _Best) -> tuple[Route, ...]:
    """Give the way of the last columns, and the longest one of the best machine."""
    last = Route.last(problem)
    if best.work is None:
        return (last,)
    critical = Route.longest(problem, best.work)
    return (last,) if critical == last else (last, critical)


def _promising(problem: Problem, prices: Prices, cost: float) -> Problem | None:
    """Leave out options that no machine cheaper than `cost` has, and those that another beats.

    None where no machine is left.
    """
    kept = [np.flatnonzero(_all_below(b, cost)) for b in prices.reduced_bounds(problem)]
    if not all(map(len, kept)):
        return None
    return problem.of(kept).useful()


def _thinned(problem: Problem) -> Problem:
    """Leave the options that are cheapest for their work, and for the work on the last column."""
    choices = []
    for stage in problem.stages:
        kept = [np.array([_fastest(stage)])]
        for share in SHARES:
            members = np.flatnonzero(stage.work.busy <= share * problem.image_cycles)
            rows = (stage.cost[members].min(axis=1), stage.work.last_column[members])
            kept.append(members[front(np.array(rows))])
        choices.append(np.unique(np.concatenate(kept)))
    return problem.of(choices)


def _fastest(stage: StageOptions) -> np.intp:
    fastest: np.intp = np.lexsort((stage.work.last_column, stage.work.busy))[0]
    return fastest


def _check_seeds(problem: Problem, best: _Best) -> None:
    """Check machines that the knapsack takes for the limits and for tighter ones."""
    machines = [[int(_fastest(stage)) for stage in problem.stages]]
    for share in SHARES:
        members = [
            np.flatnonzero(stage.work.busy <= share * problem.image_cycles)
            for stage in problem.stages
        ]
        if not all(len(found) for found in members):
            break
        part = problem.of(members)
        rest = Rest.on(part, Route.last(part))
        cells = rest.costs[0].shape[1]
        for budget in np.unique(np.linspace(0, cells - 1, SEEDS).astype(np.int64)):
            choice = _knapsack(part, rest, int(budget))
            if choice is not None:
                pairs = zip(members, choice, strict=True)
                machines.append([int(found[option]) for found, option in pairs])
    choices = np.unique(np.array(machines, np.intp), axis=0).T
    best.check(problem, choices, choices.shape[1])


def _knapsack(problem: Problem, rest: Rest, left: int) -> list[int] | None:
    """Choose the options of least cost within so many cells; None where none are."""
    coming, choice = 0, []
    for number, stage in enumerate(problem.stages):
        option = int(rest.choices[number][coming, left])
        if option < 0:
            return None
        choice.append(option)
        left -= int(rest.cells_of(rest.cycles[number][[option]])[0])
        coming = int(stage.sends[option])
    return choice


def _widen(
    problem: Problem, rests: list[Rest], best: _Best, width: int, effort: Effort, compare: bool
) -> _Unknown:
    """Search once, with room for `width` partial machines."""
    source = first_times(problem)
    partial = _Partial(
        source,
        np.zeros(1),
        np.zeros(1, np.intp),
        np.zeros(1, np.int64),
        np.empty((0, 1), np.intp),
    )
    left_out = np.inf
    for number in range(len(problem.stages)):
        grown, least = _grow(problem, rests, best, partial, number, width * effort.grown)
        left_out = min(left_out, least)
        if grown is None:
            return _Unknown(left_out)
        bounds = _bounds(rests, grown, number + 1)
        order = np.argsort(bounds, kind="stable")
        if compare:
            many = 4 * width
            if len(order) > many:
                left_out = min(left_out, float(bounds[order[many]]))
                order = order[:many]
            order = order[_unbeaten(problem, number, grown.of(order))]
        if len(order) > width and number + 1 < len(problem.stages):
            left_out = min(left_out, float(bounds[order[width]]))
            order = order[:width]
        partial = grown.of(order)
    costs = problem.cost(partial.choice)
    cheapest = float(costs.min())
    left_out = min(left_out, best.check(problem, partial.choice, effort.checks))
    stood_for = compare and _below(cheapest, best.cost)
    return _Unknown(left_out, cheapest if stood_for else np.inf)


def _bounds(rests: list[Rest], partial: _Partial, number: int) -> Costs:
    """Bound the cost of the machines that partial ones, up to stage `number`, become."""
    bounds: Costs = np.max(
        [
            rest.bound(
                number, partial.cost, partial.coming, rest.left(number, partial.times.arrivals)
            )
            for rest in rests
        ],
        axis=0,
    )
    return bounds


def _unbeaten(problem: Problem, number: int, partial: _Partial) -> NDArray[np.intp]:
    """Find the partial machines, up to stage `number`, that no other is as good as in everything.

    One whose beats cost the next stage more than another's has to be cheaper by that much.
    """
    cost = partial.cost + problem.excess[number][partial.coming].T
    rows = [cost, partial.times.arrivals, -partial.times.deadlines]
    if problem.max_lanes is not None:
        rows.append(partial.lanes[np.newaxis])
    return front(np.concatenate(rows))


def _grow(
    problem: Problem, rests: list[Rest], best: _Best, partial: _Partial, number: int, most: int
) -> tuple[_Partial | None, float]:
    """Add a stage in every way that may lead to a better machine.

    Returns the partial machines, and the least bound of those that were left out.
    """
    stage = problem.stages[number]
    options, machines = len(stage), len(partial)
    cost = (partial.cost[:, np.newaxis] + stage.cost.T[partial.coming]).ravel()
    sends = np.tile(stage.sends, machines)
    bounds = np.full(machines * options, -np.inf)
    for rest in rests:
        left = rest.left(number, partial.times.arrivals)[:, np.newaxis] - rest.cycles[number]
        bounds = np.maximum(bounds, rest.bound(number + 1, cost, sends, left.ravel()))
    lanes = (partial.lanes[:, np.newaxis] + stage.lanes).ravel()
    if problem.max_lanes is not None:
        later = sum(int(after.lanes.min()) for after in problem.stages[number + 1 :])
        bounds[lanes + later > problem.max_lanes] = np.inf
    good = np.flatnonzero(_all_below(bounds, best.cost))
    left_out = np.inf
    if len(good) > most:
        good = good[np.argsort(bounds[good], kind="stable")]
        left_out = float(bounds[good[most]])
        good = np.sort(good[:most])
    parts = []
    for first in range(0, len(good), CHUNK):
        index = good[first : first + CHUNK]
        parent, option = np.divmod(index, options)
        times, kept = step(
            partial.times.of(parent),
            stage.work.of(option),
            problem.image_cycles,
        )
        choice = np.concatenate([partial.choice[:, parent], option[np.newaxis]])
        grown = _Partial(times, cost[index], sends[index], lanes[index], choice)
        bound = _bounds(rests, grown, number + 1)
        kept &= _all_below(bound, best.cost)
        if kept.any():
            parts.append(grown.of(np.flatnonzero(kept)))
    return (_Partial.joined(parts) if parts else None), left_out


def _all_below(bounds: Costs, cost: float) -> NDArray[np.bool_]:
    """Whether bounds are less than a cost by more than rounding."""
    if not np.isfinite(cost):
        return np.isfinite(bounds)
    below: NDArray[np.bool_] = bounds < cost - 1e-12 * abs(cost)
    return below
