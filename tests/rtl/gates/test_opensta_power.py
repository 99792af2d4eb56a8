"""OpenSTA's power of gates beside our own, on the same netlist and activities.

Debian's OpenSTA 2.0 takes activities at ports alone, so every gate stands between ports and what it
drives. It counts the energies of both edges at every edge of an output, and those of all inputs: of
gates of one input that is twice what they take. It charges the most that a pin may have.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pilaster.rtl.gates.activity import Activity
from pilaster.rtl.gates.liberty import Library
from pilaster.rtl.gates.liberty_text import read_groups
from pilaster.rtl.gates.netlist import Gate, Netlist, Port
from pilaster.rtl.gates.nodes import MappedNetlist
from pilaster.rtl.gates.opensta import PROGRAM, ask_opensta, run_opensta
from pilaster.rtl.gates.power import gate_energies
from pilaster.rtl.gates.timing import analyze_timing
from tests.rtl.gates.rewriting import TREES, bare, write

LIBERTY = Path(os.environ.get("PILASTER_DATA", "no folder")) / "liberty"
LIBRARIES = [
    Path(__file__).parent / "tiny.lib",
    LIBERTY / "sg13g2_stdcell_typ_1p20V_25C.lib",
    LIBERTY / "sky130hd_tt_025C_1v80.lib.gz",
]
PERIOD_NS, CYCLES = 10.0, 1000
CLOCK = 2
MOST_DRIVEN = 3


def version():
    """Version of OpenSTA; nothing where it is not installed."""
    program = shutil.which(PROGRAM)
    told = program and subprocess.run([program, "-version"], capture_output=True, text=True)
    return told.stdout.strip() if told else ""


pytestmark = pytest.mark.skipif(
    not version().startswith("2.0."), reason="OpenSTA 2.0 is not installed"
)


def gates_of_one_input(library):
    """Cells whose output follows their one input."""
    for cell in library.cells.values():
        plain = cell.usable and cell.flip_flop is None and cell.clock_gate is None
        if plain and len(cell.inputs) == len(cell.outputs) == 1:
            (output,) = (cell.pins[name] for name in cell.outputs)
            if output.function is not None and output.powers:
                yield cell


def between_ports(library):
    """Every such cell driving one to three of its kind; gates, and nets in and out."""
    gates, ports, nets, driven = [], [Port("clk", "input", (CLOCK,))], CLOCK + 1, []
    for cell in gates_of_one_input(library):
        (pin,), (output,) = cell.inputs, cell.outputs
        for loads in range(1, MOST_DRIVEN + 1):
            ports.append(Port(f"in{nets}", "input", (nets,)))
            driven.append((len(gates), nets, nets + 1))
            gates.append(Gate((), cell.name, {pin: nets, output: nets + 1}))
            for load in range(loads):
                gates.append(Gate((), cell.name, {pin: nets + 1, output: nets + 2 + load}))
            nets += 2 + loads
    return MappedNetlist(Netlist(nets, tuple(ports), tuple(gates), ()), library), driven


def opensta(mapped, driven, toggles):
    """Internal and switching power of the gates that ports drive, in W: (gates, 2)."""
    commands = [
        f"set_power_activity -input_ports [get_ports n{net}] "
        f"-activity {toggles[net] / CYCLES} -duty 0.5"
        for _, net, _ in driven
    ]
    commands += [f"report_power -instances [get_cells g{gate}] -digits 8" for gate, _, _ in driven]
    told = ask_opensta(mapped, PERIOD_NS, commands)
    rows = re.findall(r"^\s*(\S+)\s+(\S+)\s+\S+\s+\S+ g\d+$", told, re.MULTILINE)
    assert len(rows) == len(driven), told
    return np.array(rows, float)


@pytest.mark.parametrize("way", TREES)
def test_opensta_reads_the_same_in_a_file_written_in_another_way(way, tmp_path):
    plain = Library.read(LIBRARIES[0])
    other = Library.read(
        *write(tmp_path / "way.lib", TREES[way](read_groups(LIBRARIES[0])), quote=bare)
    )
    found = []
    for library in (plain, other):
        mapped, driven = between_ports(library)
        toggles = np.full(mapped.netlist.nets, CYCLES * 0.1)
        judged = run_opensta(mapped, PERIOD_NS)
        assert judged.slack_ns == pytest.approx(
            analyze_timing(mapped, PERIOD_NS, {}, {}).slack_ns, abs=2e-4
        )
        found.append(opensta(mapped, driven, toggles))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4)


@pytest.mark.parametrize("path", LIBRARIES, ids=lambda path: path.name)
def test_opensta_finds_the_same_power(path):
    if not path.exists():
        pytest.skip("PILASTER_DATA names no folder with liberty/")
    mapped, driven = between_ports(Library.read(path))
    assert driven
    rng = np.random.default_rng(2023)
    toggles, high = np.zeros(mapped.netlist.nets), np.full(mapped.netlist.nets, 0.5)
    for _, came, went in driven:
        toggles[[came, went]] = CYCLES * rng.uniform(0.02, 0.6)
    seen = Activity(CYCLES, 1, toggles, high, np.zeros(0), np.zeros(0), True, True)
    found = gate_energies(mapped, seen, analyze_timing(mapped, PERIOD_NS, {}, {}), PERIOD_NS)
    judged = opensta(mapped, driven, toggles) * CYCLES * PERIOD_NS * 1e3  # pJ
    gates = [gate for gate, _, _ in driven]
    internal, charged = judged.T
    np.testing.assert_allclose(found.internal[gates], internal / 2, rtol=0.04)
    assert found.internal[gates].sum() == pytest.approx(internal.sum() / 2, rel=0.02)
    nets = [went for _, _, went in driven]
    own = 0.5 * mapped.library.voltage**2 * mapped.loads[nets] * toggles[nets]
    ratio = (charged / own).reshape(-1, MOST_DRIVEN)  # the same, whatever a cell drives
    np.testing.assert_allclose(ratio, ratio[:, [0] * MOST_DRIVEN], rtol=1e-4)
    assert (ratio > 0.999).all()
    assert (ratio < 1.3).all()


def test_wires_of_a_library_are_nothing_to_opensta_as_they_are_to_us(tmp_path):
    wires = (
        'wire_load ("Small") { capacitance : 0.02; resistance : 3.5; slope : 8; '
        'fanout_length (1, 23); fanout_length (6, 84); } default_wire_load : "Small";'
    )
    path = tmp_path / "wires.lib"
    path.write_text(
        LIBRARIES[0].read_text().replace("lu_table_template", f"{wires}\n lu_table_template", 1)
    )
    mapped, _ = between_ports(Library.read(path))
    own = analyze_timing(mapped, PERIOD_NS, {}, {}).slack_ns
    assert run_opensta(mapped, PERIOD_NS).slack_ns == pytest.approx(own, abs=2e-4)
