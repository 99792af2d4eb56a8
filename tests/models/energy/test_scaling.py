"""Law: a scaling rule gives the published values at their points, and never falls as bits grow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilaster.models.energy.scaling import log_log, proportional, word_depth

curves = st.lists(
    st.tuples(st.integers(1, 10_000), st.floats(1e-3, 1e3)),
    min_size=1,
    max_size=6,
    unique_by=lambda p: p[0],
).map(
    lambda points: tuple(
        zip(sorted(x for x, _ in points), sorted(v for _, v in points), strict=True)
    )
)


@given(curves)
def test_published_points_are_exact(curve):
    for x, value in curve:
        assert proportional(curve, x) == value
        assert log_log(curve, x) == value
        assert word_depth([(8, curve)], 8, x, {}) == value


@given(curves, st.integers(1, 20_000), st.integers(0, 20_000))
def test_log_log_rises_with_rising_points(curve, x, step):
    assert log_log(curve, x + step) >= log_log(curve, x) * (1 - 1e-12)


def test_proportional_outside_and_linear_inside():
    curve = ((8, 0.03), (16, 0.05), (32, 0.1))
    assert proportional(curve, 4) == pytest.approx(0.015)
    assert proportional(curve, 12) == pytest.approx(0.04)
    assert proportional(curve, 64) == pytest.approx(0.2)


def test_log_log_is_a_square_root_outside():
    curve = ((100, 2.0), (400, 4.0), (1600, 16.0))
    assert log_log(curve, 25) == pytest.approx(1.0)
    assert log_log(curve, 200) == pytest.approx(2 * 2**0.5)
    assert log_log(curve, 6400) == pytest.approx(32.0)


def test_memory_meets_the_register_at_one_word():
    curve = ((256, 16.0),)
    assert word_depth([(16, curve)], 16, 1, {16: 1.0}) == 1.0
    assert word_depth([(16, curve)], 16, 16, {16: 1.0}) == pytest.approx(4.0)


def test_wide_memory_is_macros_side_by_side():
    curve = ((256, 16.0),)
    assert word_depth([(16, curve)], 48, 256, {}) == pytest.approx(48.0)


def test_extrapolated_width_does_not_undercut_a_narrower_one():
    narrow, wide = (8, ((256, 4.0), (4096, 40.0))), (16, ((256, 5.0),))
    assert word_depth([narrow, wide], 16, 4096, {}) == 40.0
