"""The stage of a convolution or a fully connected layer, in gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from pilaster.models.errors import InputError
from pilaster.models.quantization import ConvParameters, TensorQuantization
from pilaster.rtl.column_buffer import BufferLayout, ColumnBuffer, inside_column
from pilaster.rtl.lanes import LaneArray
from pilaster.rtl.memory import Rom, RomFiles
from pilaster.rtl.probes import StageProbes
from pilaster.rtl.program import Program
from pilaster.rtl.requantize import Requantizer, ScaleFormat
from pilaster.rtl.sequencer import Fetcher, Sequencer, StepFormat
from pilaster.rtl.shapes import index_shape
from pilaster.sim.machine import LoopOrder, Schedule
from pilaster.sim.stages import ConvStage
from pilaster.sim.timing import COLUMN_BUFFERS, MULTIPLY, OPERAND, READ, WINDOW, tree_levels

__all__ = ["ConvComponent", "buffer_layout", "stream_shape"]


def stream_shape(tensor: TensorQuantization) -> Shape:
    """Shape of a value on a stream."""
    low, _ = tensor.stream_range
    return Shape(tensor.bits, low < 0)


def buffer_layout(
    stage: ConvStage, source: TensorQuantization, beats: tuple[tuple[int, int], ...]
) -> BufferLayout:
    """Lay out the column buffers of a stage.

    beats : (first channel, channels) of every beat of a row, in order
    """
    geometry, fold = stage.geometry, stage.fold
    ins = stage.tile_shape[2]
    in_group = geometry.channels // geometry.row_fold
    tiles = stage.tile_shape[1] if geometry.is_depthwise else geometry.tiled_groups
    patterns = []
    for tile in range(tiles):
        # First channels of the groups read together: one, or where depthwise one for each output.
        firsts: list[int | None] = [tile * in_group]
        if geometry.is_depthwise:
            outputs = range(tile * fold.out_channels, (tile + 1) * fold.out_channels)
            multiplier = geometry.layer.out_channels // geometry.layer.groups
            firsts = [o // multiplier if o < geometry.layer.out_channels else None for o in outputs]
        for in_tile in range(ins):
            lanes: list[tuple[int, int] | None] = []
            for first in firsts:
                for lane in range(fold.in_channels):
                    phase, channel = divmod(in_tile * fold.in_channels + lane, in_group)
                    if phase < geometry.row_fold and first is not None:
                        lanes.append((phase, first + channel))
                    else:
                        lanes.append(None)
            patterns.append(tuple(lanes))
    gather = stage.spec.schedule is Schedule.GATHER
    return BufferLayout(
        height=geometry.shape.height,
        channels=geometry.shape.channels,
        bits=source.bits,
        signed=source.stream_range[0] < 0,
        row_fold=geometry.row_fold,
        offset=geometry.offset,
        columns=stage.buffered_columns,
        ports=fold.kernel_columns if gather else 1,
        beats=beats,
        patterns=tuple(patterns),
    )


@dataclass(frozen=True)
class _Delayed:
    """A step on its way down the pipeline."""

    valid: Value
    step: Value
    row: Value


class ConvComponent(wiring.Component):
    """A convolution stage: columns in, columns out.

    Members
    -------
    i : beats of input columns, tile by tile and in each tile row by row
    o : beats of output columns, likewise; a beat is never refused
    room : the next stage has freed a column buffer
    freed : a column buffer of this stage is free again
    """

    def __init__(
        self,
        stage: ConvStage,
        parameters: ConvParameters,
        source: TensorQuantization,
        target: TensorQuantization,
        beats: tuple[tuple[int, int], ...],
        files: RomFiles,
        probes: bool,
    ) -> None:
        if stage.spec.dram_bits_per_cycle:
            raise InputError(f"stage {stage.name}: weights in DRAM are not generated as RTL yet")
        self._stage, self._parameters = stage, parameters
        self._target, self._files = target, files
        self._layout = buffer_layout(stage, source, beats)
        self._value, self._output = stream_shape(source), stream_shape(target)
        width = max(count for _, count in beats)
        fold = stage.fold
        members = {
            "i": In(stream.Signature(data.ArrayLayout(self._value, width))),
            "o": Out(stream.Signature(data.ArrayLayout(self._output, fold.out_channels))),
            "room": In(1),
            "freed": Out(1),
        }
        if probes:
            members["probes"] = Out(StageProbes())
        self._probes = probes
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Join column buffer, sequencer, lanes, partial sums and requantisers."""
        m = Module()
        stage = self._stage
        program = Program.of(stage)
        form = StepFormat(stage, program)
        m.submodules.columns = columns = ColumnBuffer(self._layout)
        m.submodules.fetcher = fetcher = Fetcher(stage, program, form)
        m.submodules.sequencer = sequencer = Sequencer(stage, form, self._layout.rows)
        wiring.connect(m, fetcher.steps, sequencer.steps)

        # Columns in: a beat is taken while a buffer is free, or a column has begun.
        free = Signal(range(COLUMN_BUFFERS + 1), init=COLUMN_BUFFERS)
        inside = Signal()
        begins = columns.beat_valid & ~inside
        m.d.comb += [
            self.i.ready.eq(inside | (free != 0)),
            columns.beat.eq(self.i.payload),
            columns.beat_valid.eq(self.i.valid & self.i.ready),
            sequencer.accepted.eq(columns.accepted),
            sequencer.room.eq(self.room),
            self.freed.eq(sequencer.finished),
        ]
        with m.If(columns.beat_valid):
            m.d.sync += inside.eq(~columns.accepted)
        m.d.sync += free.eq(free + sequencer.finished - begins)

        # The column worked on, and the row read.
        current = Signal(range(self._layout.columns))
        with m.If(sequencer.finished):
            m.d.sync += current.eq(Mux(current == self._layout.columns - 1, 0, current + 1))
        reading = sequencer.reading
        m.d.comb += [
            columns.current.eq(current),
            columns.read.eq(sequencer.read),
            columns.row.eq(sequencer.read_row),
            columns.pattern.eq(reading.pattern),
        ]
        m.d.comb += [columns.backs[p].eq(reading.back - p) for p in range(self._layout.ports)]

        stages = self._pipeline(m, sequencer, form)
        window = self._window(m, sequencer, columns)
        lanes = self._lanes(m, program, stages, window)
        total, leaving = self._sums(m, form, stages, lanes)
        self._leave(m, total, leaving)
        if self._probes:
            self._observe(m, sequencer, columns, stages, lanes)
        return m

    def _pipeline(self, m: Module, sequencer: Sequencer, form: StepFormat) -> list[_Delayed]:
        """The step in each cycle after its row is read, up to the sums."""
        stage = self._stage
        terms = stage.fold.taps * stage.fold.in_channels * self._layout.ports
        depth = READ + WINDOW + OPERAND + MULTIPLY + tree_levels(terms)
        stages = [_Delayed(sequencer.token_valid, sequencer.token, sequencer.token_row)]
        for index in range(1, depth + 1):
            before = stages[-1]
            valid = Signal(name=f"valid{index}")
            step = Signal(form.step, name=f"step{index}")
            row = Signal.like(sequencer.token_row, name=f"row{index}")
            m.d.sync += valid.eq(before.valid)
            with m.If(before.valid):
                m.d.sync += [step.eq(before.step), row.eq(before.row)]
            stages.append(_Delayed(valid, step, row))
        return stages

    def _window(self, m: Module, sequencer: Sequencer, columns: ColumnBuffer) -> list[Value]:
        """Values of the tap window: by column, tap and channel."""
        taps = self._stage.fold.taps
        shift = Signal()
        m.d.sync += shift.eq(sequencer.shift)
        values: list[list[Signal]] = []
        for port in range(self._layout.ports):
            rows = [
                Signal.like(columns.values[port], name=f"window{port}_{t}") for t in range(taps)
            ]
            with m.If(shift):
                m.d.sync += rows[-1].eq(columns.values[port])
                m.d.sync += [before.eq(after) for before, after in pairwise(rows)]
            values.append(rows)
        # By output where each has channels of its own, then by column, tap and channel.
        step = self._stage.fold.in_channels
        return [
            row[lane]
            for first in range(0, self._layout.lanes, step)
            for rows in values
            for row in rows
            for lane in range(first, first + step)
        ]

    def _lanes(
        self, m: Module, program: Program, stages: Sequence[_Delayed], window: Sequence[Value]
    ) -> LaneArray:
        stage, fold, geometry = self._stage, self._stage.fold, self._stage.geometry
        scatter = stage.spec.schedule is Schedule.SCATTER
        slots = fold.kernel_columns if scatter else 1
        m.submodules.lanes = lanes = LaneArray(
            self._layout.ports * fold.taps * fold.in_channels,
            slots,
            fold.out_channels,
            not geometry.is_depthwise,
            self._value,
            stage.widths.weight,
            stage.widths.accumulator,
        )
        at = stages[READ + WINDOW]
        # Which lanes have a weight of the layer's, and which taps stand on a row of the column.
        _, _, ins, taps = stage.tile_shape
        padded = np.zeros((taps * fold.taps, ins * fold.in_channels), bool)
        padded[: geometry.taps, : geometry.channels] = geometry.real_taps
        real = padded.reshape(taps, fold.taps, ins, fold.in_channels)
        masks = [_bits(real[t, :, c, :].reshape(-1)) for t in range(taps) for c in range(ins)]
        mask = Signal(fold.taps * fold.in_channels)
        m.d.comb += mask.eq(_select(masks, at.step.tap_group * ins + at.step.in_tile))
        rows = Signal(fold.taps)
        for tap in range(fold.taps):
            row = at.row + at.step.tap_group * fold.taps + (tap - geometry.pad_top)
            m.d.comb += rows[tap].eq(inside_column(row, geometry.rows))
        enables = []
        for port in range(self._layout.ports):
            for term in range(fold.taps * fold.in_channels):
                on = at.valid & ~at.step.null & mask[term] & rows[term // fold.in_channels]
                enables.append(on if scatter else on & at.step.mask[port])
        if geometry.is_depthwise:  # the last tile may not fill all outputs
            sizes = [len(self._channels(tile)) for tile in range(stage.tile_shape[1])]
            real = _select(sizes, at.step.out_tile)
            enables = [on & (o < real) for o in range(fold.out_channels) for on in enables]
        m.d.comb += lanes.enables.eq(Cat(*enables))
        m.d.comb += [lanes.values[index].eq(value) for index, value in enumerate(window)]

        words = [self._weight_word(tile) for tile in program.weights]
        width = stage.lanes * stage.widths.weight
        held = fold.loop_order is LoopOrder.PSUMS_HELD
        first_row = 1 if held else stages[0].row == 0
        if len(words) <= 1:
            self._weight_reads: Value = Const(0)
            m.d.comb += lanes.load.eq(at.valid)
            word: Value = Const(words[0] if words else 0, width)
        else:
            m.submodules.weights = rom = Rom(f"{stage.name}_weights", width, words, self._files)
            self._weight_reads = stages[0].valid & ~stages[0].step.null & first_row
            m.d.comb += [rom.addr.eq(stages[0].step.weight), rom.en.eq(self._weight_reads)]
            later = Signal(width)
            loads = [self._weight_reads]
            for index in range(READ + WINDOW):
                load = Signal(name=f"load{index}")
                m.d.sync += load.eq(loads[-1])
                loads.append(load)
            with m.If(loads[READ]):
                m.d.sync += later.eq(rom.data)
            m.d.comb += lanes.load.eq(loads[-1])
            word = later
        m.d.comb += self._unpack(lanes, word)
        return lanes

    def _unpack(self, lanes: LaneArray, word: Value) -> list[object]:
        """Sign-extend the weights of a memory word; one bit stands for -1 or +1."""
        bits = self._stage.widths.weight
        found = []
        index = 0
        for weights in lanes.weights:
            for weight in weights:
                field = word[index : index + bits]
                one_bit = Mux(field, 1, -1)
                found.append(weight.eq(one_bit if bits == 1 else field.as_signed()))
                index += bits
        return found

    def _weight_word(self, tile: tuple[int, int, int, int]) -> int:
        """Weights of a tile as a memory word: by slot, output, then window, tap, channel."""
        stage, fold, geometry = self._stage, self._stage.fold, self._stage.geometry
        group, out_tile, in_tile, tap_group = tile
        scatter = stage.spec.schedule is Schedule.SCATTER
        per_group = stage.tile_shape[1] // geometry.tiled_groups
        tiled_group, member = divmod(out_tile, per_group)
        first = tiled_group * geometry.out_channels + member * fold.out_channels
        last = min(first + fold.out_channels, (tiled_group + 1) * geometry.out_channels)
        block = np.zeros(
            (fold.out_channels, fold.taps, fold.kernel_columns, fold.in_channels), np.int64
        )
        folded = self._folded_weights
        taps = slice(tap_group * fold.taps, (tap_group + 1) * fold.taps)
        channels = slice(in_tile * fold.in_channels, (in_tile + 1) * fold.in_channels)
        for slot, offset in enumerate(stage.groups[group]):
            part = folded[first:last, taps, offset, channels]
            block[: part.shape[0], : part.shape[1], slot, : part.shape[2]] = part
        order = (2, 0, 1, 3) if scatter else (0, 2, 1, 3)
        return _pack(block.transpose(order).reshape(-1), stage.widths.weight)

    @property
    def _folded_weights(self) -> NDArray[np.integer]:
        if not hasattr(self, "_folded"):
            self._folded = self._stage.geometry.fold_weights(self._parameters.weight)
        return self._folded

    def _sums(
        self, m: Module, form: StepFormat, stages: Sequence[_Delayed], lanes: LaneArray
    ) -> tuple[list[Value], Value]:
        """Add to the partial sums; gives the sums that leave, and when they do."""
        stage, fold = self._stage, self._stage.fold
        bits, rows_out = stage.widths.accumulator, stage.geometry.rows_out
        outs = stage.tile_shape[1]
        at, ahead = stages[-1], stages[-2]
        word = data.ArrayLayout(signed(bits), fold.out_channels)
        bias_words = []
        for tile in range(outs):
            bias_words.append(_pack(self._per_output(self._parameters.bias, tile), bits))
        m.submodules.bias = bias = Rom(
            f"{stage.name}_bias", bits * fold.out_channels, bias_words, self._files
        )
        starts = ahead.valid & ahead.step.first
        m.d.comb += [bias.addr.eq(ahead.step.out_tile), bias.en.eq(starts)]

        held = fold.loop_order is LoopOrder.PSUMS_HELD
        scatter = stage.spec.schedule is Schedule.SCATTER
        slots = form.slots
        banks = fold.kernel_columns if scatter else 1
        depth = 0
        if stage.pending_columns:
            places = -(-stage.pending_columns // banks)
            depth = places * rows_out * (outs if scatter else 1)

        def address(of: _Delayed, slot: Value) -> Value:
            if not scatter:
                return of.row
            return (slot.column * outs + of.step.out_tile) * rows_out + of.row

        reads, writes = [], []
        if depth:
            for bank in range(banks):
                m.submodules[f"psums{bank}"] = memory = Memory(
                    shape=word, depth=max(2, depth), init=[]
                )
                write = memory.write_port()
                writes.append(write)
                reads.append(memory.read_port(transparent_for=(write,)))

        self._psum_reads, self._psum_writes = [], []
        totals: list[Value] = []
        for slot in range(slots):
            before, now = ahead.step.slots[slot], at.step.slots[slot]
            first = at.step.first if held else Const(1)
            base = Signal(word, name=f"base{slot}")
            fresh = at.step.fresh[slot] & at.step.first
            m.d.comb += base.eq(bias.data)
            if depth:
                found = Array([read.data.as_value() for read in reads])[now.bank]
                with m.If(~fresh):
                    m.d.comb += base.eq(found)
                reads_now = (
                    ahead.valid & before.active & ~(ahead.step.fresh[slot] & ahead.step.first)
                )
                if held:
                    reads_now = reads_now & ahead.step.first
                self._psum_reads.append(reads_now)
                for bank, read in enumerate(reads):
                    with m.If(reads_now & (before.bank == bank)):
                        m.d.comb += [read.addr.eq(address(ahead, before)), read.en.eq(1)]
            total = Signal(word, name=f"total{slot}")
            accumulator = Signal(word, name=f"accumulator{slot}")
            for o in range(fold.out_channels):
                start = Mux(first, base[o], accumulator[o]) if held else base[o]
                m.d.comb += total[o].eq(start + lanes.sums[slot * fold.out_channels + o])
            active = at.valid & now.active
            if held:
                with m.If(active & ~at.step.last):
                    m.d.sync += accumulator.eq(total)
            leaves = at.step.emits & (at.step.complete_slot == slot)
            stores = active & ~leaves
            if held:
                stores = stores & at.step.last
            self._psum_writes.append(stores)
            if depth:
                for bank, write in enumerate(writes):
                    with m.If(stores & (now.bank == bank)):
                        m.d.comb += [
                            write.addr.eq(address(at, now)),
                            write.data.eq(total),
                            write.en.eq(1),
                        ]
            totals.append(total)
        leaving = Signal()
        m.d.comb += leaving.eq(at.valid & at.step.emits)
        chosen = totals[0]
        if slots > 1:
            chosen = Array([t.as_value() for t in totals])[at.step.complete_slot]
        kept = Signal(word, name="leaving")
        tile, row = Signal(index_shape(outs)), Signal.like(at.row)
        with m.If(leaving):
            m.d.sync += [kept.eq(chosen), tile.eq(at.step.out_tile), row.eq(at.row)]
        self._leaving_tile, self._leaving_row = tile, row
        now_leaving = Signal()
        m.d.sync += now_leaving.eq(leaving)
        return [kept[o] for o in range(fold.out_channels)], now_leaving

    def _leave(self, m: Module, sums: Sequence[Value], starts: Value) -> None:
        """Requantise the sums, `requantizers` at a time, and send the beat when all are done."""
        stage, fold = self._stage, self._stage.fold
        outs = stage.tile_shape[1]
        lanes, turns = fold.requantizers, stage.requantize_cycles
        scale = ScaleFormat.of(self._parameters)
        constants = scale.constants(self._parameters)
        rest = {"multiplier": 0, "first": 0, "second": 0}
        words = []
        for tile in range(outs):
            channels = self._channels(tile)
            padded = [constants[c] for c in channels] + [rest] * (lanes * turns - len(channels))
            for turn in range(turns):
                word = 0
                for lane, value in enumerate(padded[turn * lanes : (turn + 1) * lanes]):
                    word |= scale.layout.const(value).as_value().value << (lane * scale.layout.size)
                words.append(word)
        memory = Memory(shape=scale.layout.size * lanes, depth=max(2, len(words)), init=words)
        m.submodules.scales = memory
        port = memory.read_port(domain="comb")
        turn = Signal(index_shape(turns))
        going = Signal()
        now = Signal(index_shape(turns))
        fires = starts | going
        m.d.comb += [now.eq(Mux(starts, 0, turn)), port.addr.eq(self._leaving_tile * turns + now)]
        last_turn = now == turns - 1
        with m.If(fires):
            m.d.sync += [turn.eq(Mux(last_turn, 0, now + 1)), going.eq(~last_turn)]
        low, high = self._target.stream_range
        results = []
        for lane in range(lanes):
            requantizer = Requantizer(stage.widths.accumulator, scale, self._output, low, high)
            m.submodules[f"requantizer{lane}"] = requantizer
            choices = Array(
                [
                    sums[t * lanes + lane] if t * lanes + lane < fold.out_channels else Const(0)
                    for t in range(turns)
                ]
            )
            m.d.comb += [
                requantizer.accumulator.eq(choices[now]),
                requantizer.scale.eq(port.data.word_select(lane, scale.layout.size)),
            ]
            results.append(requantizer.result)
        # Results come three cycles later; those of earlier turns wait for the last.
        fired, turned = [fires], [now]
        for index in range(3):
            later, place = Signal(name=f"fired{index}"), Signal.like(now, name=f"turned{index}")
            m.d.sync += [later.eq(fired[-1]), place.eq(turned[-1])]
            fired.append(later)
            turned.append(place)
        beat = Signal(self.o.payload.shape())
        kept = Signal.like(beat)
        for o in range(fold.out_channels):
            t, lane = divmod(o, lanes)
            result = results[lane]
            m.d.comb += beat[o].eq(Mux(turned[-1] == t, result, kept[o]) if turns > 1 else result)
        with m.If(fired[-1]):
            m.d.sync += kept.eq(beat)
        m.d.comb += [
            self.o.payload.eq(beat),
            self.o.valid.eq(fired[-1] & (turned[-1] == turns - 1)),
        ]
        self._requantizing = (fires, now)

    def _channels(self, out_tile: int) -> range:
        """Output channels of a tile."""
        geometry, step = self._stage.geometry, self._stage.fold.out_channels
        per_group = self._stage.tile_shape[1] // geometry.tiled_groups
        group, member = divmod(out_tile, per_group)
        first = group * geometry.out_channels + member * step
        return range(first, min(first + step, (group + 1) * geometry.out_channels))

    def _per_output(self, values: NDArray[np.int64], out_tile: int) -> NDArray[np.int64]:
        channels = self._channels(out_tile)
        found = np.zeros(self._stage.fold.out_channels, np.int64)
        found[: len(channels)] = values[channels.start : channels.stop]
        return found

    def _observe(
        self,
        m: Module,
        sequencer: Sequencer,
        columns: ColumnBuffer,
        stages: Sequence[_Delayed],
        lanes: LaneArray,
    ) -> None:
        """Show what happens in this cycle to whoever counts."""
        stage, fold = self._stage, self._stage.fold
        scatter = stage.spec.schedule is Schedule.SCATTER
        probes = self.probes
        at = stages[READ + WINDOW]
        sizes = [len(self._channels(tile)) for tile in range(stage.tile_shape[1])]
        real = Signal(range(fold.out_channels + 1))
        m.d.comb += real.eq(_select(sizes, at.step.out_tile))
        slots = sum((slot.active for slot in at.step.slots), Const(0)) if scatter else Const(1)
        live = sum((lanes.nonzero[i] for i in range(len(lanes.nonzero))), Const(0))
        adds = stages[-1]
        adding = sum((slot.active for slot in adds.step.slots), Const(0)) if scatter else Const(1)
        fires, now = self._requantizing
        turn_size = [
            max(0, min(fold.requantizers, size - t * fold.requantizers))
            for size in sizes
            for t in range(stage.requantize_cycles)
        ]
        read_ports = (
            sum((sequencer.reading.mask[p] for p in range(self._layout.ports)), Const(0))
            if not scatter
            else Const(1)
        )
        m.d.comb += [
            probes.accepted.eq(columns.accepted),
            probes.started.eq(sequencer.started),
            probes.finished.eq(sequencer.finished),
            probes.mac.eq(live * slots * (1 if stage.geometry.is_depthwise else real)),
            probes.column_write.eq(columns.beat_valid),
            probes.column_read.eq(Mux(sequencer.read, read_ports, 0)),
            probes.weight_read.eq(self._weight_reads),
            probes.psum_read.eq(sum(self._psum_reads, Const(0))),
            probes.psum_write.eq(sum(self._psum_writes, Const(0))),
            probes.accumulate.eq(Mux(adds.valid, adding * _select(sizes, adds.step.out_tile), 0)),
            probes.requantize.eq(
                Mux(
                    fires,
                    _select(turn_size, self._leaving_tile * stage.requantize_cycles + now),
                    0,
                )
            ),
            probes.stream.eq(self.o.valid),
        ]


def _bits(flags: NDArray[np.bool_]) -> int:
    return sum(1 << index for index, flag in enumerate(flags.tolist()) if flag)


def _pack(values: NDArray[np.integer], bits: int) -> int:
    """Put signed values of `bits` bits side by side, the first lowest; one bit is set for +1."""
    mask = (1 << bits) - 1
    fields = (values > 0).tolist() if bits == 1 else values.tolist()
    return int("".join(format(int(value) & mask, f"0{bits}b") for value in fields[::-1]), 2)


def _select(values: Sequence[int], index: Value) -> Value:
    """Value at `index`; a constant where all are equal."""
    if len(set(values)) == 1:
        return Const(values[0])
    return Array([Const(value, Shape.cast(range(max(values) + 1))) for value in values])[index]
