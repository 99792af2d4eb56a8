"""The closed form: stamps and times of machines from the recurrence, many machines at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.pipeline import Pipeline
from pilaster.sim.recurrence import Recurrence, StageWork, recur
from pilaster.sim.stages import Stage
from pilaster.sim.stamps import StageStamps, Stamps
from pilaster.sim.traffic import Traffic
from pilaster.sim.work import Arm

__all__ = ["BatchTimes", "MachineBatch", "evaluate", "stamps"]

Cycles = NDArray[np.int64]

CHUNK = 4096
"""Machines computed together: few enough for their stamps to stay in a processor's cache."""


@dataclass(frozen=True, eq=False)
class MachineBatch:
    """Many machines for one network.

    Attributes
    ----------
    rows : height of the input
    column_interval : (machines,), cycles
    variants : by stage, the different stages that occur
    choice : (stages, machines), index into `variants` of each machine's stage
    sources : by stage and arm, index of the stage that is read, see `Arm`; None for a chain
    """

    rows: int
    column_interval: Cycles
    variants: tuple[tuple[Stage, ...], ...]
    choice: NDArray[np.intp]
    sources: tuple[tuple[int, ...], ...] | None = None

    @classmethod
    def of(cls, pipelines: Sequence[Pipeline]) -> MachineBatch:
        """Put pipelines of one network in a batch."""
        stages = list(zip(*(pipeline.stages for pipeline in pipelines), strict=True))
        return cls(
            rows=pipelines[0].network.graph.input_shape.height,
            column_interval=np.array([p.machine.column_interval for p in pipelines], np.int64),
            variants=tuple(stages),
            choice=np.tile(np.arange(len(pipelines)), (len(stages), 1)),
            sources=pipelines[0].sources,
        )

    def part(self, machines: NDArray[np.intp] | slice) -> MachineBatch:
        """Give the batch of some of the machines."""
        choice = self.choice[:, machines]
        interval = self.column_interval[machines]
        return MachineBatch(self.rows, interval, self.variants, choice, self.sources)

    @property
    def arms(self) -> tuple[tuple[Arm, ...], ...] | None:
        """Arms of the stages of the first machine; None for a chain."""
        if self.sources is None:
            return None
        return tuple(
            tuple(map(Arm, sources, variants[choice].arm_columns))
            for sources, variants, choice in zip(
                self.sources, self.variants, self.choice[:, 0], strict=True
            )
        )

    def of_equal_arms(self) -> list[NDArray[np.intp]]:
        """Machines in groups whose joins have the same numbers of column buffers."""
        if self.sources is None:
            return [np.arange(self.choice.shape[1])]
        joins = [stage for stage, sources in enumerate(self.sources) if len(sources) > 1]
        columns = [
            np.array([stage.arm_columns for stage in self.variants[join]])[self.choice[join]]
            for join in joins
        ]
        if not columns:
            return [np.arange(self.choice.shape[1])]
        _, group = np.unique(np.concatenate(columns, axis=1), axis=0, return_inverse=True)
        return [np.flatnonzero(group == number) for number in range(group.max() + 1)]


@dataclass(frozen=True, eq=False)
class BatchTimes:
    """Times of a batch in cycles, shape (machines,).

    Attributes
    ----------
    latency : from the first column offered to the answer, of the first image
    latency_after_last_column : from when the last column is due to the answer, of the first image
    cycles_per_image : between the last two answers
    longest_wait : that any column waits before it is taken
    """

    latency: Cycles
    latency_after_last_column: Cycles
    cycles_per_image: Cycles
    longest_wait: Cycles


def _recur(batch: MachineBatch, images: int, traffic: Traffic | None = None) -> Recurrence:
    work = []
    for variants, choice in zip(batch.variants, batch.choice, strict=True):
        used, machine = np.unique(choice, return_inverse=True)
        work.append(StageWork.of([variants[v].work for v in used], machine))
    return recur(
        batch.rows,
        batch.column_interval,
        work,
        images,
        input_gaps=traffic.input_gaps if traffic else None,
        output_gaps=traffic.output_gaps if traffic else None,
        arms=batch.arms,
    )


def stamps(pipeline: Pipeline, images: int, traffic: Traffic | None = None) -> Stamps:
    """All stamps of one machine, equal to those of the SimPy engine."""
    found = _recur(MachineBatch.of([pipeline]), images, traffic)

    def table(columns: list[Cycles]) -> Cycles:
        return np.concatenate(columns).reshape(images, -1)

    stages = tuple(
        StageStamps(*map(table, stage))
        for stage in zip(found.accepted, found.started, found.finished, found.emitted, strict=True)
    )
    shape = pipeline.network.graph.input_shape
    interval = pipeline.machine.column_interval
    return Stamps(interval, shape.height, shape.width, stages, table(found.taken))


def evaluate(batch: MachineBatch, images: int = 3) -> BatchTimes:
    """Times of every machine of a batch, from `images` images in a row."""
    machines = len(batch.column_interval)
    result = np.empty((4, machines), np.int64)
    width = len(batch.variants[0][0].work)
    outputs = batch.variants[-1][0].columns_out
    for group in batch.of_equal_arms():
        for first in range(0, len(group), CHUNK):
            part = group[first : first + CHUNK]
            found = _recur(batch.part(part), images)
            answers = found.emitted[-1][outputs - 1 :: outputs]
            result[0, part] = answers[0]
            result[1, part] = answers[0] - batch.column_interval[part] * (width - 1) - batch.rows
            result[2, part] = answers[-1] - answers[-2] if images > 1 else answers[0]
            offered = np.arange(images * width)[:, np.newaxis] * batch.column_interval[part]
            result[3, part] = (found.accepted[0] - offered).max(axis=0) - batch.rows
    return BatchTimes(*result)
