"""Integers for real numbers: TensorFlow Lite's int8 scheme, generalized to 1 to 16 bits.

Source: the TensorFlow Lite 8-bit quantization specification. Weights are symmetric per output
channel, activations affine per tensor, biases int32, and an accumulator becomes an activation by a
31-bit fixed-point multiplier with two documented roundings.

A stream carries ``q - zero_point``, so that zero means zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError

__all__ = [
    "AVERAGED",
    "SCALED",
    "ConvParameters",
    "Rounding",
    "TensorQuantization",
    "quantize_multiplier",
    "requantize",
    "signed_bits",
    "significant_bits",
]

Integers = NDArray[np.int64]

MULTIPLIER_BITS = 31
"""Fraction bits of the fixed-point multiplier."""

LARGEST_SHIFT = 30
"""Most places that TensorFlow Lite shifts an accumulator to the left."""


class Rounding(Enum):
    """How a product of accumulator and multiplier becomes an activation.

    TWICE : to the 31st fraction bit, halves up, then by the rest of a right shift, halves away from
        zero: TensorFlow Lite's fixed-point kernels
    ONCE : by all places in one step, halves up
    EVEN : by all places in one step, halves to the even number: ONNX'
    ODD : by all places in one step, halves to the odd number: to the even one before an odd zero
        point is taken off, as in ONNX Runtime's QLinearAdd
    AWAY : of averages only: halves away from zero, before the zero point is taken off: TensorFlow
        Lite's pools
    """

    TWICE = "twice"
    ONCE = "once"
    EVEN = "even"
    ODD = "odd"
    AWAY = "away"


SCALED = (Rounding.TWICE, Rounding.ONCE, Rounding.EVEN, Rounding.ODD)
"""Roundings of a product with a multiplier."""

AVERAGED = (Rounding.AWAY, Rounding.EVEN, Rounding.ODD)
"""Roundings of an average."""


@dataclass(frozen=True)
class TensorQuantization:
    """How a tensor's integers stand for reals: ``real = scale * (q - zero_point)``.

    `minimum` and `maximum` bound q; a fused ReLU shows as a minimum at the zero point.
    """

    scale: float
    zero_point: int
    minimum: int
    maximum: int

    def __post_init__(self) -> None:
        if not 0 < self.scale < float("inf"):
            raise InputError(f"a quantization scale must be positive, not {self.scale}")
        if self.minimum > self.maximum:
            raise InputError(f"there is no integer in [{self.minimum}, {self.maximum}]")

    @property
    def stream_range(self) -> tuple[int, int]:
        """Smallest and largest value on the stream, ``q - zero_point``."""
        return self.minimum - self.zero_point, self.maximum - self.zero_point

    @property
    def real_range(self) -> tuple[float, float]:
        """Smallest and largest real."""
        low, high = self.stream_range
        return self.scale * low, self.scale * high

    @property
    def magnitude(self) -> int:
        """Largest magnitude on the stream."""
        low, high = self.stream_range
        return max(-low, high)

    @property
    def bits(self) -> int:
        """Width of the stream: unsigned where no value is negative."""
        low, high = self.stream_range
        if low >= 0:
            return max(1, high.bit_length())
        return max((-low - 1).bit_length(), high.bit_length()) + 1


@dataclass(frozen=True)
class ConvParameters:
    """Integer parameters of one convolution or fully connected layer.

    weight : (out_channels, kernel rows, kernel columns, in_channels / groups), signed
    bias : (out_channels,), in accumulator units
    multiplier, shift : (out_channels,), see `quantize_multiplier`
    rounding : how the products are rounded, see `requantize`
    """

    weight: NDArray[np.integer]
    bias: Integers
    multiplier: Integers
    shift: Integers
    rounding: Rounding = Rounding.TWICE

    def __post_init__(self) -> None:
        outputs = self.weight.shape[0]
        if self.weight.ndim != 4:
            raise InputError(f"weights need four axes, not the shape {self.weight.shape}")
        for name in ("bias", "multiplier", "shift"):
            shape = getattr(self, name).shape
            if shape != (outputs,):
                raise InputError(f"{name} needs the shape ({outputs},), not {shape}")
        if self.rounding not in SCALED:
            raise InputError(f"a product is not rounded {self.rounding.value}")

    @cached_property
    def scale_bits(self) -> int:
        """Significant bits of the multipliers: what a hardware multiplier needs."""
        return significant_bits(int(np.bitwise_or.reduce(self.multiplier)))

    def requantize(self, accumulator: Integers) -> Integers:
        """Scale accumulators, whose last axis is the output channel, to activations."""
        return requantize(accumulator, self.multiplier, self.shift, self.rounding)

    def accumulator_bounds(self, magnitude: int) -> Integers:
        """Largest magnitude of any partial sum over inputs of at most `magnitude`, by channel."""
        products = np.abs(self.weight.astype(np.int64)).sum(axis=(1, 2, 3)) * magnitude
        bounds: Integers = products + np.abs(self.bias)
        return bounds

    def accumulator_bound(self, magnitude: int) -> int:
        """Largest of `accumulator_bounds`."""
        return int(self.accumulator_bounds(magnitude).max())


def signed_bits(magnitude: int) -> int:
    """Width of a two's complement number that holds -magnitude to +magnitude."""
    return magnitude.bit_length() + 1


