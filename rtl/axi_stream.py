"""The machine between two AXI4-Stream ports, for whoever brings a system on chip.

Signals and handshake: Arm IHI 0051 (AMBA AXI-Stream), with TDATA in whole bytes and TLAST.
"""

from __future__ import annotations

from amaranth.hdl import ClockDomain, ClockSignal, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from pilaster.rtl.components.memory import RomFiles
from pilaster.rtl.components.shapes import index_shape
from pilaster.rtl.pipeline import PipelineComponent
from pilaster.rtl.verilog import Design, component_verilog
from pilaster.sim.pipeline import Pipeline

__all__ = ["AxiStreamTop", "generate_axi_stream"]


class AxiStreamTop(wiring.Component):
    """A machine with AXI4-Stream ports.

    Members
    -------
    aclk, aresetn : clock; synchronous reset, active low
    s_axis_* : rows of the input, in the lowest bits of TDATA; TLAST is not needed and not read
    m_axis_* : beats of the answer, likewise; TLAST is high with the last of an image's
    """

    def __init__(self, pipeline: Pipeline, files: RomFiles) -> None:
        self.machine = PipelineComponent(pipeline, files)
        shape = pipeline.network.graph.output_shape
        self._beats = pipeline.stages[-1].beats.per_row * shape.height * shape.width
        members = {"aclk": In(1), "aresetn": In(1)}
        for name, port, taken in (
            ("s_axis", self.machine.i, In),
            ("m_axis", self.machine.o, Out),
        ):
            given = Out if taken is In else In
            members |= {
                f"{name}_tdata": taken(-(-port.payload.shape().size // 8) * 8),
                f"{name}_tvalid": taken(1),
                f"{name}_tready": given(1),
                f"{name}_tlast": taken(1),
            }
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Connect, and count beats for TLAST."""
        m = Module()
        m.domains.sync = ClockDomain()
        m.d.comb += [ClockSignal().eq(self.aclk), ResetSignal().eq(~self.aresetn)]
        m.submodules.machine = machine = self.machine
        sent = Signal(index_shape(self._beats))
        m.d.comb += [
            machine.i.payload.as_value().eq(self.s_axis_tdata),
            machine.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(machine.i.ready),
            self.m_axis_tdata.eq(machine.o.payload.as_value().as_unsigned()),
            self.m_axis_tvalid.eq(machine.o.valid),
            machine.o.ready.eq(self.m_axis_tready),
            self.m_axis_tlast.eq(sent == self._beats - 1),
        ]
        with m.If(self.m_axis_tvalid & self.m_axis_tready):
            m.d.sync += sent.eq(Mux(self.m_axis_tlast, 0, sent + 1))
        return m


def generate_axi_stream(pipeline: Pipeline) -> Design:
    """Generate the machine with AXI4-Stream ports."""
    pipeline.network.check_values()
    files = RomFiles()
    top = AxiStreamTop(pipeline, files)
    return Design(
        verilog=component_verilog(top),
        memories=files.contents,
        beat_bits=top.machine.beat_bits,
        input_bits=top.machine.i.payload.shape().size,
    )
