"""The stage of a convolution or a fully connected layer, in gates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.energy.actions import Action
from pilaster.models.quantization import ConvParameters, TensorQuantization
from pilaster.rtl.components.column_buffer import BufferLayout, inside_column
from pilaster.rtl.components.contents import memory_names, select, tile_channels
from pilaster.rtl.components.emitter import Emitter
from pilaster.rtl.components.intake import Intake
from pilaster.rtl.components.lanes import LaneArray
from pilaster.rtl.components.memory import LoadSignature, RomFiles
from pilaster.rtl.components.probes import StageProbes, most_of
from pilaster.rtl.components.program import Program
from pilaster.rtl.components.sequencer import Fetcher, Sequencer, StepFormat
from pilaster.rtl.components.shapes import stream_shape
from pilaster.rtl.components.sums import PartialSums
from pilaster.rtl.components.weights import WeightFeed
from pilaster.sim.machine import Schedule
from pilaster.sim.stages import ConvStage
from pilaster.sim.stages.conv_actions import program_reads
from pilaster.sim.timing import COLUMN_BUFFERS, MULTIPLY, OPERAND, READ, WINDOW, tree_levels

__all__ = ["ConvComponent", "buffer_layout", "conv_most"]


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

    def drive(self, m: Module, port: object) -> None:
        """Give the step to a component."""
        for name in ("valid", "step", "row"):
            m.d.comb += getattr(port, name).eq(getattr(self, name))


def conv_most(stage: ConvStage) -> Mapping[Action, int]:
    """Most of each action that a stage does in a cycle."""
    fold, columns = stage.fold, stage.fold.kernel_columns
    scatter = stage.spec.schedule is Schedule.SCATTER
    ports, slots = (1, columns) if scatter else (columns, 1)
    found = dict.fromkeys((Action.MAC, Action.MAC_GATED), stage.lanes)
    found |= dict.fromkeys((Action.COLUMN_WRITE, Action.ROW), 1)
    found |= {Action.COLUMN_READ: ports * stage.geometry.row_fold, Action.WINDOW_SHIFT: ports}
    found |= {Action.ACCUMULATE: slots * fold.out_channels, Action.REQUANTIZE: fold.requantizers}
    found[Action.PROGRAM_READ] = len(program_reads(stage))
    if stage.weight_sets > 1:
        found |= dict.fromkeys((Action.WEIGHT_READ, Action.WEIGHT_LOAD), 1)
    if stage.pending_columns:
        found |= dict.fromkeys((Action.PSUM_READ, Action.PSUM_WRITE), slots)
    if stage.row_sum_words:
        found |= dict.fromkeys((Action.ROW_SUM_READ, Action.ROW_SUM_WRITE), slots)
    return most_of(found)


class ConvComponent(wiring.Component):
    """A convolution stage: columns in, columns out.

    Members
    -------
    i : beats of input columns, tile by tile and in each tile row by row
    o : beats of output columns, likewise; a beat is never refused
    room : the next stage has freed a column buffer
    freed : a column buffer of this stage is free again
    load : fills weights and biases, where these are loaded

    Attributes
    ----------
    is_loaded : whether there is a memory to be filled
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
        behind: int = COLUMN_BUFFERS,
        paired: bool = False,
    ) -> None:
        if stage.spec.dram_bits_per_cycle:
            raise InputError(f"stage {stage.name}: weights in DRAM are not generated as RTL yet")
        self._stage, self._parameters = stage, parameters
        self._target, self._files, self._behind = target, files, behind
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
        self.is_loaded = not files.loaded.isdisjoint(memory_names(stage))
        if self.is_loaded:
            members["load"] = In(LoadSignature(files.load_bits))
        if probes:
            members["probes"] = Out(StageProbes(conv_most(stage)))
        self._probes, self._paired = probes, paired
        super().__init__(members)

    @property
    def inputs(self) -> list[stream.Interface]:
        """The one stream that it reads."""
        return [self.i]

    def elaborate(self, platform: object) -> Module:
        """Join intake, sequencer, window, lanes, partial sums and emitter."""
        m = Module()
        stage, parameters, files = self._stage, self._parameters, self._files
        program = Program.of(stage)
        form = StepFormat(stage, program)
        m.submodules.intake = intake = Intake(self._layout)
        m.submodules.fetcher = fetcher = Fetcher(stage, program, form, self._probes)
        m.submodules.sequencer = sequencer = Sequencer(stage, form, self._layout.rows, self._behind)
        m.submodules.weights = weights = WeightFeed(stage, program, parameters, form, files)
        m.submodules.lanes = lanes = LaneArray.of(stage, self._value, self._paired)
        m.submodules.sums = sums = PartialSums(stage, parameters, form, files)
        m.submodules.emitter = emitter = Emitter(stage, parameters, self._target, self._output)
        wiring.connect(m, wiring.flipped(self.i), intake.i)
        wiring.connect(m, fetcher.steps, sequencer.steps)
        m.d.comb += [
            sequencer.accepted.eq(intake.accepted),
            sequencer.room.eq(self.room),
            intake.finished.eq(sequencer.finished),
            self.freed.eq(sequencer.finished),
            intake.row.eq(sequencer.read_row),
            intake.pattern.eq(sequencer.reading.pattern),
        ]
        for port in range(self._layout.ports):
            m.d.comb += [
                intake.read[port].eq(sequencer.read & self._wanted(sequencer.reading, port)),
                intake.backs[port].eq(sequencer.reading.back - port),
            ]
        steps = self._pipeline(m, sequencer, form)
        window, shifts = self._window(m, sequencer, intake)
        at = steps[READ + WINDOW]
        m.d.comb += lanes.enables.eq(Cat(*self._enables(m, at)))
        m.d.comb += lanes.valid.eq(Cat(*(step.valid for step in steps[READ + WINDOW : -1])))
        m.d.comb += [lanes.values[index].eq(value) for index, value in enumerate(window)]
        steps[0].drive(m, weights.token)
        steps[-2].drive(m, sums.ahead)
        steps[-1].drive(m, sums.at)
        m.d.comb += [
            lanes.load.eq(weights.take),
            lanes.weights.eq(weights.weights),
            sums.sums.eq(lanes.sums),
            emitter.leaving.eq(sums.leaving),
            emitter.tile.eq(sums.tile),
            emitter.total.eq(sums.total),
            self.o.payload.eq(emitter.beat),
            self.o.valid.eq(emitter.valid),
        ]
        if self.is_loaded:
            self._load(m, weights, sums)
        if self._probes:
            m.d.comb += [
                self.probes.accepted.eq(intake.accepted),
                self.probes.started.eq(sequencer.started),
                self.probes.finished.eq(sequencer.finished),
                self.probes.column_write.eq(self.i.valid & self.i.ready),
                self.probes.column_read.eq(_count(intake.read) * stage.geometry.row_fold),
                self.probes.window_shift.eq(_count(shifts)),
                self.probes.weight_read.eq(weights.reads),
                self.probes.weight_load.eq(weights.take if stage.weight_sets > 1 else 0),
                self.probes.psum_read.eq(_count(sums.reads)),
                self.probes.psum_write.eq(_count(sums.writes)),
                self.probes.row.eq(sequencer.token_valid),
                self.probes.program_read.eq(fetcher.reads),
                self.probes.stream.eq(self.o.valid),
            ]
            if stage.row_sum_words:
                m.d.comb += [
                    self.probes.row_sum_read.eq(_count(sums.row_reads)),
                    self.probes.row_sum_write.eq(_count(sums.row_writes)),
                ]
            self._count_operations(m, at, steps[-1], lanes, emitter)
        return m

    def _load(self, m: Module, weights: WeightFeed, sums: PartialSums) -> None:
        """Fill the weights first, then the biases."""
        full: Value = Const(1)
        for part in (weights, sums):
            if part.is_loaded:
                m.d.comb += part.load.data.eq(self.load.data)
                m.d.comb += part.load.valid.eq(self.load.valid & full)
                full = full & part.load.full
        m.d.comb += self.load.full.eq(full)

    def _wanted(self, step: Value, port: int) -> Value:
        """Whether `step` uses the column of a port: all but those outside the image."""
        gather = self._stage.spec.schedule is Schedule.GATHER
        wanted: Value = step.mask[port] if gather else Const(1)
        return wanted

    def _pipeline(self, m: Module, sequencer: Sequencer, form: StepFormat) -> list[_Delayed]:
        """The step in each cycle after its row is read, up to the sums."""
        stage = self._stage
        terms = stage.fold.taps * stage.fold.in_channels * self._layout.ports
        depth = READ + WINDOW + OPERAND + MULTIPLY + tree_levels(terms)
        steps = [_Delayed(sequencer.token_valid, sequencer.token, sequencer.token_row)]
        for index in range(1, depth + 1):
            before = steps[-1]
            valid = Signal(name=f"valid{index}")
            step = Signal(form.step, name=f"step{index}", reset_less=True)
            row = Signal(form.row, name=f"row{index}", reset_less=True)
            m.d.sync += valid.eq(before.valid)
            with m.If(before.valid):
                m.d.sync += step.eq(before.step)
                m.d.sync += row.eq(before.row)
            steps.append(_Delayed(valid, step, row))
        return steps

    def _window(
        self, m: Module, sequencer: Sequencer, intake: Intake
    ) -> tuple[list[Value], Signal]:
        """Values of the tap window, by column, tap and channel; and which ports' rows enter it.

        The rows of padding below a column move a window of several taps on, without a read.
        """
        taps, ports = self._stage.fold.taps, self._layout.ports
        shift, came = Signal(ports), Signal(ports)
        values: list[list[Signal]] = []
        for port in range(ports):
            moves = intake.read[port]
            if taps > 1:
                moves = (sequencer.moves & self._wanted(sequencer.reading, port)) | (
                    sequencer.token_valid & self._wanted(sequencer.token, port)
                )
            m.d.sync += shift[port].eq(moves)
            m.d.sync += came[port].eq(intake.read[port])
            row = Signal(intake.values[port].shape(), reset_less=True)
            rows = [Signal.like(row, name=f"window{port}_{t}") for t in range(taps)]
            with m.If(shift[port]):
                m.d.sync += rows[-1].eq(intake.values[port])
                m.d.sync += [before.eq(after) for before, after in pairwise(rows)]
            values.append(rows)
        # By output where each has channels of its own, then by column, tap and channel.
        step = self._stage.fold.in_channels
        window = [
            row[lane]
            for first in range(0, self._layout.lanes, step)
            for rows in values
            for row in rows
            for lane in range(first, first + step)
        ]
        enters = Signal(ports)
        m.d.comb += enters.eq(shift & came)
        return window, enters

    def _enables(self, m: Module, at: _Delayed) -> list[Value]:
        """Which lanes have a weight of the layer's, on a row of the column that is no padding."""
        stage, fold, geometry = self._stage, self._stage.fold, self._stage.geometry
        mask = Signal(fold.taps * fold.in_channels)
        index = at.step.tap_group * stage.tile_shape[2] + at.step.in_tile
        m.d.comb += mask.eq(select(_lane_masks(stage), index))
        rows = Signal(fold.taps)
        for tap in range(fold.taps):
            row = at.row + at.step.tap_group * fold.taps + (tap - geometry.pad_top)
            m.d.comb += rows[tap].eq(inside_column(row, geometry.rows))
        enables: list[Value] = []
        for port in range(self._layout.ports):
            for term in range(fold.taps * fold.in_channels):
                on = at.valid & ~at.step.null & mask[term] & rows[term // fold.in_channels]
                enables.append(on & self._wanted(at.step, port))
        if geometry.is_depthwise:  # the last tile may not fill all outputs
            real = select(_tile_sizes(stage), at.step.out_tile)
            enables = [on & (o < real) for o in range(fold.out_channels) for on in enables]
        return enables

    def _count_operations(
        self, m: Module, at: _Delayed, adds: _Delayed, lanes: LaneArray, emitter: Emitter
    ) -> None:
        """Show how many lanes, adders and requantizers work in this cycle."""
        stage, fold, probes = self._stage, self._stage.fold, self.probes
        scatter = stage.spec.schedule is Schedule.SCATTER
        sizes = _tile_sizes(stage)

        def active(step: Value) -> Value:
            slots = step.slots
            return sum((slot.active for slot in slots), Const(0)) if scatter else Const(1)

        outputs, slots = Signal(range(fold.out_channels + 1)), active(at.step)
        index = at.step.tap_group * stage.tile_shape[2] + at.step.in_tile
        terms = select([mask.bit_count() for mask in _lane_masks(stage)], index)
        columns = _count(at.step.mask) if not scatter else Const(1)
        performed = Signal(len(probes.mac))
        offered = Signal.like(performed)
        gated = Signal.like(performed)
        per_operand = Const(1) if stage.geometry.is_depthwise else outputs
        m.d.comb += [
            outputs.eq(select(sizes, at.step.out_tile)),
            performed.eq(_count(lanes.nonzero) * slots * per_operand),
            offered.eq(Mux(at.valid & ~at.step.null, terms * columns * slots * outputs, 0)),
            gated.eq(offered - performed),
            probes.mac.eq(performed),
            probes.mac_gated.eq(gated),
        ]
        adding = active(adds.step) * select(sizes, adds.step.out_tile)
        m.d.comb += probes.accumulate.eq(Mux(adds.valid, adding, 0))
        turns = stage.requantize_cycles
        turn_sizes = [
            max(0, min(fold.requantizers, size - turn * fold.requantizers))
            for size in sizes
            for turn in range(turns)
        ]
        working = select(turn_sizes, emitter.tile * turns + emitter.turn)
        m.d.comb += probes.requantize.eq(Mux(emitter.fires, working, 0))


def _lane_masks(stage: ConvStage) -> list[int]:
    """Lanes with a weight of the layer's, a bit each, by tap group and input tile."""
    geometry, fold = stage.geometry, stage.fold
    _, _, ins, taps = stage.tile_shape
    padded = np.zeros((taps * fold.taps, ins * fold.in_channels), bool)
    padded[: geometry.taps, : geometry.channels] = geometry.real_taps
    real = padded.reshape(taps, fold.taps, ins, fold.in_channels)
    return [_bits(real[t, :, c, :].reshape(-1)) for t in range(taps) for c in range(ins)]


def _tile_sizes(stage: ConvStage) -> list[int]:
    """Output channels of every output tile."""
    return [len(tile_channels(stage, tile)) for tile in range(stage.tile_shape[1])]


def _bits(flags: NDArray[np.bool_]) -> int:
    return sum(1 << index for index, flag in enumerate(flags.tolist()) if flag)


def _count(bits: Value) -> Value:
    """How many bits are set."""
    return sum((bits[index] for index in range(len(bits))), Const(0))
