"""Multipliers for layers that LiteRT 2 rounds once, in double precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pilaster.models.errors import InputError
from pilaster.models.quantization import MULTIPLIER_BITS, quantize_multiplier

__all__ = ["multiplier_rounded_once"]

Integers = NDArray[np.int64]


def multiplier_rounded_once(
    real: NDArray[np.float64], limits: tuple[int, int], bounds: Integers
) -> tuple[Integers, Integers]:
    """Find integers that round once as LiteRT 2's FULLY_CONNECTED does, for every sum there can be.

    That kernel computes ``round(double(sum) * real)``, halves away from zero. Both rules grow with
    the sum, so they are equal where they step: for each activation, the least sum that gives it
    bounds the multiplier from below, and the sum before it from above.

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
    multiplier, shift = quantize_multiplier(real)
    found = multiplier.copy()
    for channel, (factor, bound) in enumerate(zip(real.tolist(), bounds.tolist(), strict=True)):
        low, high = 0, (1 << MULTIPLIER_BITS) - 1
        places = MULTIPLIER_BITS - int(shift[channel])
        for value, least in _steps(factor, limits, bound):
            # value is reached where sum * multiplier >= half
            half = (2 * value - 1) << (places - 1)
            for total, reached in ((least, True), (least - 1, False)):
                if abs(total) > bound:
                    continue
                if total == 0:
                    if reached != (half <= 0):
                        low = high + 1
                elif reached == (total > 0):  # multiplier >= half / total, or above it
                    edge = -(-half // total) if reached else half // total + 1
                    low = max(low, edge)
                else:
                    edge = half // total if reached else -(-half // total) - 1
                    high = min(high, edge)
        if low > high:
            raise InputError(
                f"channel {channel}: no multiplier of {MULTIPLIER_BITS} bits rounds as LiteRT does"
            )
        found[channel] = min(max(int(multiplier[channel]), low), high)
    return found, shift


def _steps(real: float, limits: tuple[int, int], bound: int) -> list[tuple[int, int]]:
    """(activation, least sum that gives it), for each activation that sums within `bound` reach."""
    values = np.arange(limits[0] + 1, limits[1] + 1, dtype=np.int64)
    near = np.clip((values - 0.5) / real, -bound - 2, bound + 2)
    candidates = np.floor(near).astype(np.int64)[:, np.newaxis] + np.arange(-2, 4)
    products = candidates.astype(np.float64) * real
    reached = np.copysign(np.floor(np.abs(products) + 0.5), products) >= values[:, np.newaxis]
    inside = reached.any(axis=1) & ~reached[:, 0]
    least = candidates[np.arange(len(values)), reached.argmax(axis=1)]
    return list(zip(values[inside].tolist(), least[inside].tolist(), strict=True))
