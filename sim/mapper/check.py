"""Whether machines keep what is asked of them, by the closed form, with images back to back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pilaster.sim import steady
from pilaster.sim.mapper.space import WorkTable
from pilaster.sim.steady import MOST_IMAGES, SteadyTimes
from pilaster.sim.work import Arm

__all__ = ["MOST_IMAGES", "SteadyTimes", "steady_times"]

CHUNK = 1024
"""Machines computed together."""


def steady_times(
    rows: int,
    column_interval: int,
    work: Sequence[WorkTable],
    most_images: int = MOST_IMAGES,
    arms: Sequence[Sequence[Arm]] | None = None,
) -> SteadyTimes:
    """Run machines until their stamps repeat themselves, see `pilaster.sim.steady.steady_times`.

    Parameters
    ----------
    rows : height of the input
    work : of every stage, in order, a candidate a machine
    most_images : after which a machine that has not settled is taken not to hold its interval
    arms : of every stage; None for a chain
    """
    machines = work[0].cycles.shape[1]
    holds, latency = np.empty(machines, bool), np.empty(machines, np.int64)
    for first in range(0, machines, CHUNK):
        part = np.arange(first, min(first + CHUNK, machines))
        tables = [table.of(part).stage_work() for table in work]
        intervals = np.full(len(part), column_interval)
        found = steady.steady_times(rows, intervals, tables, arms, most_images)
        holds[part], latency[part] = found.holds, found.latency
    return SteadyTimes(holds, latency)
