"""The work of a stage on its columns, and its inputs, for the timing engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pilaster.sim.timing import COLUMN_BUFFERS

__all__ = ["SOURCE", "Arm", "ColumnWork", "DeadlockError", "RunWork", "chain"]

SOURCE = -1
"""Index of what feeds the network's input, where those of stages count from 0."""


@dataclass(frozen=True)
class Arm:
    """One input of a stage.

    Attributes
    ----------
    source : index of the stage whose output is read, or `SOURCE`
    columns : column buffers; None for as many as are ever needed
    """

    source: int
    columns: int | None = COLUMN_BUFFERS


def chain(stages: int) -> tuple[tuple[Arm, ...], ...]:
    """Arms of stages each of which reads the one before it."""
    return tuple((Arm(stage - 1),) for stage in range(stages))


class DeadlockError(Exception):
    """Stages wait for each other for ever: the column buffers of a join's arm are too few.

    stage : index of the join, one arm of which is full and another empty
    """

    def __init__(self, stage: int) -> None:
        super().__init__(f"stage {stage} waits for ever")
        self.stage = stage

    @classmethod
    def at(cls, arms: Sequence[Sequence[Arm]], held: Sequence[Sequence[int]]) -> DeadlockError:
        """Find the first join that waits.

        held : columns in the buffers of every arm, by stage
        """
        for stage, (inputs, columns) in enumerate(zip(arms, held, strict=True)):
            pairs = zip(inputs, columns, strict=True)
            if 0 in columns and any(count == arm.columns for arm, count in pairs):
                return cls(stage)
        raise AssertionError("nothing waits for ever")


@dataclass(frozen=True)
class RunWork:
    """A run that sends an output column to the next stage.

    Attributes
    ----------
    before : cycles from the run's start to the first row of its first emitting pass, which waits
        until the next stage has a free column buffer
    body : cycles from there to the end of the run
    beats : cycles from there until each beat of the column stands in the next stage's buffer
    """

    before: int
    body: int
    beats: tuple[int, ...]

    @property
    def emitted(self) -> int:
        """Cycles from the first emitting pass until the whole column stands in the buffer."""
        return self.beats[-1]


@dataclass(frozen=True)
class ColumnWork:
    """The work on one column: runs that complete output columns, then what is deferred.

    deferred : cycles of the passes after the completing ones
    """

    completing: tuple[RunWork, ...]
    deferred: int

    @property
    def cycles(self) -> int:
        """Cycles of work, without waiting."""
        return sum(run.before + run.body for run in self.completing) + self.deferred
