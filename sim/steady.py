"""How long an image takes once the pipeline is full."""

from __future__ import annotations

import numpy as np

from pilaster.sim.closed_form import stamps
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.stamps import StageStamps

__all__ = ["steady_cycles"]

MOST_IMAGES = 64


def steady_cycles(pipeline: Pipeline) -> int:
    """Cycles between the answers of two images, once every image repeats the one before.

    What follows depends only on the stamps of the last two columns of every stage, which at most
    two images hold: where all stamps of three images in a row differ by the same number of cycles,
    every later image does so too. Where that has not come after 64 images, the mean over the last
    half is given, rounded up.
    """
    images = 4
    while True:
        found = stamps(pipeline, images)
        period = int(found.answers[-1] - found.answers[-2])
        if images >= MOST_IMAGES:
            half = images // 2
            return -int((found.answers[half - 1] - found.answers[-1]) // (images - half))
        if all(_shift(stage) == {period} for stage in found.stages):
            return period
        images *= 2


def _shift(stage: StageStamps) -> set[int]:
    """Differences between the stamps of the last three images."""
    tables = (stage.accepted, stage.started, stage.finished, stage.emitted)
    return {int(step) for table in tables for step in np.unique(np.diff(table[-3:], axis=0))}
