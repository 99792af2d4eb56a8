"""Power and timing of a netlist by OpenSTA, where it is installed: an outside judge of our own.

OpenSTA is told the activity of every pin that drives a net. What ports and memories drive it does not
charge to any cell, and neither does `Judged.own` here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pilaster.models.errors import InputError
from pilaster.rtl.gates.activity import Activity
from pilaster.rtl.gates.gate_verilog import CLOCK
from pilaster.rtl.gates.netlist import HIGH, LOW, Netlist
from pilaster.rtl.gates.nodes import MappedNetlist
from pilaster.rtl.verilog import TOP

__all__ = ["StaReport", "run_opensta"]

PROGRAM = "sta"

_WIRE_LOAD = re.compile(rb"(\bwire_load\s*\([^)]*\)\s*\{[^}]*?\bcapacitance\s*:\s*)[^;\s]+")

_SCRIPT = """\
read_liberty cells.lib
read_verilog netlist.v
link_design {top}
create_clock -name clock -period {period} [get_ports {clock}]
set_input_delay 0 -clock clock [get_ports {{{inputs}}}]
set_output_delay 0 -clock clock [all_outputs]
# OpenSTA 2.0's own `set_power_activity -pins` fails on a misspelt name; this is what it would call.
proc seen {{pin changes duty}} {{
    sta::set_power_pin_activity [get_pins $pin] $changes $duty
}}
source activity.tcl
report_power -digits 8
report_worst_slack
exit
"""


@dataclass(frozen=True)
class StaReport:
    """What OpenSTA says of a netlist: mean power in mW, and the least setup slack."""

    leakage_mw: float
    internal_mw: float
    switching_mw: float
    slack_ns: float


def run_opensta(mapped: MappedNetlist, activity: Activity, period_ns: float) -> StaReport | None:
    """Ask OpenSTA; None where it is not installed.

    Raises
    ------
    InputError
        If it does not answer.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        return None
    netlist = mapped.netlist
    with tempfile.TemporaryDirectory(prefix="pilaster-") as name:
        folder = Path(name)
        # Wires have no capacitance in our own calculation, so they have none here.
        cells = _WIRE_LOAD.sub(rb"\g<1>0", mapped.library.plain_text)
        (folder / "cells.lib").write_bytes(cells)
        (folder / "netlist.v").write_text(_structure(netlist), encoding="ascii")
        lines = _activities(mapped, activity)
        (folder / "activity.tcl").write_text("\n".join([*lines, ""]), encoding="ascii")
        inputs = [f"n{net}" for net in _sources(netlist) if net != netlist.port(CLOCK).nets[0]]
        script = _SCRIPT.format(
            top=TOP,
            period=period_ns,
            clock=f"n{netlist.port(CLOCK).nets[0]}",
            inputs=" ".join(inputs),
        )
        (folder / "run.tcl").write_text(script, encoding="ascii")
        told = subprocess.run(
            [program, "-no_splash", "-exit", "run.tcl"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    return _read(told.stdout + told.stderr)


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
    lines += [f"wire n{net};" for net in range(2, netlist.nets) if net not in set(sources)]
    lines += [f"assign end{net} = n{net};" for net in ends]
    for index, gate in enumerate(netlist.gates):
        pins = ", ".join(f".{pin}(n{net})" for pin, net in gate.nets.items())
        lines.append(f"{gate.cell} g{index} ({pins});")
    return "\n".join([*lines, "endmodule", ""])


def _activities(mapped: MappedNetlist, activity: Activity) -> Iterator[str]:
    """Tell the activity of every pin that drives a net: changes a cycle, and the share of time."""

    for net in _sources(mapped.netlist):
        if net not in mapped.clocks:
            changes = activity.toggles[net] / activity.cycles
            yield (
                f"set_power_activity -input_ports [get_ports n{net}] -activity {changes:.8g} "
                f"-duty {activity.high[net]:.6g}"
            )
    for index, gate in enumerate(mapped.netlist.gates):
        for pin in mapped.library.cells[gate.cell].outputs:
            if pin in gate.nets:
                net = gate.nets[pin]
                changes = activity.toggles[net] / activity.cycles
                yield f"seen g{index}/{pin} {changes:.8g} {activity.high[net]:.6g}"


def _read(told: str) -> StaReport:
    total = re.search(r"^Total\s+(\S+)\s+(\S+)\s+(\S+)", told, re.MULTILINE)
    slack = re.search(r"^worst slack (\S+)", told, re.MULTILINE)
    if total is None or slack is None:
        line = next((line for line in told.splitlines() if "rror" in line), "it said nothing")
        raise InputError(f"OpenSTA failed: {line}")
    internal, switching, leakage = (float(total[i]) * 1e3 for i in (1, 2, 3))
    return StaReport(leakage, internal, switching, float(slack[1]))
