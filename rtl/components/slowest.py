"""Events that all of several have had.

Columns that every arm of a join holds, and column buffers that every reader of a fork has freed.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Slowest", "together"]


class Slowest(wiring.Component):
    """Passes on an event when the slowest of several has had it, in the same cycle.

    Parameters
    ----------
    ahead : events that each has had beyond the slowest, at first
    most : to how many that may grow, for each

    Members
    -------
    events : one of each
    event : all have had one more
    """

    def __init__(self, ahead: Sequence[int], most: Sequence[int]) -> None:
        self._ahead, self._most = tuple(ahead), tuple(most)
        super().__init__({"events": In(len(self._ahead)), "event": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Count for each how far it is ahead."""
        m = Module()
        counts = [
            Signal(range(most + 1), init=ahead, name=f"ahead{index}")
            for index, (ahead, most) in enumerate(zip(self._ahead, self._most, strict=True))
        ]
        had = Cat(event | (count != 0) for event, count in zip(self.events, counts, strict=True))
        m.d.comb += self.event.eq(had.all())
        m.d.sync += [
            count.eq(count + event - self.event)
            for event, count in zip(self.events, counts, strict=True)
        ]
        return m


def together(
    m: Module, name: str, events: Sequence[Value], ahead: Sequence[int], most: Sequence[int]
) -> Value:
    """Give the event of the slowest; that of the only one itself where there are no others."""
    if len(events) == 1:
        return events[0]
    m.submodules[name] = slowest = Slowest(ahead, most)
    m.d.comb += slowest.events.eq(Cat(*events))
    event: Value = slowest.event
    return event
