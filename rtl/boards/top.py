"""The top of a board: clock, pads, and a machine behind its serial line."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockDomain, Elaboratable, Module, Signal
from amaranth.lib import io

from pilaster.rtl.boards.catalog import Board
from pilaster.rtl.boards.clock import BoardClock
from pilaster.rtl.boards.pll import Ecp5Pll, Ice40Pll
from pilaster.rtl.host.top import HostTop

__all__ = ["BoardTop"]


class BoardTop(Elaboratable):
    """What a board's bitstream holds."""

    def __init__(self, board: Board, pll: Ecp5Pll | Ice40Pll | None, host: HostTop) -> None:
        self._board, self._pll, self._host = board, pll, host

    def elaborate(self, platform: Any) -> Module:
        """Connect the pads."""
        m = Module()
        m.domains.sync = ClockDomain()
        m.submodules.clock = BoardClock(self._board, self._pll).elaborate(platform)
        m.submodules.host = host = self._host
        lines = [line.name for line in platform.lookup("uart", 0).ios if hasattr(line, "ios")]
        uart = platform.request("uart", 0, dir=dict.fromkeys(lines, "-"))
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.FFBuffer("o", uart.tx)
        line = Signal(init=1)
        m.d.comb += [host.rx.eq(rx.i), line.eq(host.tx), tx.o.eq(line)]
        return m
