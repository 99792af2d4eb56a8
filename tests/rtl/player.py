"""The cocotb test of a bench: let drivers play to their components, and keep all that happens."""

import pickle
from dataclasses import dataclass, field
from pathlib import Path

import cocotb
from cocotb.triggers import Timer

from tests.rtl.drivers import Driver

PLAY, PLAYED = "play.pickle", "played.pickle"

TAIL = 24
"""Cycles for what is still on its way when all drivers are done."""


@dataclass
class Part:
    """One component of a bench.

    Attributes
    ----------
    inputs, outputs : (first bit, bits) of every port and field, by name
    waited_for : whether the simulation goes on until the drivers are done
    cycles : words of inputs and outputs at the end of every cycle
    """

    drivers: list[Driver]
    inputs: dict[str, tuple[int, int]]
    outputs: dict[str, tuple[int, int]]
    waited_for: bool
    cycles: list[tuple[int, int]] = field(default_factory=list)

    def drive(self) -> int:
        """Word of inputs of this cycle."""
        word = 0
        for driver in self.drivers:
            for name, value in driver.drive().items():
                first, bits = self.inputs[name]
                word |= (value & ((1 << bits) - 1)) << first
        return word

    def watch(self, inputs: int, outputs: int) -> None:
        """Keep the end of the cycle, and show it to the drivers."""
        self.cycles.append((inputs, outputs))
        seen = _Seen(self, inputs, outputs)
        for driver in self.drivers:
            driver.watch(seen)


class _Seen:
    def __init__(self, part: Part, inputs: int, outputs: int) -> None:
        self._part, self._inputs, self._outputs = part, inputs, outputs

    def __getitem__(self, name: str) -> int:
        if name in self._part.outputs:
            (first, bits), word = self._part.outputs[name], self._outputs
        else:
            (first, bits), word = self._part.inputs[name], self._inputs
        return word >> first & ((1 << bits) - 1)


@cocotb.test()
async def play(dut):
    """Go on until all drivers are done, or for the most cycles that are allowed."""
    parts, most = pickle.loads(Path(PLAY).read_bytes())
    ports = [(getattr(dut, f"in{i}"), getattr(dut, f"out{i}")) for i in range(len(parts))]
    tail = TAIL
    for _ in range(most):
        words = [part.drive() for part in parts]
        dut.clk.value = 0
        for (port, _), word in zip(ports, words, strict=True):
            port.value = word
        await Timer(1, "step")
        for part, (_, port), word in zip(parts, ports, words, strict=True):
            part.watch(word, int(port.value))
        dut.clk.value = 1
        await Timer(1, "step")
        if all(driver.done for part in parts if part.waited_for for driver in part.drivers):
            tail -= 1
            if not tail:
                break
    Path(PLAYED).write_bytes(pickle.dumps([part.cycles for part in parts]))
