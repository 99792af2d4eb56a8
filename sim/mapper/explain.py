"""Why no machine meets a request, and the nearest feasible request."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pilaster.base.errors import InputError
from pilaster.sim.mapper.check import steady_times
from pilaster.sim.mapper.paths import StampLimits
from pilaster.sim.mapper.request import Request
from pilaster.sim.mapper.result import Infeasible
from pilaster.sim.mapper.solve import Found
from pilaster.sim.mapper.space import Candidates, WorkTable

__all__ = ["explain", "refuse_impossible"]


def refuse_impossible(request: Request, found: Sequence[Candidates], latency: int) -> None:
    """Refuse limits that no machine keeps, whatever the others are.

    Parameters
    ----------
    latency : cycles that no machine is below

    Raises
    ------
    InputError
        If the latency is below that of the fastest stages, the lanes are fewer than one for each
        layer that multiplies, or a column takes longer to arrive than the interval.
    """
    rows = request.network.graph.input_shape.height
    if request.column_interval < rows:
        raise InputError(
            f"column_interval: {request.column_interval} cycles are too few for a column of "
            f"{rows} rows, which arrive one a cycle; at least {rows} are needed"
        )
    if request.max_latency is not None and request.max_latency < latency:
        raise InputError(
            f"max_latency: {request.max_latency} cycles are below the {latency} that the last "
            f"column takes through the fastest stages, whatever the lanes; give more"
        )
    lanes = sum(int(each.lanes.min()) for each in found)
    if request.max_lanes is not None and request.max_lanes < lanes:
        raise InputError(
            f"max_lanes: {request.max_lanes} are fewer than the {lanes} of a machine with the "
            f"fewest in every stage; give more"
        )


def explain(
    request: Request,
    found: Sequence[Candidates],
    limits: StampLimits,
    least_lanes: Callable[[], Found],
    proven: bool,
) -> Infeasible:
    """Say which limit binds, where, and what a machine was found for.

    Parameters
    ----------
    limits : on the stamps
    least_lanes : searches the fewest lanes without a limit on them
    proven : whether it is certain that no machine keeps the request
    """
    fastest = [_fastest(each) for each in found]
    interval = request.column_interval
    nearest = _least_interval(limits, fastest)
    sure = "no machine keeps the request" if proven else "no machine was found for the request"
    if nearest > interval:
        busy = [int(each.work.busy.min()) for each in found]
        stage = found[int(np.argmax(busy))].name
        return Infeasible(
            f"column_interval: {interval} cycles: {sure}: stage {stage} needs {max(busy):,} of "
            f"the {request.image_cycles:,} cycles of an image with everything in parallel; a "
            f"machine was found for an interval of {nearest}",
            "column_interval",
            stage,
            nearest,
        )
    times = steady_times(limits.rows, interval, fastest, arms=limits.arms)
    latency = int(times.latency[0])
    if request.max_latency is not None and latency > request.max_latency:
        last = [int(table.last_column[0]) for table in fastest]
        stage = found[int(np.argmax(last))].name
        return Infeasible(
            f"max_latency: {request.max_latency} cycles: {sure}: stage {stage} takes the most, "
            f"{max(last)} cycles for the last column with everything in parallel; at an interval "
            f"of {interval} a machine was found for a latency of {latency}",
            "max_latency",
            stage,
            latency,
        )
    best = least_lanes()
    if best.choice is None:
        stage = found[0].name
        return Infeasible(f"{sure}; a longer interval may help", "column_interval", stage, None)
    lanes = [int(each.lanes[choice]) for each, choice in zip(found, best.choice, strict=True)]
    stage = found[int(np.argmax(lanes))].name
    within = "" if request.max_latency is None else f" and a latency of {request.max_latency}"
    return Infeasible(
        f"max_lanes: {request.max_lanes} lanes: {sure}: stage {stage} needs the most, "
        f"{max(lanes)}; for an interval of {interval}{within} a machine was found with "
        f"{sum(lanes)} lanes",
        "max_lanes",
        stage,
        sum(lanes),
    )


def _fastest(found: Candidates) -> WorkTable:
    """Give the work of the candidate that is soonest done with the last column."""
    table = found.work
    order = np.lexsort((found.lanes, table.busy, table.last_column))
    return table.of(order[:1])


def _least_interval(limits: StampLimits, fastest: Sequence[WorkTable]) -> int:
    """Find the least interval at which the machine of fastest stages holds."""

    def holds(interval: int) -> bool:
        times = steady_times(limits.rows, interval, fastest, arms=limits.arms)
        return bool(times.holds[0])

    columns = len(fastest[0].kinds)
    low = max(limits.rows, -(-max(int(table.busy[0]) for table in fastest) // columns))
    if holds(low):
        return low
    high = 2 * low
    while not holds(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
