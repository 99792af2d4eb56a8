"""The cocotb test of the AXI4-Stream top: cocotbext-axi's source and sink, and mishaps.

`task.json` tells the frames; `found.json` gets the answers, and what the top reported.
"""

import itertools
import json
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

RESET_CYCLES = 3


class Bench:
    """The top between a source and a sink, and what is seen of it."""

    def __init__(self, dut, task):
        self.dut, self.task = dut, task
        self.rng = random.Random(task["seed"])
        bus, args = AxiStreamBus.from_prefix, (dut.aclk, dut.aresetn)
        self.source = AxiStreamSource(bus(dut, "s_axis"), *args, reset_active_level=False)
        self.sink = AxiStreamSink(bus(dut, "m_axis"), *args, reset_active_level=False)
        self.cycle = 0
        self.reports = {"image_short": 0, "image_long": 0}
        self.answers, self.begun, self.ended = [], [], []

    async def watch(self):
        """Count cycles and reports, and take answers."""
        within = False
        while True:
            await RisingEdge(self.dut.aclk)
            self.cycle += 1
            for name in self.reports:
                self.reports[name] += int(getattr(self.dut, name).value)
            if int(self.dut.aresetn.value) == 0:
                within = False
            elif int(self.dut.s_axis_tvalid.value) and int(self.dut.s_axis_tready.value):
                if not within:
                    self.begun.append(self.cycle)
                within = not int(self.dut.s_axis_tlast.value)
            while not self.sink.empty():
                self.answers.append(self.sink.recv_nowait())
                self.ended.append(self.cycle)

    async def reset(self):
        """Forget all, on both sides."""
        self.dut.aresetn.value = 0
        await ClockCycles(self.dut.aclk, RESET_CYCLES)
        self.source.clear()
        self.sink.clear()
        await RisingEdge(self.dut.aclk)
        self.dut.aresetn.value = 1
        await RisingEdge(self.dut.aclk)

    async def settle(self, answers):
        """Wait for so many answers, and until every frame has been sent."""
        while len(self.answers) < answers or not self.source.idle():
            await RisingEdge(self.dut.aclk)


@cocotb.test()
async def answers(dut):
    """Send frames; some are cut by a reset, once all before them are answered."""
    task = json.loads(Path("task.json").read_text())
    bench = Bench(dut, task)
    Clock(dut.aclk, 10, unit="ns").start()
    dut.aresetn.value = 0
    await ClockCycles(dut.aclk, 8)
    dut.aresetn.value = 1
    cocotb.start_soon(bench.watch())
    often = task["pauses"]
    for end, share in ((bench.source, often[0]), (bench.sink, often[1])):
        if share:
            end.set_pause_generator(bench.rng.random() < share for _ in itertools.count())
    due = 0
    for episode in task["episodes"]:
        frame = AxiStreamFrame(bytes.fromhex(episode["frame"]))
        if episode["reset_after"] is None:
            bench.source.send_nowait(frame)
            due += episode["answered"]
            if episode["alone"]:
                await bench.settle(due)
                await ClockCycles(dut.aclk, task["rest"])
            continue
        await bench.settle(due)
        await ClockCycles(dut.aclk, task["rest"])
        reports = dict(bench.reports)
        bench.source.send_nowait(frame)
        await ClockCycles(dut.aclk, episode["reset_after"])
        await bench.reset()
        del bench.answers[due:], bench.ended[due:]
        bench.reports.update(reports)
    await bench.settle(due)
    await ClockCycles(dut.aclk, task["rest"])
    found = {
        "answers": [bytes(answer.tdata).hex() for answer in bench.answers],
        "reports": bench.reports,
        "cycles": [bench.begun, bench.ended],
    }
    Path("found.json").write_text(json.dumps(found))
