"""Laws: three digits, 1 to 999 before the unit, and what is not 0 is not shown as 0."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilaster.reports.units import (
    UNITS,
    count_text,
    energy_text,
    energy_unit,
    percent,
    short_count,
)


@pytest.mark.parametrize(
    ("energy_pj", "text"),
    [
        (0, "0 pJ"),
        (0.0512, "0.05 pJ"),
        (1, "1.00 pJ"),
        (999.4, "999 pJ"),
        (999.6, "1.00 nJ"),
        (1_234_567, "1.23 µJ"),
        (33_151_000_000, "33.2 mJ"),
        (5e15, "5,000 J"),
    ],
)
def test_energy_text(energy_pj: float, text: str) -> None:
    assert energy_text(energy_pj) == text


@given(st.floats(min_value=1, max_value=9e14))
def test_energy_text_tells_the_energy(energy_pj: float) -> None:
    number, symbol = energy_text(energy_pj).split()
    unit = next(unit for unit in UNITS if unit.symbol == symbol)
    assert 1 <= float(number) < 1000
    assert float(number) * unit.pj == pytest.approx(energy_pj, rel=0.0051)


def test_column_has_one_unit_and_shows_the_least() -> None:
    unit = energy_unit(235_100)
    assert unit.symbol == "nJ"
    assert unit.column([235_100, 0, 2_200]) == ("235.1", "0.0", "2.2")
    assert unit.column([235_100, 40]) == ("235.100", "0.040")


@pytest.mark.parametrize(
    ("count", "exact", "short"),
    [
        (0, "0", "0"),
        (4541, "4,541", "4,541"),
        (9_999_999, "9,999,999", "9,999,999"),
        (86_704_128, "86,704,128", "86.7 M"),
        (999_600_000, "999,600,000", "1.00 G"),
        (15_470_000_000_000, "15,470,000,000,000", "15.5 T"),
    ],
)
def test_counts(count: int, exact: str, short: str) -> None:
    assert count_text(count) == exact
    assert short_count(count) == short


@pytest.mark.parametrize(
    ("share", "decimals", "text"),
    [
        (0, 1, "0.0 %"),
        (0.985, 1, "98.5 %"),
        (0.58, 0, "58 %"),
        (1, 1, "100.0 %"),
        (0.0004, 1, "<0.1 %"),
        (0.001, 0, "<1 %"),
    ],
)
def test_percent(share: float, decimals: int, text: str) -> None:
    assert percent(share, decimals) == text
