"""A layer of scales that steps where a runtime's own arithmetic steps.

Whatever a runtime does to each value of a channel alone, a factor, an offset and a rounding, is a
staircase over the few values that there are. A depthwise convolution by one weight with a bias,
rounded once, is a staircase too. The two are equal where the second steps between the same values;
integers for that are searched for, and what is found is equal by construction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.quantization import (
    MULTIPLIER_BITS,
    ConvParameters,
    Rounding,
    quantize_multiplier,
)

__all__ = ["staircase"]

Integers = NDArray[np.int64]

MOST_PLACES = 14
"""Of the weight, which is a power of two: as large as its bits allow."""

LARGEST_SUM = (1 << 31) - 1

NUDGES = (0, *(sign << places for places in range(0, 14, 2) for sign in (1, -1)))
"""What is added to a multiplier that does not do, in its last places."""


def staircase(
    table: Integers, first: int, limits: tuple[int, int], slopes: NDArray[np.float64]
) -> ConvParameters:
    """Find a depthwise convolution of 1x1 that computes a table.

    Parameters
    ----------
    table : (channels, values), what each value of a stream gives
    first : the stream's smallest value
    limits : smallest and largest of what is given; the table stops at these
    slopes : (channels,), about how much one value gives more than the one before it

    Raises
    ------
    InputError
        If there are no such integers.
    """
    found = [
        _channel(steps, first, limits, slope)
        for steps, slope in zip(table, slopes.tolist(), strict=True)
    ]
    weight, bias, multiplier, shift = (
        np.array(column, np.int64) for column in zip(*found, strict=True)
    )
    return ConvParameters(
        weight.astype(np.int16).reshape(-1, 1, 1, 1), bias, multiplier, shift, Rounding.ONCE
    )


def _channel(
    steps: Integers, first: int, limits: tuple[int, int], slope: float
) -> tuple[int, int, int, int]:
    """Give weight, bias, multiplier and shift of one channel."""
    if (steps == steps[0]).all():
        return 0, int(steps[0]), 1 << (MULTIPLIER_BITS - 1), 1
    # Only the edges of each stair say something, and the ends of the whole.
    edges = np.flatnonzero(np.diff(steps))
    places = np.unique([0, *edges, *(edges + 1), len(steps) - 1])
    values, given = first + places.astype(np.int64), steps[places]
    for power in range(MOST_PLACES + 1):
        weight = (1 << power) if slope > 0 else -(1 << power)
        try:
            found, shifts = quantize_multiplier(np.array([abs(slope) / (1 << power)]))
        except InputError:
            continue
        shift = int(shifts[0])
        right = MULTIPLIER_BITS - shift
        if not 1 <= right < 62:
            continue
        for nudge in NUDGES:
            multiplier = int(found[0]) + nudge
            if not 0 < multiplier < 1 << MULTIPLIER_BITS:
                continue
            bias = _bias(values, given, limits, weight, multiplier, right)
            if bias is not None:
                return weight, bias, multiplier, shift
    raise InputError("no scale of 31 bits and 16-bit weights rounds as the runtime does")


def _bias(
    values: Integers,
    given: Integers,
    limits: tuple[int, int],
    weight: int,
    multiplier: int,
    right: int,
) -> int | None:
    """Give the bias nearest zero with which all stairs are right; none where there is none."""
    low, high = -LARGEST_SUM, LARGEST_SUM
    half = 1 << (right - 1)
    for value, result in zip(values.tolist(), given.tolist(), strict=True):
        # result <= ((weight * value + bias) * multiplier + half) >> right < result + 1
        if result > limits[0]:
            low = max(low, -(-((result << right) - half) // multiplier) - weight * value)
        if result < limits[1]:
            high = min(high, (((result + 1) << right) - half - 1) // multiplier - weight * value)
        if low > high:
            return None
    magnitude = abs(weight) * int(np.abs(values).max())
    bias = min(max(0, low), high)
    return bias if abs(bias) + magnitude <= LARGEST_SUM else None
