"""Switching activity of every net of a netlist while it processes images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pilaster.models.network import Network
from pilaster.models.reference.network import infer
from pilaster.rtl.gates.gate_verilog import (
    CHUNK,
    clock_enables,
    counter_files,
    gate_verilog,
    memory_files,
)
from pilaster.rtl.gates.liberty import Library
from pilaster.rtl.gates.netlist import Netlist
from pilaster.rtl.toolchain.verilator import build_and_run
from pilaster.rtl.toolchain.workplace import workplace
from pilaster.rtl.verification.observed import column_stamps, expected_beats, read_observations
from pilaster.rtl.verification.stimulus import write_stimulus
from pilaster.rtl.verification.testbench import TESTBENCH
from pilaster.rtl.verilog import Design
from pilaster.sim.closed_form import stamps
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.traffic import Traffic

__all__ = ["Activity", "simulate_gates"]

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Activity:
    """What a run did to the nets of a netlist.

    Attributes
    ----------
    cycles : clock cycles counted, from the end of the reset
    toggles : (nets), changes over the run; of a clock, its edges
    high : (nets), share of the time that each is high
    read, written : (memories), accesses of each memory; a port that is not read at the clock is
        read when its address changes
    answers_equal, cycles_equal : whether every answer is the reference's, and came in the cycle
        that the model says
    """

    cycles: int
    images: int
    toggles: Numbers
    high: Numbers
    read: Numbers
    written: Numbers
    answers_equal: bool
    cycles_equal: bool

    def high_cycles(self, net: int) -> float:
        """Cycles that find a net high at their clock edge."""
        return float(self.high[net] * self.cycles)


def simulate_gates(
    netlist: Netlist,
    library: Library,
    design: Design,
    pipeline: Pipeline,
    images: NDArray[np.generic],
) -> Activity:
    """Run a netlist on images in Verilator, and count how often every net changes.

    Raises
    ------
    InputError
        If a tool is missing, or the netlist never ends its work.
    """
    network, values = pipeline.network, pipeline.network.encode(images)
    traffic = Traffic.steady(pipeline, len(values))
    expected = stamps(pipeline, len(values), traffic)
    gates = replace(design, verilog=gate_verilog(netlist, library), memories=memory_files(netlist))
    with workplace() as folder:
        last = int(expected.taken.max())
        write_stimulus(folder, pipeline, gates, values, traffic, last, probed=False)
        build_and_run(["machine.v", "testbench.v"], TESTBENCH, folder, optimize=False)
        observed = read_observations(pipeline, folder)
        cycles, changed, high = _read_counts(folder, counter_files(netlist))
    stage = pipeline.stages[-1]
    beats, real = expected_beats(network, stage, _answers(network, values))
    answers = observed.answers.shape == beats.shape and bool(
        (observed.answers == beats)[real].all()
    )
    rows = network.graph.output_shape.height
    taken = column_stamps(stage, rows, observed.taken)
    read, written = _accesses(netlist, high)
    toggles, share = changed[: netlist.nets], high[: netlist.nets] / cycles
    for clock, enable in clock_enables(netlist, library).items():
        pulses = cycles if enable is None else high[enable]
        toggles[clock], share[clock] = 2 * pulses, pulses / cycles / 2
    return Activity(
        cycles=cycles,
        images=len(values),
        toggles=toggles,
        high=share,
        read=read,
        written=written,
        answers_equal=answers and observed.finished,
        cycles_equal=bool(np.array_equal(expected.taken.reshape(-1), taken)),
    )


def _accesses(netlist: Netlist, high: Numbers) -> tuple[Numbers, Numbers]:
    """Reads and writes of every memory, from the counts of `counted`."""
    of_memories = iter(high[netlist.nets :])
    read, written = np.zeros(len(netlist.memories)), np.zeros(len(netlist.memories))
    for index, memory in enumerate(netlist.memories):
        written[index] = next(of_memories)
        for port in memory.reads:
            read[index] += high[port.enable] if port.clocked else next(of_memories)
    return read, written


def _answers(network: Network, values: NDArray[np.int32]) -> NDArray[np.int32]:
    shape = network.graph.output_shape
    return infer(network, values).reshape(len(values), shape.height, shape.width, shape.channels)


def _read_counts(folder: Path, files: Sequence[str]) -> tuple[int, Numbers, Numbers]:
    """Read the cycles counted, and by wire how often it changed and how many cycles it was high."""
    cycles, tables = 0, []
    for file in files:
        first, *planes = (folder / file).read_text(encoding="ascii").splitlines()
        cycles = int(first)
        table = np.zeros((2, CHUNK))
        for weight, plane in enumerate(planes):
            for row, digits in zip(table, plane.split(), strict=True):
                packed = np.frombuffer(bytes.fromhex(digits), np.uint8)
                row += np.unpackbits(packed)[::-1] * float(1 << weight)
        tables.append(table)
    changed, high = np.concatenate(tables, axis=1)
    return cycles, changed, high
