"""The stage of an upsampling layer, in gates."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from pilaster.models.energy.actions import Action
from pilaster.models.quantization import TensorQuantization
from pilaster.rtl.components.intake import Intake
from pilaster.rtl.components.probes import StageProbes, most_of
from pilaster.rtl.components.shapes import index_shape
from pilaster.rtl.stages.tile_layout import tile_layout
from pilaster.sim.stages import UpsampleStage
from pilaster.sim.timing import COLUMN_BUFFERS

__all__ = ["UpsampleComponent", "upsample_most"]


def upsample_most(stage: UpsampleStage) -> Mapping[Action, int]:
    """Most of each action that a stage does in a cycle."""
    return most_of(dict.fromkeys((Action.COLUMN_WRITE, Action.COLUMN_READ, Action.WINDOW_SHIFT), 1))


class UpsampleComponent(wiring.Component):
    """An upsampling stage: columns in, columns out. Members are those of a convolution stage."""

    is_loaded = False

    def __init__(
        self,
        stage: UpsampleStage,
        tensor: TensorQuantization,
        beats: tuple[tuple[int, int], ...],
        probes: bool,
        behind: int = COLUMN_BUFFERS,
    ) -> None:
        self._stage, self._behind, self._probes = stage, behind, probes
        self._layout = tile_layout(stage, tensor, beats)
        value = Shape(tensor.bits, tensor.stream_range[0] < 0)
        widest = max(count for _, count in beats)
        members = {
            "i": In(stream.Signature(data.ArrayLayout(value, widest))),
            "o": Out(stream.Signature(data.ArrayLayout(value, stage.fold.out_channels))),
            "room": In(1),
            "freed": Out(1),
        }
        if probes:
            members["probes"] = Out(StageProbes(upsample_most(stage)))
        super().__init__(members)

    @property
    def inputs(self) -> list[stream.Interface]:
        """The one stream that it reads."""
        return [self.i]

    def elaborate(self, platform: object) -> Module:
        """Walk over rows, tiles and copies of a column; a row is held while it is sent."""
        m = Module()
        stage = self._stage
        rows, copies = stage.layer.factor
        m.submodules.intake = intake = Intake(self._layout)
        wiring.connect(m, wiring.flipped(self.i), intake.i)

        waiting = Signal(range(COLUMN_BUFFERS + 1))
        room = Signal(range(self._behind + 1), init=self._behind)
        copy, tile = Signal(index_shape(copies)), Signal(index_shape(stage.tiles))
        row, again = Signal(index_shape(stage.shape.height)), Signal(index_shape(rows))
        at_row = (row == 0) & (again == 0)  # a pass begins
        at_output = at_row & (tile == 0)  # an output column begins
        at_column = at_output & (copy == 0)  # an input column begins
        sends, starts, finished = Signal(), Signal(), Signal()
        m.d.comb += [
            sends.eq((~at_column | (waiting != 0)) & (~at_output | (room != 0))),
            starts.eq(sends & at_column),
            intake.finished.eq(finished),
            self.freed.eq(finished),
            intake.row.eq(row),
            intake.pattern.eq(tile),
            intake.read.eq(sends & (again == 0)),
        ]
        m.d.sync += [
            waiting.eq(waiting + intake.accepted - starts),
            room.eq(room + self.room - (sends & at_output)),
        ]

        ends = sends
        for place, count in (
            (again, rows),
            (row, stage.shape.height),
            (tile, stage.tiles),
            (copy, copies),
        ):
            last = place == count - 1
            with m.If(ends):
                m.d.sync += place.eq(Mux(last, 0, place + 1))
            ends = ends & last
        m.d.comb += finished.eq(ends)

        # One cycle for the memory, one for the row that is held.
        came, valid, held = Signal(), Signal(), Signal.like(self.o.payload, reset_less=True)
        sent = Signal()
        m.d.sync += [came.eq(intake.read), sent.eq(sends), valid.eq(sent)]
        with m.If(came):
            m.d.sync += held.eq(intake.values[0])
        m.d.comb += [self.o.valid.eq(valid), self.o.payload.eq(held)]

        if self._probes:
            m.d.comb += [
                self.probes.accepted.eq(intake.accepted),
                self.probes.started.eq(starts),
                self.probes.finished.eq(finished),
                self.probes.column_write.eq(self.i.valid & self.i.ready),
                self.probes.column_read.eq(intake.read),
                self.probes.window_shift.eq(came),
                self.probes.stream.eq(self.o.valid),
            ]
        return m
