"""Where columns enter a stage: they are taken while a column buffer is free."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from pilaster.rtl.components.column_buffer import BufferLayout, ColumnBuffer, reading_members
from pilaster.sim.timing import COLUMN_BUFFERS

__all__ = ["Intake"]


class Intake(wiring.Component):
    """The column buffers of a stage, filled from a stream.

    Parameters
    ----------
    columns : column buffers, those that a gather window keeps left out

    Members
    -------
    i : beats of columns; one is taken while a buffer is free, or its column has begun
    accepted : the last beat of a column is here
    finished : the work on the oldest column ends with this cycle, so its buffer is free
    read, row, pattern, backs, values : as of the column buffer
    """

    def __init__(self, layout: BufferLayout, columns: int = COLUMN_BUFFERS) -> None:
        self._layout, self._columns = layout, columns
        super().__init__(
            {
                "i": In(stream.Signature(layout.beat_shape)),
                "finished": In(1),
                **reading_members(layout),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Count free buffers, and follow the column that is worked on."""
        m = Module()
        m.submodules.columns = columns = ColumnBuffer(self._layout)
        free = Signal(range(self._columns + 1), init=self._columns)
        inside = Signal()
        begins = Signal()
        m.d.comb += [
            self.i.ready.eq(inside | (free != 0)),
            begins.eq(columns.beat_valid & ~inside),
            columns.beat.eq(self.i.payload),
            columns.beat_valid.eq(self.i.valid & self.i.ready),
            columns.read.eq(self.read),
            columns.row.eq(self.row),
            columns.pattern.eq(self.pattern),
            columns.backs.eq(self.backs),
            self.values.eq(columns.values),
            self.accepted.eq(columns.accepted),
        ]
        with m.If(columns.beat_valid):
            m.d.sync += inside.eq(~columns.accepted)
        m.d.sync += free.eq(free + self.finished - begins)
        current = Signal(range(self._layout.columns))
        last = current == self._layout.columns - 1
        with m.If(self.finished):
            m.d.sync += current.eq(Mux(last, 0, current + 1))
        m.d.comb += columns.current.eq(current)
        return m
