"""Fixed-point arithmetic against a scalar reading of the specification's rule."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pilaster.base.errors import InputError
from pilaster.models.quantization import (
    SCALED,
    ConvParameters,
    Rounding,
    TensorQuantization,
    quantize_multiplier,
    requantize,
    signed_bits,
)
from tests.strategies import seeds

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1

thorough = settings(max_examples=300, deadline=None, derandomize=True)


def divide_toward_zero(number: int, divisor: int) -> int:
    quotient = abs(number) // divisor
    return quotient if number >= 0 else -quotient


def saturating_rounding_doubling_high_multiply(a: int, b: int) -> int:
    """High half of 2ab, as gemmlowp writes it: a nudge by sign, then a division toward zero."""
    if a == b == INT32_MIN:
        return INT32_MAX
    product = a * b
    nudge = 1 << 30 if product >= 0 else 1 - (1 << 30)
    return divide_toward_zero(product + nudge, 1 << 31)


def rounding_divide_by_power_of_two(number: int, exponent: int) -> int:
    """Right shift with halves away from zero, as gemmlowp writes it: by mask and threshold."""
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (number < 0)
    return (number >> exponent) + ((number & mask) > threshold)


def documented_rule(accumulator: int, multiplier: int, shift: int) -> int:
    shifted = accumulator << max(0, shift)
    assert INT32_MIN <= shifted <= INT32_MAX
    high = saturating_rounding_doubling_high_multiply(shifted, multiplier)
    return rounding_divide_by_power_of_two(high, max(0, -shift))


@st.composite
def requantizations(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """Draw (accumulator, multiplier, shift) of several channels, their shifts of mixed signs."""
    channels = []
    for _ in range(draw(st.integers(1, 4))):
        shift = draw(st.integers(-31, 7))
        limit = 1 << (31 - max(0, shift))
        multiplier = draw(st.one_of(st.just(0), st.integers(1 << 30, INT32_MAX)))
        accumulator = draw(
            st.one_of(
                st.integers(-limit, limit - 1),
                st.sampled_from([-limit, limit - 1, 0, 1, -1]),
                _near_halves(multiplier, shift, limit),
            )
        )
        channels.append((accumulator, multiplier, shift))
    return channels


@st.composite
def _near_halves(draw: st.DrawFn, multiplier: int, shift: int, limit: int) -> int:
    """Draw an accumulator that the exact quotient places next to a half."""
    half = Fraction(2 * draw(st.integers(-200, 200)) + 1, 2)
    real = Fraction(max(multiplier, 1), 1 << 31) * Fraction(2) ** shift
    accumulator = round(half / real) + draw(st.integers(-2, 2))
    return max(-limit, min(limit - 1, accumulator))


@thorough
@given(requantizations())
@example([(INT32_MIN, 1 << 30, 0), (INT32_MAX, INT32_MAX, -31)])
@example([(-1, 1 << 30, 0), (1, 1 << 30, 0), (-3, 1 << 30, -1), (3, 1 << 30, -1)])
def test_requantize_equals_the_documented_rule(channels: list[tuple[int, int, int]]) -> None:
    accumulators, multipliers, shifts = (np.array(values) for values in zip(*channels, strict=True))
    expected = [documented_rule(*channel) for channel in channels]
    np.testing.assert_array_equal(requantize(accumulators, multipliers, shifts), expected)


@thorough
@given(seeds(), st.integers(1, 5))
def test_the_last_axis_is_the_channel(seed: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    sums = rng.integers(-(1 << 24), 1 << 24, (2, 3, channels))
    multiplier = rng.integers(1 << 30, 1 << 31, channels)
    shift = rng.integers(-20, 8, channels)
    found = requantize(sums, multiplier, shift)
    for index in np.ndindex(*sums.shape):
        c = index[-1]
        assert found[index] == documented_rule(int(sums[index]), int(multiplier[c]), int(shift[c]))


def test_requantize_leaves_its_operands_alone() -> None:
    sums, multiplier, shift = np.array([[5, -5]]), np.array([1 << 30, 1 << 30]), np.array([-1, 2])
    before = sums.copy(), multiplier.copy(), shift.copy()
    requantize(sums, multiplier, shift)
    for array, copy in zip((sums, multiplier, shift), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@thorough
@given(requantizations())
def test_two_roundings_are_less_than_one_from_the_exact_quotient(
    channels: list[tuple[int, int, int]],
) -> None:
    for accumulator, multiplier, shift in channels:
        exact = Fraction(accumulator * multiplier, 1 << 31) * Fraction(2) ** shift
        (found,) = requantize(np.array([accumulator]), np.array([multiplier]), np.array([shift]))
        right = max(0, -shift)
        slack = Fraction(1, 2) + (Fraction(1, 1 << (right + 1)) if right else 0)
        assert abs(int(found) - exact) <= slack


def exactly(accumulator: int, multiplier: int, shift: int, rounding: Rounding) -> int:
    """The rules in Python's integers, which have no width."""
    if rounding is not Rounding.TWICE:
        value = Fraction(accumulator * multiplier, 1 << (31 - shift))
        below, rest = value.numerator // value.denominator, value % 1
        if rest == Fraction(1, 2) and rounding is not Rounding.ONCE:
            return below + (below % 2 == (rounding is Rounding.EVEN))
        return below + (rest >= Fraction(1, 2))
    left, right = max(shift, 0), max(-shift, 0)
    first = ((accumulator << left) * multiplier + (1 << 30)) >> 31
    half = (1 << right) >> 1
    return (first + half - (first < 0 and right > 0)) >> right


