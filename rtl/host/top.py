"""A machine behind a UART: what every board's top holds."""

from __future__ import annotations

from collections.abc import Collection

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from pilaster.rtl.components.memory import RomFiles
from pilaster.rtl.host.device import Device
from pilaster.rtl.host.uart import UartReceiver, UartTransmitter, divisor_for
from pilaster.rtl.host.wire_format import WireFormat
from pilaster.rtl.pipeline import PipelineComponent
from pilaster.sim.pipeline import Pipeline

__all__ = ["HostTop"]


class HostTop(wiring.Component):
    """A machine that a serial line feeds.

    Parameters
    ----------
    files : names the memories that are loaded over the line, in beats of `LINK_LOAD_BITS`
    clock_hz : clock of everything here
    baud : rate of the line
    counts : whether it counts the machine's actions
    paired : stages whose lanes are made two by two of one multiplication

    Members
    -------
    rx, tx : the line, from and to the host
    """

    def __init__(
        self,
        pipeline: Pipeline,
        files: RomFiles,
        clock_hz: int,
        baud: int,
        counts: bool = False,
        paired: Collection[str] = (),
    ) -> None:
        self._divisor = divisor_for(clock_hz, baud)
        wire = WireFormat(pipeline, files.loaded, counts)
        machine = PipelineComponent(pipeline, files, counts, paired)
        self._device = Device(machine, wire, wire.info(clock_hz))
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        """Join the line and the device."""
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(self._divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self._divisor)
        m.submodules.device = device = self._device
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            device.data.eq(receiver.data),
            device.strobe.eq(receiver.strobe),
        ]
        wiring.connect(m, device.o, transmitter.i)
        return m
