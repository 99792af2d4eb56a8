"""The fewest column buffers in the arms of joins with which no stage stalls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.recurrence import Recurrence, StageWork, recur
from pilaster.sim.timing import COLUMN_BUFFERS
from pilaster.sim.work import SOURCE, Arm, ColumnWork

__all__ = ["LeastColumns", "check_columns", "least_columns"]

Cycles = NDArray[np.int64]

MOST_IMAGES = 32
"""Images after which a machine that has not settled is taken to be too slow for its columns."""


@dataclass(frozen=True)
class LeastColumns:
    """Column buffers of every arm, with which a run is what it is with any more.

    Attributes
    ----------
    columns : by stage and arm; those that were given, where they were
    column_interval : at which they were found: the machine's, or the shortest that it keeps up with
    images : after which the stamps repeat themselves
    """

    columns: tuple[tuple[int, ...], ...]
    column_interval: int
    images: int


def check_columns(
    rows: int, work: Sequence[tuple[ColumnWork, ...]], arms: Sequence[Sequence[Arm]]
) -> None:
    """Check that stages with these column buffers come to their end, whatever the times.

    Each stage takes and gives the same columns in every image, so one image tells.

    Raises
    ------
    DeadlockError
        If they do not.
    """
    recur(rows, np.ones(1, np.int64), _of_one_machine(work), 1, arms=arms)


def least_columns(
    rows: int,
    column_interval: int,
    work: Sequence[tuple[ColumnWork, ...]],
    arms: Sequence[Sequence[Arm]],
) -> LeastColumns:
    """Find the fewest column buffers with which nothing waits longer than with any number.

    Columns come at a steady interval. An arm of a join that cannot keep up would hold ever more of
    them, so where the machine is too slow a longer interval is taken.

    Parameters
    ----------
    rows : height of the input
    work : of every stage, column by column
    arms : of every stage; those whose `columns` are None are looked for

    Raises
    ------
    DeadlockError
        If the columns of the others are too few.
    """
    stages = _of_one_machine(work)
    told = max(arm.columns or COLUMN_BUFFERS for inputs in arms for arm in inputs)
    interval = column_interval
    while True:
        found = Recurrence(1, stages, arms=arms)
        images, late = _settle(found, rows, interval, len(work[0]), told)
        if not late:
            break
        interval += -(-late // len(work[0]))
    finished = [np.ravel(stamps) for stamps in found.finished]
    columns = tuple(
        tuple(_columns(arm, _departures(found, rows, work, arm.source), ends) for arm in inputs)
        for inputs, ends in zip(arms, finished, strict=True)
    )
    return LeastColumns(columns, interval, images)


def _of_one_machine(work: Sequence[tuple[ColumnWork, ...]]) -> list[StageWork]:
    return [StageWork.of([columns], np.zeros(1, np.intp)) for columns in work]


def _settle(
    found: Recurrence, rows: int, interval: int, width: int, columns: int
) -> tuple[int, int]:
    """Send images until the stamps repeat; gives their number, and by how much each is later.

    The stamps of an image, counted from when it is due, never fall from one to the next. They are
    those of every later image once the last `columns` columns of every stage, as many as an arm
    has buffers where there is a limit, have the same in two images.
    """
    before: Cycles = np.zeros(0, np.int64)
    sent = np.zeros(1, np.int64)
    ends = []
    for image in range(MOST_IMAGES):
        for column in range(image * width, (image + 1) * width):
            begun = np.maximum(np.maximum(sent, interval * column), found.source_room())
            sent = begun + rows
            found.send(sent)
        due = interval * width * image
        series = (*found.finished, *found.emitted, found.accepted[0], found.taken)
        now = np.concatenate([np.ravel(stamps[-columns:]) for stamps in series]) - due
        if len(now) == len(before) and (now == before).all():
            return image + 1, 0
        before = now
        ends.append(np.ravel([stamps[-1] for stamps in found.finished]) - due)
    found.check_finished(MOST_IMAGES)
    half = MOST_IMAGES // 2
    return MOST_IMAGES, -(-int((ends[-1] - ends[-1 - half]).max()) // half)


def _columns(arm: Arm, begun: Cycles, finished: Cycles) -> int:
    """Most columns that an arm held at a time, each from when its first row was on its way."""
    if arm.columns is not None:
        return arm.columns
    held = np.arange(1, len(begun) + 1) - np.searchsorted(finished, begun, side="right")
    return max(COLUMN_BUFFERS, int(held.max()))


def _departures(
    found: Recurrence, rows: int, work: Sequence[tuple[ColumnWork, ...]], source: int
) -> Cycles:
    """When every column of a stage's output, or of the network's input, began to leave."""
    if source == SOURCE:
        return np.ravel(found.accepted[0]) - rows  # the first stage reads nothing else
    takes = [run.emitted for column in work[source] for run in column.completing]
    emitted = np.ravel(found.emitted[source])
    begun: Cycles = emitted - np.resize(takes, len(emitted))
    return begun
