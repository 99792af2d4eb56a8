"""Prices of cycles: the limit on several ways to the answer at once, as a bound on cost.

The answer is late if any way from the source to it is too long. Each way's limit is given a price,
and the least of cost and priced cycles over all machines, stage by stage, is no more than the least
cost (Lagrange; Geoffrion, Math. Programming Study 2, 1974). The prices are found by subgradient
steps (Polyak), the ways by following the machine that the prices favor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.mapper.problem import Costs, Problem
from pilaster.sim.mapper.relaxation import Route

__all__ = ["Prices", "price_routes"]

ROUNDS = 10
"""Ways that are added."""

STEPS = 40
"""Steps of the prices after each."""

PATIENCE = 4
"""Steps without a better bound after which they become shorter."""

SERIES = np.geomspace(1e-6, 1e4, 61)
"""Prices of a cycle that are tried first, over the mean cost for a cycle."""


@dataclass(frozen=True, eq=False)
class Prices:
    """Ways to the answer, and the price of a cycle on each, (ways,)."""

    routes: tuple[Route, ...]
    prices: Costs

    def reduced_bounds(self, problem: Problem) -> list[Costs]:
        """Bound the cost of the machines that have each option: by stage, (options,)."""
        limits = _Limits(problem, self.routes)
        found = limits.bounds(np.zeros_like(self.prices))
        for factor in (0.7, 0.85, 1, 1.2, 1.5) if self.prices.any() else ():
            more = limits.bounds(factor * self.prices)
            found = [np.maximum(*pair) for pair in zip(found, more, strict=True)]
        return found


class _Limits:
    """The limits on some ways to the answer."""

    def __init__(self, problem: Problem, routes: tuple[Route, ...]) -> None:
        self.stages = problem.stages
        tables = [route.cycles(problem) for route in routes]
        self.cycles = [np.array(each, np.float64) for each in zip(*tables, strict=True)]
        self.budgets = np.zeros(len(routes))
        if problem.max_latency is not None:
            due = problem.last_accepted + problem.max_latency
            self.budgets = np.array([due - route.begin(problem) for route in routes], np.float64)

    def onward(self, prices: Costs) -> list[Costs]:
        """Priced cycles of every option, and the least of the stages after it: (options,)."""
        found: list[Costs] = []
        after = np.zeros(1)  # priced, by the width of the beats that come
        for stage, cycles in zip(reversed(self.stages), reversed(self.cycles), strict=True):
            found.insert(0, after[stage.sends] + prices @ cycles)
            after = (stage.cost + found[0][:, np.newaxis]).min(axis=0)
        return found

    def bounds(self, prices: Costs) -> list[Costs]:
        """Bound the cost of the machines that have each option."""
        found = []
        before = np.zeros(1)  # priced, of the stages before, by the width of the beats they send
        triples = zip(self.stages, self.cycles, self.onward(prices), strict=True)
        for stage, cycles, onward in triples:
            so_far = (stage.cost + before).min(axis=1)
            found.append(so_far + onward - float(prices @ self.budgets))
            before = np.full(stage.sends.max() + 1, np.inf)
            np.minimum.at(before, stage.sends, so_far + prices @ cycles)
        return found

    def at(self, prices: Costs) -> tuple[float, NDArray[np.intp], Costs]:
        """Give the bound, the machine that has it, and by how much its ways are too long."""
        rest = self.onward(prices)
        least = float((self.stages[0].cost[:, 0] + rest[0]).min())
        coming, choice = 0, np.zeros(len(rest), np.intp)
        for number, (stage, onward) in enumerate(zip(self.stages, rest, strict=True)):
            choice[number] = (stage.cost[:, coming] + onward).argmin()
            coming = int(stage.sends[choice[number]])
        taken = sum(cycles[:, option] for cycles, option in zip(self.cycles, choice, strict=True))
        return least - float(prices @ self.budgets), choice, np.asarray(taken - self.budgets)

    def first(self) -> Costs:
        """Price the one way whose limit bounds the cost most."""
        mean = sum(float(stage.cost.mean()) for stage in self.stages)
        best, found = np.zeros(len(self.budgets)), self.at(np.zeros(len(self.budgets)))[0]
        for way, budget in enumerate(self.budgets):
            for price in SERIES * max(mean, 1e-9) / max(budget, 1):
                prices = np.zeros(len(self.budgets))
                prices[way] = price
                bound = self.at(prices)[0]
                if bound > found:
                    best, found = prices, bound
        return best

    def improved(self, prices: Costs, cost: float) -> tuple[Costs, NDArray[np.intp]]:
        """Step towards the prices with the highest bound; gives them and the machine they favor.

        cost : of a machine within the limits
        """
        best_bound, best_choice, excess = self.at(prices)
        best, length, idle = prices, 1.0, 0
        now, bound = prices, best_bound
        for _ in range(STEPS):
            size = float(excess @ excess)
            if not size or bound >= cost:
                break
            aim = cost if np.isfinite(cost) else 1.05 * best_bound
            now = np.maximum(0, now + length * (aim - bound) / size * excess)
            bound, choice, excess = self.at(now)
            if bound > best_bound:
                best, best_bound, best_choice, idle = now, bound, choice, 0
            else:
                idle += 1
                if idle == PATIENCE:
                    length, idle, now = length / 2, 0, best
                    bound, _, excess = self.at(now)
        return best, best_choice


def price_routes(problem: Problem, routes: tuple[Route, ...], cost: float) -> Prices:
    """Find prices that bound the cost well, and ways beside those given that make it higher.

    cost : of a machine within the limits; infinite where none is known
    """
    if problem.max_latency is None:
        return Prices(routes, np.zeros(len(routes)))
    prices = _Limits(problem, routes).first()
    for _ in range(ROUNDS):
        prices, choice = _Limits(problem, routes).improved(prices, cost)
        route = Route.critical(problem, choice)
        if route in routes:
            break
        routes, prices = (*routes, route), np.append(prices, 0.0)
    prices, _ = _Limits(problem, routes).improved(prices, cost)
    return Prices(routes, prices)
