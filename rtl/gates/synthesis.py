"""Synthesis of a machine to the cells of a library, by Yosys."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pilaster.models.errors import InputError
from pilaster.rtl.boards.errors import ToolError
from pilaster.rtl.boards.tools import run_tool, yosys
from pilaster.rtl.gates.liberty import Library
from pilaster.rtl.gates.netlist import Netlist
from pilaster.rtl.verilog import TOP, Design

__all__ = ["LOGIC_BITS", "REGISTER_BITS", "synthesise"]

REGISTER_BITS = 1 << 10
"""A memory that is written and has no more bits is made of registers."""

LOGIC_BITS = 1 << 14
"""A memory that is only read and has no more bits is made of gates."""

TABLE_BITS = 1 << 15
"""The same of one that is not read at the clock, as no macro is."""

LEAST_GATED = 3
"""Registers of one enable that get a clock gate of their own, if there are as many."""

_KEPT = "pilaster_kept"

# Enables are found first: later, a register's multiplexer may be shared with what reads it early.
_COARSE = f"""
read_verilog machine.v
proc
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
dfflibmap {{unused}} -liberty cells.lib
abc {{unused}} -liberty cells.lib -D {{period_ps}}
opt_clean
flatten
opt_clean -purge
write_json gates.json
"""


def synthesise(design: Design, library: Library, period_ns: float, gated: bool = True) -> Netlist:
    """Make a netlist of a machine.

    Parameters
    ----------
    period_ns : of the clock, for which gates are sized
    gated : registers that have an enable in common get a clock gate, where the library has one

    Raises
    ------
    InputError
        If Yosys is missing, or refuses the library.
    """
    tool = yosys()
    with tempfile.TemporaryDirectory(prefix="pilaster-") as name:
        folder = Path(name)

        def run(script: str) -> None:
            (folder / "run.ys").write_text(script, encoding="ascii")
            run_tool(tool, ["-q", "-s", "run.ys"], folder)

        (folder / "machine.v").write_text(design.verilog, encoding="ascii")
        for file, text in design.memories.items():
            (folder / file).write_text(text, encoding="ascii")
        (folder / "resets.v").write_text(_resets(), encoding="ascii")
        (folder / "cells.lib").write_bytes(library.plain_text)
        try:
            run(_COARSE)
            coarse = json.loads((folder / "coarse.json").read_text(encoding="utf-8"))
            _mark(coarse, _is_kept)
            (folder / "kept.json").write_text(json.dumps(coarse), encoding="utf-8")
            run(_fine(library, period_ns, gated))
        except ToolError as error:
            raise InputError(f"{library.path}: the machine could not be mapped: {error}") from error
        gates = json.loads((folder / "gates.json").read_text(encoding="utf-8"))
    return Netlist.from_json(gates, TOP)


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


def _fine(library: Library, period_ns: float, gated: bool) -> str:
    unused = [name for name, cell in library.cells.items() if not cell.usable]
    cell = library.clock_gate if gated else None
    clock_gates = ""
    if cell is not None and cell.clock_gate is not None:
        pins = cell.clock_gate
        tied = f"-tie_lo {pins.test}" if pins.test else ""
        ports = f"{pins.enable}:{pins.clock}:{pins.output}"
        clock_gates = "techmap -map resets.v; techmap; opt_merge; clean\n"
        clock_gates += f"clockgate -pos {cell.name} {ports} {tied} -min_net_size {LEAST_GATED}"
    return _FINE.format(
        clock_gates=clock_gates,
        unused=" ".join(f"-dont_use {name}" for name in unused),
        period_ps=round(period_ns * 1e3),
    )


def _is_kept(parameters: dict[str, str]) -> bool:
    """Whether a memory stays one, and is not made of registers or gates."""
    bits = int(parameters["WIDTH"], 2) * int(parameters["SIZE"], 2)
    if int(parameters["WR_PORTS"], 2):
        return bits > REGISTER_BITS
    return bits > (LOGIC_BITS if int(parameters["RD_CLK_ENABLE"], 2) else TABLE_BITS)


def _mark(design: dict[str, Any], kept: Callable[[dict[str, str]], bool]) -> None:
    for module in design["modules"].values():
        for cell in module["cells"].values():
            if cell["type"] == "$mem_v2" and kept(cell["parameters"]):
                cell["attributes"][_KEPT] = "00000000000000000000000000000001"