WIDEST = 1 << 46


@thorough
@given(
    st.lists(st.integers(-WIDEST, WIDEST), min_size=1, max_size=4),
    st.integers(1 << 30, INT32_MAX),
    st.integers(-31, 30),
    st.sampled_from(SCALED),
)
@example([-14416638195, -20962505135, 1], 2098020352, -24, Rounding.TWICE)
def test_sums_of_more_than_32_bits_scale_exactly(
    accumulators: list[int], multiplier: int, shift: int, rounding: Rounding
) -> None:
    arrays = (np.array([value] * len(accumulators)) for value in (multiplier, shift))
    found = requantize(np.array(accumulators), *arrays, rounding)
    expected = [exactly(value, multiplier, shift, rounding) for value in accumulators]
    largest = 1 << 17  # all that an activation can be
    assert np.clip(found, -largest, largest).tolist() == [
        max(-largest, min(largest, value)) for value in expected
    ]


positive_reals = st.floats(2.0**-32, 2.0**20, allow_subnormal=False)
scale_bits = st.integers(1, 31)


@thorough
@given(st.lists(positive_reals, min_size=1, max_size=5), scale_bits)
@example([1.0, 0.5, 2.0, np.nextafter(1.0, 0.0)], 1)
def test_a_quantized_multiplier_is_within_its_bits_of_the_real(
    reals: list[float], bits: int
) -> None:
    multiplier, shift = quantize_multiplier(np.array(reals), bits)
    assert np.all((multiplier >= 1 << 30) & (multiplier < 1 << 31))
    assert np.all(multiplier % (1 << (31 - bits)) == 0)
    for real, m, s in zip(reals, multiplier.tolist(), shift.tolist(), strict=True):
        value = Fraction(m, 1 << 31) * Fraction(2) ** s
        assert abs(value - Fraction(real)) <= Fraction(real) / (1 << bits)


@thorough
@given(st.floats(1e-300, 2.0**-32, exclude_max=True), scale_bits)
def test_a_multiplier_too_small_to_shift_is_zero(real: float, bits: int) -> None:
    multiplier, shift = quantize_multiplier(np.array([real]), bits)
    assume(shift[0] == 0)  # just below 2**-32 rounds up to it
    assert multiplier[0] == 0
    assert requantize(np.array([INT32_MAX]), multiplier, shift)[0] == 0


@pytest.mark.parametrize("real", [0.0, -1.0, float("nan")])
def test_a_multiplier_that_is_not_positive_is_refused(real: float) -> None:
    with pytest.raises(InputError, match="multipliers must be positive"):
        quantize_multiplier(np.array([0.5, real]))


@pytest.mark.parametrize("bits", [0, 32])
def test_scale_bits_outside_1_to_31_are_refused(bits: int) -> None:
    with pytest.raises(InputError, match=f"scale bits must be 1 to 31, not {bits}"):
        quantize_multiplier(np.array([0.5]), bits)


def conv_parameters(weight: list[int], bias: int, reals: list[float], bits: int) -> ConvParameters:
    outputs = len(reals)
    weights = np.tile(np.array(weight, np.int16).reshape(1, 1, 1, -1), (outputs, 1, 1, 1))
    return ConvParameters(
        weights, np.full(outputs, bias), *quantize_multiplier(np.array(reals), bits)
    )


@thorough
@given(st.lists(positive_reals, min_size=1, max_size=5), scale_bits)
def test_scale_bits_hold_every_multiplier_and_are_no_more_than_asked(
    reals: list[float], bits: int
) -> None:
    found = conv_parameters([1], 0, reals, bits)
    assert 1 <= found.scale_bits <= bits
    step = 1 << (31 - found.scale_bits)
    assert np.all(found.multiplier % step == 0)
    assert found.scale_bits == 1 or np.any(found.multiplier % (2 * step) != 0)


def test_powers_of_two_need_one_scale_bit() -> None:
    assert conv_parameters([1], 0, [0.5, 0.25, 2.0], 31).scale_bits == 1


