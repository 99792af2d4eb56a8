"""The closed form: a max-plus recurrence over columns and stages, for many machines at once.

The start of a stage's work on a column is a maximum of sums of earlier stamps, so the stamps of a
whole batch of machines are computed together, an array entry a machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.pipeline import Pipeline
from pilaster.sim.stages import Stage
from pilaster.sim.stamps import StageStamps, Stamps
from pilaster.sim.timing import COLUMN_BUFFERS, DRAIN
from pilaster.sim.traffic import Traffic

__all__ = [
    "BatchTimes",
    "MachineBatch",
    "Recurrence",
    "StageWork",
    "evaluate",
    "recur",
    "stamps",
]

Cycles = NDArray[np.int64]

CHUNK = 4096
"""Machines computed together: few enough for their stamps to stay in a processor's cache."""


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


@dataclass(frozen=True, eq=False)
class MachineBatch:
    """Many machines for one network.

    Attributes
    ----------
    rows : height of the input
    column_interval : (machines,), cycles
    variants : by stage, the different stages that occur
    choice : (stages, machines), index into `variants` of each machine's stage
    """

    rows: int
    column_interval: Cycles
    variants: tuple[tuple[Stage, ...], ...]
    choice: NDArray[np.intp]

    @classmethod
    def of(cls, pipelines: Sequence[Pipeline]) -> MachineBatch:
        """Put pipelines of one network in a batch."""
        stages = list(zip(*(pipeline.stages for pipeline in pipelines), strict=True))
        return cls(
            rows=pipelines[0].network.graph.input_shape.height,
            column_interval=np.array([p.machine.column_interval for p in pipelines], np.int64),
            variants=tuple(stages),
            choice=np.tile(np.arange(len(pipelines)), (len(stages), 1)),
        )

    def part(self, machines: slice) -> MachineBatch:
        """Give the batch of some of the machines."""
        choice = self.choice[:, machines]
        return MachineBatch(self.rows, self.column_interval[machines], self.variants, choice)


@dataclass(frozen=True, eq=False)
class BatchTimes:
    """Times of a batch in cycles, shape (machines,).

    Attributes
    ----------
    latency : from the first column due to the answer, of the first image
    latency_after_last_column : from the last column accepted to the answer, of the first image
    cycles_per_image : between the last two answers
    """

    latency: Cycles
    latency_after_last_column: Cycles
    cycles_per_image: Cycles


class Recurrence:
    """Stamps of a batch, column after column, each pushed on as far as it goes."""

    def __init__(
        self, machines: int, work: Sequence[StageWork], output_gaps: Cycles | None = None
    ) -> None:
        self._work = work
        self._output_gaps = output_gaps
        self._beats_taken = 0
        self._ready = np.zeros(machines, np.int64)
        self._zero = np.zeros(machines, np.int64)
        self.accepted: list[list[Cycles]] = [[] for _ in work]
        self.started: list[list[Cycles]] = [[] for _ in work]
        self.finished: list[list[Cycles]] = [[] for _ in work]
        self.emitted: list[list[Cycles]] = [[] for _ in work]
        self.taken: list[Cycles] = []

    def buffer_free(self, stage: int) -> Cycles:
        """When a buffer is free for the next column of `stage`, or behind the last stage."""
        if stage == len(self._work):
            waits = len(self.taken) >= COLUMN_BUFFERS
            return self.taken[-COLUMN_BUFFERS] if waits else self._zero
        column = len(self.accepted[stage])
        waits = column >= COLUMN_BUFFERS
        return self.finished[stage][column - COLUMN_BUFFERS] if waits else self._zero

    def accept(self, stage: int, accepted: Cycles) -> None:
        """Do a stage's work on a column, and that of all later stages that follows from it."""
        work, finished = self._work[stage], self.finished[stage]
        kind = work.kinds[len(finished) % len(work.kinds)]
        self.accepted[stage].append(accepted)
        time = np.maximum(accepted, finished[-1]) if finished else accepted
        begun = time
        last = stage == len(self._work) - 1
        for j in range(work.completions[kind]):
            time = time + work.before[kind][j]
            waited = np.maximum(time, self.buffer_free(stage + 1))
            if j == 0:  # where the column's first pass had to wait, it began after that
                begun = np.where(work.before[kind][0], begun, waited)
            time = waited
            left = time + work.emitted[kind][j]
            self.emitted[stage].append(left)
            time = time + work.body[kind][j]
            if last:
                self.taken.append(self._drain(time - work.body[kind][j], work.beats[kind][j]))
            else:
                self.accept(stage + 1, left)
        self.started[stage].append(begun)
        finished.append(time + work.deferred[kind])

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


