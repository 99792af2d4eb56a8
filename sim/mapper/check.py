"""Whether machines keep what is asked of them, by the closed form, with images back to back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.mapper.space import WorkTable
from pilaster.sim.recurrence import Recurrence

__all__ = ["MOST_IMAGES", "SteadyTimes", "steady_times"]

Ints = NDArray[np.int64]

MOST_IMAGES = 64
"""Images that a machine is given to settle."""

CHUNK = 1024
"""Machines computed together."""


@dataclass(frozen=True, eq=False)
class SteadyTimes:
    """What images back to back come to, (machines,).

    Attributes
    ----------
    holds : whether every column is accepted the moment it arrives, for ever
    latency : cycles from the last column accepted to the answer, of every image once the pipeline
        is full, and of none before it more; of no meaning where the interval is not held
    """

    holds: NDArray[np.bool_]
    latency: Ints


def steady_times(
    rows: int,
    column_interval: int,
    work: Sequence[WorkTable],
    most_images: int = MOST_IMAGES,
) -> SteadyTimes:
    """Run machines until their stamps repeat themselves.

    With a source that is never held up the stamps of an image, counted from when its first column
    is due, never fall from one image to the next: the system is max-plus linear. So they are
    those of every later image once two images in a row have the same, and the first image has the
    least latency.

    Parameters
    ----------
    rows : height of the input
    work : of every stage, in order, a candidate a machine
    most_images : after which a machine that has not settled is taken not to hold its interval
    """
    machines = work[0].cycles.shape[1]
    holds, latency = np.empty(machines, bool), np.empty(machines, np.int64)
    for first in range(0, machines, CHUNK):
        part = np.arange(first, min(first + CHUNK, machines))
        tables = [table.of(part) for table in work]
        found = _steady(rows, column_interval, tables, most_images)
        holds[part], latency[part] = found.holds, found.latency
    return SteadyTimes(holds, latency)


def _steady(rows: int, interval: int, work: Sequence[WorkTable], most_images: int) -> SteadyTimes:
    machines = work[0].cycles.shape[1]
    recurrence = Recurrence(machines, [table.stage_work() for table in work])
    columns = len(work[0].kinds)
    holds = np.ones(machines, bool)
    settled = np.zeros(machines, bool)
    before: list[Ints] = []
    for image in range(most_images):
        for column in range(image * columns, (image + 1) * columns):
            due = interval * column
            holds &= recurrence.source_room() <= due
            # Where the source was held up the rest is of no interest: go on as if it were not.
            begun = np.full(machines, due)
            recurrence.send(begun, begun + rows)
        due = interval * columns * image
        now = [
            stamps[-back] - due
            for stage in range(len(work))
            for stamps in (recurrence.finished[stage], recurrence.emitted[stage])
            for back in range(1, 1 + min(2, len(stamps)))
        ]
        now.append(recurrence.sink_room() - due)
        if len(before) == len(now):  # a stage with one column an image has fewer at first
            settled = np.all([mine == theirs for mine, theirs in zip(before, now, strict=True)], 0)
        before = now
        if (settled | ~holds).all():
            break
    answer = recurrence.emitted[-1][-1] - recurrence.accepted[0][-1]
    return SteadyTimes(holds & settled, answer)
