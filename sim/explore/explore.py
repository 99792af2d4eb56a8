"""Explore: draw machines of a network, time them, and keep the Pareto front."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pilaster.base.errors import InputError
from pilaster.models.energy.table import EnergyTable
from pilaster.models.network import Network
from pilaster.sim.explore.check import Claim, differences, settling_images
from pilaster.sim.explore.draw import Chunk, Drawn, chunks, draw
from pilaster.sim.explore.options import Options, stage_options
from pilaster.sim.explore.request import (
    ExploreRequest,
    axes_of,
    column_intervals,
    default_tables,
)
from pilaster.sim.explore.result import Exploration, best_rows, figures
from pilaster.sim.explore.store import Store
from pilaster.sim.explore.workers import spread
from pilaster.sim.mapper.result import Infeasible

__all__ = ["DEFAULT_MACHINES", "Progress", "explore_network", "explore_request"]

DEFAULT_MACHINES = 100_000

Progress = Callable[[str, int, int], None]
"""Called with what is counted, how many are done, and how many there are."""


def explore_network(
    network: Network,
    *,
    column_interval: int | Sequence[int],
    max_latency: int | None = None,
    energy: EnergyTable | str | Path | Sequence[EnergyTable | str | Path] | None = None,
    clock_mhz: float | None = None,
    schedule: str = "scatter",
    machines: int = DEFAULT_MACHINES,
    seed: int = 0,
    axes: Sequence[str] | None = None,
    folder: str | Path | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Exploration:
    """Draw machines at random, and find those that no other beats.

    All machines are timed by the closed form, with images back to back for ever. Those that accept
    every column the moment it arrives, and give every answer within `max_latency` cycles of its
    last column, are kept. Those that no other beats in all axes are simulated by events as well.

    Parameters
    ----------
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
    progress : called as the work goes on

    Raises
    ------
    InputError
        If the request makes no sense, or the folder is that of another or cannot be written.
    Infeasible
        If no machine drawn keeps the request.
    """
    if energy is None:
        names = axes.split(",") if isinstance(axes, str) else axes
        energy = default_tables(names)
    given = [energy] if isinstance(energy, EnergyTable | str | Path) else list(energy)
    if not given:
        raise InputError("energy: name at least one energy table")
    tables = tuple(t if isinstance(t, EnergyTable) else EnergyTable.load(t) for t in given)
    intervals = column_intervals(column_interval)
    request = ExploreRequest(
        network=network,
        column_intervals=intervals,
        max_latency=max_latency,
        tables=tables,
        clock_mhz=clock_mhz,
        schedule=str(schedule),
        machines=machines,
        seed=seed,
        axes=axes_of(axes, intervals, tables, clock_mhz),
    )
    return explore_request(request, None if folder is None else Store(Path(folder)), progress)


def explore_request(
    request: ExploreRequest,
    store: Store | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Exploration:
    """Draw the machines of a request, and find those that no other beats.

    Parameters
    ----------
    store : where to keep what is done, and to go on from
    """
    if store is not None:
        store.check(request.as_dict())
    stages = range(len(request.network.graph.nodes))
    found: dict[int, Options] = {}
    for place, stage in spread(stage_options, request, stages):
        found[place] = stage
        progress("stages", len(found), len(stages))
    options = tuple(found[place] for place in stages)
    _refuse_slow(request, options)
    if store is not None:
        told = hashlib.sha256(b"".join(stage.digest() for stage in options))
        store.begin(request.as_dict(), told.hexdigest())
    explored = _assemble(request, options, _timed(request, options, store, progress))
    return _checked(explored, progress)


def _refuse_slow(request: ExploreRequest, options: Sequence[Options]) -> None:
    """Refuse intervals that some stage keeps with no fold."""
    slowest = max(options, key=lambda stage: stage.least_busy)
    interval = request.column_intervals[0]
    if slowest.least_busy > request.image_cycles(interval):
        width = request.network.graph.input_shape.width
        nearest = -(-slowest.least_busy // width)
        raise Infeasible(
            f"column_interval: {interval} cycles: no machine keeps the request: stage "
            f"{slowest.name} needs {slowest.least_busy:,} of the "
            f"{request.image_cycles(interval):,} cycles of an image with everything in parallel; "
            f"begin at {nearest} or more",
            "column_interval",
            slowest.name,
            nearest,
        )


def _timed(
    request: ExploreRequest,
    options: tuple[Options, ...],
    store: Store | None,
    progress: Progress,
) -> list[tuple[Chunk, Drawn]]:
    """Time all chunks, but for those that are in the store."""
    todo, done, machines = [], {}, 0
    for chunk in chunks(request):
        drawn = None if store is None else store.read(chunk)
        if drawn is None:
            todo.append(chunk)
        else:
            done[chunk] = drawn
            machines += chunk.count
    for place, drawn in spread(_draw, (request, options), todo):
        chunk = todo[place]
        if store is not None:
            store.write(chunk, drawn)
        done[chunk] = drawn
        machines += chunk.count
        progress("machines", machines, request.machines)
    return sorted(done.items(), key=lambda item: item[0].number)


def _draw(common: tuple[ExploreRequest, tuple[Options, ...]], chunk: Chunk) -> Drawn:
    return draw(*common, chunk)


def _assemble(
    request: ExploreRequest, options: tuple[Options, ...], timed: list[tuple[Chunk, Drawn]]
) -> Exploration:
    """Put the machines of all chunks together, and leave out those that are late."""
    machine = np.concatenate([drawn.machine for _, drawn in timed])
    latency = np.concatenate([drawn.latency for _, drawn in timed])
    choice = np.concatenate([drawn.choice for _, drawn in timed], axis=1)
    interval = np.repeat(
        [chunk.column_interval for chunk, _ in timed], [len(drawn.machine) for _, drawn in timed]
    )
    if not len(machine):
        raise Infeasible(
            f"column_interval: none of the {request.machines:,} machines drawn keeps its interval; "
            f"draw more, or give longer intervals",
            "column_interval",
            max(options, key=lambda stage: stage.least_busy).name,
            None,
        )
    kept = np.arange(len(machine))
    if request.max_latency is not None:
        kept = np.flatnonzero(latency <= request.max_latency)
    if not len(kept):
        raise Infeasible(
            f"max_latency: {request.max_latency} cycles: none of the {len(machine):,} machines "
            f"drawn that keep their interval answers so soon; the first of them does after "
            f"{int(latency.min())}; draw more, or give more",
            "max_latency",
            options[-1].name,
            int(latency.min()),
        )
    drawn = Drawn(machine[kept], latency[kept], choice[:, kept])
    columns = figures(request, options, interval[kept].astype(np.int64), drawn)
    return Exploration(
        request=request,
        options=options,
        choice=drawn.choice,
        columns=columns,
        holding=len(machine),
        front=best_rows(request, columns),
    )


def _checked(explored: Exploration, progress: Progress) -> Exploration:
    """Simulate the machines of the front by events."""
    request, rows = explored.request, explored.front
    images = np.zeros(len(rows), np.int64)
    intervals = explored.columns["column_interval_cycles"][rows]
    for interval in np.unique(intervals):
        same = np.flatnonzero(intervals == interval)
        choice = explored.choice[:, rows[same]]
        images[same] = settling_images(request, explored.options, int(interval), choice)
    numbers = {
        name: column[rows].tolist()
        for name, column in explored.columns.items()
        if name not in ("machine", "schedule")
    }
    claims = [
        Claim(
            explored.machine(int(row)),
            int(images[place]),
            {name: column[place] for name, column in numbers.items()},
        )
        for place, row in enumerate(rows)
    ]
    found: dict[int, list[str]] = {}
    for place, lines in spread(differences, request, claims):
        found[place] = lines
        progress("machines simulated", len(found), len(claims))
    return replace(
        explored,
        checked_images=int(images.sum()),
        differences=tuple(line for place in sorted(found) for line in found[place]),
    )
