"""Formatting of numbers: three significant digits and a suitable unit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "EnergyUnit",
    "area_text",
    "count_text",
    "energy_text",
    "energy_unit",
    "percent",
    "power_text",
    "short_count",
    "time_text",
]

DIGITS = 3
"""Significant digits of a number in running text."""

EXACT_BELOW = 10_000_000
"""Counts from here on are shortened in tables."""


@dataclass(frozen=True)
class EnergyUnit:
    """A unit of energy.

    Attributes
    ----------
    symbol : as written after a number
    pj : picojoules in one of it
    """

    symbol: str
    pj: float

    def column(self, energies_pj: Iterable[float]) -> tuple[str, ...]:
        """Give numbers in this unit with as many decimals for all as the least of them needs."""
        values = [energy / self.pj for energy in energies_pj]
        least = min((value for value in values if value > 0), default=1.0)
        decimals = next((d for d in (1, 2) if least * 10**d >= 10), 3)
        return tuple(f"{value:,.{decimals}f}" for value in values)


UNITS = tuple(
    EnergyUnit(symbol, 1000.0**power) for power, symbol in enumerate(("pJ", "nJ", "µJ", "mJ", "J"))
)


def energy_unit(energy_pj: float) -> EnergyUnit:
    """Give the largest unit in which the energy is at least 1; pJ for less."""
    rounded = float(f"{energy_pj:.{DIGITS}g}")
    return next((unit for unit in reversed(UNITS) if rounded >= unit.pj), UNITS[0])


def energy_text(energy_pj: float) -> str:
    """Write an energy with three significant digits: ``1.23 µJ``."""
    unit = energy_unit(energy_pj)
    return f"{_three_digits(energy_pj / unit.pj)} {unit.symbol}"


def power_text(power_mw: float) -> str:
    """Write a power with three significant digits: ``1.23 mW``."""
    symbol, scale = ("W", 1e-3) if power_mw >= 999.5 else ("mW", 1.0)
    if power_mw < 0.9995:
        symbol, scale = ("µW", 1e3)
    return f"{_three_digits(power_mw * scale)} {symbol}"


def area_text(area_um2: float) -> str:
    """Write an area with three significant digits: ``1.23 mm²``, or in µm² below 0.01 mm²."""
    small = area_um2 < 1e4
    return f"{_three_digits(area_um2 / (1 if small else 1e6))} {'µm²' if small else 'mm²'}"


def time_text(microseconds: float) -> str:
    """Write a time with three significant digits: ``19.8 µs``."""
    symbol, scale = ("ms", 1e-3) if microseconds >= 999.5 else ("µs", 1.0)
    if microseconds >= 999_500:
        symbol, scale = ("s", 1e-6)
    return f"{_three_digits(microseconds * scale)} {symbol}"


def count_text(count: int) -> str:
    """Write a count exactly: ``4,541``."""
    return f"{count:,}"


def short_count(count: float) -> str:
    """Write a count: to the unit below ten million, else three digits, ``1.85 G``."""
    if count < EXACT_BELOW:
        return f"{count:,.0f}"
    rounded = float(f"{count:.{DIGITS}g}")
    power = next(power for power in (12, 9, 6) if rounded >= 10**power)
    return f"{_three_digits(count / 10**power)} {dict(zip((6, 9, 12), 'MGT', strict=True))[power]}"


def percent(share: float, decimals: int = 1) -> str:
    """Write a share of 1: ``98.5 %``. One too small for the decimals is not called 0."""
    least = 1 / 10**decimals
    if 0 < 100 * share < least / 2:
        return f"<{least:.{decimals}f} %"
    return f"{100 * share:.{decimals}f} %"


def _three_digits(value: float) -> str:
    rounded = float(f"{value:.{DIGITS}g}")
    if rounded == 0:
        return "0"
    decimals = 2 if rounded < 10 else 1 if rounded < 100 else 0
    return f"{rounded:,.{decimals}f}"
