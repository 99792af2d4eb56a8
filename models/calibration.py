"""Images beside the range that a network takes: those that are unlike it are told of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pilaster.models.graph import INPUT
from pilaster.models.network import ByteScale, Network

__all__ = ["all_alike", "unlike"]

Images = NDArray[np.generic]

MOST_OUTSIDE = 0.01
"""Share of values that may lie far outside the range."""

FAR = 0.25
"""How far outside is far, as a share of the range."""

MOST_LOOKED_AT = 1000
"""Images, the first ones: enough to see what range they have."""

LEAST_USED = 1 / 8
"""Share of the range that images should use."""


def unlike(network: Network, images: Images) -> str:
    """Say in a line how images differ from the range that a network's input has; empty if not.

    Parameters
    ----------
    images : as for `Network.encode`
    """
    if not images.size:
        return ""
    reals = _reals(images, network.byte_scale)
    low, high = float(reals.min()), float(reals.max())
    least, most = network.tensors[INPUT].real_range
    beyond = FAR * (most - least)
    outside = float(((reals < least - beyond) | (reals > most + beyond)).mean())
    seen = f"the images hold {low:.4g} to {high:.4g}, the network takes {least:.4g} to {most:.4g}"
    if outside > MOST_OUTSIDE:
        return f"the images are unlike the network's input: {seen}; {outside:.0%} lie far outside"
    if low == high:
        return f"the images are unlike the network's input: {seen}; all their values are the same"
    if min(high, most) - max(low, least) < LEAST_USED * (most - least):
        return f"the images are unlike the network's input: {seen}; most of that is not used"
    return ""


def all_alike(images: Images, byte_scale: ByteScale) -> str:
    """Say in a line that calibration images hold one value alone; empty if they do not."""
    reals = _reals(images, byte_scale)
    low, high = float(reals.min()), float(reals.max())
    if low < high:
        return ""
    return f"all values of the calibration images are {low:.4g}, so that ranges mean nothing"


def _reals(images: Images, byte_scale: ByteScale) -> NDArray[np.float64]:
    reals = images[:MOST_LOOKED_AT].astype(np.float64)
    return reals * byte_scale.scale + byte_scale.offset if images.dtype == np.uint8 else reals
