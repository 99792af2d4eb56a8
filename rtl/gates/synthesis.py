"""Synthesis of a machine to the cells of a library, by Yosys and ABC."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from pilaster.base.errors import InputError
from pilaster.rtl.boards.errors import ToolError
from pilaster.rtl.boards.tools import run_tool, yosys
from pilaster.rtl.gates.families import buffers_of
from pilaster.rtl.gates.liberty import Library
from pilaster.rtl.gates.liberty_writer import synthesis_text
from pilaster.rtl.gates.netlist import Netlist
from pilaster.rtl.parts import PROGRAM, component_of
from pilaster.rtl.verilog import TOP, Design

__all__ = ["LOGIC_BITS", "REGISTER_BITS", "TABLE_BITS", "Effort", "Synthesis"]

REGISTER_BITS = 1 << 10
"""A memory that is written and has no more bits is made of registers."""

LOGIC_BITS = 1 << 14
"""A memory that is only read and has no more bits is made of gates."""

TABLE_BITS = 1 << 15
"""The same of a sequencer's program, and of one that is not read at the clock, as no macro is."""

LEAST_GATED = 3
"""Registers of one enable that get a clock gate of their own, if there are as many."""

FANOUT = 4
"""Smallest buffers that an output of a module is taken to drive."""

_KEPT = "pilaster_kept"

# Enables are found first: later, a register's multiplexer may be shared with what reads it early.
_COARSE = f"""
read_verilog machine.v
hierarchy -top {TOP}
proc
write_json declared.json
opt_dff
synth -top {TOP} -run begin:fine
write_json coarse.json
"""

# Yosys's `synth` from `fine` on, but for the memories that are kept, and with clock gates. A
# register's first value comes from its reset: cells have none. Clock gates are given to registers
# with an enable and no reset, so a reset becomes part of the enable and of the data.
_FINE = f"""
read_json kept.json
select -set kept a:{_KEPT}
opt -fast -full
memory_map t:$mem_v2 @kept %d
setattr -unset init w:*
opt -undriven -fine
techmap
opt -fast
{{clock_gates}}
dfflibmap -liberty cells.lib
write_rtlil fine.il
"""

_MAP = """
read_rtlil fine.il
abc -liberty cells.lib {constraints} -D {period_ps} -script {script}
opt_clean
flatten
opt_clean -purge
write_json gates.json
"""


class Effort(Enum):
    """How hard ABC tries to meet the clock, the least first: its script.

    The first is what Yosys takes of its own accord; the second maps for delay, and the third
    balances sums of products before it does.
    """

    PLAIN = (
        "strash; &get -n; &fraig -x; &put; scorr; dc2; strash; &get -n; &dch -f; &nf -D {D}; &put; "
        "buffer; upsize -D {D}; dnsize -D {D}"
    )
    HARD = (
        "strash; ifraig; scorr; dc2; dch -f; map -B 0.9 -D {D}; topo; buffer -c -p; topo; "
        "upsize -D {D}; dnsize -D {D}"
    )
    HARDEST = (
        "strash; ifraig; scorr; dc2; dch -f; if -g -K 6 -C 8; strash; dch -f; map -B 0.9 -D {D}; "
        "topo; buffer -c -p; topo; upsize -D {D}; dnsize -D {D}"
    )

    def script(self, period_ps: float, buffered: bool) -> str:
        """Write it as Yosys takes it on its command line.

        buffered : whether the library has buffers, without which ABC puts none in
        """
        commands = self.value.format(D=f"{period_ps:.0f}").split("; ")
        kept = [one for one in commands if buffered or not one.startswith("buffer")]
        return "+" + "; ".join(kept).replace(" ", ",")


