"""Pace: whether a machine keeps up with its columns, and how it behaves if it does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.closed_form import stamps
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.recurrence import StageWork
from pilaster.sim.stamps import Stamps
from pilaster.sim.steady import MOST_IMAGES, SteadyTimes, steady_times
from pilaster.sim.timing import COLUMN_BUFFERS

__all__ = ["Pace", "held_intervals", "least_held_interval", "pace"]

Cycles = NDArray[np.int64]

TRIED = 16
"""Intervals that are tried together."""


@dataclass(frozen=True)
class Pace:
    """How a machine takes columns that are due at its column interval, images back to back.

    A machine *holds* its interval where no column ever waits. One that does not may still keep the
    rate of images, so that columns wait, but not ever longer; or fall behind further with each
    image, where times are those of the first.

    Attributes
    ----------
    column_interval : cycles between two columns that are due
    columns : of an image
    cycles_per_image : between two answers, once the pipeline is full; rounded up
    latency : cycles from when an image's first column is due to its answer
    latency_after_last_column : cycles from when the last column would stand in the machine if it
        never waited, to the answer; both of every image once the pipeline is full, and of none
        before it more
    longest_wait : cycles that a column waits at most before it is taken
    growth : cycles by which the columns of each image wait longer than those of the one before
    held_interval : the least, of those not below the machine's, at which no column ever waits
    """

    column_interval: int
    columns: int
    cycles_per_image: int
    latency: int
    latency_after_last_column: int
    longest_wait: int
    growth: float
    held_interval: int

    @property
    def holds(self) -> bool:
        """Whether every column is taken the moment it is due, for ever."""
        return not self.longest_wait and not self.growth

    @property
    def sustained_interval(self) -> float:
        """Cycles between two columns that are taken, in the mean."""
        return self.column_interval + self.growth / self.columns

    def describe_waits(self) -> str:
        """Say how columns wait, in a line; "" where none does."""
        if self.holds:
            return ""
        waits = f"columns wait up to {self.longest_wait:,} cycles, though never longer"
        mean = ""
        if self.growth:
            waits = (
                f"columns of the first image wait up to {self.longest_wait:,} cycles, those of "
                f"each later image up to {self.growth:,.0f} more"
            )
            mean = f"takes a column every {self.sustained_interval:,.1f} cycles in the mean and "
        return (
            f"does not hold its column interval of {self.column_interval:,} cycles: {waits}; the "
            f"machine {mean}holds an interval of {self.held_interval:,}"
        )

    def as_dict(self) -> dict[str, bool | int | float]:
        """Give the interval and what is kept of it, for JSON."""
        return {
            "column_interval_cycles": self.column_interval,
            "holds_column_interval": self.holds,
            "longest_column_wait_cycles": self.longest_wait,
            "wait_growth_cycles_per_image": self.growth,
            "sustained_column_interval_cycles": self.sustained_interval,
            "held_column_interval_cycles": self.held_interval,
        }


def pace(pipeline: Pipeline) -> Pace:
    """Find how a machine takes columns that come at its column interval."""
    interval = pipeline.machine.column_interval
    shape = pipeline.network.graph.input_shape
    found = held_intervals(pipeline, np.array([interval]))
    if found.holds[0]:
        latency = int(found.latency[0])
        return Pace(
            column_interval=interval,
            columns=shape.width,
            cycles_per_image=interval * shape.width,
            latency=interval * (shape.width - 1) + shape.height + latency,
            latency_after_last_column=latency,
            longest_wait=0,
            growth=0.0,
            held_interval=interval,
        )
    late, period, images = _late(pipeline)
    growth = max(0.0, period / images - interval * shape.width)
    sustained = max(interval, -(-period // (images * shape.width)))
    shown = slice(1) if growth else slice(None)
    return Pace(
        column_interval=interval,
        columns=shape.width,
        cycles_per_image=-(-period // images),
        latency=int(late.latency[shown].max()),
        latency_after_last_column=int(late.latency_after_last_column[shown].max()),
        longest_wait=int(late.waits[shown].max()),
        growth=growth,
        held_interval=least_held_interval(pipeline, sustained),
    )


def held_intervals(pipeline: Pipeline, intervals: Cycles) -> SteadyTimes:
    """Times of a machine at each of some column intervals, all else as it is."""
    alone = np.zeros(len(intervals), np.intp)
    return steady_times(
        pipeline.network.graph.input_shape.height,
        intervals.astype(np.int64),
        [StageWork.of([stage.work], alone) for stage in pipeline.stages],
        pipeline.arms,
    )


def least_held_interval(pipeline: Pipeline, least: int = 1) -> int:
    """Find the least column interval, of those from `least`, at which no column ever waits.

    Waits never grow with the interval: they are maxima of sums of work, less a number of intervals.
    """
    low = max(least, pipeline.network.graph.input_shape.height) - 1
    steps = 2 ** np.arange(TRIED)
    held = np.zeros(0, np.int64)
    while not len(held):
        tried = low + steps
        holds = held_intervals(pipeline, tried).holds
        held, low = tried[holds], int(tried[~holds].max(initial=low))
        steps = steps * 2**TRIED
    high = int(held[0])
    while high - low > 1:
        between = np.unique(np.linspace(low, high, TRIED + 2).astype(np.int64)[1:-1])
        between = between[between > low]
        holds = held_intervals(pipeline, between).holds
        high = int(between[holds].min(initial=high))
        low = int(between[~holds].max(initial=low))
    return high


def _late(pipeline: Pipeline) -> tuple[Stamps, int, int]:
    """Run a machine that does not hold its interval until it repeats itself.

    What follows depends only on the stamps of the last columns of every stage, as many as its arms
    have buffers: two, but for joins. Where the stamps of the last images, which hold so many, are
    those of earlier ones plus a constant, everything repeats from there. Where that has not come
    after 64 images, the mean over the last half is given.

    Returns
    -------
    The stamps, and after how many cycles how many images later they are the same.
    """
    last = max(-(-max(stage.arm_columns) // stage.columns_in) for stage in pipeline.stages)
    last = max(last, COLUMN_BUFFERS)  # of the output buffer, an image may have one column only
    images = 2 * last
    while True:
        found = stamps(pipeline, images)
        for span in range(1, images - last):
            period = _period(found, last, span)
            if period is not None:
                return found, period, span
        if images >= MOST_IMAGES:
            half = images // 2
            return found, int(found.answers[-1] - found.answers[half - 1]), images - half
        images *= 2


def _period(found: Stamps, last: int, span: int) -> int | None:
    """Cycles by which the last images' stamps differ from those `span` images before."""
    period = int(found.answers[-1] - found.answers[-1 - span])
    for stage in found.stages:
        for table in (stage.accepted, stage.started, stage.finished, stage.emitted):
            if not (table[-last:] - table[-last - span : -span] == period).all():
                return None
    return period
