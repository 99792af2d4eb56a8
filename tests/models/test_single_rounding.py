"""Multipliers that round once give what LiteRT 2's double precision gives, for every sum."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pilaster.models.quantization import Rounding, requantize
from pilaster.models.single_rounding import multiplier_rounded_once


def in_double_precision(sums: NDArray[np.int64], real: float) -> NDArray[np.float64]:
    """LiteRT 2's rule: round(double(sum) * real), halves away from zero."""
    products = sums.astype(np.float64) * real
    return np.copysign(np.floor(np.abs(products) + 0.5), products)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.one_of(st.floats(1e-6, 4.0), st.sampled_from([0.5, 0.25, 0.125, 1.0, 0.1, 1 / 3, 2**-12])),
    st.integers(-255, 0),
    st.integers(1, 60_000),
)
def test_every_sum_gives_the_same_activation(real: float, low: int, bound: int) -> None:
    high = low + 255
    multiplier, shift = multiplier_rounded_once(np.array([real]), (low, high), np.array([bound]))
    sums = np.arange(-bound, bound + 1)[:, np.newaxis]
    found = requantize(sums, multiplier, shift, Rounding.ONCE)
    expected = np.clip(in_double_precision(sums, real), low, high)
    np.testing.assert_array_equal(np.clip(found, low, high), expected)


def test_rounding_twice_would_not_do() -> None:
    sums = np.arange(-(1 << 15), 1 << 15)[:, np.newaxis]
    multiplier, shift = multiplier_rounded_once(np.array([0.003]), (-128, 127), np.array([1 << 15]))
    once = requantize(sums, multiplier, shift, Rounding.ONCE)
    assert (once != requantize(sums, multiplier, shift, Rounding.TWICE)).any()


def test_halves_go_away_from_zero_on_both_sides() -> None:
    multiplier, shift = multiplier_rounded_once(np.array([0.5]), (-128, 127), np.array([1000]))
    sums = np.array([[-3], [-1], [1], [3]])
    found = requantize(sums, multiplier, shift, Rounding.ONCE)
    assert found.ravel().tolist() == [-2, -1, 1, 2]