def _stage_work(variants: Sequence[Stage], choice: NDArray[np.intp]) -> StageWork:
    """Collect a stage's work for every machine; columns alike in all variants share a kind."""
    used, index = np.unique(choice, return_inverse=True)
    works = [variants[v].work for v in used]
    kind_of: dict[tuple[object, ...], int] = {}
    kinds = tuple(kind_of.setdefault(key, len(kind_of)) for key in zip(*works, strict=True))
    first = [kinds.index(kind) for kind in range(len(kind_of))]
    completions = tuple(len(works[0][column].completing) for column in first)

    def spread(values: list[int]) -> Cycles:
        return np.array(values, np.int64)[index]

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
    return StageWork(kinds, completions, before, body, emitted, beats, deferred)


def recur(
    rows: int,
    column_interval: Cycles,
    work: Sequence[StageWork],
    images: int,
    traffic: Traffic | None = None,
) -> Recurrence:
    """Run the recurrence over `images` images.

    Parameters
    ----------
    rows : height of the input
    column_interval : (machines,), cycles
    work : of every stage, in order
    """
    recurrence = Recurrence(len(column_interval), work, traffic.output_gaps if traffic else None)
    columns = images * len(work[0].kinds)
    first_gap, later_gaps = np.zeros(columns, np.int64), np.zeros(columns, np.int64)
    if traffic is not None:
        gaps = traffic.input_gaps.reshape(columns, rows)
        first_gap[1:], later_gaps = gaps[1:, 0], gaps[:, 1:].sum(axis=1)
    sent = np.zeros_like(column_interval)
    for column in range(columns):
        start = np.maximum(column_interval * column, sent + first_gap[column])
        begun = np.maximum(start, recurrence.buffer_free(0))
        sent = begun + rows + later_gaps[column]
        recurrence.accept(0, sent)
    return recurrence


def _recur(batch: MachineBatch, images: int, traffic: Traffic | None = None) -> Recurrence:
    work = [_stage_work(v, c) for v, c in zip(batch.variants, batch.choice, strict=True)]
    return recur(batch.rows, batch.column_interval, work, images, traffic)


def stamps(pipeline: Pipeline, images: int, traffic: Traffic | None = None) -> Stamps:
    """All stamps of one machine, equal to those of the SimPy engine."""
    found = _recur(MachineBatch.of([pipeline]), images, traffic)

    def table(columns: list[Cycles]) -> Cycles:
        return np.concatenate(columns).reshape(images, -1)

    stages = tuple(
        StageStamps(*map(table, stage))
        for stage in zip(found.accepted, found.started, found.finished, found.emitted, strict=True)
    )
    width = pipeline.network.graph.input_shape.width
    return Stamps(pipeline.machine.column_interval, width, stages, table(found.taken))


def evaluate(batch: MachineBatch, images: int = 3) -> BatchTimes:
    """Times of every machine of a batch, from `images` images in a row."""
    machines = len(batch.column_interval)
    result = np.empty((3, machines), np.int64)
    width = len(batch.variants[0][0].work)
    outputs = batch.variants[-1][0].columns_out
    for first in range(0, machines, CHUNK):
        part = slice(first, first + CHUNK)
        found = _recur(batch.part(part), images)
        answers = found.emitted[-1][outputs - 1 :: outputs]
        result[0, part] = answers[0]
        result[1, part] = answers[0] - found.accepted[0][width - 1]
        result[2, part] = answers[-1] - answers[-2] if images > 1 else answers[0]
    return BatchTimes(*result)
