"""The integers that stand for reals in a quantized .onnx file: what bounds do to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pilaster.models.importers.steps import Bounds, Quantizer
from pilaster.models.quantization import MULTIPLIER_BITS, TensorQuantization

__all__ = [
    "carried_beside",
    "carrier",
    "contains",
    "narrowed",
    "on_grid",
    "quantized_bounds",
    "same_grid",
]

MOST_BESIDE_BITS = 20
"""Of a value that is carried to a sum with a quantized one."""


def carrier(low: float, high: float, bits: int, step: float) -> Quantizer:
    """Give a quantizer of some bits for reals from `low` to `high`, and zero.

    step : of what they are carried to, a whole number of theirs in eighths of a power
        of two: so halves stay halves, and little of the bits is lost
    """
    low, high = min(low, 0.0), max(high, 0.0)
    levels = (1 << bits) - 1
    least = (high - low) / (levels - 1) or step
    octave = 2.0 ** (np.floor(np.log2(step / least)) - 3)
    scale = float(step / (np.floor(step / least / octave) * octave))
    zero = int(np.clip(np.rint(-low / scale), 0, levels))
    return Quantizer(TensorQuantization(scale, zero, 0, levels), carries=True)


def carried_beside(step: float, reach: float) -> int:
    """Give bits of a value that is carried to a sum with a quantized one.

    More bits round the value finer, and leave fewer places of the sum's for the quantized one.

    step : of the quantized one
    reach : of the value, from the least to the largest
    """
    even = (MULTIPLIER_BITS + np.log2(max(reach, step) / step) - 1) / 2
    return int(min(round(even), MOST_BESIDE_BITS))


def same_grid(first: TensorQuantization, second: TensorQuantization) -> bool:
    """Whether integers of the one are those of the other."""
    return (first.scale, first.zero_point) == (second.scale, second.zero_point)


def contains(outer: TensorQuantization, inner: TensorQuantization) -> bool:
    """Whether all integers of the one are among those of the other."""
    return outer.minimum <= inner.minimum and inner.maximum <= outer.maximum


def narrowed(tensor: TensorQuantization, low: int, high: int) -> TensorQuantization:
    """Keep a tensor's integers between two, both of the file."""
    minimum, maximum = (min(max(q, low), high) for q in (tensor.minimum, tensor.maximum))
    return replace(tensor, minimum=minimum, maximum=maximum)


def quantized_bounds(tensor: TensorQuantization, bounds: Bounds) -> tuple[int, int]:
    """Quantize bounds as their quantizer does, in single precision."""
    low, high = (
        int(np.clip(np.rint(np.float32(bound) / np.float32(tensor.scale)), *LIMITS))
        for bound in (bounds.low, bounds.high)
    )
    return low + tensor.zero_point, high + tensor.zero_point


LIMITS = (-(1 << 30), 1 << 30)
"""Beyond all integers of an activation."""


def on_grid(tensor: TensorQuantization, bounds: Bounds) -> bool:
    """Whether bounds leave values that the tensor's integers stand for exactly."""
    low, high = (edge * tensor.scale for edge in tensor.stream_range)
    return (bounds.low <= low or bounds.low == 0) and (bounds.high >= high or bounds.high == 0)
