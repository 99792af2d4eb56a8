"""Parameters of a PLL for a clock, and of the dividers around it."""

from __future__ import annotations

from dataclasses import dataclass

from pilaster.base.errors import InputError
from pilaster.rtl.boards.catalog import Family

__all__ = ["LEAST_SHARE", "Ecp5Pll", "Ice40Pll", "choose_pll"]

LEAST_SHARE = 0.85
"""Of the clock asked for; from 25 MHz an ECP5 makes none from 12.5 to 14.3 MHz."""

MOST_ERROR = 0.001
"""A clock within this part below the one asked for counts as it."""


@dataclass(frozen=True)
class Ecp5Pll:
    """EHXPLLL with the feedback from its primary output.

    Limits: Lattice FPGA-DS-02012 (ECP5 family), sysCLOCK PLL timing: phase detector 3.125 to
    400 MHz, oscillator 400 to 800 MHz.
    """

    input_hz: int
    reference_divider: int
    feedback_divider: int
    output_divider: int

    @property
    def detector_hz(self) -> float:
        """Frequency at the phase detector."""
        return self.input_hz / self.reference_divider

    @property
    def oscillator_hz(self) -> float:
        """Frequency of the oscillator."""
        return self.output_hz * self.output_divider

    @property
    def output_hz(self) -> float:
        """The clock."""
        return self.detector_hz * self.feedback_divider

    @property
    def legal(self) -> bool:
        """Whether all is within its limits."""
        return 3.125e6 <= self.detector_hz <= 400e6 and 400e6 <= self.oscillator_hz <= 800e6


@dataclass(frozen=True)
class Ice40Pll:
    """SB_PLL40 with simple feedback.

    Limits: Lattice FPGA-TN-02052 (iCE40 sysCLOCK PLL): phase detector 10 to 133 MHz, oscillator
    533 to 1066 MHz, output 16 to 275 MHz.
    """

    input_hz: int
    divr: int
    divf: int
    divq: int

    @property
    def detector_hz(self) -> float:
        """Frequency at the phase detector."""
        return self.input_hz / (self.divr + 1)

    @property
    def oscillator_hz(self) -> float:
        """Frequency of the oscillator."""
        return self.detector_hz * (self.divf + 1)

    @property
    def output_hz(self) -> float:
        """The clock."""
        return self.oscillator_hz / (1 << self.divq)

    @property
    def filter_range(self) -> int:
        """Setting of the loop filter for the phase detector's frequency."""
        limits = (17e6, 26e6, 44e6, 66e6, 101e6)
        return 1 + sum(self.detector_hz >= limit for limit in limits)

    @property
    def legal(self) -> bool:
        """Whether all is within its limits."""
        return (
            10e6 <= self.detector_hz <= 133e6
            and 533e6 <= self.oscillator_hz <= 1066e6
            and 16e6 <= self.output_hz <= 275e6
        )


def choose_pll(family: Family, input_hz: int, clock_hz: float) -> Ecp5Pll | Ice40Pll | None:
    """Find the PLL whose clock is the highest that is not above `clock_hz`.

    Returns
    -------
    Ecp5Pll, Ice40Pll or None
        None where the oscillator's own clock is the one asked for.

    Raises
    ------
    InputError
        If no PLL of the family comes within 15 % of it.
    """
    if abs(clock_hz / input_hz - 1) <= MOST_ERROR:
        return None
    candidates = _ecp5(input_hz) if family is Family.ECP5 else _ice40(input_hz)
    limit = clock_hz * (1 + 1e-9)
    fitting = [pll for pll in candidates if pll.legal and pll.output_hz <= limit]
    best = max(fitting, key=lambda pll: (pll.output_hz, pll.detector_hz), default=None)
    least, most = (3.125, 400) if family is Family.ECP5 else (17, 275)
    reached = least <= clock_hz / 1e6 <= most
    if best is None or not reached or best.output_hz < LEAST_SHARE * clock_hz:
        raise InputError(
            f"--clock-mhz {clock_hz / 1e6:g}: the PLL of {family} makes no such clock from "
            f"{input_hz / 1e6:g} MHz; ask for {least:g} to {most} MHz, or {input_hz / 1e6:g}"
        )
    return best


def _ecp5(input_hz: int) -> list[Ecp5Pll]:
    return [
        Ecp5Pll(input_hz, reference, feedback, output)
        for reference in range(1, min(128, int(input_hz / 3.125e6)) + 1)
        for feedback in range(1, 81)
        for output in [_centered(input_hz * feedback / reference)]
        if 1 <= output <= 128
    ]


def _centered(output_hz: float) -> int:
    """Output divider that puts the oscillator nearest to the middle of its range."""
    return max(1, round(600e6 / output_hz))


def _ice40(input_hz: int) -> list[Ice40Pll]:
    return [
        Ice40Pll(input_hz, divr, divf, divq)
        for divr in range(16)
        for divf in range(128)
        for divq in range(1, 7)
    ]
