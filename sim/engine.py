"""The SimPy engine: stages as processes, with real back-pressure between them."""

from __future__ import annotations

from collections.abc import Generator
from itertools import count

import numpy as np
import simpy

from pilaster.sim.pipeline import Pipeline
from pilaster.sim.stages import Stage
from pilaster.sim.stamps import StageStamps, Stamps
from pilaster.sim.timing import COLUMN_BUFFERS, DRAIN
from pilaster.sim.work import RunWork

__all__ = ["simulate_events"]

Process = Generator[simpy.Event, object, None]


class _Sink:
    """The output buffer, and whoever takes the answers from it at once."""

    def __init__(self, env: simpy.Environment) -> None:
        self.env = env
        self.free_buffers = simpy.Container(env, COLUMN_BUFFERS, init=COLUMN_BUFFERS)

    def accept(self) -> None:
        """Take note that a whole column stands in the buffer."""
        self.env.process(self._drain())

    def _drain(self) -> Process:
        yield self.env.timeout(DRAIN)
        yield self.free_buffers.put(1)


class _StageProcess:
    """One stage at work: its column buffers, its pass sequencer and its stamps."""

    def __init__(
        self, env: simpy.Environment, stage: Stage, consumer: _StageProcess | _Sink
    ) -> None:
        self.env = env
        self.stage = stage
        self.consumer = consumer
        self.free_buffers = simpy.Container(env, COLUMN_BUFFERS, init=COLUMN_BUFFERS)
        self.columns = simpy.Store(env)
        self.accepted: list[int] = []
        self.started: list[int] = []
        self.finished: list[int] = []
        self.emitted: list[int] = []
        env.process(self._work())

    def accept(self) -> None:
        """Take note that a whole column stands in a buffer."""
        self.accepted.append(int(self.env.now))
        self.columns.put(None)

    def _work(self) -> Process:
        for column in count():
            yield self.columns.get()
            begun = int(self.env.now)
            work = self.stage.work[column % self.stage.columns_in]
            for index, run in enumerate(work.completing):
                yield self.env.timeout(run.before)
                yield self.consumer.free_buffers.get(1)
                if index == 0 and not run.before:
                    begun = int(self.env.now)  # the first pass of the column had to wait
                self.env.process(self._emit(run))
                yield self.env.timeout(run.body)
            yield self.env.timeout(work.deferred)
            self.started.append(begun)
            self.finished.append(int(self.env.now))
            yield self.free_buffers.put(1)

    def _emit(self, run: RunWork) -> Process:
        yield self.env.timeout(run.emitted)
        self.emitted.append(int(self.env.now))
        self.consumer.accept()

    def stamps(self, images: int) -> StageStamps:
        """Give the stamps as arrays, an image a row."""

        def table(stamps: list[int]) -> np.ndarray:
            return np.array(stamps, np.int64).reshape(images, -1)

        return StageStamps(
            table(self.accepted), table(self.started), table(self.finished), table(self.emitted)
        )


def simulate_events(pipeline: Pipeline, images: int) -> Stamps:
    """Simulate `images` images whose columns are offered every column interval.

    The source sends a column a row a cycle, when a buffer of the first stage is free; the sink
    takes every answer at once from the output buffer.
    """
    env = simpy.Environment()
    processes: list[_StageProcess] = []
    consumer: _StageProcess | _Sink = _Sink(env)
    for stage in reversed(pipeline.stages):
        consumer = _StageProcess(env, stage, consumer)
        processes.insert(0, consumer)
    first, shape = processes[0], pipeline.network.graph.input_shape
    interval = pipeline.machine.column_interval

    def source() -> Process:
        for column in range(images * shape.width):
            yield env.timeout(max(0, column * interval - env.now))
            yield first.free_buffers.get(1)
            yield env.timeout(shape.height)
            first.accept()

    env.process(source())
    env.run()
    stamps = tuple(process.stamps(images) for process in processes)
    return Stamps(interval, shape.width, stamps)
