"""Searching for machines: the best one for a request, and those that no other beats."""

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
    """Find the machine of least cost that is never late.

    Columns of images back to back arrive every `column_interval` cycles and are accepted the moment
    they arrive, for ever; every answer comes within `max_latency` cycles of its last column.

    Parameters
    ----------
    network : or its name
    column_interval : cycles between two columns at the input
    max_latency : cycles from when the last column is due to the answer; None for any
    max_lanes : multipliers at most; None for any
    objective : "lanes", "energy" of an image, "power" or "area"
    table : energy table, its name or file; by default one that can answer: ``sg13g2`` for energy
        and power, ``ihp130`` for area, ``eyeriss65`` for lanes
    clock_mhz : needed for power; leakage is an energy only where it is known
    policy : "multi-cycle", or "immediate" to do all open kernel columns at once
    schedule : "scatter", "gather" or "both"
    on_chip_weight_bits : a layer with more bits of weights takes them from DRAM, in one cycle for
        all lanes; None keeps all on chip
    row_sums : whether all stages keep row sums

    Raises
    ------
    InputError
        If the request makes no sense, or asks for what no machine can have.
    Infeasible
        If no machine keeps all limits together: says which binds where, and the nearest request.

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
    """Draw machines at random, and find those that no other beats.

    All machines are timed by the closed form, with images back to back for ever. Those that accept
    every column the moment it arrives, and give every answer within `max_latency` cycles of its
    last column, are kept. Those that no other beats in all axes are simulated by events as well.

    Parameters
    ----------
    network : or its name
    column_interval : cycles between two columns at the input; a range (A, B) or (A, B, N) for N
        intervals, each longer by a factor
    max_latency : cycles from when the last column is due to the answer; None for any
    energy : energy tables, their names or files; by default those that can answer for the axes:
        ``sg13g2`` for energy and power, ``ihp130`` for area, ``eyeriss65`` for neither
    clock_mhz : needed for power; leakage is an energy only where it is known
    schedule : "scatter", "gather" or "both"
    machines : drawn
    seed : of the draw; the same request gives the same machines
    axes : what a machine is to have little of: "lanes", "latency", "interval", "energy", "power"
        and "area", the last three with ":TABLE" for another than the first table. By default
        lanes and latency, and the interval where there are several
    folder : keeps what is done, so that the same request goes on from there; None keeps nothing
    progress : called as the work goes on, with what is counted, how many are done, and of how many

    Raises
    ------
    InputError
        If the request makes no sense, or the folder is that of another or cannot be written.
    Infeasible
        If no machine drawn keeps the request.

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
    """Write an exploration's front into a directory: tables, a picture, machines as YAML files.

    Parameters
    ----------
    explored : what `explore` returns

    Returns
    -------
    tuple of Path
        The files written, without the machines'.

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
