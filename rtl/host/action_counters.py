"""Counters of many events at once, whose totals stand in one memory."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from pilaster.rtl.components.contents import select
from pilaster.rtl.components.shapes import index_shape
from pilaster.rtl.host.protocol import ActionCount

__all__ = ["ActionCounters", "low_bits"]

UPDATE_CYCLES = 3
"""Cycles from a total's read to the first in which it may be read again."""


def low_bits(most: Sequence[int]) -> list[int]:
    """Bits of every counter in registers: its event cannot come round in them within all turns."""
    turns = max(len(most), UPDATE_CYCLES)
    return [(turns * each).bit_length() for each in most]


class ActionCounters(wiring.Component):
    """Counts events, and tells the totals one after another.

    The low bits of a count stand in registers, the whole count in a memory. The counters have their
    turns, one a cycle; a counter's total then grows by what its low bits have grown since its last
    turn, within which they cannot come round. All totals are zero after a reset.

    Parameters
    ----------
    most : most of each event in a cycle

    Members
    -------
    event0, event1, ... : how often each happens in this cycle
    ask : tell all totals, from the first on
    due, index, count : a total to be told; held until `told`
    told : it has been told
    """

    def __init__(self, most: Sequence[int]) -> None:
        self._most = tuple(most)
        events = {f"event{k}": In(range(each + 1)) for k, each in enumerate(self._most)}
        super().__init__(
            {
                **events,
                "ask": In(1),
                "told": In(1),
                "due": Out(1),
                "index": Out(index_shape(len(self._most))),
                "count": Out(ActionCount.BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Count; go from counter to counter; wait for the one that is to be told."""
        m = Module()
        number = len(self._most)
        turns = max(number, UPDATE_CYCLES)
        lows = []
        for k, (most, bits) in enumerate(zip(self._most, low_bits(self._most), strict=True)):
            event = Signal(range(most + 1), name=f"event{k}_kept")
            low = Signal(bits, name=f"low{k}")
            m.d.sync += [event.eq(getattr(self, f"event{k}")), low.eq(low + event)]
            lows.append(low)
        bits = max(map(len, lows))
        masks = [(1 << len(low)) - 1 for low in lows]

        m.submodules.totals = memory = Memory(shape=ActionCount.BITS, depth=turns, init=[])
        read, write = memory.read_port(), memory.write_port()
        turn, first = Signal(range(turns)), Signal(init=1)  # of all counters, since the reset
        last = turn == turns - 1
        m.d.sync += turn.eq(Mux(last, 0, turn + 1))
        with m.If(last):
            m.d.sync += first.eq(0)
        # Read low bits and total.
        padded = [*lows, *(Const(0, 1) for _ in range(turns - number))]
        low, mask = Signal(bits), Signal(bits)
        read_turn, read_first = Signal.like(turn), Signal(init=1)
        m.d.comb += read.addr.eq(turn)
        m.d.sync += [
            low.eq(Array(padded)[turn]),
            mask.eq(select([*masks, *[0] * (turns - number)], turn)),
            read_turn.eq(turn),
            read_first.eq(first),
        ]
        # How much they have grown.
        before, growth = Signal(ActionCount.BITS), Signal(bits)
        write_turn = Signal.like(turn)
        kept = Mux(read_first, 0, read.data)
        m.d.sync += [
            before.eq(kept),
            growth.eq((low - kept[:bits]) & mask),
            write_turn.eq(read_turn),
        ]
        total = Signal(ActionCount.BITS)
        m.d.comb += [
            total.eq(before + growth),
            write.addr.eq(write_turn),
            write.data.eq(total),
            write.en.eq(1),
        ]

        telling = Signal()
        with m.If(telling & ~self.due & (write_turn == self.index)):
            m.d.sync += [self.due.eq(1), self.count.eq(total)]
        with m.If(self.told):
            m.d.sync += [self.due.eq(0), self.index.eq(self.index + 1)]
            m.d.sync += telling.eq(self.index != number - 1)
        with m.If(self.ask):
            m.d.sync += [telling.eq(1), self.due.eq(0), self.index.eq(0)]
        return m
