"""A map of constants, made by layers: what is added where it differs by row or column.

A convolution knows its place by the zeros around its input alone. So a layer without weights gives
ones, a second one the difference of neighbors, which is one in the first place and zero in all
others, and a third one, whose kernel is as large as the map, takes that place to the constants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.layers import Conv, Window
from pilaster.models.shape import Padding

__all__ = ["ConstantLayer", "constant_map"]

MOST_MACS = 1 << 26
"""Of the layer with the constants, for an image."""


@dataclass(frozen=True)
class ConstantLayer:
    """A layer of whole weights (out, rows, columns, in) and biases (out,), of no activation.

    suffix : of its name
    """

    suffix: str
    layer: Conv
    weight: NDArray[Any]
    bias: NDArray[Any]


def constant_map(values: NDArray[Any], channels: int) -> tuple[ConstantLayer, ...]:
    """Give the layers, each reading the one before, that make constants of any map.

    Parameters
    ----------
    values : the constants (rows, columns, channels)
    channels : of the map of equal rows and columns that the first layer reads

    Raises
    ------
    InputError
        If the last layer would be too large.
    """
    rows = values.shape[0] if (values != values[:1]).any() else 1
    columns = values.shape[1] if (values != values[:, :1]).any() else 1
    if rows * columns * values.size > MOST_MACS:
        raise InputError(
            f"adds constants that differ by row and column to a map of {values.shape[:2]}: too "
            f"large; they may differ by channel"
        )
    one = np.ones(1, values.dtype)
    steps = [np.array([-1, 1])[2 - min(size, 2) :] for size in (rows, columns)]
    first = np.multiply.outer(*steps).astype(values.dtype)
    kernel = values[:rows, :columns][::-1, ::-1].transpose(2, 0, 1)
    outputs = values.shape[2]
    return (
        ConstantLayer("ones", Conv(1, Window((1, 1))), np.zeros((1, 1, 1, channels)), one),
        ConstantLayer("first", _before(1, first.shape), first[None, :, :, None], 0 * one),
        ConstantLayer(
            "constants",
            _before(outputs, (rows, columns)),
            kernel[:, :, :, None],
            np.zeros(outputs, values.dtype),
        ),
    )


def _before(outputs: int, kernel: tuple[int, ...]) -> Conv:
    """Give a convolution that reads a place and all those before it."""
    rows, columns = kernel
    return Conv(outputs, Window((rows, columns), padding=Padding(top=rows - 1, left=columns - 1)))
