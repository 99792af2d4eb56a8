"""Multipliers that round once as a rule in floating point does, for every sum there can be.

A runtime that scales a sum in floating point, and rounds what it gets, steps up at certain sums,
and so does a fixed-point product: two rules that grow with the sum are equal where they step. For
each activation, the least sum that gives it bounds the multiplier from below, and the sum before it
from above.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.quantization import (
    MULTIPLIER_BITS,
    Rounding,
    quantize_multiplier,
    requantize,
)

__all__ = [
    "Rule",
    "in_double_precision",
    "multiplier_like",
    "multiplier_rounded_once",
    "of_integers",
    "of_sums",
]

Integers = NDArray[np.int64]

Rule = Callable[[Integers], NDArray[np.floating]]
"""Activations of sums (channels, any number), which grow with the sums of a channel."""


def in_double_precision(real: NDArray[np.float64]) -> Rule:
    """Give LiteRT 2's FULLY_CONNECTED: ``round(double(sum) * real)``, halves away from zero."""

    def rule(sums: Integers) -> NDArray[np.floating]:
        products = sums.astype(np.float64) * real[:, np.newaxis]
        return np.copysign(np.floor(np.abs(products) + 0.5), products)

    return rule


def of_sums(real: NDArray[np.float64]) -> Rule:
    """Give ONNX Runtime's QLinear operators: a sum in single precision times a scale in that."""

    def rule(sums: Integers) -> NDArray[np.floating]:
        products = sums.astype(np.float32) * real.astype(np.float32)[:, np.newaxis]
        rounded: NDArray[np.floating] = np.rint(products)
        return rounded

    return rule


def of_integers(source: float, target: float) -> Rule:
    """Give DequantizeLinear by one scale and QuantizeLinear by another, in single precision."""

    def rule(integers: Integers) -> NDArray[np.floating]:
        reals = integers.astype(np.float32) * np.float32(source)
        rounded: NDArray[np.floating] = np.rint(reals / np.float32(target))
        return rounded

    return rule


def multiplier_rounded_once(
    real: NDArray[np.float64], limits: tuple[int, int], bounds: Integers
) -> tuple[Integers, Integers]:
    """Find integers that round once, halves up, as `in_double_precision` does.

    Parameters
    ----------
    real : (channels,), positive multipliers
    limits : smallest and largest activation, on the stream
    bounds : (channels,), largest magnitude of a sum

    Raises
    ------
    InputError
        If no multiplier of 31 bits does.
    """
    rule = in_double_precision(real)
    multiplier, shift, equal = multiplier_like(rule, real, limits, bounds, Rounding.ONCE)
    if not equal.all():
        raise InputError(
            f"channel {int(equal.argmin())}: no multiplier of {MULTIPLIER_BITS} bits rounds as "
            f"LiteRT does"
        )
    return multiplier, shift


def multiplier_like(
    rule: Rule,
    real: NDArray[np.float64],
    limits: tuple[int, int],
    bounds: Integers,
    rounding: Rounding,
) -> tuple[Integers, Integers, NDArray[np.bool_]]:
    """Find integers that step where a rule does; else those nearest to the real multipliers.

    Parameters
    ----------
    real : (channels,), positive multipliers that the rule is near to
    limits : smallest and largest activation, on the stream
    bounds : (channels,), largest magnitude of a sum
    rounding : of the product with the multiplier, in one step

    Returns
    -------
    tuple
        Multipliers, shifts, and whether the steps are the rule's, (channels,) each
    """
    multiplier, shift = quantize_multiplier(real)
    values = np.arange(limits[0] + 1, limits[1] + 1, dtype=np.int64)
    least = _steps(rule, values, bounds)
    before = np.maximum(least - 1, -bounds[:, np.newaxis])
    inside = np.minimum(least, bounds[:, np.newaxis])
    equal = np.ones(len(real), np.bool_)
    for sums in (before, inside):
        found = requantize(sums.T, multiplier, shift, rounding).T
        equal &= ((found >= values) == (sums >= least)).all(axis=1)
    found_multiplier = multiplier.copy()
    for channel in np.flatnonzero(~equal).tolist():
        steps = zip(values.tolist(), least[channel].tolist(), strict=True)
        low, high = _allowed(steps, int(shift[channel]), int(bounds[channel]), rounding)
        equal[channel] = low <= high
        if low <= high:
            found_multiplier[channel] = min(max(int(multiplier[channel]), low), high)
    return found_multiplier, shift, equal


def _steps(rule: Rule, values: Integers, bounds: Integers) -> Integers:
    """Least sum of each channel that gives each of `values` or more; one too many if none does."""
    low = np.repeat(-bounds[:, np.newaxis], len(values), axis=1)
    high = np.repeat(bounds[:, np.newaxis] + 1, len(values), axis=1)
    while (low < high).any():
        middle = (low + high) // 2
        reached = (rule(middle) >= values) | (low == high)
        low, high = np.where(reached, low, middle + 1), np.where(reached, middle, high)
    return low


def _allowed(
    steps: zip[tuple[int, int]], shift: int, bound: int, rounding: Rounding
) -> tuple[int, int]:
    """Least and largest multiplier that steps at the same sums; none where they cross."""
    low, high = 0, (1 << MULTIPLIER_BITS) - 1
    places = MULTIPLIER_BITS - shift
    for value, least in steps:
        # value is reached where sum * multiplier >= half; by a half alone if that goes up to it
        half = (2 * value - 1) << (places - 1)
        up = {Rounding.EVEN: value % 2 == 0, Rounding.ODD: value % 2 == 1}.get(rounding, True)
        for total, reached in ((least, True), (least - 1, False)):
            if abs(total) > bound:
                continue
            if total == 0:
                if reached != (half <= 0 if up else half < 0):
                    return 1, 0
                continue
            below, above = half // total, -(-half // total)
            if reached == (total > 0):
                # sum * multiplier is at least half, or at most, by the sum's sign
                low = max(low, above if up == reached else below + 1)
            else:
                high = min(high, below if up == reached else above - 1)
    return low, high
