"""The column buffer: columns come in beat by beat and are read a row of channels at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from pilaster.rtl.components.shapes import index_shape
from pilaster.sim.column_words import word_channels
from pilaster.sim.timing import COLUMN_BUFFERS

__all__ = ["BufferLayout", "ColumnBuffer", "inside_column", "reading_members"]


def inside_column(row: Value, rows: int) -> Value:
    """Whether `row` is one of a column's `rows`, not of its padding."""
    below = row < rows
    return (row >= 0) & below if row.shape().signed else below


@dataclass(frozen=True)
class BufferLayout:
    """Where the values of a column stand.

    Row h stands in folded row ``(h + offset) // row_fold`` of phase ``(h + offset) % row_fold``;
    each phase is a memory of its own, so that a folded row is read at once. A memory word holds
    `word` channels.

    Attributes
    ----------
    height, channels : of a column
    bits : width of a value
    signed : whether values may be negative
    columns : column buffers
    ports : columns read at the same time
    beats : (first channel, channels) of every beat that makes up a row, in order
    patterns : channels read at the same time: by lane, (phase, channel), or None for a lane at rest
    """

    height: int
    channels: int
    bits: int
    signed: bool
    row_fold: int
    offset: int
    columns: int
    ports: int
    beats: tuple[tuple[int, int], ...]
    patterns: tuple[tuple[tuple[int, int] | None, ...], ...]

    @property
    def value_shape(self) -> Shape:
        """Shape of a value."""
        return Shape(self.bits, self.signed)

    @property
    def beat_shape(self) -> data.ArrayLayout:
        """Shape of a beat, as wide as the widest."""
        return data.ArrayLayout(self.value_shape, max(count for _, count in self.beats))

    @property
    def rows(self) -> int:
        """Folded rows of a column."""
        return -(-(self.height + self.offset) // self.row_fold)

    @property
    def lanes(self) -> int:
        """Values read at the same time from a column."""
        return len(self.patterns[0])

    @cached_property
    def word(self) -> int:
        """Channels of a memory word: the fewest that no beat and no pattern crosses."""
        ranges = {(first, first + count - 1) for first, count in self.beats}
        for pattern in self.patterns:
            by_phase: dict[int, list[int]] = {}
            for place in pattern:
                if place is not None:
                    by_phase.setdefault(place[0], []).append(place[1])
            ranges |= {(min(found), max(found)) for found in by_phase.values()}
        cuts = np.ones(self.channels, bool)
        for first, last in ranges:
            cuts[first + 1 : last + 1] = False
        return word_channels(cuts)

    @property
    def words(self) -> int:
        """Memory words of a folded row."""
        return -(-self.channels // self.word)

    @property
    def depth(self) -> int:
        """Words of one phase's memory for one column."""
        return self.rows * self.words

    def real_rows(self, phase: int) -> range:
        """Folded rows whose row of this phase is one of the column's, not of its padding."""
        first = max(0, -(-(self.offset - phase) // self.row_fold))
        return range(first, -(-(self.height + self.offset - phase) // self.row_fold))


def reading_members(layout: BufferLayout) -> dict[str, wiring.Member]:
    """Members by which whole columns are read."""
    row = data.ArrayLayout(layout.value_shape, layout.lanes)
    return {
        "accepted": Out(1),
        "row": In(range(layout.rows + 1)),
        "read": In(layout.ports),
        "pattern": In(index_shape(len(layout.patterns))),
        "backs": In(data.ArrayLayout(Shape.cast(range(layout.columns)), layout.ports)),
        "values": Out(data.ArrayLayout(row, layout.ports)),
    }


class ColumnBuffer(wiring.Component):
    """Two column buffers, and those that a gather window keeps.

    Beats arrive tile by tile, in each tile row by row. A read of a row takes one cycle.

    Members
    -------
    beat, beat_valid : the values of a beat, and whether there is one
    accepted : the last beat of a column is here
    read : by port, whether to read
    row, pattern : folded row to read, and which of its channels
    backs : by port, how many columns before the current one to read
    current : the column buffer being worked on
    values : (ports, lanes), what the row read in the cycle before holds
    """

    def __init__(self, layout: BufferLayout) -> None:
        self.layout = layout
        self.value_shape = layout.value_shape
        super().__init__(
            {
                "beat": In(layout.beat_shape),
                "beat_valid": In(1),
                "current": In(range(layout.columns)),
                **reading_members(layout),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Lay out memories, write port and read multiplexers."""
        m = Module()
        layout = self.layout
        banked = layout.ports > 1
        banks = layout.columns if banked else 1
        depth = layout.depth * (1 if banked else layout.columns)
        word_shape = data.ArrayLayout(self.value_shape, layout.word)
        memories = []
        for phase in range(layout.row_fold):
            for bank in range(banks):
                memory = Memory(shape=word_shape, depth=max(2, depth), init=[])
                m.submodules[f"phase{phase}_bank{bank}"] = memory
                memories.append(memory)
        write_column = Signal(range(layout.columns))
        self._write_side(m, memories, banks, write_column)
        self._read_side(m, memories, banks)
        return m

    def _write_side(
        self, m: Module, memories: Sequence[Memory], banks: int, column: Signal
    ) -> None:
        layout = self.layout
        row = Signal(index_shape(layout.height))
        folded, phase = (
            Signal(index_shape(layout.rows)),
            Signal(index_shape(layout.row_fold), init=layout.offset),
        )
        tile = Signal(index_shape(len(layout.beats)))
        last_row, last_tile = row == layout.height - 1, tile == len(layout.beats) - 1
        m.d.comb += self.accepted.eq(self.beat_valid & last_row & last_tile)
        with m.If(self.beat_valid):
            m.d.sync += row.eq(Mux(last_row, 0, row + 1))
            with m.If(last_row):
                m.d.sync += [folded.eq(0), phase.eq(layout.offset)]
                m.d.sync += tile.eq(Mux(last_tile, 0, tile + 1))
                with m.If(last_tile):
                    m.d.sync += column.eq(Mux(column == layout.columns - 1, 0, column + 1))
            with m.Elif(phase == layout.row_fold - 1):
                m.d.sync += [folded.eq(folded + 1), phase.eq(0)]
            with m.Else():
                m.d.sync += phase.eq(phase + 1)
        # Word, place in the word and channels of each tile of a row.
        word = Array([first // layout.word for first, _ in layout.beats])[tile]
        places = [first % layout.word for first, _ in layout.beats]
        width = len(self.beat)
        lanes: list[object] = []
        enables: list[object] = []
        for lane in range(layout.word):
            sources = [lane - place for place in places]
            inside = [
                0 <= source < count
                for source, (_, count) in zip(sources, layout.beats, strict=True)
            ]
            choices = sorted({s for s, use in zip(sources, inside, strict=True) if use})
            value = self.beat[choices[0]] if choices else Const(0, self.value_shape)
            if len(choices) > 1:
                value = Array([self.beat[min(max(s, 0), width - 1)] for s in sources])[tile]
            lanes.append(value)
            constant = set(inside)
            enables.append(
                Const(int(constant.pop())) if len(constant) == 1 else Array(map(int, inside))[tile]
            )
        address = folded * layout.words + word
        for index, memory in enumerate(memories):
            at_phase, bank = divmod(index, banks)
            port = memory.write_port(granularity=1)
            m.d.comb += [
                port.addr.eq(address if banks > 1 else column * layout.depth + address),
                port.data.eq(Cat(*lanes)),
            ]
            here = self.beat_valid & (phase == at_phase)
            if banks > 1:
                here = here & (column == bank)
            with m.If(here):
                m.d.comb += port.en.eq(Cat(*enables))

    def _read_side(self, m: Module, memories: Sequence[Memory], banks: int) -> None:
        layout = self.layout
        pattern = Signal.like(self.pattern)
        with m.If(self.read.any()):
            m.d.sync += pattern.eq(self.pattern)
        columns = []
        for port in range(layout.ports):
            column = Signal(range(layout.columns), name=f"column{port}")
            back = self.backs[port]
            if layout.columns == COLUMN_BUFFERS:  # no earlier column is kept
                m.d.comb += column.eq(self.current)
            else:
                around = self.current + layout.columns - back
                m.d.comb += column.eq(Mux(self.current < back, around, self.current - back))
            columns.append(column)
        # Word of each phase in each pattern.
        words = [
            [
                next((place[1] // layout.word for place in p if place and place[0] == phase), 0)
                for p in layout.patterns
            ]
            for phase in range(layout.row_fold)
        ]
        data_of = []
        for index, memory in enumerate(memories):
            phase = index // banks
            word = (
                Array(words[phase])[self.pattern] if len(set(words[phase])) > 1 else words[phase][0]
            )
            address = self.row * layout.words + word
            read = memory.read_port()
            asked = self.read
            if banks > 1:
                bank = index % banks
                asked = Cat(r & (c == bank) for r, c in zip(self.read, columns, strict=True)).any()
            m.d.comb += [
                read.addr.eq(address if banks > 1 else columns[0] * layout.depth + address),
                read.en.eq(asked),
            ]
            data_of.append(read.data)
        for port, column in enumerate(columns):
            held = Signal.like(column, name=f"held{port}")
            with m.If(self.read[port]):
                m.d.sync += held.eq(column)
            real = self._real(m, port)
            for lane in range(layout.lanes):
                places = [p[lane] for p in layout.patterns]
                choices = dict.fromkeys(places)
                distinct = sorted(
                    {(ph, ch % layout.word) for ph, ch in (p for p in choices if p is not None)}
                )

                def at(
                    phase: int, place: int, held: Signal = held, real: list[Value] = real
                ) -> Value:
                    value: Value = data_of[phase * banks][place]
                    if banks > 1:
                        of_banks = (data_of[phase * banks + bank][place] for bank in range(banks))
                        value = Array(of_banks)[held]
                    if isinstance(real[phase], Const):
                        return value
                    return Mux(real[phase], value, Const(0, self.value_shape))

                if not distinct:
                    continue
                if len(distinct) == 1:
                    value = at(*distinct[0])
                else:
                    numbers = [
                        distinct.index((p[0], p[1] % layout.word)) if p is not None else 0
                        for p in places
                    ]
                    options = Array([at(*place) for place in distinct])
                    select = Signal(range(len(distinct)), name=f"select{port}_{lane}")
                    m.d.comb += select.eq(Array(numbers)[pattern])
                    value = options[select]
                m.d.comb += self.values[port][lane].eq(value)

    def _real(self, m: Module, port: int) -> list[Value]:
        """By phase, whether the row read last is the column's; what pads a column is never written.

        A folded row may hold rows of both.
        """
        layout = self.layout
        found: list[Value] = []
        for phase in range(layout.row_fold):
            rows = layout.real_rows(phase)
            if rows == range(layout.rows):
                found.append(Const(1))
                continue
            real = Signal(name=f"real{port}_{phase}")
            with m.If(self.read[port]):
                m.d.sync += real.eq((self.row >= rows.start) & (self.row < rows.stop))
            found.append(real)
        return found
