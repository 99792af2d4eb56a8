"""The cocotb test of the AXI4-Stream top: cocotbext-axi's source and sink, with pauses."""

import itertools
import json
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource


@cocotb.test()
async def answers(dut):
    """Send columns as frames, take answers as frames, write these down."""
    task = json.loads(Path("task.json").read_text())
    rng = random.Random(task["seed"])
    Clock(dut.aclk, 10, unit="ns").start()
    dut.aresetn.value = 0
    source = AxiStreamSource(
        AxiStreamBus.from_prefix(dut, "s_axis"), dut.aclk, dut.aresetn, reset_active_level=False
    )
    sink = AxiStreamSink(
        AxiStreamBus.from_prefix(dut, "m_axis"), dut.aclk, dut.aresetn, reset_active_level=False
    )
    for _ in range(8):
        await RisingEdge(dut.aclk)
    dut.aresetn.value = 1
    await RisingEdge(dut.aclk)
    source.set_pause_generator(rng.random() < 0.3 for _ in itertools.count())
    sink.set_pause_generator(rng.random() < 0.5 for _ in itertools.count())
    for column in task["columns"]:
        source.send_nowait(AxiStreamFrame(bytes.fromhex(column)))
    found = []
    for _ in range(task["images"]):
        frame = await sink.recv()
        found.append(bytes(frame.tdata).hex())
    Path("answers.json").write_text(json.dumps(found))
