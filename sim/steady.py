"""How long an image takes once the pipeline is full."""

from __future__ import annotations

from pilaster.sim.closed_form import stamps
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.stamps import Stamps

__all__ = ["steady_cycles"]

MOST_IMAGES = 64


def steady_cycles(pipeline: Pipeline) -> int:
    """Cycles between the answers of two images, once the pipeline repeats itself; rounded up.

    What follows depends only on the stamps of the last two columns of every stage, which at most
    two images hold. Where these two images' stamps are those of two earlier ones plus a constant,
    everything repeats from there. Where that has not come after 64 images, the mean over the last
    half is given.
    """
    images = 4
    while True:
        found = stamps(pipeline, images)
        for span in range(1, images - 2):
            period = _period(found, span)
            if period is not None:
                return -(-period // span)
        if images >= MOST_IMAGES:
            half = images // 2
            return -int((found.answers[half - 1] - found.answers[-1]) // (images - half))
        images *= 2


def _period(found: Stamps, span: int) -> int | None:
    """Cycles by which the last two images' stamps differ from those `span` images before."""
    period = int(found.answers[-1] - found.answers[-1 - span])
    for stage in found.stages:
        for table in (stage.accepted, stage.started, stage.finished, stage.emitted):
            if not (table[-2:] - table[-2 - span : -span] == period).all():
                return None
    return period
