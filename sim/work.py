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
    emitted : cycles from there until the last row stands in the next stage's column buffer
    """

    before: int
    body: int
    emitted: int


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
