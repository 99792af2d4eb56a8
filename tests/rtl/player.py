"""A simulation whose drivers are Python: they play to their components, and all is kept."""

import subprocess
from dataclasses import dataclass, field

from tests.rtl.drivers import Driver

TAIL = 24
"""Cycles for what is still on its way when all drivers are done."""


@dataclass
class Part:
    """One component of a bench.

    Attributes
    ----------
    widths : bits of the words of inputs and of outputs
    inputs, outputs : (first bit, bits) of every port and field, by name
    waited_for : whether the simulation goes on until the drivers are done
    cycles : words of inputs and outputs at the end of every cycle
    """

    drivers: list[Driver]
    widths: tuple[int, int]
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


def main_cpp(parts):
    """C++ of a simulation that takes words of inputs and gives words of outputs, cycle by cycle.

    A word is as many bytes as its bits need, the lowest first, as Verilator keeps it.
    """
    reads, writes = (
        "".join(
            f"        if (std::{call}(&top->{side}{index}, {length}, 1, {file}) != 1) return 0;\n"
            for index, length in enumerate(_lengths(parts, of))
        )
        for side, call, file, of in (("in", "fread", "stdin", 0), ("out", "fwrite", "stdout", 1))
    )
    return MAIN.format(reads=reads, writes=writes)


MAIN = """\
#include <cstdio>
#include <memory>
#include "Vtop.h"
int main() {{
    const std::unique_ptr<VerilatedContext> context{{new VerilatedContext}};
    const std::unique_ptr<Vtop> top{{new Vtop{{context.get(), ""}}}};
    for (;;) {{
{reads}        top->clk = 0;
        top->eval();
{writes}        std::fflush(stdout);
        top->clk = 1;
        top->eval();
    }}
}}
"""


def _lengths(parts, side):
    """Bytes of every part's word of inputs (0) or of outputs (1)."""
    return [-(-part.widths[side] // 8) for part in parts]


def play(program, folder, parts, most_cycles):
    """Let drivers play until all are done, or for the most cycles that are allowed."""
    given, seen = _lengths(parts, 0), _lengths(parts, 1)
    tail = TAIL
    with subprocess.Popen(
        [program], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as simulation:
        for _ in range(most_cycles):
            words = [part.drive() for part in parts]
            pairs = zip(words, given, strict=True)
            simulation.stdin.write(b"".join(word.to_bytes(size, "little") for word, size in pairs))
            simulation.stdin.flush()
            for part, word, size in zip(parts, words, seen, strict=True):
                part.watch(word, int.from_bytes(simulation.stdout.read(size), "little"))
            if all(driver.done for part in parts if part.waited_for for driver in part.drivers):
                tail -= 1
                if not tail:
                    break
        simulation.stdin.close()
    assert simulation.returncode == 0
