"""The stage of a layer that joins tensors, in gates: a sum, or a concatenation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from pilaster.models.energy.actions import Action
from pilaster.models.joins import AddParameters, ConcatParameters, Scale
from pilaster.models.quantization import TensorQuantization, signed_bits
from pilaster.rtl.components.column_buffer import BufferLayout
from pilaster.rtl.components.contents import select
from pilaster.rtl.components.intake import Intake
from pilaster.rtl.components.probes import StageProbes, most_of
from pilaster.rtl.components.requantize import Requantizer, ScaleFormat, Scales
from pilaster.rtl.components.shapes import index_shape, stream_shape
from pilaster.rtl.components.slowest import together
from pilaster.sim.beats import Beats
from pilaster.sim.stages import JoinStage
from pilaster.sim.timing import COLUMN_BUFFERS, JOIN_ADD, READ, REQUANTIZE, WRITE

__all__ = ["JoinComponent", "arm_layout", "join_most"]

_Token = tuple[Value, Value]
"""Whether a row is there, and of which tile."""


def arm_layout(stage: JoinStage, arm: int, beats: Beats) -> BufferLayout:
    """Lay out the column buffers of an arm, which reads a stream of `beats`."""
    source, step = stage.sources[arm], stage.fold.out_channels
    return BufferLayout(
        height=stage.output.height,
        channels=stage.shapes[arm].channels,
        bits=source.bits,
        signed=source.stream_range[0] < 0,
        row_fold=1,
        offset=0,
        columns=stage.arm_columns[arm],
        ports=1,
        beats=beats.tiles,
        patterns=tuple(
            tuple((0, tile.first + c) if c < tile.channels else None for c in range(step))
            for tile in stage.tiles
            if arm in tile.arms
        ),
    )


def join_most(stage: JoinStage) -> Mapping[Action, int]:
    """Most of each action that a stage does in a cycle."""
    outputs, arms = stage.fold.out_channels, len(stage.shapes)
    found = {Action.COLUMN_WRITE: arms, Action.COLUMN_READ: arms}
    if stage.adds:
        found |= {Action.ACCUMULATE: outputs, Action.REQUANTIZE: outputs * (arms + 1)}
    elif stage.rescales:
        found[Action.REQUANTIZE] = outputs
    return most_of(found)


class JoinComponent(wiring.Component):
    """A join: columns of every arm in, columns out.

    Members
    -------
    i0, i1, ... : beats of the columns of each arm
    o, room, freed : as of a convolution stage; a buffer of every arm is freed at a time
    """

    is_loaded = False

    def __init__(
        self,
        stage: JoinStage,
        beats: Sequence[Beats],
        probes: bool,
        behind: int = COLUMN_BUFFERS,
    ) -> None:
        self._stage, self._probes, self._behind = stage, probes, behind
        self._layouts = [arm_layout(stage, arm, each) for arm, each in enumerate(beats)]
        self._value = stream_shape(stage.target)
        members = {
            f"i{arm}": In(stream.Signature(layout.beat_shape))
            for arm, layout in enumerate(self._layouts)
        }
        members |= {
            "o": Out(stream.Signature(data.ArrayLayout(self._value, stage.fold.out_channels))),
            "room": In(1),
            "freed": Out(1),
        }
        if probes:
            members["probes"] = Out(StageProbes(join_most(stage)))
        super().__init__(members)

    @property
    def inputs(self) -> list[stream.Interface]:
        """The streams of all arms."""
        return [getattr(self, f"i{arm}") for arm in range(len(self._layouts))]

    def elaborate(self, platform: object) -> Module:
        """Join the arms' column buffers, a sequencer, and what sums or selects."""
        m = Module()
        intakes = []
        for arm, (layout, port) in enumerate(zip(self._layouts, self.inputs, strict=True)):
            m.submodules[f"arm{arm}"] = intake = Intake(layout, layout.columns)
            wiring.connect(m, wiring.flipped(port), intake.i)
            intakes.append(intake)
        columns = self._stage.arm_columns
        accepts = [intake.accepted for intake in intakes]
        accepted = together(m, "accepted", accepts, [0] * len(columns), columns)
        started, tile, working = self._sequence(m, intakes, accepted)
        tokens = [(working, tile)]
        for index in range(1, self._stage.depth - WRITE + 1):
            valid, place = Signal(name=f"valid{index}"), Signal.like(tile, name=f"tile{index}")
            m.d.sync += valid.eq(tokens[-1][0])
            with m.If(tokens[-1][0]):
                m.d.sync += place.eq(tokens[-1][1])
            tokens.append((valid, place))
        values = [intake.values[0] for intake in intakes]
        parameters = self._stage.parameters
        if isinstance(parameters, AddParameters):
            results = self._sum(m, parameters, values, tokens)
        else:
            results = self._concatenate(m, parameters, values, tokens)
        m.d.comb += self.o.valid.eq(tokens[-1][0])
        m.d.comb += [self.o.payload[c].eq(result) for c, result in enumerate(results)]
        if self._probes:
            m.d.comb += [
                self.probes.accepted.eq(accepted),
                self.probes.started.eq(started),
                self.probes.finished.eq(self.freed),
                self.probes.stream.eq(self.o.valid),
                self.probes.column_write.eq(_count([p.valid & p.ready for p in self.inputs])),
                self.probes.column_read.eq(_count([intake.read for intake in intakes])),
            ]
            self._count_operations(m, tokens)
        return m

    def _sequence(
        self, m: Module, intakes: Sequence[Intake], accepted: Value
    ) -> tuple[Value, Signal, Value]:
        """Read a row a cycle, tile by tile; gives (a column starts, tile, a row is read)."""
        stage = self._stage
        waiting = Signal(range(max(stage.arm_columns) + 1))
        room = Signal(range(self._behind + 1), init=self._behind)
        tile, row = Signal(index_shape(len(stage.tiles))), Signal(index_shape(stage.output.height))
        start, running, working, finished = Signal(), Signal(), Signal(), Signal()
        last_row = row == stage.output.height - 1
        last = last_row & (tile == len(stage.tiles) - 1)
        m.d.comb += [
            start.eq(~running & (waiting != 0) & (room != 0)),
            working.eq(start | running),
            finished.eq(working & last),
            self.freed.eq(finished),
        ]
        m.d.sync += [
            waiting.eq(waiting + accepted - start),
            room.eq(room + self.room - start),
        ]
        with m.If(working):
            m.d.sync += [running.eq(~last), row.eq(Mux(last_row, 0, row + 1))]
            with m.If(last_row):
                m.d.sync += tile.eq(Mux(last, 0, tile + 1))
        for arm, intake in enumerate(intakes):
            reads = [arm in each.arms for each in stage.tiles]
            first = reads.index(True)
            m.d.comb += [
                intake.finished.eq(finished),
                intake.read.eq(working & select(list(map(int, reads)), tile)),
                intake.row.eq(row),
                intake.pattern.eq(tile - first),
            ]
        return start, tile, working

    def _sum(
        self,
        m: Module,
        parameters: AddParameters,
        values: Sequence[Value],
        tokens: Sequence[_Token],
    ) -> list[Value]:
        """Rescale the arms, sum, and rescale the sum."""
        stage, results = self._stage, []
        sums = READ + REQUANTIZE
        for channel in range(stage.fold.out_channels):
            terms = []
            for arm, (scale, magnitude) in enumerate(
                zip(parameters.inputs, stage.arm_magnitudes, strict=True)
            ):
                term = self._requantized(
                    m,
                    f"requantizer_arm{arm}_{channel}",
                    tokens[READ:],
                    (values[arm][channel], _operand_bits(stage.sources[arm])),
                    ([scale], parameters.left_shift, Const(0)),
                    (signed(signed_bits(magnitude)), -magnitude, magnitude),
                )
                terms.append(term)
            total = Signal(signed(stage.sum_bits), name=f"total{channel}", reset_less=True)
            with m.If(tokens[sums][0]):
                m.d.sync += total.eq(terms[0] + terms[1])
            result = self._requantized(
                m,
                f"requantizer_sum_{channel}",
                tokens[sums + JOIN_ADD :],
                (total, stage.sum_bits),
                ([parameters.output], 0, Const(0)),
                (self._value, *stage.target.stream_range),
            )
            results.append(result)
        return results

    def _concatenate(
        self,
        m: Module,
        parameters: ConcatParameters,
        values: Sequence[Value],
        tokens: Sequence[_Token],
    ) -> list[Value]:
        """Select the arm that has the tile; rescale it, or only keep it in range."""
        stage, results = self._stage, []
        low, high = stage.target.stream_range
        valid, tile = tokens[READ]
        arm = select([each.arms[0] for each in stage.tiles], tile)
        bits = max(map(_operand_bits, stage.sources))
        for channel in range(stage.fold.out_channels):
            value = Signal(signed(bits), name=f"value{channel}")
            m.d.comb += value.eq(Array([each[channel] for each in values])[arm])
            if not stage.rescales:
                kept = Signal(self._value, name=f"kept{channel}", reset_less=True)
                with m.If(valid):
                    m.d.sync += kept.eq(Mux(value < low, low, Mux(value > high, high, value)))
                results.append(kept)
                continue
            result = self._requantized(
                m,
                f"requantizer{channel}",
                tokens[READ:],
                (value, bits),
                (parameters.inputs, 0, arm),
                (self._value, low, high),
            )
            results.append(result)
        return results

    def _requantized(
        self,
        m: Module,
        name: str,
        tokens: Sequence[_Token],
        operand: tuple[Value, int],
        scale: tuple[Sequence[Scale], int, Value],
        output: tuple[Shape, int, int],
    ) -> Value:
        """Requantize a value, there with the first of `tokens`, by the scale an index selects.

        operand : the value, and its bits as a signed number
        """
        value, bits = operand
        scales, left_shift, index = scale
        all_scales = Scales.of(scales)
        form = ScaleFormat.of(all_scales, left_shift)
        m.submodules[name] = requantizer = Requantizer(bits, form, *output)
        words = [form.layout.const(word).as_value().value for word in form.constants(all_scales)]
        m.d.comb += requantizer.valid.eq(Cat(*(valid for valid, _ in tokens[:REQUANTIZE])))
        m.d.comb += requantizer.scale.as_value().eq(select(words, index))
        m.d.comb += requantizer.accumulator.eq(value)
        result: Value = requantizer.result
        return result

    def _count_operations(self, m: Module, tokens: Sequence[_Token]) -> None:
        """Show how many adders and requantizers work in this cycle."""
        stage = self._stage
        sizes = [tile.channels for tile in stage.tiles]

        def working(at: int) -> Value:
            valid, tile = tokens[at]
            return Mux(valid, select(sizes, tile), 0)

        if stage.adds:
            adds = READ + REQUANTIZE
            rescaled = working(READ) * len(stage.shapes) + working(adds + JOIN_ADD)
            m.d.comb += [
                self.probes.accumulate.eq(working(adds)),
                self.probes.requantize.eq(rescaled),
            ]
        elif stage.rescales:
            m.d.comb += self.probes.requantize.eq(working(READ))


def _operand_bits(tensor: TensorQuantization) -> int:
    """Width of a stream's value as a signed number."""
    return tensor.bits + (tensor.stream_range[0] >= 0)


def _count(events: Sequence[Value]) -> Value:
    """How many are high."""
    return sum(events, Const(0))
