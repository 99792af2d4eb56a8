"""Late paths: why a machine does not keep its limits, as sums of its stages' cycles.

Every stamp is a maximum of sums of earlier stamps and of quantities of work. So a stamp is the
length of a path from the arrival of an input column, which has each quantity of each stage so many
times. Where a stamp is late, its path tells which sum is too large, and no machine with as large a
sum keeps the limits: a late path is a linear row that all machines within the limits keep.

The closed form serves fractional work too: a mixture of options is a machine of averaged cycles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.mapper.space import WorkTable
from pilaster.sim.recurrence import Recurrence
from pilaster.sim.timing import COLUMN_BUFFERS, DRAIN
from pilaster.sim.work import SOURCE, Arm

__all__ = ["LatePath", "StampLimits", "late_paths"]

Reals = NDArray[np.float64]

TOLERANCE = 1e-6
"""Cycles by which a stamp of averaged work may be late."""

WALKED = 3
"""Late stamps of an image that are walked back from, for each path wanted: many have the same."""


@dataclass(frozen=True)
class StampLimits:
    """What the stamps of a machine keep.

    Attributes
    ----------
    rows : height of the input
    column_interval : cycles; a column is accepted the moment it arrives
    max_latency : cycles from the last column accepted to the answer; None for any
    arms : of every stage; those of joins hold as many columns as are ever needed
    """

    rows: int
    column_interval: int
    max_latency: int | None
    arms: tuple[tuple[Arm, ...], ...]


@dataclass(frozen=True, eq=False)
class LatePath:
    """A row that all machines within the limits keep: sum of counts times cycles <= bound.

    Attributes
    ----------
    counts : by stage, (quantities,), how often the path has each row of its `WorkTable`
    bound : cycles
    late : by how many cycles the machine that it was found on breaks it
    """

    counts: tuple[NDArray[np.int64], ...]
    bound: int
    late: float

    @property
    def key(self) -> tuple[bytes, ...]:
        """What tells it from others."""
        return tuple(counts.tobytes() for counts in self.counts)


Event = tuple[bool, int, int]
"""Whether it is the emission of an output column or the end of work on a column; stage; column."""


def late_paths(
    work: Sequence[WorkTable], limits: StampLimits, images: int, most: int
) -> tuple[LatePath, ...]:
    """Find the latest stamps of a machine, and the paths that made them so.

    Parameters
    ----------
    work : of every stage, of one machine; its cycles may be fractional
    images : back to back
    most : paths wanted

    Returns
    -------
    tuple
        Empty if the machine keeps the limits over these images.
    """
    run = _Run(work, limits)
    found: dict[tuple[bytes, ...], LatePath] = {}
    for image in range(images):
        late = sorted(run.image(image), key=run.lateness, reverse=True)
        for event, bound in late[: WALKED * most]:
            path = run.path(event, bound)
            found.setdefault(path.key, path)
        if len(found) >= most or run.settled:
            break
    if not found and not run.settled:
        found = {path.key: path for path in run.circuits()}
    return tuple(sorted(found.values(), key=lambda path: -path.late)[:most])


class _Run:
    """A machine at work on images back to back, whose source is taken not to be held up."""

    def __init__(self, work: Sequence[WorkTable], limits: StampLimits) -> None:
        self._work = work
        self._limits = limits
        self._interval, self._rows = limits.column_interval, limits.rows
        self._columns = len(work[0].kinds)
        self._stamps = Recurrence(1, [table.stage_work() for table in work], arms=limits.arms)
        self._cycles = [table.cycles[:, 0].astype(np.float64).tolist() for table in work]
        self._first_outputs = [
            np.cumsum([0, *(table.completions[kind] for kind in table.kinds)]).tolist()
            for table in work
        ]
        self._readers: list[list[tuple[int, int]]] = [[] for _ in range(len(work) + 1)]
        for stage, arms in enumerate(limits.arms):
            for arm in arms:
                if arm.columns is not None:
                    self._readers[arm.source].append((stage, arm.columns))
        self.settled = False
        self._before: Reals = np.zeros(0)

    def image(self, image: int) -> Iterator[tuple[Event, float]]:
        """Send an image; gives late events with the time by which they are due."""
        columns, interval = self._columns, self._interval
        for column in range(image * columns, (image + 1) * columns):
            due = interval * column
            if column >= COLUMN_BUFFERS:
                for stage, held in self._readers[SOURCE]:
                    if column < held:
                        continue
                    if self._finished(stage, column - held) > due + TOLERANCE:
                        yield (False, stage, column - held), due
            self._stamps.send(np.full(1, float(due + self._rows)))
        last = len(self._work) - 1
        due = interval * columns * image
        if self._limits.max_latency is not None:
            accepted = interval * ((image + 1) * columns - 1) + self._rows
            within = accepted + self._limits.max_latency
            answer = len(self._stamps.emitted[last]) - 1
            if self._emitted(last, answer) > within + TOLERANCE:
                yield (True, last, answer), within
        now = np.array(
            [
                float(stamps[-back][0]) - due
                for series in (self._stamps.finished, self._stamps.emitted)
                for stamps in series
                for back in range(1, 1 + min(COLUMN_BUFFERS, len(stamps)))
            ]
        )
        self.settled = len(now) == len(self._before) and bool(
            np.abs(now - self._before).max() <= TOLERANCE
        )
        self._before = now

    def lateness(self, late: tuple[Event, float]) -> float:
        """By how many cycles an event is late."""
        event, due = late
        return self._time(event) - due

    def path(self, event: Event, due: float) -> LatePath:
        """Walk back from an event to the input column that it waited for."""
        counts, constant = self._no_counts(), 0
        time = self._time(event)
        while True:
            column, add, before = self._step(event, counts)
            constant += add
            if before is None:
                break
            event = before
        start = self._interval * column + self._rows
        bound = round(due) - start - constant
        return LatePath(tuple(counts), bound, time - due)

    def circuits(self) -> Iterator[LatePath]:
        """Find circuits that take longer than the images in which they come round again."""
        for stage in range(len(self._work)):
            event: Event | None = (False, stage, len(self._stamps.finished[stage]) - 1)
            counts, constant = self._no_counts(), 0
            seen: dict[Event, tuple[int, list[NDArray[np.int64]], int]] = {}
            while event is not None:
                emits, at, column = event
                width = len(self._work[at].outputs if emits else self._work[at].kinds)
                image, place = divmod(column, width)
                key = (emits, at, place)
                if key in seen:
                    then, old, added = seen[key]
                    between = tuple(now - was for now, was in zip(counts, old, strict=True))
                    bound = (then - image) * self._columns * self._interval - (constant - added)
                    length = sum(
                        float(count @ np.array(cycles))
                        for count, cycles in zip(between, self._cycles, strict=True)
                    )
                    if length > bound + TOLERANCE:
                        yield LatePath(between, bound, length - bound)
                        break
                else:
                    seen[key] = (image, [each.copy() for each in counts], constant)
                _, add, event = self._step(event, counts)
                constant += add

    def _no_counts(self) -> list[NDArray[np.int64]]:
        return [np.zeros(len(table.cycles), np.int64) for table in self._work]

    def _finished(self, stage: int, column: int) -> float:
        return float(self._stamps.finished[stage][column][0])

    def _emitted(self, stage: int, output: int) -> float:
        return float(self._stamps.emitted[stage][output][0])

    def _time(self, event: Event) -> float:
        emits, stage, column = event
        return self._emitted(stage, column) if emits else self._finished(stage, column)

    def _step(self, event: Event, counts: list[NDArray[np.int64]]) -> tuple[int, int, Event | None]:
        """Count what lies between an event and the one that it waited for.

        Returns
        -------
        The input column where the path begins, constant cycles, and the earlier event, or None
        where that is the arrival of the input column.
        """
        emits, stage, column = event
        table = self._work[stage]
        kinds, count = table.kinds, counts[stage]
        if emits:
            image, output = divmod(column, len(table.outputs))
            place, run = table.outputs[output]
            column = image * len(kinds) + place
            kind = kinds[place]
            count[table.row(kind, run, 2)] += 1
        else:
            kind = kinds[column % len(kinds)]
            run = table.completions[kind]
            count[table.deferred_row(kind)] += 1
            if run:
                run -= 1
                count[table.row(kind, run, 1)] += 1
            else:
                return self._begun(stage, column)
        return self._entered(stage, column, kind, run, count)

    def _entered(
        self, stage: int, column: int, kind: int, run: int, count: NDArray[np.int64]
    ) -> tuple[int, int, Event | None]:
        """Find what the first emitting pass of a run waited for."""
        table, cycles = self._work[stage], self._cycles[stage]
        image, place = divmod(column, len(table.kinds))
        first = image * len(table.outputs) + self._first_outputs[stage][place]
        while True:
            output = first + run
            waited = self._emitted(stage, output) - cycles[table.row(kind, run, 2)]
            room, add, event = self._room(stage, output)
            if run:
                earlier = self._emitted(stage, output - 1) - cycles[table.row(kind, run - 1, 2)]
                ready = earlier + cycles[table.row(kind, run - 1, 1)]
            else:
                ready = self._start(stage, column)
            ready += cycles[table.row(kind, run, 0)]
            if event is not None and room > ready:
                assert abs(room - waited) <= 1e-3, "a run enters when there is room"
                return 0, add, event
            count[table.row(kind, run, 0)] += 1
            if not run:
                return self._begun(stage, column)
            run -= 1
            count[table.row(kind, run, 1)] += 1

    def _start(self, stage: int, column: int) -> float:
        accepted = float(self._stamps.accepted[stage][column][0])
        return max(accepted, self._finished(stage, column - 1)) if column else accepted

    def _begun(self, stage: int, column: int) -> tuple[int, int, Event | None]:
        """Find what the work on a column waited for: the column before, or its own arrival."""
        accepted = float(self._stamps.accepted[stage][column][0])
        if column and self._finished(stage, column - 1) > accepted:
            return 0, 0, (False, stage, column - 1)
        sources = [arm.source for arm in self._limits.arms[stage]]
        arrival = self._interval * column + self._rows
        times = [arrival if s == SOURCE else self._emitted(s, column) for s in sources]
        source = sources[int(np.argmax(times))]
        return (column, 0, None) if source == SOURCE else (0, 0, (True, source, column))

    def _room(self, stage: int, output: int) -> tuple[float, int, Event | None]:
        """When there was room for an output column, constant cycles of that, and by what event."""
        if stage == len(self._work) - 1:
            if output < COLUMN_BUFFERS:
                return -np.inf, 0, None
            event = (True, stage, output - COLUMN_BUFFERS)
            return self._time(event) + DRAIN, DRAIN, event
        latest: Event | None = None
        for reader, held in self._readers[stage]:
            if output >= held:
                event = (False, reader, output - held)
                if latest is None or self._time(event) > self._time(latest):
                    latest = event
        return (-np.inf if latest is None else self._time(latest)), 0, latest
