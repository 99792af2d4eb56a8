"""Search for machines: the best one for a request, or the Pareto front."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pilaster.api.arguments import NetworkLike, TableLike, as_network, as_table
from pilaster.base.arguments import (
    as_choice,
    as_flag,
    as_function,
    as_path,
    as_real,
    as_whole,
    refusal,
)
from pilaster.base.errors import InputError
from pilaster.sim.mapper.request import DEFAULT_TABLES, SCHEDULES, Objective, Policy, Request
from pilaster.sim.mapper.result import Mapping

if TYPE_CHECKING:
    from pilaster.sim.explore import Exploration

__all__ = ["explore", "map", "write_exploration"]

DEFAULT_MACHINES = 100_000
LARGEST_SEED = 2**64 - 1


def map(  # noqa: A001 - `pl.map` is its name
    network: NetworkLike,
    *,
    column_interval: int,
    max_latency: int | None = None,
    max_lanes: int | None = None,
    objective: str = "lanes",
    table: TableLike | None = None,
    clock_mhz: float | None = None,
    policy: str = "multi-cycle",
    schedule: str = "scatter",
    on_chip_weight_bits: int | None = None,
    row_sums: bool = False,
) -> Mapping:
    """Find the cheapest machine that meets a column interval and a latency.

    The machine accepts the columns of back-to-back images every `column_interval` cycles, without
    stalls and indefinitely, and gives each answer within `max_latency` cycles of the last column of
    its image.

    Parameters
    ----------
    network : network, or its name or file
    column_interval : cycles between two input columns
    max_latency : maximum number of cycles from when the last column is due to the answer; None for
        no limit
    max_lanes : maximum number of multipliers; None for no limit
    objective : quantity to minimize: "lanes", "energy" (per image), "power", or "area"
    table : energy table, or its name or file; None selects ``sg13g2`` for energy and power,
        ``ihp130`` for area, and ``eyeriss65`` for lanes
    clock_mhz : clock frequency in MHz; required to minimize power and to include leakage energy
    policy : "multi-cycle", or "immediate" to process all open kernel columns at once
    schedule : "scatter", "gather", or "both"
    on_chip_weight_bits : layers with more bits of weights keep them in DRAM, which delivers the
        weights of all lanes in one cycle; None keeps all weights on chip
    row_sums : whether all stages keep row sums

    Raises
    ------
    InputError
        If the request is invalid, or no machine can ever meet it.
    Infeasible
        If no machine meets all limits together; the message names the binding limit, its stage, and
        the nearest feasible request.

    Examples
    --------
    >>> import pilaster as pl
    >>> found = pl.map("digits", column_interval=200, max_latency=400)
    >>> found.lanes, found.latency_cycles, found.proven
    (30, 400, True)
    """
    from pilaster.sim.mapper import map_request

    def limit(name: str, value: object, unit: str) -> int | None:
        return None if value is None else as_whole(name, value, unit=unit)

    what = Objective(as_choice("objective", objective, Objective))
    request = Request(
        network=as_network(network),
        column_interval=as_whole("column_interval", column_interval, unit="cycle"),
        max_latency=limit("max_latency", max_latency, "cycle"),
        max_lanes=limit("max_lanes", max_lanes, "lane"),
        objective=what,
        table=as_table("table", table, DEFAULT_TABLES[what]),
        clock_mhz=None if clock_mhz is None else as_real("clock_mhz", clock_mhz),
        policy=Policy(as_choice("policy", policy, Policy)),
        schedule=as_choice("schedule", schedule, SCHEDULES),
        on_chip_weight_bits=limit("on_chip_weight_bits", on_chip_weight_bits, "bit"),
        row_sums=as_flag("row_sums", row_sums),
    )
    return map_request(request)


def explore(
    network: NetworkLike,
    *,
    column_interval: int | Sequence[int],
    max_latency: int | None = None,
    energy: TableLike | Sequence[TableLike] | None = None,
    clock_mhz: float | None = None,
    schedule: str = "scatter",
    machines: int = DEFAULT_MACHINES,
    seed: int = 0,
    axes: Sequence[str] | None = None,
    folder: str | Path | None = None,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Exploration:
    """Draw random machines, and find the Pareto front.

    The closed-form model times each machine on an unlimited sequence of back-to-back images. A
    machine qualifies if it accepts every column as soon as it arrives and gives each answer within
    `max_latency` cycles of the last column. The front contains the qualifying machines for which no
    other machine is better on one axis and at least as good on the others; the event-driven
    simulator checks the machines on the front.

    Parameters
    ----------
    network : network, or its name or file
    column_interval : cycles between two input columns; (A, B) or (A, B, N) for N geometrically
        spaced intervals from A to B
    max_latency : maximum number of cycles from when the last column is due to the answer; None for
        no limit
    energy : energy tables, or their names or files; None selects ``sg13g2`` for the axes
        energy and power, ``ihp130`` for area, otherwise ``eyeriss65``
    clock_mhz : clock frequency in MHz; required for power and to include leakage energy
    schedule : "scatter", "gather", or "both"
    machines : number of machines to draw
    seed : random seed; the same request and seed give the same machines
    axes : quantities to minimize: "lanes", "latency", "interval", "energy", "power", and "area".
        The last three use the first table; append ":TABLE" to use another table. By default lanes
        and latency, and also the interval if there are several
    folder : stores progress, so that the same request can resume later; None stores nothing
    progress : called with the name of the item counted, the number done, and the total

    Raises
    ------
    InputError
        If the request is invalid, or the folder belongs to another request or cannot be written.
    Infeasible
        If no machine drawn meets the request.

    Examples
    --------
    >>> import pilaster as pl
    >>> found = pl.explore("digits", column_interval=300, machines=2_000)
    >>> found.differences
    ()
    >>> int(found.front_columns["lanes"][0])
    11
    """
    from pilaster.sim.explore import explore_network
    from pilaster.sim.explore.request import default_tables

    tables = energy if isinstance(energy, list | tuple) else (energy,)
    if energy is None:
        tables = default_tables(_axes(axes))
    if not tables:
        raise InputError("energy: name at least one energy table")
    return explore_network(
        as_network(network),
        column_interval=_intervals(column_interval),
        max_latency=None if max_latency is None else as_whole("max_latency", max_latency),
        energy=[as_table("energy", table) for table in tables],
        clock_mhz=None if clock_mhz is None else as_real("clock_mhz", clock_mhz),
        schedule=as_choice("schedule", schedule, SCHEDULES),
        machines=as_whole("machines", machines),
        seed=as_whole("seed", seed, least=0, most=LARGEST_SEED),
        axes=_axes(axes),
        folder=None if folder is None else as_path("folder", folder),
        progress=as_function("progress", progress),
    )


def _intervals(asked: object) -> int | tuple[int, ...]:
    if isinstance(asked, list | tuple):
        if not 1 <= len(asked) <= 3:
            raise refusal("column_interval", asked, "A, (A, B) or (A, B, N) in cycles")
        return tuple(as_whole("column_interval", number) for number in asked)
    return as_whole("column_interval", asked)


def _axes(axes: object) -> tuple[str, ...] | None:
    if axes is None:
        return None
    if isinstance(axes, str):
        return tuple(axes.split(","))
    if not isinstance(axes, list | tuple) or not all(isinstance(axis, str) for axis in axes):
        raise refusal("axes", axes, "a list of names")
    return tuple(axes)


def write_exploration(explored: Exploration, directory: str | Path) -> tuple[Path, ...]:
    """Write the front of an exploration to a directory: tables, a plot, and machines as YAML files.

    Parameters
    ----------
    explored : result of `explore`

    Returns
    -------
    tuple of Path
        The files written, except the machine files.

    Raises
    ------
    InputError
        If the directory cannot be written.

    Examples
    --------
    >>> import pilaster as pl
    >>> found = pl.explore("digits", column_interval=300, machines=2_000)
    >>> [path.name for path in pl.write_exploration(found, "out")][:2]
    ['front.csv', 'front.png']
    """
    from pilaster.reports.explore import write_exploration as write
    from pilaster.sim.explore import Exploration

    if not isinstance(explored, Exploration):
        raise refusal("explored", explored, "what `explore` returns")
    return write(explored, as_path("directory", directory))
