"""Laws of real libraries: IHP SG13G2, its SRAM macros, and SkyWater 130.

The files are the user's own: PILASTER_DATA says where they stand.
"""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest

from pilaster.cli import main
from pilaster.rtl.gates.liberty import Library
from pilaster.rtl.gates.sram import Macro

DATA = Path(os.environ.get("PILASTER_DATA", "no folder"))
LIBERTY = DATA / "liberty"
STANDARD_CELLS = {
    "sg13g2_stdcell_typ_1p20V_25C.lib": (1.2, "sg13g2_lgcp_1", 7.2576),
    "sky130hd_tt_025C_1v80.lib.gz": (1.8, "sky130_fd_sc_hd__dlclkp_1", 3.7536),
}
NANDS = ("sg13g2_nand2_1", "sky130_fd_sc_hd__nand2_1")

pytestmark = pytest.mark.skipif(
    not LIBERTY.is_dir(), reason="PILASTER_DATA names no folder with liberty/"
)


@pytest.mark.parametrize("name", STANDARD_CELLS)
def test_a_library_is_read(name):
    library = Library.read(LIBERTY / name)
    voltage, gate, area = STANDARD_CELLS[name]
    assert library.voltage == voltage
    assert library.clock_gate.name == gate
    nand = next(library.cells[cell] for cell in NANDS if cell in library.cells)
    assert nand.area == pytest.approx(area)
    assert nand.usable
    assert set(nand.inputs) == {"A", "B"}


def test_macros_cost_what_is_published_of_them():
    with (DATA / "energy" / "ihp_sg13g2_sram_energy.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["ports"] == "1P"]
    published = {
        (int(row["depth"]), int(row["width_bits"])): float(row["read_pJ(A_MEN&!A_WEN&A_REN)"])
        for row in rows
    }
    macros = [Macro.read(path) for path in sorted((LIBERTY / "ihp_sram").glob("*.lib"))]
    assert len(macros) > 10
    for macro in macros:
        assert macro.read_pj == pytest.approx(published[macro.depth, macro.width], rel=1e-3)


SLOW = "sg13g2_stdcell_slow_1p08V_125C.lib.gz"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mhz", "efforts"),
    [
        *((name, 25, ("plain",)) for name in STANDARD_CELLS),
        (SLOW, 150, ("hard", "hardest")),  # the first netlist misses it
    ],
)
def test_digits_at_gates(name, mhz, efforts, capsys):
    arguments = ("power", "digits", "--liberty", LIBERTY / name, "--clock-mhz", mhz)
    assert main([*map(str, arguments), "--images", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["answers_equal"]
    assert found["cycles_equal"]
    assert found["clock_gates"] > 100
    assert found["slack_ns"] >= 0
    assert found["effort"] in efforts
    if shutil.which("sta"):
        leakage = sum(part["leakage_pj"] for part in found["components"]) * found["images"]
        leakage_uw = leakage / found["cycles"] * found["clock_mhz"]
        assert found["opensta"]["slack_ns"] == pytest.approx(found["slack_ns"], abs=2e-3)
        assert found["opensta"]["leakage_uw"] == pytest.approx(leakage_uw, rel=0.05)
