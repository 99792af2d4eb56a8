"""Law: the node of a public library is known by its name or that of its file."""

from dataclasses import replace
from pathlib import Path

import pytest

from pilaster.rtl.gates.liberty import Library
from pilaster.rtl.gates.technology import node_of

TINY = Library.read(Path(__file__).parent / "tiny.lib")


@pytest.mark.parametrize(
    ("name", "node_nm"),
    [
        ("sg13g2_stdcell_typ_1p20V_25C", 130),
        ("sky130_fd_sc_hd__tt_025C_1v80", 130),
        ("gf180mcu_fd_sc_mcu7t5v0__tt_025C_5v00", 180),
        ("NangateOpenCellLibrary", 45),
        ("asap7sc7p5t_AO_RVT_TT_nldm_211120", 7),
        ("mine", None),
    ],
)
def test_the_node_of_a_public_library_is_known(name, node_nm):
    assert node_of(replace(TINY, name=name)) == node_nm
    assert node_of(replace(TINY, files=(Path("/cells") / f"{name}.lib.gz",))) == node_nm
