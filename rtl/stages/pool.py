"""The stage of a pooling layer, in gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from amaranth.hdl import Array, Const, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from pilaster.models.energy.actions import Action
from pilaster.models.quantization import Rounding, TensorQuantization
from pilaster.models.reference.pool import valid_rows
from pilaster.rtl.components.column_buffer import BufferLayout, inside_column
from pilaster.rtl.components.intake import Intake
from pilaster.rtl.components.probes import StageProbes, most_of
from pilaster.rtl.components.shapes import index_shape
from pilaster.sim.stages import PoolStage
from pilaster.sim.stages.pool_actions import pool_program, sum_bits
from pilaster.sim.timing import COLUMN_BUFFERS

__all__ = ["PoolComponent", "pool_layout", "pool_most"]


@dataclass(frozen=True)
class _Run:
    """What a column is used for: to reduce it (`reads`), or to send a column that waits."""

    idle: int
    reads: int
    completes: int
    last_in_column: int
    complete_slot: int
    columns: int
    active: int
    fresh: int
    banks: tuple[int, ...]


def _program(stage: PoolStage) -> tuple[_Run, ...]:
    """Write the runs of every input column."""
    slots = max(1, max(map(len, stage.touched)))
    pending = max(1, stage.pending_columns)
    seen: set[int] = set()
    runs = []
    rest = (0,) * slots
    for column, touched in enumerate(stage.touched):
        done = stage.completed(column)
        if not touched:
            runs.append(_Run(1, 0, 0, 1, 0, 0, 0, 0, rest))
            continue
        banks = tuple(q % pending for q in touched) + rest[len(touched) :]
        fresh = sum(1 << i for i, q in enumerate(touched) if q not in seen)
        seen.update(touched)
        turns: Sequence[int | None] = done or (None,)
        for index, q in enumerate(turns):
            slot = 0 if q is None else touched.index(q)
            reads = index == 0
            runs.append(
                _Run(
                    idle=0,
                    reads=int(reads),
                    completes=int(q is not None),
                    last_in_column=int(index == len(turns) - 1),
                    complete_slot=slot,
                    columns=0 if q is None else sum(q in t for t in stage.touched),
                    active=(1 << len(touched)) - 1 if reads else 1 << slot,
                    fresh=fresh if reads else 0,
                    banks=banks,
                )
            )
    return tuple(runs)


def pool_layout(
    stage: PoolStage, tensor: TensorQuantization, beats: tuple[tuple[int, int], ...]
) -> BufferLayout:
    """Lay out the column buffers of a stage.

    beats : (first channel, channels) of every beat of a row, in order
    """
    channels, tile = stage.shape.channels, stage.fold.out_channels
    return BufferLayout(
        height=stage.shape.height,
        channels=channels,
        bits=tensor.bits,
        signed=tensor.stream_range[0] < 0,
        row_fold=1,
        offset=0,
        columns=stage.buffered_columns,
        ports=1,
        beats=beats,
        patterns=tuple(
            tuple((0, c) if c < channels else None for c in range(first, first + tile))
            for first in range(0, channels, tile)
        ),
    )


def pool_most(stage: PoolStage) -> Mapping[Action, int]:
    """Most of each action that a stage does in a cycle."""
    outputs, slots = stage.fold.out_channels, max(map(len, stage.touched))
    found = dict.fromkeys((Action.COLUMN_WRITE, Action.COLUMN_READ, Action.WINDOW_SHIFT), 1)
    found |= dict.fromkeys((Action.PSUM_READ, Action.PSUM_WRITE), slots)
    found[Action.POOL] = (stage.layer.window.kernel[0] - 1 + slots) * outputs
    if stage.layer.mode == "average":
        found[Action.REQUANTIZE] = outputs
    found[Action.PROGRAM_READ] = int(pool_program(stage).depth > 1)
    return most_of(found)


class PoolComponent(wiring.Component):
    """A pooling stage: columns in, columns out. Members are those of a convolution stage."""

    is_loaded = False

    def __init__(
        self,
        stage: PoolStage,
        tensor: TensorQuantization,
        beats: tuple[tuple[int, int], ...],
        probes: bool,
        behind: int = COLUMN_BUFFERS,
    ) -> None:
        self._stage, self._tensor, self._behind = stage, tensor, behind
        tile = stage.fold.out_channels
        self._layout = pool_layout(stage, tensor, beats)
        self._program = _program(stage)
        self._value = Shape(tensor.bits, tensor.stream_range[0] < 0)
        members = {
            "i": In(
                stream.Signature(data.ArrayLayout(self._value, max(count for _, count in beats)))
            ),
            "o": Out(stream.Signature(data.ArrayLayout(self._value, tile))),
            "room": In(1),
            "freed": Out(1),
        }
        if probes:
            members["probes"] = Out(StageProbes(pool_most(stage)))
        self._probes = probes
        super().__init__(members)

    @property
    def inputs(self) -> list[stream.Interface]:
        """The one stream that it reads."""
        return [self.i]

    def elaborate(self, platform: object) -> Module:
        """Join column buffer, sequencer, reduction and pending columns."""
        m = Module()
        stage, layout = self._stage, self._layout
        window, tiles = stage.layer.window, stage.tiles
        rows_out, step_v = stage.output.height, window.stride[0]
        program = self._program
        slots = len(program[0].banks)
        run_layout = data.StructLayout(
            {
                **dict.fromkeys(("idle", "reads", "completes", "last_in_column"), 1),
                "complete_slot": index_shape(slots),
                "columns": Shape.cast(range(window.kernel[1] + 1)),
                "active": slots,
                "fresh": slots,
                "banks": data.ArrayLayout(Shape.cast(range(max(2, stage.pending_columns))), slots),
            }
        )
        m.submodules.intake = intake = Intake(layout)
        wiring.connect(m, wiring.flipped(self.i), intake.i)
        m.submodules.runs = table = Memory(
            shape=run_layout,
            depth=max(2, len(program)),
            init=[{**vars(run), "banks": list(run.banks)} for run in program],
        )
        fetch = table.read_port(domain="comb")

        waiting = Signal(range(COLUMN_BUFFERS + 1))
        room = Signal(range(self._behind + 1), init=self._behind)
        finished, started = Signal(), Signal()
        m.d.comb += intake.finished.eq(finished)
        m.d.comb += self.freed.eq(finished)
        m.d.sync += waiting.eq(waiting + intake.accepted - started)

        # Passes: tile by tile, run by run.
        run_index, tile = Signal(index_shape(len(program))), Signal(index_shape(tiles))
        first_in_column = Signal(init=1)
        left = Signal(range(stage.sweep_cycles + 1))
        run = fetch.data
        m.d.comb += fetch.addr.eq(run_index)
        last_tile = run.idle | (tile == tiles - 1)
        gate = run.completes & (tile == 0)
        start = Signal()
        m.d.comb += start.eq(
            (left == 0) & (~first_in_column | (waiting != 0)) & (~gate | (room != 0))
        )
        m.d.comb += started.eq(start & first_in_column)
        m.d.sync += room.eq(room + self.room - (start & gate))
        length = Mux(run.idle, 1, stage.sweep_cycles)
        closes = last_tile & run.last_in_column
        closing = Signal()
        m.d.comb += finished.eq(Mux(start, (length == 1) & closes, (left == 1) & closing))
        with m.If(start):
            m.d.sync += [left.eq(length - 1), closing.eq(closes), first_in_column.eq(0)]
            with m.If(last_tile):
                m.d.sync += [tile.eq(0), first_in_column.eq(run.last_in_column)]
                m.d.sync += run_index.eq(Mux(run_index == len(program) - 1, 0, run_index + 1))
            with m.Else():
                m.d.sync += tile.eq(tile + 1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)

        # Reads: a row a cycle.
        place, kept_tile, sweeping = Signal(range(stage.rows_read + 1)), Signal.like(tile), Signal()
        reading = Signal()
        m.d.comb += [
            reading.eq(Mux(start, run.reads, sweeping)),
            intake.read.eq(reading),
            intake.row.eq(Mux(start, 0, place)),
            intake.pattern.eq(Mux(start, tile, kept_tile)),
        ]
        with m.If(start):
            m.d.sync += kept_tile.eq(tile)
        with m.If(reading):
            at_row = Mux(start, 0, place)
            m.d.sync += [place.eq(at_row + 1), sweeping.eq(at_row != stage.rows_read - 1)]

        # Output rows follow `lead` cycles later.
        token_layout = data.StructLayout({"tile": tile.shape(), **run_layout.members})
        token = Signal(token_layout)
        m.d.comb += token.tile.eq(tile)
        m.d.comb += [token[name].eq(run[name]) for name in run_layout.members]
        valid: Value = start & ~run.idle
        behind: Value = token
        for index in range(stage.lead):
            next_valid = Signal(name=f"lead_valid{index}")
            next_token = Signal(token_layout, name=f"lead_token{index}", reset_less=True)
            m.d.sync += next_valid.eq(valid)
            with m.If(valid):
                m.d.sync += next_token.eq(behind)
            valid, behind = next_valid, next_token
        kept, now = Signal(token_layout, reset_less=True), Signal(token_layout)
        with m.If(valid):
            m.d.sync += kept.eq(behind)
        row, next_row = Signal(index_shape(rows_out)), Signal(index_shape(rows_out))
        pause, going, active, fires = (
            Signal(index_shape(step_v)),
            Signal(),
            Signal(),
            Signal(),
        )
        m.d.comb += [
            now.eq(Mux(valid, behind, kept)),
            active.eq(valid | going),
            row.eq(Mux(valid, 0, next_row)),
            fires.eq(valid | (going & (pause == 0))),
        ]
        with m.If(fires):
            last_row = row == rows_out - 1
            m.d.sync += [next_row.eq(Mux(last_row, 0, row + 1)), pause.eq(step_v - 1)]
            m.d.sync += going.eq(~last_row)
        with m.Elif(active):
            m.d.sync += pause.eq(pause - 1)

        # One cycle for the memory, one for the window, one to reduce it.
        shift = Signal()
        m.d.sync += shift.eq(reading | active)
        kept_row = Signal(intake.values[0].shape(), reset_less=True)
        rows = [Signal.like(kept_row, name=f"window{t}") for t in range(window.kernel[0])]
        with m.If(shift):
            m.d.sync += rows[-1].eq(intake.values[0])
            m.d.sync += [before.eq(after) for before, after in pairwise(rows)]
        stages = [(fires, now, row)]
        for index in range(1, 4):
            before = stages[-1]
            later = (
                Signal(name=f"valid{index}"),
                Signal(token_layout, name=f"token{index}", reset_less=True),
                Signal.like(row, name=f"row{index}", reset_less=True),
            )
            m.d.sync += later[0].eq(before[0])
            with m.If(before[0]):
                m.d.sync += [later[1].eq(before[1]), later[2].eq(before[2])]
            stages.append(later)
        bits = sum_bits(stage)
        wide = Shape(bits, self._value.signed)
        tile_channels = stage.fold.out_channels
        word = data.ArrayLayout(wide, tile_channels)
        reduced = Signal(word, reset_less=True)
        self._reduce(m, stages[2], rows, reduced)
        total = self._combine(m, stages, reduced, word, slots)
        self._leave(m, stages[3], total, word)
        if self._probes:
            came = Signal()
            m.d.sync += came.eq(reading)
            fresh_run = start & (tile == 0) & (len(program) > 1)
            m.d.comb += [
                self.probes.window_shift.eq(came & shift),
                self.probes.program_read.eq(fresh_run),
            ]
            self._observe(m, intake, started, finished, stages, slots)
        return m

    def _reduce(
        self,
        m: Module,
        at: tuple[Value, Value, Value],
        rows: Sequence[Value],
        reduced: Signal,
    ) -> None:
        """Reduce the window down the column."""
        window = self._stage.layer.window
        low = self._tensor.stream_range[0]
        inside = []
        for tap in range(window.kernel[0]):
            row = at[2] * window.stride[0] + (tap - window.padding.top)
            inside.append(inside_column(row, self._stage.shape.height))
        for channel in range(self._stage.fold.out_channels):
            values = [row[channel] for row in rows]
            result: Value
            if self._stage.layer.mode == "max":
                result = Const(low, self._value)
                for value, here in zip(values, inside, strict=True):
                    result = Mux(here & (value > result), value, result)
            else:
                result = sum(
                    (Mux(here, value, 0) for value, here in zip(values, inside, strict=True)),
                    Const(0),
                )
            with m.If(at[0]):
                m.d.sync += reduced[channel].eq(result)

    def _combine(
        self,
        m: Module,
        stages: Sequence[tuple[Value, Value, Value]],
        reduced: Signal,
        word: data.ArrayLayout,
        slots: int,
    ) -> Value:
        """Combine with what waits, and keep it, or let it go."""
        stage = self._stage
        banks, rows_out = stage.pending_columns, stage.output.height
        ahead, at = stages[2], stages[3]
        reads, writes = [], []
        for bank in range(banks):
            memory = Memory(shape=word, depth=max(2, rows_out * stage.tiles), init=[])
            m.submodules[f"pending{bank}"] = memory
            write = memory.write_port()
            writes.append(write)
            reads.append(memory.read_port(transparent_for=(write,)))
            m.d.comb += [
                write.addr.eq(at[1].tile * rows_out + at[2]),
                reads[-1].addr.eq(ahead[1].tile * rows_out + ahead[2]),
                reads[-1].en.eq(0),
            ]
        self._reads, self._writes = [], []
        results = []
        for slot in range(slots):
            result = Signal(word, name=f"result{slot}")
            m.d.comb += result.eq(reduced)
            here, token = at[0] & at[1].active[slot], at[1]
            if banks:
                asks = ahead[0] & ahead[1].active[slot] & ~ahead[1].fresh[slot]
                self._reads.append(asks)
                for bank, read in enumerate(reads):
                    with m.If(asks & (ahead[1].banks[slot] == bank)):
                        m.d.comb += read.en.eq(1)
                found = Signal(word, name=f"found{slot}")
                m.d.comb += found.eq(Array([r.data.as_value() for r in reads])[token.banks[slot]])
                with m.If(~token.fresh[slot]):
                    for channel in range(len(reduced)):
                        both = found[channel] + reduced[channel]
                        if stage.layer.mode == "max":
                            larger = found[channel] > reduced[channel]
                            both = Mux(larger, found[channel], reduced[channel])
                        m.d.comb += result[channel].eq(Mux(token.reads, both, found[channel]))
                keeps = here & token.reads
                keeps = keeps & ~(token.completes & (token.complete_slot == slot))
                self._writes.append(keeps)
                for bank, write in enumerate(writes):
                    with m.If(keeps & (token.banks[slot] == bank)):
                        m.d.comb += [write.data.eq(result), write.en.eq(1)]
            results.append(result)
        if slots == 1:
            return results[0]
        chosen = Signal(word, name="chosen")
        m.d.comb += chosen.eq(Array([r.as_value() for r in results])[at[1].complete_slot])
        return chosen

    def _leave(
        self, m: Module, at: tuple[Value, Value, Value], total: Value, word: data.ArrayLayout
    ) -> None:
        """Send a row that is complete; an average is divided first."""
        valid, kept = Signal(name="leaves"), Signal(word, name="leaving", reset_less=True)
        leaves = at[0] & at[1].completes
        m.d.sync += valid.eq(leaves)
        with m.If(leaves):
            m.d.sync += kept.eq(total)
        self._leaving = (leaves, at[1].tile)
        if self._stage.layer.mode == "max":
            m.d.comb += self.o.valid.eq(valid)
            m.d.comb += [self.o.payload[c].eq(kept[c]) for c in range(len(self.o.payload))]
            return
        rows, columns = Signal.like(at[2]), Signal.like(at[1].columns)
        with m.If(leaves):
            m.d.sync += [rows.eq(at[2]), columns.eq(at[1].columns)]
        self._divide(m, valid, kept, rows, columns)

    def _divide(self, m: Module, valid: Value, total: Value, row: Value, columns: Value) -> None:
        """Average by an exact reciprocal: raw integers, or the stream's with halves to even or odd.

        For v < 2**b, floor(v / n) is (v * m) >> k with k = b + ceil(log2 n), m = ceil(2**k / n)
        (Granlund and Montgomery, PLDI 1994).
        """
        stage, rounding = self._stage, self._stage.layer.rounding
        zero = self._tensor.zero_point if rounding is Rounding.AWAY else 0
        by_row = valid_rows(stage.layer, stage.shape.height).tolist()
        by_columns = sorted({run.columns for run in self._program if run.completes})
        counts = sorted({r * c for r in by_row for c in by_columns})
        number_of = {count: number for number, count in enumerate(counts)}
        most = max(counts)
        edges = (edge + zero for edge in self._tensor.stream_range)
        magnitude = most * max(map(abs, edges)) + most // 2
        bits = magnitude.bit_length()
        index = Signal(index_shape(len(counts)))
        of_row = Array(
            [
                Array([number_of.get(r * c, 0) for c in range(by_columns[-1] + 1)])[columns]
                for r in by_row
            ]
        )
        m.d.comb += index.eq(of_row[row])
        kept_index, later, done = Signal.like(index), Signal(), Signal()
        m.d.sync += [later.eq(valid), done.eq(later)]
        with m.If(valid):
            m.d.sync += kept_index.eq(index)
        m.d.comb += self.o.valid.eq(done)
        for channel in range(len(total)):
            raw = Signal(signed(bits + 2), name=f"raw{channel}")
            size = Signal(bits, name=f"size{channel}", reset_less=True)
            negative = Signal(name=f"negative{channel}", reset_less=True)
            offset = Array([Const(n * zero, signed(bits + 2)) for n in counts])[index]
            half = Array([Const(n // 2, bits) for n in counts])[index]
            m.d.comb += raw.eq(total[channel] + offset)
            with m.If(valid):
                m.d.sync += [negative.eq(raw <= 0), size.eq(Mux(raw <= 0, -raw, raw) + half)]
            quotient, back = Signal(bits, name=f"quotient{channel}"), Signal(name=f"back{channel}")
            with m.Switch(kept_index):
                for number, count in enumerate(counts):
                    shift = bits + (count - 1).bit_length()
                    reciprocal = -(-(1 << shift) // count)
                    with m.Case(number):
                        m.d.comb += quotient.eq((size * reciprocal) >> shift)
                        if rounding is not Rounding.AWAY and count % 2 == 0:
                            wrong = quotient[0] if rounding is Rounding.EVEN else ~quotient[0]
                            m.d.comb += back.eq((quotient * count == size) & wrong)
            result = quotient - back
            with m.If(later):
                m.d.sync += self.o.payload[channel].eq(Mux(negative, -result, result) - zero)

    def _observe(
        self,
        m: Module,
        intake: Intake,
        started: Value,
        finished: Value,
        stages: Sequence[tuple[Value, Value, Value]],
        slots: int,
    ) -> None:
        """Show what happens in this cycle to whoever counts."""
        stage, probes = self._stage, self.probes
        step = stage.fold.out_channels
        sizes = [min(step, stage.shape.channels - t * step) for t in range(stage.tiles)]

        def real(tile: Value) -> Value:
            return Array([Const(size, Shape.cast(range(step + 1))) for size in sizes])[tile]

        valid, token, _ = stages[3]
        joins = sum((token.active[s] & ~token.fresh[s] for s in range(slots)), Const(0))
        operations = (stage.layer.window.kernel[0] - 1 + joins) * real(token.tile)
        leaves, tile = self._leaving
        average = stage.layer.mode == "average"
        m.d.comb += [
            probes.accepted.eq(intake.accepted),
            probes.started.eq(started),
            probes.finished.eq(finished),
            probes.pool.eq(Mux(valid & token.reads, operations, 0)),
            probes.column_write.eq(self.i.valid & self.i.ready),
            probes.column_read.eq(intake.read),
            probes.psum_read.eq(sum(self._reads, Const(0))),
            probes.psum_write.eq(sum(self._writes, Const(0))),
            probes.requantize.eq(Mux(leaves, real(tile), 0) if average else 0),
            probes.stream.eq(self.o.valid),
        ]
