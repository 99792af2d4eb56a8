"""Random machines, and the selection of those that meet their column interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.explore.options import Options
from pilaster.sim.explore.request import ExploreRequest
from pilaster.sim.mapper.check import steady_times

__all__ = ["Chunk", "Drawn", "chunks", "draw"]

Ints = NDArray[np.int64]

CHUNK = 1024
"""Machines drawn and timed together."""

UNSETTLED = -1

MOST_FRUGAL = 16.0
"""How much a draw may prefer folds of few lanes: the power that a share of them is raised to."""


SETTLING_IMAGES = (4, 16)
"""Images that a machine is given to settle: first all machines, then those that have not. What has
not settled after the last of them is taken not to keep its interval."""


@dataclass(frozen=True)
class Chunk:
    """Machines drawn together, which share a column interval.

    Attributes
    ----------
    number : of the chunk
    first, count : the machines' numbers
    """

    number: int
    first: int
    count: int
    column_interval: int


@dataclass(frozen=True, eq=False)
class Drawn:
    """The machines of a chunk that keep its interval.

    Attributes
    ----------
    machine : (kept,), numbers of the machines
    latency : (kept,), cycles from the last column accepted to the answer, of every image once the
        pipeline is full; the first images take no longer
    choice : (stages, kept), the option of every stage
    """

    machine: Ints
    latency: Ints
    choice: NDArray[np.int32]


def chunks(request: ExploreRequest) -> tuple[Chunk, ...]:
    """Share a request's machines among its intervals, and each interval's among chunks."""
    found: list[Chunk] = []
    intervals, first = request.column_intervals, 0
    for place, interval in enumerate(intervals):
        end = request.machines * (place + 1) // len(intervals)
        while first < end:
            count = min(CHUNK, end - first)
            found.append(Chunk(len(found), first, count, interval))
            first += count
    return tuple(found)


def draw(request: ExploreRequest, options: Sequence[Options], chunk: Chunk) -> Drawn:
    """Draw the machines of a chunk, and time images back to back on them.

    Each machine first draws how frugal it is, then every stage's fold among those that have the
    time: evenly, or the rather one of few lanes. The same seed and chunk give the same machines.
    """
    rng = np.random.default_rng([request.seed, chunk.number])
    frugal = MOST_FRUGAL ** rng.random(chunk.count)
    cycles = request.image_cycles(chunk.column_interval)
    rows = []
    for stage in options:
        able = np.flatnonzero(stage.work.busy <= cycles)
        share = rng.random(chunk.count) ** frugal
        rows.append(able[(share * len(able)).astype(np.intp)])
    choice = np.stack(rows)
    work = [stage.work.of(chosen) for stage, chosen in zip(options, choice, strict=True)]
    height = request.network.graph.input_shape.height
    latency = np.full(chunk.count, UNSETTLED)
    for images in SETTLING_IMAGES:
        left = np.flatnonzero(latency == UNSETTLED)
        if len(left):
            tables = [table.of(left) for table in work]
            times = steady_times(height, chunk.column_interval, tables, images)
            latency[left] = np.where(times.holds, times.latency, UNSETTLED)
    kept = np.flatnonzero(latency != UNSETTLED)
    return Drawn(chunk.first + kept, latency[kept], choice[:, kept].astype(np.int32))
