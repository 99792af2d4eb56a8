"""Cycle stamps: when each column was accepted, started and finished, and when outputs left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["StageStamps", "Stamps"]

Cycles = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class StageStamps:
    """Stamps of one stage: numbers of cycles elapsed since the first column was offered.

    accepted, started, finished : (images, input columns)
        when the column stood whole in a buffer, when its first pass began, when its last ended
    emitted : (images, output columns)
        when the output column stood whole in the next stage's buffer
    """

    accepted: Cycles
    started: Cycles
    finished: Cycles
    emitted: Cycles

    def same_as(self, other: StageStamps) -> bool:
        """Whether all stamps are equal."""
        return all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("accepted", "started", "finished", "emitted")
        )


@dataclass(frozen=True, eq=False)
class Stamps:
    """Stamps of every stage, in order, for images whose columns arrive at a steady interval.

    A column is *due* when it would stand in the machine if it never had to wait: a row a cycle from
    when it is offered.

    Attributes
    ----------
    rows, columns : of the input
    taken : (images, output columns), when the sink had taken the last beat of the answer's column
    """

    column_interval: int
    rows: int
    columns: int
    stages: tuple[StageStamps, ...]
    taken: Cycles

    def __repr__(self) -> str:
        return (
            f"<Stamps of {len(self.stages)} stages: {self.images} images of {self.columns} "
            f"columns, one every {self.column_interval:,} cycles>"
        )

    @property
    def images(self) -> int:
        """Images timed."""
        return len(self.stages[0].accepted)

    @property
    def answers(self) -> Cycles:
        """When each image's answer was whole, shape (images,)."""
        return self.stages[-1].emitted[:, -1]

    @property
    def offered(self) -> Cycles:
        """When each column of the input is offered, (images, columns)."""
        columns = np.arange(self.images * self.columns) * self.column_interval
        return columns.reshape(self.images, self.columns)

    @property
    def due(self) -> Cycles:
        """When each column of the input is due, (images, columns)."""
        return self.offered + self.rows

    @property
    def waits(self) -> Cycles:
        """Cycles that each column of the input waits before it is taken, (images, columns)."""
        return self.stages[0].accepted - self.due

    @property
    def latency(self) -> Cycles:
        """Cycles from the moment an image's first column is offered to its answer, (images,)."""
        return self.answers - self.offered[:, 0]

    @property
    def latency_after_last_column(self) -> Cycles:
        """Cycles from when an image's last column is due to its answer, (images,)."""
        return self.answers - self.due[:, -1]

    def same_as(self, other: Stamps) -> bool:
        """Whether all stamps of all stages are equal."""
        pairs = zip(self.stages, other.stages, strict=True)
        same = np.array_equal(self.taken, other.taken)
        return same and all(mine.same_as(theirs) for mine, theirs in pairs)
