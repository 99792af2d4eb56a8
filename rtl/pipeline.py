"""The pipeline: a stage for every layer, joined by streams, and an output buffer."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from pilaster.models.graph import INPUT
from pilaster.rtl.conv import ConvComponent, stream_shape
from pilaster.rtl.memory import LOAD_BITS, RomFiles
from pilaster.rtl.pool import PoolComponent
from pilaster.rtl.probes import StageProbes
from pilaster.rtl.shapes import index_shape
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.stages import ConvStage, Stage
from pilaster.sim.timing import COLUMN_BUFFERS

__all__ = ["OutputBuffer", "PipelineComponent", "beats_of"]


def beats_of(stage: Stage) -> tuple[tuple[int, int], ...]:
    """(first channel, channels) of every beat that makes up a row of a stage's output, in order."""
    step = stage.fold.out_channels
    groups, per_group = 1, stage.output.channels if not isinstance(stage, ConvStage) else 0
    if isinstance(stage, ConvStage):
        groups, per_group = stage.geometry.tiled_groups, stage.geometry.out_channels
    return tuple(
        (group * per_group + first, min(step, per_group - first))
        for group in range(groups)
        for first in range(0, per_group, step)
    )


class OutputBuffer(wiring.Component):
    """Two columns of answers, so that a stage need not wait for whoever takes them.

    Members
    -------
    i : beats, never refused while `freed` is heeded
    o : the same beats
    freed : the last beat of a column has been taken
    """

    def __init__(self, payload: data.ArrayLayout, beats: int) -> None:
        self._beats = beats
        super().__init__(
            {
                "i": In(stream.Signature(payload)),
                "o": Out(stream.Signature(payload)),
                "freed": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """A FIFO and a count of beats taken."""
        m = Module()
        payload = self.o.payload
        m.submodules.fifo = fifo = SyncFIFO(
            width=payload.shape().size, depth=COLUMN_BUFFERS * self._beats
        )
        taken = Signal(index_shape(self._beats))
        last = taken == self._beats - 1
        takes = self.o.valid & self.o.ready
        m.d.comb += [
            self.i.ready.eq(fifo.w_rdy),
            fifo.w_en.eq(self.i.valid),
            fifo.w_data.eq(self.i.payload.as_value()),
            self.o.valid.eq(fifo.r_rdy),
            payload.as_value().eq(fifo.r_data),
            fifo.r_en.eq(self.o.ready),
            self.freed.eq(takes & last),
        ]
        with m.If(takes):
            m.d.sync += taken.eq(Mux(last, 0, taken + 1))
        return m


class PipelineComponent(wiring.Component):
    """The whole machine.

    Members
    -------
    i : rows of the input, all channels in a beat, column after column
    o : beats of the answer's columns, tile by tile, in each tile row by row
    load : weights and biases, where these are loaded; no column is taken before all are there
    """

    def __init__(self, pipeline: Pipeline, files: RomFiles, probes: bool = False) -> None:
        self._pipeline = pipeline
        network = pipeline.network
        channels = network.graph.input_shape.channels
        beats: tuple[tuple[int, int], ...] = ((0, channels),)
        self._stages: list[ConvComponent | PoolComponent] = []
        for node, stage in zip(network.graph.nodes, pipeline.stages, strict=True):
            source, target = network.tensors[node.inputs[0]], network.tensors[node.name]
            component: ConvComponent | PoolComponent
            if isinstance(stage, ConvStage):
                parameters = network.parameters[node.name]
                component = ConvComponent(stage, parameters, source, target, beats, files, probes)
            else:
                component = PoolComponent(stage, target, beats, probes)
            self._stages.append(component)
            beats = beats_of(stage)
        self._probes, self._loaded = probes, files.loaded
        self.beat_bits = {
            stage.name: component.o.payload.shape().size
            for stage, component in zip(pipeline.stages, self._stages, strict=True)
        }
        shape = network.graph.output_shape
        self._answer_beats = len(beats) * shape.height
        self._answer = self._stages[-1].o.payload.shape()
        value = stream_shape(network.tensors[INPUT])
        members = {
            "i": In(stream.Signature(data.ArrayLayout(value, channels))),
            "o": Out(stream.Signature(self._answer)),
        }
        if files.loaded:
            members["load"] = In(stream.Signature(LOAD_BITS))
        if probes:
            for stage, component in zip(pipeline.stages, self._stages, strict=True):
                members[f"{stage.name}_probes"] = Out(StageProbes())
                members[f"{stage.name}_beat"] = Out(component.o.payload.shape())
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Chain the stages."""
        m = Module()
        names = [stage.name for stage in self._pipeline.stages]
        for name, component in zip(names, self._stages, strict=True):
            m.submodules[name] = component
        m.submodules.output = output = OutputBuffer(self._answer, self._answer_beats)
        first = self._stages[0]
        loaded = self._load(m) if self._loaded else Const(1)
        m.d.comb += [
            first.i.payload.eq(self.i.payload),
            first.i.valid.eq(self.i.valid & loaded),
            self.i.ready.eq(first.i.ready & loaded),
        ]
        for component, later in zip(self._stages, self._stages[1:], strict=False):
            wiring.connect(m, component.o, later.i)
            m.d.comb += component.room.eq(later.freed)
        wiring.connect(m, self._stages[-1].o, output.i)
        m.d.comb += self._stages[-1].room.eq(output.freed)
        wiring.connect(m, output.o, wiring.flipped(self.o))
        if self._probes:
            for name, component in zip(names, self._stages, strict=True):
                wiring.connect(m, component.probes, wiring.flipped(getattr(self, f"{name}_probes")))
                m.d.comb += getattr(self, f"{name}_beat").eq(component.o.payload)
        return m

    def _load(self, m: Module) -> Value:
        """Fill stage after stage; gives whether all are full."""
        full: Value = Const(1)
        for stage in self._stages:
            if isinstance(stage, ConvComponent):
                m.d.comb += stage.load.data.eq(self.load.payload)
                m.d.comb += stage.load.valid.eq(self.load.valid & full)
                full = full & stage.load.full
        m.d.comb += self.load.ready.eq(~full)
        return full
