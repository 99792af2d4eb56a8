"""The clock of a board's top: its oscillator, a PLL where another clock is asked for, and reset."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Instance, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

from pilaster.rtl.boards.catalog import Board
from pilaster.rtl.boards.pll import Ecp5Pll, Ice40Pll

__all__ = ["BoardClock"]

SETTLING_SECONDS = 16e-6
"""Reset after configuration: block RAMs of an iCE40 read as zero for its first 3 us."""


class BoardClock:
    """Drives the domain `sync`: in reset until the PLL is locked and memories can be read."""

    def __init__(self, board: Board, pll: Ecp5Pll | Ice40Pll | None) -> None:
        self._board, self._pll = board, pll

    def elaborate(self, platform: Any) -> Module:
        """Oscillator, PLL, reset."""
        m = Module()
        name, input_hz = self._board.clock
        pin = platform.request(name, dir="-")
        clock, locked = Signal(), Signal()
        if isinstance(self._pll, Ice40Pll):
            # The oscillator's pin is the PLL's own: its pad is part of the cell.
            m.submodules.pll = _ice40(self._pll, pin.io, clock, locked)
        else:
            m.submodules.pad = pad = io.Buffer("i", pin)
            if self._pll is None:
                m.d.comb += [clock.eq(pad.i), locked.eq(1)]
            else:
                m.submodules.pll = _ecp5(self._pll, pad.i, clock, locked)
        output_hz = self._pll.output_hz if self._pll else input_hz
        if self._pll is not None:
            platform.add_clock_constraint(clock, output_hz)
        m.domains.settling = ClockDomain(reset_less=True, local=True)
        m.d.comb += [ClockSignal("settling").eq(clock), ClockSignal("sync").eq(clock)]
        cycles = int(SETTLING_SECONDS * output_hz)
        waited, ready = Signal(range(cycles + 1)), Signal()
        with m.If(waited == cycles):
            m.d.settling += ready.eq(1)
        with m.Else():
            m.d.settling += waited.eq(waited + 1)
        m.submodules.reset = ResetSynchronizer(~(ready & locked), domain="sync")
        return m


def _ecp5(pll: Ecp5Pll, source: Signal, clock: Signal, locked: Signal) -> Instance:
    return Instance(
        "EHXPLLL",
        p_PLLRST_ENA="DISABLED",
        p_INTFB_WAKE="DISABLED",
        p_STDBY_ENABLE="DISABLED",
        p_DPHASE_SOURCE="DISABLED",
        p_OUTDIVIDER_MUXA="DIVA",
        p_CLKOP_ENABLE="ENABLED",
        p_CLKOP_DIV=pll.output_divider,
        p_CLKOP_CPHASE=pll.output_divider // 2,
        p_CLKOP_FPHASE=0,
        p_FEEDBK_PATH="CLKOP",
        p_CLKI_DIV=pll.reference_divider,
        p_CLKFB_DIV=pll.feedback_divider,
        a_FREQUENCY_PIN_CLKI=f"{pll.input_hz / 1e6:g}",
        a_FREQUENCY_PIN_CLKOP=f"{pll.output_hz / 1e6:g}",
        a_ICP_CURRENT="12",
        a_LPF_RESISTOR="8",
        a_MFG_ENABLE_FILTEROPAMP="1",
        a_MFG_GMCREF_SEL="2",
        i_RST=0,
        i_STDBY=0,
        i_CLKI=source,
        i_CLKFB=clock,
        i_PHASESEL0=0,
        i_PHASESEL1=0,
        i_PHASEDIR=1,
        i_PHASESTEP=1,
        i_PHASELOADREG=1,
        i_PLLWAKESYNC=0,
        i_ENCLKOP=0,
        o_CLKOP=clock,
        o_LOCK=locked,
    )


def _ice40(pll: Ice40Pll, pin: Any, clock: Signal, locked: Signal) -> Instance:
    return Instance(
        "SB_PLL40_PAD",
        p_FEEDBACK_PATH="SIMPLE",
        p_PLLOUT_SELECT="GENCLK",
        p_DIVR=pll.divr,
        p_DIVF=pll.divf,
        p_DIVQ=pll.divq,
        p_FILTER_RANGE=pll.filter_range,
        i_PACKAGEPIN=pin,
        i_RESETB=1,
        i_BYPASS=0,
        o_PLLOUTGLOBAL=clock,
        o_LOCK=locked,
    )