class Synthesis:
    """Maps a machine to the cells of a library, with one effort or another.

    Parameters
    ----------
    period_ns : of the clock, for which gates are sized
    gated : registers that have an enable in common get a clock gate, where the library has one

    Raises
    ------
    InputError
        If Yosys is missing, or refuses the library.
    """

    def __init__(self, design: Design, library: Library, period_ns: float, gated: bool) -> None:
        self.library, self.period_ns = library, period_ns
        self.tool = yosys()
        self.files = {
            "machine.v": design.verilog,
            **design.memories,
            "resets.v": _resets(),
            "cells.lib": synthesis_text(library),
            "sizes.constr": _constraints(library),
        }
        with self.folder() as folder:
            self.run(folder, _COARSE)
            declared, coarse = (
                json.loads((folder / file).read_text(encoding="utf-8"))
                for file in ("declared.json", "coarse.json")
            )
            _mark(coarse, _declared_bits(declared))
            (folder / "kept.json").write_text(json.dumps(coarse), encoding="utf-8")
            self.run(folder, _FINE.format(clock_gates=_clock_gates(library) if gated else ""))
            self.files["fine.il"] = (folder / "fine.il").read_text(encoding="utf-8")

    def netlist(self, effort: Effort) -> Netlist:
        """Map it, module by module."""
        period_ps = self.period_ns * 1e3
        with self.folder() as folder:
            buffered = bool(self.files["sizes.constr"])
            script = _MAP.format(
                constraints="-constr sizes.constr" if buffered else "",
                period_ps=round(period_ps),
                script=effort.script(period_ps, buffered),
            )
            self.run(folder, script)
            gates = json.loads((folder / "gates.json").read_text(encoding="utf-8"))
        return Netlist.from_json(gates, TOP)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Give a folder with the files."""
        with tempfile.TemporaryDirectory(prefix="pilaster-") as name:
            for file, text in self.files.items():
                (Path(name) / file).write_text(text, encoding="utf-8")
            yield Path(name)

    def run(self, folder: Path, script: str) -> None:
        """Run a script of Yosys."""
        (folder / "run.ys").write_text(script, encoding="ascii")
        try:
            run_tool(self.tool, ["-q", "-s", "run.ys"], folder)
        except ToolError as error:
            program, path = " ".join(self.tool.command[:1]), self.library.path
            raise InputError(
                f"{program} could not map the machine to the cells of {path}: {error}"
            ) from error


def _clock_gates(library: Library) -> str:
    cell = library.clock_gate
    if cell is None or cell.clock_gate is None:
        return ""
    pins = cell.clock_gate
    tied = f"-tie_lo {pins.test}" if pins.test else ""
    ports = f"{pins.enable}:{pins.clock}:{pins.output}"
    prepared = "techmap -map resets.v; techmap; opt_merge; clean\n"
    return f"{prepared}clockgate -pos {cell.name} {ports} {tied} -min_net_size {LEAST_GATED}"


def _constraints(library: Library) -> str:
    """What drives a module and what it drives: a buffer of middle size, and four of the least."""
    buffers = buffers_of(library)
    if not buffers:
        return ""
    middle = buffers[len(buffers) // 2]
    (pin,) = buffers[0].inputs
    load_ff = FANOUT * buffers[0].pins[pin].capacitance * 1e3
    return f"set_driving_cell {middle.name}\nset_load {load_ff:.6g}\n"


def _resets() -> str:
    """Write a map of registers with enable and reset to registers with an enable alone."""
    cells = []
    for reset, value, enable in itertools.product("PN", "01", "PN"):
        resets = "R" if reset == "P" else "~R"
        enables = "E" if enable == "P" else "~E"
        cells.append(
            f"module \\$_SDFFE_P{reset}{value}{enable}_ (input D, C, R, E, output Q);\n"
            f"  \\$_DFFE_PP_ kept (.C(C), .E({enables} | {resets}), "
            f".D({resets} ? 1'b{value} : D), .Q(Q));\nendmodule\n"
        )
    return "".join(cells)


def _declared_bits(design: dict[str, Any]) -> Mapping[tuple[str, str], int]:
    """Bits of every memory as the RTL has it, by module and name: synthesis drops constant ones."""
    return {
        (module, name): memory["width"] * memory["size"]
        for module, body in design["modules"].items()
        for name, memory in body.get("memories", {}).items()
    }


def _mark(design: dict[str, Any], declared: Mapping[tuple[str, str], int]) -> None:
    """Mark the memories that stay such, and are not made of registers or gates."""
    for module, body in design["modules"].items():
        for cell in body["cells"].values():
            if cell["type"] != "$mem_v2":
                continue
            parameters = cell["parameters"]
            made = int(parameters["WIDTH"], 2) * int(parameters["SIZE"], 2)
            bits = declared.get((module, parameters["MEMID"].lstrip("\\")), made)
            if bits > _most_bits(module, parameters):
                cell["attributes"][_KEPT] = "00000000000000000000000000000001"


def _most_bits(module: str, parameters: dict[str, str]) -> int:
    """Bits up to which a memory of a module is made of registers or gates."""
    if int(parameters["WR_PORTS"], 2):
        return REGISTER_BITS
    _, component = component_of(module.split(".")[1:])
    clocked = int(parameters["RD_CLK_ENABLE"], 2)
    return LOGIC_BITS if clocked and component != PROGRAM else TABLE_BITS
