"""RESIZE_NEAREST_NEIGHBOR of .tflite files, where each row and column is taken equally often."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.importers.layout import CHANNELS_LAST
from pilaster.models.importers.tflite_file import Operator
from pilaster.models.importers.tflite_graph import TfliteGraph
from pilaster.models.importers.tflite_operators import Handler, check_equal
from pilaster.models.importers.tflite_tensors import integers
from pilaster.models.layers import Upsample

__all__ = ["RESIZES"]


def resize(graph: TfliteGraph, operator: Operator) -> None:
    """RESIZE_NEAREST_NEIGHBOR(x, (rows, columns))."""
    value = graph.whole(operator)
    axes = graph.axes(value)
    if axes != CHANNELS_LAST[0]:
        raise InputError("enlarges a map whose axes are not rows, columns and channels")
    shape, stated = graph.shapes[value.name], integers(graph.info(operator, 1))
    if len(stated) != 2:
        raise InputError(f"needs a constant size of rows and columns, has {stated}")
    factors = []
    for size, large in zip((shape.height, shape.width), stated, strict=True):
        factor, rest = divmod(large, size)
        if rest or factor < 1:
            raise InputError(f"takes {size} values to {large}; must be a whole number of times")
        if not (_taken(size, large, operator.options) == np.arange(large) // factor).all():
            raise InputError(
                f"takes other values than each one {factor} times; export without align_corners"
            )
        factors.append(factor)
    layer = Upsample((factors[0], factors[1]))
    made = graph.add(operator, "upsample", layer, (value.name,), axes, 0)
    check_equal(graph, value.name, made)
    graph.tensors[made] = graph.tensors[value.name]


def _taken(size: int, large: int, options: Mapping[str, int]) -> NDArray[np.int64]:
    """Give the places that LiteRT's reference kernel takes along an axis, in single precision."""
    corners = bool(options["AlignCorners"])
    ends = [size - 1, large - 1] if corners and large > 1 else [size, large]
    span = np.array(ends, np.float32)
    places = np.arange(large, dtype=np.float32)
    if options["HalfPixelCenters"]:
        places += np.float32(0.5)
    places *= span[0] / span[1]
    found = np.floor(places + np.float32(0.5)) if corners else np.floor(places)
    return np.clip(found, 0, size - 1).astype(np.int64)


RESIZES: Mapping[str, Handler] = {"RESIZE_NEAREST_NEIGHBOR": resize}
"""Operators by name."""
