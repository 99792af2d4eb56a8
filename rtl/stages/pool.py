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
from pilaster.rtl.components.column_buffer import inside_column
from pilaster.rtl.components.intake import Intake
from pilaster.rtl.components.probes import StageProbes, most_of
from pilaster.rtl.components.shapes import index_shape
from pilaster.rtl.stages.pool_program import pool_runs
from pilaster.rtl.stages.tile_layout import tile_layout
from pilaster.sim.stages import PoolStage
from pilaster.sim.stages.pool_actions import pool_program, sum_bits
from pilaster.sim.timing import COLUMN_BUFFERS

__all__ = ["PoolComponent", "pool_most"]


@dataclass(frozen=True)
class _Passes:
    """What the sequencer does in this cycle: whether a pass starts, of which run and tile.

    started, finished : the work on a column starts with this cycle, and ends with it
    """

    start: Value
    run: Value
    tile: Value
    started: Value
    finished: Value


@dataclass(frozen=True)
class _Combined:
    """A row with what waited for it, by channel.

    asked, kept : by slot, whether a waiting row is read, and whether the row waits
    """

    total: Signal
    asked: Sequence[Value]
    kept: Sequence[Value]


@dataclass(frozen=True)
class _At:
    """An output row on its way: whether there is one, of which run and tile, and its number."""

    valid: Value
    token: Value
    row: Value


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
        self._layout = tile_layout(stage, tensor, beats)
        self._program = program = pool_runs(stage)
        slots = len(program[0].banks)
        self._run_layout = data.StructLayout(
            {
                **dict.fromkeys(("idle", "reads", "completes", "last_in_column"), 1),
                "complete_slot": index_shape(slots),
                "columns": Shape.cast(range(stage.layer.window.kernel[1] + 1)),
                "active": slots,
                "fresh": slots,
                "banks": data.ArrayLayout(Shape.cast(range(max(2, stage.pending_columns))), slots),
            }
        )
        tiles = index_shape(stage.tiles)
        self._token_layout = data.StructLayout({"tile": tiles, **self._run_layout.members})
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
        m.submodules.intake = intake = Intake(self._layout)
        wiring.connect(m, wiring.flipped(self.i), intake.i)
        passes = self._passes(m, intake)
        reading = self._reads(m, intake, passes)
        first, active = self._output_rows(m, passes)
        shift = Signal()
        m.d.sync += shift.eq(reading | active)
        rows = self._window(m, intake, shift)
        at = self._later(m, first)
        bits, tile_channels = sum_bits(self._stage), self._stage.fold.out_channels
        word = data.ArrayLayout(Shape(bits, self._value.signed), tile_channels)
        reduced = Signal(word, reset_less=True)
        self._reduce(m, at[2], rows, reduced)
        combined = self._combine(m, at[2], at[3], reduced)
        leaves = self._leave(m, at[3], combined.total)
        if self._probes:
            came = Signal()
            m.d.sync += came.eq(reading)
            fresh_run = passes.start & (passes.tile == 0) & (len(self._program) > 1)
            m.d.comb += [
                self.probes.window_shift.eq(came & shift),
                self.probes.program_read.eq(fresh_run),
            ]
            self._observe(m, intake, passes, at[3], combined, leaves)
        return m

    def _passes(self, m: Module, intake: Intake) -> _Passes:
        """Walk through the program, tile by tile and run by run."""
        stage, program = self._stage, self._program
        tiles = stage.tiles
        m.submodules.runs = table = Memory(
            shape=self._run_layout,
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
        return _Passes(start, run, tile, started, finished)

    def _reads(self, m: Module, intake: Intake, passes: _Passes) -> Value:
        """Read a row a cycle; tell when."""
        stage, start, tile = self._stage, passes.start, passes.tile
        place, kept_tile, sweeping = Signal(range(stage.rows_read + 1)), Signal.like(tile), Signal()
        reading = Signal()
        m.d.comb += [
            reading.eq(Mux(start, passes.run.reads, sweeping)),
            intake.read.eq(reading),
            intake.row.eq(Mux(start, 0, place)),
            intake.pattern.eq(Mux(start, tile, kept_tile)),
        ]
        with m.If(start):
            m.d.sync += kept_tile.eq(tile)
        with m.If(reading):
            at_row = Mux(start, 0, place)
            m.d.sync += [place.eq(at_row + 1), sweeping.eq(at_row != stage.rows_read - 1)]
        return reading

    def _output_rows(self, m: Module, passes: _Passes) -> tuple[_At, Value]:
        """Start the output rows, `lead` cycles behind a pass; tell while a pass has any."""
        stage = self._stage
        rows_out, step_v = stage.output.height, stage.layer.window.stride[0]
        token = Signal(self._token_layout)
        m.d.comb += token.tile.eq(passes.tile)
        m.d.comb += [token[name].eq(passes.run[name]) for name in self._run_layout.members]
        valid: Value = passes.start & ~passes.run.idle
        behind: Value = token
        for index in range(stage.lead):
            next_valid = Signal(name=f"lead_valid{index}")
            next_token = Signal(self._token_layout, name=f"lead_token{index}", reset_less=True)
            m.d.sync += next_valid.eq(valid)
            with m.If(valid):
                m.d.sync += next_token.eq(behind)
            valid, behind = next_valid, next_token
        kept, now = Signal(self._token_layout, reset_less=True), Signal(self._token_layout)
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
        return _At(fires, now, row), active

    def _window(self, m: Module, intake: Intake, shift: Value) -> Sequence[Value]:
        """Shift the rows that are read through the window."""
        kept_row = Signal(intake.values[0].shape(), reset_less=True)
        taps = range(self._stage.layer.window.kernel[0])
        rows = [Signal.like(kept_row, name=f"window{t}") for t in taps]
        with m.If(shift):
            m.d.sync += rows[-1].eq(intake.values[0])
            m.d.sync += [before.eq(after) for before, after in pairwise(rows)]
        return rows

    def _later(self, m: Module, first: _At) -> Sequence[_At]:
        """Follow a row: a cycle for the memory, one for the window, one to reduce it."""
        steps = [first]
        for index in range(1, 4):
            before = steps[-1]
            later = _At(
                Signal(name=f"valid{index}"),
                Signal(self._token_layout, name=f"token{index}", reset_less=True),
                Signal.like(first.row, name=f"row{index}", reset_less=True),
            )
            m.d.sync += later.valid.eq(before.valid)
            with m.If(before.valid):
                m.d.sync += [later.token.eq(before.token), later.row.eq(before.row)]
            steps.append(later)
        return steps

    def _reduce(
        self,
        m: Module,
        at: _At,
        rows: Sequence[Value],
        reduced: Signal,
    ) -> None:
        """Reduce the window down the column."""
        window = self._stage.layer.window
        low = self._tensor.stream_range[0]
        inside = []
        for tap in range(window.kernel[0]):
            row = at.row * window.stride[0] + (tap - window.padding.top)
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
            with m.If(at.valid):
                m.d.sync += reduced[channel].eq(result)

    def _combine(self, m: Module, ahead: _At, at: _At, reduced: Signal) -> _Combined:
        """Combine with what waits, and keep it, or let it go."""
        stage, word = self._stage, reduced.shape()
        banks, rows_out = stage.pending_columns, stage.output.height
        slots = len(self._program[0].banks)
        reads, writes = [], []
        for bank in range(banks):
            memory = Memory(shape=word, depth=max(2, rows_out * stage.tiles), init=[])
            m.submodules[f"pending{bank}"] = memory
            write = memory.write_port()
            writes.append(write)
            reads.append(memory.read_port(transparent_for=(write,)))
            m.d.comb += [
                write.addr.eq(at.token.tile * rows_out + at.row),
                reads[-1].addr.eq(ahead.token.tile * rows_out + ahead.row),
                reads[-1].en.eq(0),
            ]
        asked, kept, results = [], [], []
        for slot in range(slots):
            result = Signal(word, name=f"result{slot}")
            m.d.comb += result.eq(reduced)
            here, token = at.valid & at.token.active[slot], at.token
            if banks:
                asks = ahead.valid & ahead.token.active[slot] & ~ahead.token.fresh[slot]
                asked.append(asks)
                for bank, read in enumerate(reads):
                    with m.If(asks & (ahead.token.banks[slot] == bank)):
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
                kept.append(keeps)
                for bank, write in enumerate(writes):
                    with m.If(keeps & (token.banks[slot] == bank)):
                        m.d.comb += [write.data.eq(result), write.en.eq(1)]
            results.append(result)
        if slots == 1:
            return _Combined(results[0], asked, kept)
        chosen = Signal(word, name="chosen")
        m.d.comb += chosen.eq(Array([r.as_value() for r in results])[at.token.complete_slot])
        return _Combined(chosen, asked, kept)

    def _leave(self, m: Module, at: _At, total: Signal) -> Value:
        """Send a row that is complete, an average divided first; tell when one leaves."""
        word = total.shape()
        valid, kept = Signal(name="leaves"), Signal(word, name="leaving", reset_less=True)
        leaves = at.valid & at.token.completes
        m.d.sync += valid.eq(leaves)
        with m.If(leaves):
            m.d.sync += kept.eq(total)
        if self._stage.layer.mode == "max":
            m.d.comb += self.o.valid.eq(valid)
            m.d.comb += [self.o.payload[c].eq(kept[c]) for c in range(len(self.o.payload))]
            return leaves
        rows, columns = Signal.like(at.row), Signal.like(at.token.columns)
        with m.If(leaves):
            m.d.sync += [rows.eq(at.row), columns.eq(at.token.columns)]
        self._divide(m, valid, kept, rows, columns)
        return leaves

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
        passes: _Passes,
        at: _At,
        combined: _Combined,
        leaves: Value,
    ) -> None:
        """Show what happens in this cycle to whoever counts."""
        stage, probes = self._stage, self.probes
        step = stage.fold.out_channels
        sizes = [min(step, stage.shape.channels - t * step) for t in range(stage.tiles)]

        def real(tile: Value) -> Value:
            return Array([Const(size, Shape.cast(range(step + 1))) for size in sizes])[tile]

        token = at.token
        slots = range(len(self._program[0].banks))
        joins = sum((token.active[s] & ~token.fresh[s] for s in slots), Const(0))
        operations = (stage.layer.window.kernel[0] - 1 + joins) * real(token.tile)
        average = stage.layer.mode == "average"
        m.d.comb += [
            probes.accepted.eq(intake.accepted),
            probes.started.eq(passes.started),
            probes.finished.eq(passes.finished),
            probes.pool.eq(Mux(at.valid & token.reads, operations, 0)),
            probes.column_write.eq(self.i.valid & self.i.ready),
            probes.column_read.eq(intake.read),
            probes.psum_read.eq(sum(combined.asked, Const(0))),
            probes.psum_write.eq(sum(combined.kept, Const(0))),
            probes.requantize.eq(Mux(leaves, real(token.tile), 0) if average else 0),
            probes.stream.eq(self.o.valid),
        ]
