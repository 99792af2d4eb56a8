"""The SimPy engine: stages as processes, with real back-pressure between them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import count

import numpy as np
import simpy
from numpy.typing import NDArray

from pilaster.sim.pipeline import Pipeline
from pilaster.sim.stages import Stage
from pilaster.sim.stamps import StageStamps, Stamps
from pilaster.sim.timing import COLUMN_BUFFERS, DRAIN
from pilaster.sim.traffic import Traffic
from pilaster.sim.work import SOURCE, DeadlockError, RunWork

__all__ = ["simulate_events"]

Process = Generator[simpy.Event, object, None]


class _Sink:
    """The output buffer, and whoever takes the answers from it, beat by beat."""

    def __init__(self, env: simpy.Environment, gaps: Sequence[int]) -> None:
        self.env = env
        self.free_buffers = simpy.Container(env, COLUMN_BUFFERS, init=COLUMN_BUFFERS)
        self._columns = simpy.Store(env)
        self._gaps = gaps
        self.taken: list[int] = []
        env.process(self._drain())

    def expect(self, beats: tuple[int, ...]) -> None:
        """Take note of when the beats of a column will stand in the buffer."""
        self._columns.put(tuple(int(self.env.now) + beat for beat in beats))

    def accept(self) -> None:
        """Take note that a whole column stands in the buffer: nothing is waiting for that."""

    def _drain(self) -> Process:
        gaps = iter(self._gaps)
        ready = 0  # the first answer is taken at once
        next(gaps, None)
        while True:
            arrivals = yield self._columns.get()
            assert isinstance(arrivals, tuple)
            for arrival in arrivals:
                taken = max(arrival, ready) + DRAIN
                yield self.env.timeout(taken - self.env.now)
                ready = taken + next(gaps, 0)
            self.taken.append(int(self.env.now))
            yield self.free_buffers.put(1)


class _Arm:
    """The column buffers of one input of a stage."""

    def __init__(self, env: simpy.Environment, columns: int, stage: _StageProcess) -> None:
        self.free_buffers = simpy.Container(env, columns, init=columns)
        self.arrived = 0
        self._stage = stage

    def expect(self, beats: tuple[int, ...]) -> None:
        """Take note of when the beats of a column will stand in a buffer: nothing waits for one."""

    def accept(self) -> None:
        """Take note that a whole column stands in a buffer."""
        self.arrived += 1
        self._stage.accept()


class _StageProcess:
    """One stage at work: its column buffers, its pass sequencer and its stamps."""

    def __init__(
        self, env: simpy.Environment, stage: Stage, consumers: Sequence[_Arm | _Sink]
    ) -> None:
        self.env = env
        self.stage = stage
        self.consumers = consumers
        self.arms = [_Arm(env, columns, self) for columns in stage.arm_columns]
        self.columns = simpy.Store(env)
        self.accepted: list[int] = []
        self.started: list[int] = []
        self.finished: list[int] = []
        self.emitted: list[int] = []
        env.process(self._work())

    def accept(self) -> None:
        """Take note of a column, if every arm now has it whole."""
        if min(arm.arrived for arm in self.arms) > len(self.accepted):
            self.accepted.append(int(self.env.now))
            self.columns.put(None)

    def _work(self) -> Process:
        for column in count():
            yield self.columns.get()
            begun = int(self.env.now)
            work = self.stage.work[column % self.stage.columns_in]
            for index, run in enumerate(work.completing):
                yield self.env.timeout(run.before)
                for consumer in self.consumers:
                    yield consumer.free_buffers.get(1)
                if index == 0 and not run.before:
                    begun = int(self.env.now)  # the first pass of the column had to wait
                self.env.process(self._emit(run))
                yield self.env.timeout(run.body)
            yield self.env.timeout(work.deferred)
            self.started.append(begun)
            self.finished.append(int(self.env.now))
            for arm in self.arms:
                yield arm.free_buffers.put(1)

    def _emit(self, run: RunWork) -> Process:
        for consumer in self.consumers:
            consumer.expect(run.beats)
        yield self.env.timeout(run.emitted)
        self.emitted.append(int(self.env.now))
        for consumer in self.consumers:
            consumer.accept()

    def stamps(self, images: int) -> StageStamps:
        """Give the stamps as arrays, an image a row."""
        stamps = (self.accepted, self.started, self.finished, self.emitted)
        return StageStamps(*(_table(found, images) for found in stamps))


def _table(stamps: list[int], images: int) -> NDArray[np.int64]:
    return np.array(stamps, np.int64).reshape(images, -1)


def simulate_events(pipeline: Pipeline, images: int, traffic: Traffic | None = None) -> Stamps:
    """Simulate `images` images whose columns are offered every column interval.

    The source sends a column a row a cycle, when all that read it have a buffer free; the sink
    takes every beat of an answer at once. Either hesitates where `traffic` says so.

    Raises
    ------
    DeadlockError
        If stages wait for each other for ever.
    """
    traffic = traffic or Traffic.steady(pipeline, images)
    env = simpy.Environment()
    sink = _Sink(env, traffic.output_gaps.tolist())
    readers: dict[int, list[_Arm]] = {number: [] for number in range(SOURCE, len(pipeline.stages))}
    processes: list[_StageProcess] = []
    for number in reversed(range(len(pipeline.stages))):
        process = _StageProcess(env, pipeline.stages[number], readers[number] or [sink])
        processes.insert(0, process)
        for source, arm in zip(pipeline.sources[number], process.arms, strict=True):
            readers[source].append(arm)
    shape = pipeline.network.graph.input_shape
    interval = pipeline.machine.column_interval

    gaps = traffic.input_gaps.reshape(-1, shape.height)

    def send() -> Process:
        for column in range(images * shape.width):
            ready = env.now + (int(gaps[column, 0]) if column else 0)
            yield env.timeout(max(ready, column * interval) - env.now)
            for arm in readers[SOURCE]:
                yield arm.free_buffers.get(1)
            yield env.timeout(shape.height + int(gaps[column, 1:].sum()))
            for arm in readers[SOURCE]:
                arm.accept()

    env.process(send())
    env.run()
    if any(len(each.finished) < images * each.stage.columns_in for each in processes):
        held = [[arm.arrived - len(each.finished) for arm in each.arms] for each in processes]
        raise DeadlockError.at(pipeline.arms, held)
    stamps = tuple(process.stamps(images) for process in processes)
    return Stamps(interval, shape.height, shape.width, stamps, _table(sink.taken, images))
