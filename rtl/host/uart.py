"""A UART: eight data bits, no parity, one stop bit; the bit's length is a number of cycles."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from pilaster.base.errors import InputError

__all__ = ["UartReceiver", "UartTransmitter", "divisor_for"]

LEAST_DIVISOR = 4
"""Fewest cycles of a bit: the receiver samples at half a bit."""

MOST_BAUD_ERROR = 0.02
"""Largest deviation of the rate: over ten bits, a fifth of a bit."""


def divisor_for(clock_hz: float, baud: int) -> int:
    """Cycles of a bit.

    Raises
    ------
    InputError
        If the clock cannot make the rate to within 2 %.
    """
    divisor = round(clock_hz / baud) if baud > 0 else 0
    if divisor < LEAST_DIVISOR or abs(clock_hz / divisor / baud - 1) > MOST_BAUD_ERROR:
        raise InputError(
            f"baud: {baud} cannot be made from a clock of {clock_hz / 1e6:g} MHz to within 2 %; "
            f"use at most {int(clock_hz / LEAST_DIVISOR)}, and a divisor of the clock"
        )
    return divisor


class UartReceiver(wiring.Component):
    """Bits to bytes.

    Members
    -------
    rx : the line, from the host; high when idle
    data, strobe : a byte has come, in this cycle; one whose stop bit is wrong does not
    """

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "data": Out(8), "strobe": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Wait for a start bit, then sample each bit in its middle."""
        m = Module()
        line = Signal(init=1)
        m.submodules.line = FFSynchronizer(self.rx, line, init=1)
        wait = Signal(range(self._divisor + self._divisor // 2))
        left = Signal(range(10))
        bits, broken = Signal(8), Signal()
        with m.If(left == 0), m.If(~line):
            m.d.sync += [left.eq(9), wait.eq(self._divisor + self._divisor // 2 - 1)]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [wait.eq(self._divisor - 1), left.eq(left - 1)]
            with m.If(left == 1):
                m.d.comb += self.strobe.eq(line & ~broken)
                m.d.sync += broken.eq(~line)
                with m.If(~line):  # a break: nothing begins before the line is idle again
                    m.d.sync += left.eq(1)
            with m.Else():
                m.d.sync += bits.eq(Cat(bits[1:], line))
        m.d.comb += self.data.eq(bits)
        return m


class UartTransmitter(wiring.Component):
    """Bytes to bits.

    Members
    -------
    i : bytes
    tx : the line, to the host; high when idle
    """

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        """Shift a start bit, the byte and a stop bit out."""
        m = Module()
        wait = Signal(range(self._divisor))
        left = Signal(range(11))
        bits = Signal(9)
        m.d.comb += self.i.ready.eq(left == 0)
        with m.If(left == 0), m.If(self.i.valid):
            m.d.sync += [
                self.tx.eq(0),
                bits.eq(Cat(self.i.payload, 1)),
                left.eq(10),
                wait.eq(self._divisor - 1),
            ]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [wait.eq(self._divisor - 1), left.eq(left - 1)]
            m.d.sync += [self.tx.eq(bits[0]), bits.eq(Cat(bits[1:], 1))]
        return m
