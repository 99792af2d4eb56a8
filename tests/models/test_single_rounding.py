"""Multipliers that round once give what LiteRT 2's double precision gives, for every sum."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pilaster.models.quantization import Rounding, requantize
from pilaster.models.single_rounding import (
    multiplier_like,
    multiplier_rounded_once,
    of_integers,
    of_sums,
)


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


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.one_of(
        st.floats(2.0**-20, 4.0, width=32),
        st.sampled_from([0.5, 0.25, 2**-7, 1.0]),
        st.integers(2, 60).map(lambda whole: float(np.float32(1 / whole))),
    ),
    st.integers(-255, 0),
    st.integers(1, 60_000),
    st.sampled_from([Rounding.EVEN, Rounding.ODD]),
)
def test_every_sum_gives_what_single_precision_gives_where_a_multiplier_can(
    real: float, low: int, bound: int, rounding: Rounding
) -> None:
    """QLinear operators; where none can, no activation differs by more than one."""
    limits, factor, bounds = (low, low + 255), np.array([real]), np.array([bound])
    rule = of_sums(factor)
    multiplier, shift, equal = multiplier_like(rule, factor, limits, bounds, rounding)
    sums = np.arange(-bound, bound + 1)[np.newaxis]
    found = np.clip(requantize(sums.T, multiplier, shift, rounding).T, *limits)
    expected = np.clip(rule(sums), *limits)
    assert np.abs(found - expected).max() <= 1
    assert equal[0] == (found == expected).all()
    if np.frexp(real)[0] == 0.5 and rounding is Rounding.EVEN:
        assert equal[0], "powers of two are exact"


def test_integers_of_another_scale_are_those_of_single_precision() -> None:
    rng, equal = np.random.default_rng(3), 0
    integers = np.arange(-255, 256)[np.newaxis]
    for source, target in rng.uniform(0.001, 1.0, (200, 2)):
        rule, real = of_integers(source, target), np.array([source / target])
        multiplier, shift, same = multiplier_like(
            rule, real, (-128, 127), np.array([255]), Rounding.EVEN
        )
        found = requantize(integers.T, multiplier, shift, Rounding.EVEN).T
        equal += int(same[0])
        assert (
            not same[0] or (np.clip(found, -128, 127) == np.clip(rule(integers), -128, 127)).all()
        )
    assert equal > 190
