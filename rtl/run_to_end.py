"""The cocotb test of a whole machine: clock the testbench until it is done."""

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge


@cocotb.test()
async def run_to_end(dut):  # type: ignore[no-untyped-def]
    """Clock until the testbench has taken every answer, or gives up."""
    Clock(dut.clk, 2, unit="step", impl="gpi").start()
    await RisingEdge(dut.done)
    await RisingEdge(dut.clk)
