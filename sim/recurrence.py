"""The max-plus recurrence over columns and stages, for many machines at once.

The start of a stage's work on a column is a maximum of sums of earlier stamps, so the stamps of a
whole batch of machines are computed together, an array entry a machine. In what order they are
computed depends on the graph and on the numbers of column buffers, not on any time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.timing import COLUMN_BUFFERS, DRAIN
from pilaster.sim.work import SOURCE, Arm, ColumnWork, DeadlockError, chain

__all__ = ["Recurrence", "StageWork", "recur"]

Cycles = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class StageWork:
    """Work of one stage for every machine of a batch, columns by kind.

    Attributes
    ----------
    kinds : (input columns,), index of each column's kind; columns of a kind have equal work
    completions : (kinds,), output columns that a column of the kind completes
    before, body, emitted : by kind and completion, (machines,)
    beats : by kind and completion, of the first machine
    deferred : by kind, (machines,)
    """

    kinds: tuple[int, ...]
    completions: tuple[int, ...]
    before: list[list[Cycles]]
    body: list[list[Cycles]]
    emitted: list[list[Cycles]]
    beats: list[list[tuple[int, ...]]]
    deferred: list[Cycles]

    @classmethod
    def of(cls, works: Sequence[tuple[ColumnWork, ...]], machine: NDArray[np.intp]) -> StageWork:
        """Collect the work of stages for every machine; columns alike in all of them share a kind.

        machine : (machines,), index into `works`
        """
        kind_of: dict[tuple[object, ...], int] = {}
        kinds = tuple(kind_of.setdefault(key, len(kind_of)) for key in zip(*works, strict=True))
        first = [kinds.index(kind) for kind in range(len(kind_of))]
        completions = tuple(len(works[0][column].completing) for column in first)

        def spread(values: list[int]) -> Cycles:
            return np.array(values, np.int64)[machine]

        def runs(name: str) -> list[list[Cycles]]:
            return [
                [
                    spread([getattr(work[column].completing[j], name) for work in works])
                    for j in range(n)
                ]
                for column, n in zip(first, completions, strict=True)
            ]

        deferred = [spread([work[column].deferred for work in works]) for column in first]
        beats = [[run.beats for run in works[0][column].completing] for column in first]
        before, body, emitted = runs("before"), runs("body"), runs("emitted")
        return cls(kinds, completions, before, body, emitted, beats, deferred)


class Recurrence:
    """Stamps of a batch, column after column, each pushed on as far as it goes.

    Attributes
    ----------
    accepted, started, finished, emitted : by stage, stamps of columns, each (machines,)
    sent : when the source began to send each column of the input
    taken : when each column of the answer was taken
    """

    def __init__(
        self,
        machines: int,
        work: Sequence[StageWork],
        output_gaps: Cycles | None = None,
        arms: Sequence[Sequence[Arm]] | None = None,
    ) -> None:
        self._work = work
        self._arms = chain(len(work)) if arms is None else arms
        # By the source's index; the last, which SOURCE is, for the network's input.
        self._readers: list[list[tuple[int, int, int | None]]] = [[] for _ in range(len(work) + 1)]
        for stage, inputs in enumerate(self._arms):
            for arm, each in enumerate(inputs):
                self._readers[each.source].append((stage, arm, each.columns))
        self._arrived: list[list[list[Cycles]]] = [[[] for _ in arms] for arms in self._arms]
        self._output_gaps = output_gaps
        self._beats_taken = 0
        self._ready = np.zeros(machines, np.int64)
        self._zero = np.zeros(machines, np.int64)
        self.accepted: list[list[Cycles]] = [
            arrived[0] if len(arrived) == 1 else [] for arrived in self._arrived
        ]
        self.started: list[list[Cycles]] = [[] for _ in work]
        self.finished: list[list[Cycles]] = [[] for _ in work]
        self.emitted: list[list[Cycles]] = [[] for _ in work]
        self.sent: list[Cycles] = []
        self._departed = [0] * (len(work) + 1)  # output columns of every source
        self.taken: list[Cycles] = []
        self._processes = [self._process(stage) for stage in range(len(work))]
        self._waiting_for_room: set[int] = set()
        self._wake: list[int] = []

    def source_room(self) -> Cycles:
        """When a column buffer is free for the next column of the input in all that read it.

        Raises
        ------
        DeadlockError
            If that never happens.
        """
        room = self._room(SOURCE)
        if room is None:
            raise self._deadlock()
        return room

    def sink_room(self) -> Cycles:
        """When the output buffer has room for the next column."""
        waits = len(self.taken) >= COLUMN_BUFFERS
        return self.taken[-COLUMN_BUFFERS] if waits else self._zero

    def send(self, begun: Cycles, sent: Cycles) -> None:
        """Give the next column of the input, and do all the work that follows from it.

        begun, sent : (machines,), when its first row was sent, and when it stood in the buffers
        """
        self.sent.append(begun)
        self._deliver(SOURCE, sent)
        while self._wake:
            next(self._processes[self._wake.pop()])

    def check_finished(self, images: int) -> None:
        """Check that all stages have done their work on `images` images.

        Raises
        ------
        DeadlockError
            If they have not.
        """
        for work, finished in zip(self._work, self.finished, strict=True):
            if len(finished) != images * len(work.kinds):
                raise self._deadlock()

    def _deadlock(self) -> DeadlockError:
        held = [
            [len(columns) - len(finished) for columns in arrived]
            for arrived, finished in zip(self._arrived, self.finished, strict=True)
        ]
        return DeadlockError.at(self._arms, held)

    def _room(self, source: int) -> Cycles | None:
        """When all that read `source` have a buffer for its next column; None if not known yet."""
        room = self._zero
        column = self._departed[source]
        for stage, _, columns in self._readers[source]:
            if columns is None or column < columns:
                continue
            finished = self.finished[stage]
            if len(finished) <= column - columns:
                return None
            free = finished[column - columns]
            room = free if room is self._zero else np.maximum(room, free)
        return room

    def _deliver(self, source: int, sent: Cycles) -> None:
        self._departed[source] += 1
        for stage, arm, _ in self._readers[source]:
            arrived = self._arrived[stage]
            arrived[arm].append(sent)
            if len(arrived) > 1:
                column = len(self.accepted[stage])
                if any(len(columns) == column for columns in arrived):
                    continue
                self.accepted[stage].append(
                    np.maximum.reduce([columns[column] for columns in arrived])
                )
            self._wake.append(stage)

    def _process(self, stage: int) -> Iterator[None]:
        """Work on the columns of a stage; yields where it cannot go on for now."""
        work, accepted, finished = self._work[stage], self.accepted[stage], self.finished[stage]
        sources = {arm.source for arm in self._arms[stage]}
        last = not self._readers[stage]
        while True:
            column = len(finished)
            while len(accepted) <= column:
                yield
            kind = work.kinds[column % len(work.kinds)]
            time = accepted[column]
            if finished:
                time = np.maximum(time, finished[-1])
            begun = time
            for j in range(work.completions[kind]):
                time = time + work.before[kind][j]
                room = self.sink_room() if last else self._room(stage)
                while room is None:
                    self._waiting_for_room.add(stage)
                    yield
                    room = self._room(stage)
                waited = np.maximum(time, room)
                if j == 0:  # where the column's first pass had to wait, it began after that
                    begun = np.where(work.before[kind][0], begun, waited)
                left = waited + work.emitted[kind][j]
                self.emitted[stage].append(left)
                time = waited + work.body[kind][j]
                if last:
                    self.taken.append(self._drain(waited, work.beats[kind][j]))
                else:
                    self._deliver(stage, left)
            self.started[stage].append(begun)
            finished.append(time + work.deferred[kind])
            self._wake += self._waiting_for_room & sources
            self._waiting_for_room -= sources

    def _drain(self, start: Cycles, beats: tuple[int, ...]) -> Cycles:
        """When the last beat of an output column has been taken."""
        if self._output_gaps is None:
            return self.emitted[-1][-1] + DRAIN  # one beat a cycle at most: none has to wait
        for beat in beats:
            gap = self._output_gaps[self._beats_taken] if self._beats_taken else 0
            ready = self._ready + gap if self._beats_taken else self._zero
            self._ready = np.maximum(start + beat, ready) + DRAIN
            self._beats_taken += 1
        return self._ready


def recur(
    rows: int,
    column_interval: Cycles,
    work: Sequence[StageWork],
    images: int,
    *,
    input_gaps: Cycles | None = None,
    output_gaps: Cycles | None = None,
    arms: Sequence[Sequence[Arm]] | None = None,
) -> Recurrence:
    """Run the recurrence over `images` images.

    Parameters
    ----------
    rows : height of the input
    column_interval : (machines,), cycles
    work : of every stage, in order
    input_gaps, output_gaps : as of `Traffic`; None for none
    arms : of every stage; None for a chain

    Raises
    ------
    DeadlockError
        If it cannot come to its end.
    """
    recurrence = Recurrence(len(column_interval), work, output_gaps, arms)
    columns = images * len(work[0].kinds)
    first_gap, later_gaps = np.zeros(columns, np.int64), np.zeros(columns, np.int64)
    if input_gaps is not None:
        gaps = input_gaps.reshape(columns, rows)
        first_gap[1:], later_gaps = gaps[1:, 0], gaps[:, 1:].sum(axis=1)
    sent = np.zeros_like(column_interval)
    for column in range(columns):
        start = np.maximum(column_interval * column, sent + first_gap[column])
        begun = np.maximum(start, recurrence.source_room())
        sent = begun + rows + later_gaps[column]
        recurrence.send(begun, sent)
    recurrence.check_finished(images)
    return recurrence
