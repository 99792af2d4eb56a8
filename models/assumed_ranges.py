"""Ranges of activations that nobody has seen: those of independent inputs, spread as is usual.

They are good for shapes, widths, times and costs, and for nothing that depends on values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from pilaster.models.graph import INPUT
from pilaster.models.layers import Add, Concat, Weighted
from pilaster.models.quantizer import FloatNetwork, Range

__all__ = ["assumed_ranges"]

SPREAD = 4.0
"""Of a range, in root mean squares of what is in it."""


def assumed_ranges(network: FloatNetwork) -> Mapping[str, Range]:
    """Give a range of every tensor, the input's from 0 to 1.

    A layer's root mean square follows from its weights and from that of what it reads, as if the
    values of that were independent.
    """
    ranges: dict[str, Range] = {INPUT: (0.0, 1.0)}
    size = {INPUT: 0.5}
    for node in network.graph.nodes:
        layer, read = node.layer, [size[name] for name in node.inputs]
        if layer.keeps_quantization or isinstance(layer, Concat):
            lows, highs = zip(*(ranges[name] for name in node.inputs), strict=True)
            size[node.name], ranges[node.name] = max(read), (min(lows), max(highs))
            continue
        assert isinstance(layer, Add | Weighted)
        if isinstance(layer, Add):
            found = math.hypot(*read)
        else:
            power = (network.weights[node.name] ** 2).sum(axis=(1, 2, 3)) * read[0] ** 2
            found = float(np.sqrt((power + network.biases[node.name] ** 2).max()))
        edge = SPREAD * found
        high = edge if layer.ceiling is None else min(edge, layer.ceiling)
        size[node.name], ranges[node.name] = found, (0.0 if layer.relu else -edge, high)
    return ranges
