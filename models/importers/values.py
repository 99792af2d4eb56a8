"""What the importers share: tensors of a file in the graph, and windows as files state them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.importers.layout import Layout
from pilaster.models.layers import Conv, Window
from pilaster.models.network import Precision
from pilaster.models.quantization import ConvParameters, TensorQuantization, signed_bits
from pilaster.models.shape import Padding, Shape

__all__ = [
    "UNPADDED",
    "Value",
    "around",
    "check_sums",
    "dilated",
    "holds",
    "ones",
    "padded",
    "padding_conv",
    "precision",
]

UNPADDED = Padding()

MOST_SUM_BITS = 32

MOST_SPREAD = 1 << 24
"""Weights of a dilated kernel, the zeros between its taps included."""


@dataclass(frozen=True)
class Value:
    """What a tensor of the file is in the graph.

    Attributes
    ----------
    name : of what is computed
    layout : of the file's axes over the map's, with the padding
    padding, padded_by : zeros that a PAD put around it, and its name
    host : operators behind it that are left to the host
    whole : whether the file has it as integers, between its quantizers
    rounded_bias : whether the layer that computes it has a bias that is rounded here
    """

    name: str
    layout: Layout
    padding: Padding = UNPADDED
    padded_by: str = ""
    host: tuple[str, ...] = ()
    whole: bool = False
    rounded_bias: bool = False


def ones(
    channels: int,
    window: Window,
    multiplier: NDArray[np.int64] | np.int64,
    shift: NDArray[np.int64] | np.int64,
) -> ConvParameters:
    """Sum each channel over the window, and scale the sum."""
    weight = np.ones((channels, *window.kernel, 1), np.int8)
    zero = np.zeros(channels, np.int64)
    return ConvParameters(weight, zero, zero + multiplier, zero + shift)


def padding_conv(shape: Shape, padding: Padding) -> tuple[Conv, NDArray[np.int8]]:
    """Give the depthwise convolution, and its weights, that puts zeros around a map."""
    rows, columns = padding.top + padding.bottom, padding.left + padding.right
    around = Padding(rows, rows, columns, columns)
    layer = Conv(shape.channels, Window((rows + 1, columns + 1), (1, 1), around), shape.channels)
    weight = np.zeros((shape.channels, rows + 1, columns + 1, 1), np.int8)
    weight[:, padding.bottom, padding.right] = 1
    return layer, weight


def precision(parameters: ConvParameters) -> Precision:
    """Give the widths that a layer's integers need; one bit stands for -1 or +1."""
    magnitudes = np.abs(parameters.weight.astype(np.int64))
    if (magnitudes == 1).all():
        return Precision(1, parameters.scale_bits)
    return Precision(signed_bits(max(1, int(magnitudes.max()))), parameters.scale_bits)


def check_sums(parameters: ConvParameters, source: TensorQuantization) -> None:
    """Check that no sum of a layer can leave 32 bits.

    Raises
    ------
    InputError
        If one can; the message says how large activations may be.
    """
    bound = parameters.accumulator_bound(source.magnitude)
    if bound < 1 << (MOST_SUM_BITS - 1):
        return
    bias = int(np.abs(parameters.bias).max())
    most = source.magnitude * ((1 << (MOST_SUM_BITS - 1)) - 1 - bias) // max(1, bound - bias)
    raise InputError(
        f"its sums may need {signed_bits(bound)} bits, must be {MOST_SUM_BITS} at most: with its "
        f"weights, what it reads may reach {max(0, most):,} steps from zero, and reaches "
        f"{source.magnitude:,}; quantize activations to fewer bits"
    )


def dilated(weight: NDArray[np.integer], dilation: tuple[int, int]) -> NDArray[np.integer]:
    """Write a dilated kernel (out, rows, columns, in) out, with zeros between its taps."""
    outputs, rows, columns, channels = weight.shape
    extents = ((rows - 1) * dilation[0] + 1, (columns - 1) * dilation[1] + 1)
    if outputs * extents[0] * extents[1] * channels > MOST_SPREAD:
        raise InputError(f"the dilation {dilation} makes a kernel of {extents}: too large")
    spread = np.zeros((outputs, *extents, channels), weight.dtype)
    spread[:, :: dilation[0], :: dilation[1]] = weight
    return spread


def padded(shape: Shape, padding: Padding) -> Shape:
    """Shape of a map with zeros around it."""
    height = shape.height + padding.top + padding.bottom
    return Shape(height, shape.width + padding.left + padding.right, shape.channels)


def holds(kernel: tuple[int, ...], padding: Padding) -> bool:
    """Whether a window is larger than the padding it reads."""
    rows, columns = max(padding.top, padding.bottom), max(padding.left, padding.right)
    return rows < kernel[0] and columns < kernel[1]


def around(first: Padding, second: Padding) -> Padding:
    """Give the padding of both."""
    return Padding(
        first.top + second.top,
        first.bottom + second.bottom,
        first.left + second.left,
        first.right + second.right,
    )
