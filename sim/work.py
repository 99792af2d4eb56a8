"""The work of a stage on its columns, in cycles: what the engines of time need to know."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ColumnWork", "RunWork"]


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
