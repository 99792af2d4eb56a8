"""Timing and leakage of a netlist by OpenSTA, where it is installed: an outside judge of our own.

Debian's OpenSTA 2.0 takes no activity of a pin inside a netlist: its `set_power_activity -pins`
fails, and what that calls has no effect. So its internal and switching power judge nothing here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pilaster.base.errors import InputError
from pilaster.rtl.gates.gate_verilog import CLOCK
from pilaster.rtl.gates.netlist import HIGH, LOW, Netlist
from pilaster.rtl.gates.nodes import MappedNetlist
from pilaster.rtl.verilog import TOP

__all__ = ["PROGRAM", "StaReport", "ask_opensta", "run_opensta"]

PROGRAM = "sta"

_WIRE_LOAD = re.compile(r"\bwire_load\s*\([^)]*\)\s*\{[^}]*\}")
_WIRE = re.compile(r"(\b(?:capacitance|resistance)\s*:\s*)[^;\s]+")

_SCRIPT = """\
{libraries}
set_cmd_units -time ns -capacitance pF -voltage V -power W
read_verilog netlist.v
link_design {top}
create_clock -name clock -period {period} [get_ports {clock}]
set_input_delay 0 -clock clock [get_ports {{{inputs}}}]
set_output_delay 0 -clock clock [all_outputs]
{commands}
exit
"""


@dataclass(frozen=True)
class StaReport:
    """What OpenSTA says of a netlist: leakage in uW, and the least setup slack in ns."""

    leakage_uw: float
    slack_ns: float


def run_opensta(mapped: MappedNetlist, period_ns: float) -> StaReport | None:
    """Ask OpenSTA for its report; None where it is missing.

    Raises
    ------
    InputError
        If it does not answer.
    """
    told = ask_opensta(
        mapped, period_ns, ("report_power -digits 8", "report_worst_slack -digits 4")
    )
    return None if told is None else _read(told)


def ask_opensta(mapped: MappedNetlist, period_ns: float, commands: Iterable[str]) -> str | None:
    """Give what OpenSTA says to commands on a netlist; None where it is missing.

    Net `i` that a port or a memory drives is its port `n<i>`, gate `i` its cell `g<i>`. Memories
    neither delay nor are set up.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        return None
    netlist = mapped.netlist
    clock = netlist.port(CLOCK).nets[0]
    inputs = [f"n{net}" for net in _sources(netlist) if net != clock]
    texts = mapped.library.texts
    files = [f"cells{number}.lib" for number in range(len(texts))]
    script = _SCRIPT.format(
        libraries="\n".join(f"read_liberty {file}" for file in files),
        top=TOP,
        period=period_ns,
        clock=f"n{clock}",
        inputs=" ".join(inputs),
        commands="\n".join(commands),
    )
    with tempfile.TemporaryDirectory(prefix="pilaster-") as name:
        folder = Path(name)
        for file, text in zip(files, texts, strict=True):
            (folder / file).write_bytes(_without_wires(text).encode("ascii", "replace"))
        (folder / "netlist.v").write_text(_structure(netlist), encoding="ascii")
        (folder / "run.tcl").write_text(script, encoding="ascii")
        told = subprocess.run(
            [program, "-no_splash", "-exit", "run.tcl"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    return told.stdout + told.stderr


def _without_wires(text: str) -> str:
    """Let the wires of a Liberty file be nothing, as they are in our own calculation."""
    return _WIRE_LOAD.sub(lambda group: _WIRE.sub(r"\g<1>0", group[0]), text)


def _sources(netlist: Netlist) -> list[int]:
    """Nets that ports and memories drive, and constants: a pin tied to one makes OpenSTA crash."""
    nets = [LOW, HIGH]
    nets += [net for port in netlist.ports if port.direction == "input" for net in port.nets]
    nets += [net for memory in netlist.memories for read in memory.reads for net in read.data]
    return list(dict.fromkeys(nets))


def _structure(netlist: Netlist) -> str:
    """Netlist as Verilog; what memories drive comes in by ports, and what they take goes out."""
    sources = _sources(netlist)
    ends = [net for port in netlist.ports if port.direction == "output" for net in port.nets]
    for memory in netlist.memories:
        for read in memory.reads:
            ends += [*read.address, read.enable]
        for write in memory.writes:
            ends += [*write.address, *write.data, *write.enables]
    ends = [net for net in dict.fromkeys(ends) if net not in (LOW, HIGH)]
    ports = [f"n{net}" for net in sources] + [f"end{net}" for net in ends]
    lines = [f"module {TOP} ({', '.join(ports)});"]
    lines += [f"input n{net};" for net in sources]
    lines += [f"output end{net};" for net in ends]
    driven = set(sources)
    lines += [f"wire n{net};" for net in range(netlist.nets) if net not in driven]
    lines += [f"assign end{net} = n{net};" for net in ends]
    for index, gate in enumerate(netlist.gates):
        pins = ", ".join(f".{pin}(n{net})" for pin, net in gate.nets.items())
        lines.append(f"{gate.cell} g{index} ({pins});")
    return "\n".join([*lines, "endmodule", ""])


def _read(told: str) -> StaReport:
    total = re.search(r"^Total\s+\S+\s+\S+\s+(\S+)", told, re.MULTILINE)
    slack = re.search(r"^worst slack (\S+)", told, re.MULTILINE)
    if total is None or slack is None:
        line = next((line for line in told.splitlines() if "rror" in line), "it said nothing")
        raise InputError(f"OpenSTA failed: {line}")
    return StaReport(float(total[1]) * 1e6, float(slack[1]))
