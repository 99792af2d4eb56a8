"""The pipeline: a stage for every layer, connected by streams, and an output buffer."""

from __future__ import annotations

from collections.abc import Collection

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from pilaster.models.graph import INPUT
from pilaster.rtl.components.memory import RomFiles
from pilaster.rtl.components.probes import StageProbes
from pilaster.rtl.components.shapes import index_shape, stream_shape
from pilaster.rtl.components.slowest import together
from pilaster.rtl.stages.kind import Surroundings
from pilaster.rtl.stages.kinds import kind_of, most_actions
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.timing import COLUMN_BUFFERS
from pilaster.sim.work import SOURCE

__all__ = ["OutputBuffer", "PipelineComponent"]


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

    Parameters
    ----------
    pipeline : of a network whose values are known (`Network.check_values`)
    probes : whether it shows its stamps and actions
    paired : stages whose lanes are made two by two of one multiplication, where they can be

    Members
    -------
    i : rows of the input, all channels in a beat, column after column
    o : beats of the answer's columns, tile by tile, in each tile row by row
    load : weights and biases, where these are loaded; no column is taken before all are there
    """

    def __init__(
        self,
        pipeline: Pipeline,
        files: RomFiles,
        probes: bool = False,
        paired: Collection[str] = (),
    ) -> None:
        self._pipeline, self._paired = pipeline, paired
        network = pipeline.network
        channels = network.graph.input_shape.channels
        # By the source's index; the last, which SOURCE is, for the network's input.
        self._readers: list[list[tuple[int, int]]] = [[] for _ in range(len(pipeline.stages) + 1)]
        for number, sources in enumerate(pipeline.sources):
            for arm, source in enumerate(sources):
                self._readers[source].append((number, arm))
        self._stages = [self._component(number, files, probes) for number in self._numbers]
        self._probes, self._loaded = probes, bool(files.loaded)
        self.beat_bits = {
            stage.name: component.o.payload.shape().size
            for stage, component in zip(pipeline.stages, self._stages, strict=True)
        }
        shape = network.graph.output_shape
        self._answer_beats = pipeline.stages[-1].beats.per_row * shape.height
        self._answer = self._stages[-1].o.payload.shape()
        value = stream_shape(network.tensors[INPUT])
        members = {
            "i": In(stream.Signature(data.ArrayLayout(value, channels))),
            "o": Out(stream.Signature(self._answer)),
        }
        if files.loaded:
            members["load"] = In(stream.Signature(files.load_bits))
        if probes:
            for stage, component in zip(pipeline.stages, self._stages, strict=True):
                members[f"{stage.name}_probes"] = Out(StageProbes(most_actions(stage)))
                members[f"{stage.name}_beat"] = Out(component.o.payload.shape())
        super().__init__(members)

    @property
    def _numbers(self) -> range:
        return range(len(self._pipeline.stages))

    def _columns_of_readers(self, source: int) -> list[int]:
        """Column buffers of every arm that reads a stage's output."""
        stages = self._pipeline.stages
        return [stages[stage].arm_columns[arm] for stage, arm in self._readers[source]]

    def _component(self, number: int, files: RomFiles, probes: bool) -> wiring.Component:
        """Make a stage, with as many credits as the fewest column buffers behind it."""
        network, stage = self._pipeline.network, self._pipeline.stages[number]
        around = Surroundings(
            network=network,
            node=network.graph.nodes[number],
            beats=self._pipeline.beats[number],
            files=files,
            probes=probes,
            behind=min(self._columns_of_readers(number), default=COLUMN_BUFFERS),
            paired=stage.name in self._paired,
        )
        return kind_of(stage).component(stage, around)

    def elaborate(self, platform: object) -> Module:
        """Connect the stages."""
        m = Module()
        names = [stage.name for stage in self._pipeline.stages]
        for name, component in zip(names, self._stages, strict=True):
            m.submodules[name] = component
        m.submodules.output = output = OutputBuffer(self._answer, self._answer_beats)
        forks = m
        if any(len(readers) > 1 for readers in self._readers[:SOURCE]):
            m.submodules.forks = forks = Module()
        self._connect_source(m)
        for number, (name, component) in enumerate(zip(names, self._stages, strict=True)):
            ports = self._ports(number) or [output.i]
            m.d.comb += component.o.ready.eq(1)  # a beat with a credit is never refused
            for port in ports:
                m.d.comb += [port.valid.eq(component.o.valid), port.payload.eq(component.o.payload)]
            if not self._readers[number]:
                m.d.comb += component.room.eq(output.freed)
                continue
            columns = self._columns_of_readers(number)
            freed = [self._stages[stage].freed for stage, _ in self._readers[number]]
            ahead = [count - min(columns) for count in columns]
            room = together(forks, name, freed, ahead, columns)
            m.d.comb += component.room.eq(room)
        wiring.connect(m, output.o, wiring.flipped(self.o))
        if self._probes:
            for name, component in zip(names, self._stages, strict=True):
                wiring.connect(m, component.probes, wiring.flipped(getattr(self, f"{name}_probes")))
                m.d.comb += getattr(self, f"{name}_beat").eq(component.o.payload)
        return m

    def _ports(self, source: int) -> list[stream.Interface]:
        """The streams that a stage's output, or the input, goes to."""
        return [self._stages[stage].inputs[arm] for stage, arm in self._readers[source]]

    def _connect_source(self, m: Module) -> None:
        """Give a row of the input to all that read it, once all take it."""
        loaded = self._load(m) if self._loaded else Const(1)
        ports = self._ports(SOURCE)
        takes = Signal()
        m.d.comb += takes.eq(Cat(*(port.ready for port in ports)).all() & loaded)
        m.d.comb += self.i.ready.eq(takes)
        for port in ports:
            m.d.comb += [port.payload.eq(self.i.payload), port.valid.eq(self.i.valid & takes)]

    def _load(self, m: Module) -> Value:
        """Fill stage after stage; gives whether all are full."""
        full: Value = Const(1)
        for stage in self._stages:
            if stage.is_loaded:
                m.d.comb += stage.load.data.eq(self.load.payload)
                m.d.comb += stage.load.valid.eq(self.load.valid & full)
                full = full & stage.load.full
        m.d.comb += self.load.ready.eq(~full)
        return full