@thorough
@given(
    st.lists(st.integers(-32768, 32767), min_size=1, max_size=6),
    st.integers(-(1 << 30), 1 << 30),
    st.integers(0, 65535),
)
def test_the_accumulator_bound_is_reached_and_not_passed(
    weight: list[int], bias: int, magnitude: int
) -> None:
    bound = conv_parameters(weight, bias, [1.0], 31).accumulator_bound(magnitude)
    sign = -1 if bias < 0 else 1
    worst = bias + sum(w * magnitude * (sign if w >= 0 else -sign) for w in weight)
    assert abs(worst) == bound


@pytest.mark.parametrize("name", ["bias", "multiplier", "shift"])
def test_parameters_of_another_shape_are_refused(name: str) -> None:
    values = {key: np.zeros(2, np.int64) for key in ("bias", "multiplier", "shift")}
    values[name] = np.zeros(3, np.int64)
    with pytest.raises(InputError, match=rf"{name} needs the shape \(2,\), not \(3,\)"):
        ConvParameters(np.zeros((2, 1, 1, 1), np.int8), **values)


def test_weights_need_four_axes() -> None:
    zero = np.zeros(2, np.int64)
    with pytest.raises(InputError, match="four axes"):
        ConvParameters(np.zeros((2, 1), np.int8), zero, zero, zero)


@st.composite
def tensor_quantizations(draw: st.DrawFn) -> TensorQuantization:
    low, zero, high = sorted(draw(st.integers(-32768, 32767)) for _ in range(3))
    return TensorQuantization(1.0, zero, low, high)


@thorough
@given(tensor_quantizations())
def test_the_stream_is_the_integers_less_the_zero_point(tensor: TensorQuantization) -> None:
    low, high = tensor.stream_range
    assert (low, high) == (tensor.minimum - tensor.zero_point, tensor.maximum - tensor.zero_point)
    assert low <= 0 <= high
    assert tensor.magnitude == max(abs(low), abs(high))


@thorough
@given(tensor_quantizations())
@example(TensorQuantization(1.0, 0, 0, 0))
@example(TensorQuantization(1.0, -128, -128, 127))
@example(TensorQuantization(1.0, 0, -128, 127))
def test_the_streams_bits_hold_its_range(tensor: TensorQuantization) -> None:
    low, high = tensor.stream_range
    bits = tensor.bits
    if low == 0:
        assert high < 1 << bits
        assert bits == 1 or high >= 1 << (bits - 1)
    else:
        assert -(1 << (bits - 1)) <= low
        assert high < 1 << (bits - 1)


def test_a_fused_relu_makes_the_stream_unsigned() -> None:
    assert TensorQuantization(1.0, -128, -128, 127).bits == 8
    assert TensorQuantization(1.0, 3, 3, 127).bits == 7
    assert TensorQuantization(1.0, 3, -128, 127).bits == 9


@pytest.mark.parametrize("magnitude", [0, 1, 2, 127, 128, 32767, 32768])
def test_signed_bits_are_the_least_that_hold_both_signs(magnitude: int) -> None:
    bits = signed_bits(magnitude)
    assert magnitude < 1 << (bits - 1)
    assert bits == 1 or magnitude >= 1 << (bits - 2)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_scale_that_is_not_positive_is_refused(scale: float) -> None:
    with pytest.raises(InputError, match="scale must be positive"):
        TensorQuantization(scale, 0, -128, 127)


def test_a_range_without_integers_is_refused() -> None:
    with pytest.raises(InputError, match=r"there is no integer in \[5, 4\]"):
        TensorQuantization(1.0, 0, 5, 4)


@pytest.mark.parametrize(("bounds", "bits"), [((3, 9), 4), ((0, 0), 1), ((-9, -3), 5)])
def test_a_range_may_leave_zero_out(bounds: tuple[int, int], bits: int) -> None:
    assert TensorQuantization(1.0, 0, *bounds).bits == bits


@given(st.integers(-(1 << 40), 1 << 40), st.integers(1, 30), st.integers(1, (1 << 15) - 1))
def test_halves_go_to_the_even_number_or_to_the_odd_one(whole: int, places: int, odd: int) -> None:
    """Sums that are halves when scaled: of few bits and of many, of either sign."""
    multiplier, shift = quantize_multiplier(np.array([2.0**-places]))
    half = (2 * (whole >> places) + 1) << (places - 1)
    for rounding, parity in ((Rounding.EVEN, 0), (Rounding.ODD, 1)):
        (found,) = requantize(np.array([half]), multiplier, shift, rounding).tolist()
        assert found % 2 == parity
        assert abs(found - half / (1 << places)) == 0.5 or abs(half) > 1 << 50
