"""A machine with AXI4-Stream ports, to connect to a system on chip.

Signals and handshake: Arm IHI 0051 (AMBA AXI-Stream), with TDATA in whole bytes. A frame is an
image: an image that TLAST ends early or late is dropped whole.
"""

from __future__ import annotations

from amaranth.hdl import ClockDomain, ClockSignal, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from pilaster.rtl.components.memory import RomFiles
from pilaster.rtl.components.shapes import index_shape
from pilaster.rtl.pipeline import PipelineComponent
from pilaster.rtl.verilog import TOP, Design, component_verilog
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.timing import COLUMN_BUFFERS

__all__ = ["AxiStreamTop", "generate_axi_stream"]


class AxiStreamTop(wiring.Component):
    """A machine with AXI4-Stream ports.

    An image that ends too early is completed with zeros, and what follows one that does not end is
    skipped; the machine always sees whole images. A queue keeps, for each image in the machine,
    whether its answer is to be sent or swallowed. An answer is sent once its image is known to be
    right: where it has more columns than the machine's output buffer, a FIFO keeps the others.

    Members
    -------
    aclk, aresetn : clock; synchronous reset, active low
    s_axis_* : rows of the input, in the lowest bits of TDATA; TLAST is high with an image's last
    m_axis_* : beats of the answer, likewise, sign-extended where values are signed; all bytes of
        TKEEP are high, and TLAST is with the last beat of an image's answer
    image_short, image_long : high for a cycle: an image was too short or too long, and is dropped
    """

    def __init__(self, pipeline: Pipeline, files: RomFiles) -> None:
        self.machine = PipelineComponent(pipeline, files)
        source, shape = pipeline.network.graph.input_shape, pipeline.network.graph.output_shape
        column = pipeline.stages[-1].beats.per_row * shape.height
        self._rows = source.height * source.width
        self._beats = column * shape.width
        self._early_beats = column * max(0, shape.width - COLUMN_BUFFERS)
        self._images = _most_images(pipeline)
        members: dict[str, wiring.Member] = {"aclk": In(1), "aresetn": In(1)}
        for name, port, taken in (
            ("s_axis", self.machine.i, In),
            ("m_axis", self.machine.o, Out),
        ):
            given = Out if taken is In else In
            size = -(-port.payload.shape().size // 8)
            members |= {
                f"{name}_tdata": taken(size * 8),
                f"{name}_tvalid": taken(1),
                f"{name}_tready": given(1),
                f"{name}_tlast": taken(1),
            }
        members |= {"m_axis_tkeep": Out(size), "image_short": Out(1), "image_long": Out(1)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Connect; count beats on both sides."""
        m = Module()
        m.domains.sync = ClockDomain()
        m.d.comb += [ClockSignal().eq(self.aclk), ResetSignal().eq(~self.aresetn)]
        m.submodules.machine = self.machine
        m.submodules.verdicts = verdicts = SyncFIFO(width=1, depth=self._images)
        self._take(m, verdicts)
        self._send(m, verdicts)
        return m

    def _take(self, m: Module, verdicts: SyncFIFO) -> None:
        """Give the machine whole images, and the queue whether they are right."""
        machine = self.machine.i
        row = Signal(index_shape(self._rows))
        fills, skips = Signal(), Signal()
        last, moves, ends = Signal(), Signal(), Signal()
        takes, short, long = Signal(), Signal(), Signal()
        m.d.comb += [
            last.eq(row == self._rows - 1),
            machine.payload.as_value().eq(Mux(fills, 0, self.s_axis_tdata)),
            machine.valid.eq(fills | (self.s_axis_tvalid & ~skips & verdicts.w_rdy)),
            self.s_axis_tready.eq(skips | (~fills & machine.ready & verdicts.w_rdy)),
            moves.eq(machine.valid & machine.ready),
            takes.eq(moves & ~fills),
            ends.eq(self.s_axis_tvalid & self.s_axis_tlast),
            short.eq(takes & self.s_axis_tlast & ~last),
            long.eq(takes & ~self.s_axis_tlast & last),
            verdicts.w_data.eq(last & self.s_axis_tlast),
            verdicts.w_en.eq(takes & (last | self.s_axis_tlast)),
        ]
        m.d.sync += [self.image_short.eq(short), self.image_long.eq(long)]
        with m.If(moves):
            m.d.sync += row.eq(Mux(last, 0, row + 1))
        m.d.sync += [
            fills.eq(short | (fills & ~(moves & last))),
            skips.eq(long | (skips & ~ends)),
        ]

    def _send(self, m: Module, verdicts: SyncFIFO) -> None:
        """Send the answers of right images, swallow the others."""
        answer = self._answer(m)
        sent = Signal(index_shape(self._beats))
        last, right = Signal(), Signal()
        m.d.comb += [
            last.eq(sent == self._beats - 1),
            right.eq(verdicts.r_rdy & verdicts.r_data),
            self.m_axis_tdata.eq(self._extended(answer.payload)),
            self.m_axis_tkeep.eq(~0),
            self.m_axis_tvalid.eq(answer.valid & right),
            answer.ready.eq(verdicts.r_rdy & (self.m_axis_tready | ~verdicts.r_data)),
            self.m_axis_tlast.eq(last),
            verdicts.r_en.eq(answer.valid & answer.ready & last),
        ]
        with m.If(answer.valid & answer.ready):
            m.d.sync += sent.eq(Mux(last, 0, sent + 1))

    def _answer(self, m: Module) -> stream.Interface:
        """Keep the columns that may be there before their image is known to be right."""
        if not self._early_beats:
            return self.machine.o
        payload = self.machine.o.payload
        kept = SyncFIFO(width=payload.shape().size, depth=self._early_beats)
        m.submodules.kept = kept
        m.d.comb += [
            kept.w_data.eq(payload.as_value()),
            kept.w_en.eq(self.machine.o.valid),
            self.machine.o.ready.eq(kept.w_rdy),
        ]
        answer = stream.Signature(payload.shape()).create()
        m.d.comb += [
            answer.payload.as_value().eq(kept.r_data),
            answer.valid.eq(kept.r_rdy),
            kept.r_en.eq(answer.ready),
        ]
        return answer

    def _extended(self, payload: data.View) -> Value:
        """Give a beat the sign of its last value, where it has one."""
        value = payload.as_value()
        signed = payload.shape().elem_shape.signed
        return value.as_signed() if signed else value.as_unsigned()


def _most_images(pipeline: Pipeline) -> int:
    """Images that may have begun, and whose answers have not been taken, at the same time.

    The last column of each stands in a column buffer of some stage, or in the output buffer, but
    for the image that is coming in.
    """
    inside = sum(
        -(-columns // stage.columns_in)
        for stage in pipeline.stages
        for columns in stage.arm_columns
    )
    return inside + COLUMN_BUFFERS + 1


def generate_axi_stream(pipeline: Pipeline, name: str = TOP) -> Design:
    """Generate the machine with AXI4-Stream ports, as a module of this name."""
    pipeline.network.check_values()
    files = RomFiles()
    top = AxiStreamTop(pipeline, files)
    return Design(
        verilog=component_verilog(top, name),
        memories=files.contents,
        beat_bits=top.machine.beat_bits,
        input_bits=top.machine.i.payload.shape().size,
    )
