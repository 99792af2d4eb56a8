"""How long an image takes once the pipeline is full."""

from __future__ import annotations

from pilaster.sim.closed_form import stamps
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.stamps import Stamps
from pilaster.sim.timing import COLUMN_BUFFERS

__all__ = ["steady_cycles"]

MOST_IMAGES = 64


def steady_cycles(pipeline: Pipeline) -> int:
    """Cycles between the answers of two images, once the pipeline repeats itself; rounded up.

    What follows depends only on the stamps of the last columns of every stage, as many as its arms
    have buffers: two, but for joins. Where the stamps of the last images, which hold so many, are
    those of earlier ones plus a constant, everything repeats from there. Where that has not come
    after 64 images, the mean over the last half is given.
    """
    last = max(-(-max(stage.arm_columns) // stage.columns_in) for stage in pipeline.stages)
    last = max(last, COLUMN_BUFFERS)  # of the output buffer, an image may have one column only
    images = 2 * last
    while True:
        found = stamps(pipeline, images)
        for span in range(1, images - last):
            period = _period(found, last, span)
            if period is not None:
                return -(-period // span)
        if images >= MOST_IMAGES:
            half = images // 2
            return -int((found.answers[half - 1] - found.answers[-1]) // (images - half))
        images *= 2


def _period(found: Stamps, last: int, span: int) -> int | None:
    """Cycles by which the last images' stamps differ from those `span` images before."""
    period = int(found.answers[-1] - found.answers[-1 - span])
    for stage in found.stages:
        for table in (stage.accepted, stage.started, stage.finished, stage.emitted):
            if not (table[-last:] - table[-last - span : -span] == period).all():
                return None
    return period
