"""Laws: a PLL is within its limits, and no faster than the clock asked for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilaster.base.errors import InputError
from pilaster.rtl.boards.catalog import BOARDS, Family
from pilaster.rtl.boards.pll import LEAST_SHARE, Ecp5Pll, Ice40Pll, choose_pll

INPUTS = sorted({(board.device.family, board.clock[1]) for board in BOARDS.values()})


@pytest.mark.parametrize(("family", "input_hz"), INPUTS)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_a_pll_is_legal_and_not_too_fast(family, input_hz, data):
    least = 17 if family is Family.ICE40 else 10
    clock_hz = data.draw(st.floats(least * 1e6, 200e6))
    pll = choose_pll(family, input_hz, clock_hz)
    if pll is None:
        assert clock_hz == pytest.approx(input_hz, rel=1e-3)
        return
    assert pll.legal
    assert LEAST_SHARE * clock_hz <= pll.output_hz <= clock_hz * (1 + 1e-6)


@pytest.mark.parametrize("input_hz", [25_000_000, 100_000_000])
@pytest.mark.parametrize("clock_hz", [25e6, 40e6, 50e6, 62.5e6, 75e6, 100e6])
def test_a_round_clock_is_met_exactly_on_ecp5(input_hz, clock_hz):
    pll = choose_pll(Family.ECP5, input_hz, clock_hz)
    assert (pll.output_hz if pll else input_hz) == pytest.approx(clock_hz, rel=1e-9)


def test_the_parameters_are_those_of_icepll():
    # `icepll -i 12 -o 24`: DIVR 0, DIVF 63, DIVQ 5, FILTER_RANGE 1; `-o 60`: DIVF 79, DIVQ 4.
    assert choose_pll(Family.ICE40, 12_000_000, 24e6) == Ice40Pll(12_000_000, 0, 63, 5)
    found = choose_pll(Family.ICE40, 12_000_000, 60e6)
    assert found == Ice40Pll(12_000_000, 0, 79, 4)
    assert found.filter_range == 1


def test_the_parameters_for_ecp5_multiply_out():
    pll = choose_pll(Family.ECP5, 25_000_000, 50e6)
    assert isinstance(pll, Ecp5Pll)
    assert pll.output_hz == 50e6
    assert 25e6 / pll.reference_divider * pll.feedback_divider == 50e6
    assert 400e6 <= 50e6 * pll.output_divider <= 800e6


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("clock_hz", [1e6, 900e6])
def test_a_clock_out_of_reach_is_refused(family, clock_hz):
    with pytest.raises(InputError, match="--clock-mhz"):
        choose_pll(family, 12_000_000, clock_hz)
