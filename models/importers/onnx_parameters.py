"""Integers of layers of quantized .onnx files, from the scales that the file states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.importers.steps import Quantizer
from pilaster.models.importers.values import UNPADDED, check_sums
from pilaster.models.joins import Scale
from pilaster.models.layers import Conv, Layer, Pool
from pilaster.models.quantization import (
    MULTIPLIER_BITS,
    ConvParameters,
    TensorQuantization,
    quantize_multiplier,
    signed_bits,
)
from pilaster.models.quantizer import MOST_BITS
from pilaster.models.single_rounding import multiplier_like, of_integers, of_sums

__all__ = ["are_whole", "average_sums", "averaging", "layer_sums", "scale_between"]

Floats = NDArray[np.float64]

SINGLE = 2.0**-22
"""Relative error of a scale, and of a product of two, in single precision."""


def layer_sums(
    weight: NDArray[np.int64],
    scales: Floats,
    bias: Floats,
    source: TensorQuantization,
    quantizer: Quantizer,
) -> ConvParameters:
    """Give a layer's integers from weights, their scales and real biases."""
    if signed_bits(int(np.abs(weight).max())) > MOST_BITS:
        raise InputError(f"its weights need more than {MOST_BITS} bits")
    unit, target = source.scale * scales, quantizer.tensor
    places = _fine_places(weight, bias / unit, unit / target.scale)
    weight, unit = weight << places, unit / (1 << places)
    whole = np.rint(bias / unit)
    if not (np.abs(whole) < 1 << 31).all():
        raise InputError("its biases need more than 32 bits")
    multiplier, shift = quantize_multiplier(unit / target.scale)
    found = ConvParameters(
        weight.astype(np.int16), whole.astype(np.int64), multiplier, shift, quantizer.rounding
    )
    check_sums(found, source)
    if not quantizer.sums:
        return found
    singles = np.float32(source.scale) * scales.astype(np.float32) / np.float32(target.scale)
    real = singles.astype(np.float64)
    bounds = found.accumulator_bounds(source.magnitude)
    multiplier, shift, _ = multiplier_like(
        of_sums(real), real, target.stream_range, bounds, quantizer.rounding
    )
    return replace(found, multiplier=multiplier, shift=shift)


def are_whole(bias: Floats, unit: Floats) -> bool:
    """Whether biases are whole numbers of units, as far as single precision tells."""
    found = bias / unit
    return bool((np.abs(found - np.rint(found)) <= SINGLE * np.maximum(np.abs(found), 1)).all())


def _fine_places(weight: NDArray[np.int64], bias: Floats, steps: Floats) -> int:
    """Give places to shift weights by, so that no bias is rounded by as much as a step.

    bias, steps : biases in units of a sum, and steps of the output in such a unit, (channels,)
    """
    most = MOST_BITS - signed_bits(int(np.abs(weight).max()))
    for places in range(most + 1):
        fine = np.ldexp(bias, places)
        if (np.abs(fine - np.rint(fine)) * steps < np.ldexp(1.0, places)).all():
            return places
    raise InputError(
        "its biases are no whole numbers of its sums' unit, and that is much more than a step of "
        "its output; quantize it to larger steps"
    )


def scale_between(source: TensorQuantization, quantizer: Quantizer) -> Scale:
    """Give the scale that takes integers to others, each as single precision does it."""
    target = quantizer.tensor
    if source.scale == target.scale:
        return Scale.of(1.0, MULTIPLIER_BITS, quantizer.rounding)
    real = np.array([source.scale / target.scale])
    multiplier, shift, _ = multiplier_like(
        of_integers(source.scale, target.scale),
        real,
        target.stream_range,
        np.array([source.magnitude]),
        quantizer.rounding,
    )
    return Scale(int(multiplier[0]), int(shift[0]), quantizer.rounding)


def averaging(layer: Layer, channels: int) -> Conv:
    """Give the depthwise convolution of ones for an average that changes the scale."""
    assert isinstance(layer, Pool)
    if layer.window.padding != UNPADDED:
        raise InputError(
            "is an average that changes the scale and leaves padding out; give it one scale on "
            "both sides, or let it count padding (count_include_pad)"
        )
    return Conv(channels, layer.window, channels)


def average_sums(layer: Conv, source: TensorQuantization, quantizer: Quantizer) -> ConvParameters:
    """Give the integers of an average as those of a layer whose weights are ones."""
    channels, count = layer.out_channels, int(np.prod(layer.window.kernel))
    one = np.ones((channels, *layer.window.kernel, 1), np.int64)
    return layer_sums(one, np.full(channels, 1 / count), np.zeros(channels), source, quantizer)