def significant_bits(multiplier: int) -> int:
    """Bits of a multiplier of `MULTIPLIER_BITS`, without the zeros at its end."""
    trailing = (multiplier & -multiplier).bit_length() - 1 if multiplier else MULTIPLIER_BITS - 1
    return MULTIPLIER_BITS - trailing


def quantize_multiplier(
    real: NDArray[np.float64], bits: int = MULTIPLIER_BITS
) -> tuple[Integers, Integers]:
    """Write positive reals as ``multiplier * 2**(shift - 31)``, multiplier in [2**30, 2**31).

    Parameters
    ----------
    real : positive multipliers
    bits : significant bits kept, at most 31; fewer make a narrower hardware multiplier
    """
    if not np.all((real > 0) & (real < 1 << LARGEST_SHIFT)):
        raise InputError(
            f"requantization multipliers must be positive and below 2**{LARGEST_SHIFT}"
        )
    if not 1 <= bits <= MULTIPLIER_BITS:
        raise InputError(f"scale bits must be 1 to {MULTIPLIER_BITS}, not {bits}")
    fraction, shift = np.frexp(real)
    step = 1 << (MULTIPLIER_BITS - bits)
    # std::round in TensorFlow Lite: halves go away from zero.
    multiplier = np.floor(fraction * 2.0**bits + 0.5).astype(np.int64) * step
    overflow = multiplier == 1 << MULTIPLIER_BITS
    multiplier[overflow] >>= 1
    shift = shift.astype(np.int64) + overflow
    multiplier[shift < -MULTIPLIER_BITS] = 0
    shift[shift < -MULTIPLIER_BITS] = 0
    return multiplier, shift


def requantize(
    accumulator: Integers,
    multiplier: Integers,
    shift: Integers,
    rounding: Rounding = Rounding.TWICE,
) -> Integers:
    """Scale accumulators to activations, bit-exact to TensorFlow Lite's reference kernels.

    Rounded twice: a left shift that saturates at 32 bits, a rounding doubling high multiply (halves
    round up), then a rounding right shift (halves round away from zero). The last axis of
    `accumulator` is the output channel. These are the kernels of CONV_2D and DEPTHWISE_CONV_2D, and
    of FULLY_CONNECTED up to LiteRT 1. Rounded once, for FULLY_CONNECTED of LiteRT 2, the
    multiplier comes from `multiplier_rounded_once`. ONNX rounds halves to even.

    Accumulators may have up to 47 bits. One that a scale above one would take out of 32 bits
    saturates first: no activation is that large.
    """
    wide = accumulator.size > 0 and max(accumulator.max(), -accumulator.min()) >= 1 << 31
    if wide:
        saturated = np.clip(accumulator, -(1 << 31), (1 << 31) - 1)
        accumulator = np.where(shift > 0, saturated, accumulator)
    if rounding is not Rounding.TWICE:
        places = MULTIPLIER_BITS - shift
        up = _scaled(accumulator, multiplier, places, wide)
        if rounding is Rounding.ONCE:
            return up
        # The bits behind the point are right though a wide product overflows.
        behind = (accumulator * multiplier) & ((np.int64(1) << places) - 1)
        halves = behind == np.int64(1) << (places - 1)
        nearest: Integers = up - (halves & ((up & 1) == (rounding is Rounding.EVEN)))
        return nearest
    left = np.maximum(shift, 0)
    right = np.maximum(-shift, 0)
    if left.any():
        saturated = np.clip(accumulator << left, -(1 << 31), (1 << 31) - 1)
        accumulator = np.where(left > 0, saturated, accumulator)
    scaled = _scaled(accumulator, multiplier, np.int64(MULTIPLIER_BITS), wide)
    if right.any():
        half = (1 << right) >> 1
        sign = scaled >> 63
        scaled += half
        scaled += sign if (right > 0).all() else sign * (right > 0)
        scaled >>= right
    return scaled


def _scaled(
    accumulator: Integers, multiplier: Integers, places: Integers | np.int64, wide: bool
) -> Integers:
    """Multiply and shift right, halves up; `wide` products need more than 64 bits."""
    half = np.int64(1) << (places - 1)
    product = accumulator * multiplier
    product += half
    product >>= places
    if not wide:
        return product
    low = ((accumulator & 0xFFFF) * multiplier + half) >> 16
    exact = ((accumulator >> 16) * multiplier + low) >> np.maximum(places - 16, 0)
    return np.where(places < MULTIPLIER_BITS, product, exact)
