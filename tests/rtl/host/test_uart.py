"""Laws: bytes pass a UART unchanged, at any rate and with a clock that is not quite the other's."""

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from pilaster.base.errors import InputError
from pilaster.rtl.host.uart import LEAST_DIVISOR, UartReceiver, UartTransmitter, divisor_for

BYTES = [0x00, 0xFF, 0x55, 0xAA, 0x7E, 0x01, 0x80]


@pytest.mark.parametrize("divisor", [LEAST_DIVISOR, 5, 13, 104])
def test_bytes_pass(divisor):
    m = Module()
    m.submodules.transmitter = transmitter = UartTransmitter(divisor)
    m.submodules.receiver = receiver = UartReceiver(divisor)
    m.d.comb += receiver.rx.eq(transmitter.tx)
    found = []

    async def send(ctx):
        for byte in BYTES:
            ctx.set(transmitter.i.payload, byte)
            ctx.set(transmitter.i.valid, 1)
            await ctx.tick().until(transmitter.i.ready)
            ctx.set(transmitter.i.valid, 0)
        await ctx.tick().repeat(12 * divisor)

    async def watch(ctx):
        async for *_, strobe, data in ctx.tick().sample(receiver.strobe, receiver.data):
            if strobe:
                found.append(data)

    simulate(m, send, watch)
    assert found == BYTES


def send_line(receiver, levels):
    async def drive(ctx):
        for level, cycles in levels:
            ctx.set(receiver.rx, level)
            await ctx.tick().repeat(cycles)

    return drive


@pytest.mark.parametrize("bit", [97, 103])
def test_a_bit_may_be_three_percent_off(bit):
    receiver = UartReceiver(100)
    found = []
    bits = [0, *(0x5A >> index & 1 for index in range(8)), 1]
    levels = [(1, 50), *((level, bit) for level in bits), (1, 200)]

    async def watch(ctx):
        async for *_, strobe, data in ctx.tick().sample(receiver.strobe, receiver.data):
            if strobe:
                found.append(data)

    simulate(receiver, send_line(receiver, levels), watch)
    assert found == [0x5A]


def test_a_break_is_no_byte():
    receiver = UartReceiver(8)
    found = []

    async def watch(ctx):
        async for *_, strobe in ctx.tick().sample(receiver.strobe):
            if strobe:
                found.append(1)

    simulate(receiver, send_line(receiver, [(1, 20), (0, 400), (1, 400)]), watch)
    assert not found


@pytest.mark.parametrize(("clock", "baud"), [(1e6, 1_000_000), (12e6, 5_000_000), (1e6, 0)])
def test_a_rate_that_the_clock_cannot_make_is_refused(clock, baud):
    with pytest.raises(InputError, match="baud"):
        divisor_for(clock, baud)


def simulate(design, stimulus, watch):
    simulator = Simulator(design)
    simulator.add_clock(1e-6)
    simulator.add_testbench(stimulus)
    simulator.add_process(watch)
    simulator.run()
