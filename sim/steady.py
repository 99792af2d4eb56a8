"""Steady state with back-to-back images: whether machines meet their column interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.recurrence import Recurrence, StageWork
from pilaster.sim.timing import COLUMN_BUFFERS
from pilaster.sim.work import Arm

__all__ = ["MOST_IMAGES", "SteadyTimes", "steady_times"]

Cycles = NDArray[np.int64]

MOST_IMAGES = 64
"""Images that a machine is given to settle."""


@dataclass(frozen=True, eq=False)
class SteadyTimes:
    """What images back to back come to, (machines,).

    Attributes
    ----------
    holds : whether every column is accepted the moment it is due, for ever
    latency : cycles from when the last column is due to the answer, of every image once the
        pipeline is full, and of none before it more; of no meaning where the interval is not held
    """

    holds: NDArray[np.bool_]
    latency: Cycles


def steady_times(
    rows: int,
    intervals: Cycles,
    work: Sequence[StageWork],
    arms: Sequence[Sequence[Arm]] | None = None,
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
    intervals : (machines,), column intervals
    work : of every stage, in order
    arms : of every stage; None for a chain. One that holds as many columns as are ever needed is
        taken to hold an image's
    most_images : after which a machine that has not settled is taken not to hold its interval
    """
    machines = len(intervals)
    recurrence = Recurrence(machines, work, arms=arms)
    columns = len(work[0].kinds)
    held = [arm.columns or columns for inputs in arms or () for arm in inputs]
    compared = max(held, default=COLUMN_BUFFERS)  # what comes depends on so many last columns
    holds = intervals >= rows
    settled = np.zeros(machines, bool)
    before: list[Cycles] = []
    for image in range(most_images):
        for column in range(image * columns, (image + 1) * columns):
            due = intervals * column
            holds &= recurrence.source_room() <= due
            # Where the source was held up the rest is of no interest: go on as if it were not.
            recurrence.send(due + rows)
        due = intervals * columns * image
        now = [
            stamps[-back] - due
            for stage in range(len(work))
            for stamps in (recurrence.finished[stage], recurrence.emitted[stage])
            for back in range(1, 1 + min(compared, len(stamps)))
        ]
        now.append(recurrence.sink_room() - due)
        if len(before) == len(now):  # a stage with few columns an image has fewer at first
            settled = np.all([mine == theirs for mine, theirs in zip(before, now, strict=True)], 0)
        before = now
        if (settled | ~holds).all():
            break
    answer = recurrence.emitted[-1][-1] - recurrence.accepted[0][-1]
    return SteadyTimes(holds & settled, answer)
