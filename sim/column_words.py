"""Words of the column buffers: as wide as what is written, or read, at once.

Beats come as wide as the stage before sends them, and a pass reads the channels of its tile. A word
of memory is the fewest channels that neither crosses, so that each is one access.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.beats import Beats
from pilaster.sim.geometry import ConvGeometry

__all__ = ["Cuts", "beat_cuts", "conv_cuts", "tile_cuts", "word_channels"]

Cuts = NDArray[np.bool_]
"""Whether a word may begin at each channel: (channels,); at the first it always may."""


def beat_cuts(channels: int, beats: Beats) -> Cuts:
    """Channels at which beats begin."""
    cuts = np.zeros(channels, bool)
    cuts[[first for first, _ in beats.tiles]] = True
    return cuts


def tile_cuts(channels: int, step: int) -> Cuts:
    """Channels at which tiles of `step` begin."""
    cuts: Cuts = np.arange(channels) % step == 0
    return cuts


def conv_cuts(geometry: ConvGeometry, in_channels: int, out_channels: int) -> Cuts:
    """Channels at which what a pass reads begins, in every phase of folded rows.

    in_channels, out_channels : P_c and P_o
    """
    if geometry.is_depthwise:  # each output channel reads a channel of its own
        multiplier = geometry.layer.out_channels // geometry.layer.groups
        cuts: Cuts = np.arange(geometry.shape.channels) * multiplier % out_channels == 0
        return cuts
    in_group = geometry.channels // geometry.row_fold
    folded = np.arange(geometry.channels) % in_channels == 0
    of_group = folded.reshape(geometry.row_fold, in_group).all(axis=0)
    of_group[0] = True
    return np.tile(of_group, geometry.layer.groups)


def word_channels(*cuts: Cuts) -> int:
    """Give the fewest channels of a word such that words begin only where all cuts let them."""
    may = np.logical_and.reduce(cuts)
    for word in np.flatnonzero(may)[1:].tolist():
        if may[::word].all():
            return int(word)
    return len(may)
