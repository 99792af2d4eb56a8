"""Traffic: idle cycles of the source and the sink before each beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.pipeline import Pipeline

__all__ = ["Traffic"]

LONGEST_GAP = 12
"""Longest hesitation of random traffic, in cycles."""


@dataclass(frozen=True, eq=False)
class Traffic:
    """Cycles that pass idle between two beats.

    Attributes
    ----------
    input_gaps : (input beats,), before each row of the input is offered; the first is not used
    output_gaps : (output beats,), before each beat of the answers is taken; likewise
    """

    input_gaps: NDArray[np.int64]
    output_gaps: NDArray[np.int64]

    @classmethod
    def steady(cls, pipeline: Pipeline, images: int) -> Traffic:
        """Never hesitate."""
        inputs, outputs = _beats(pipeline, images)
        return cls(np.zeros(inputs, np.int64), np.zeros(outputs, np.int64))

    @classmethod
    def random(cls, pipeline: Pipeline, images: int, seed: int) -> Traffic:
        """Hesitate at random: mostly not, at times long, differently on each side."""
        rng = np.random.default_rng(seed)
        gaps = []
        for beats in _beats(pipeline, images):
            often = rng.uniform(0, 0.6)
            gap = rng.integers(1, LONGEST_GAP + 1, beats)
            gaps.append(np.where(rng.random(beats) < often, gap, 0).astype(np.int64))
        return cls(*gaps)


def _beats(pipeline: Pipeline, images: int) -> tuple[int, int]:
    """Beats of input and of answers."""
    shape = pipeline.network.graph.input_shape
    last = pipeline.stages[-1]
    per_column = sum(len(run.beats) for work in last.work for run in work.completing)
    return images * shape.width * shape.height, images * per_column
