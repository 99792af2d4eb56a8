"""Laws of what Liberty says of cells: leakage, supplies, pins, tables, files of one library."""

from pathlib import Path

import numpy as np
import pytest

from pilaster.base.errors import InputError
from pilaster.rtl.gates.activity import Activity
from pilaster.rtl.gates.liberty import Library, library_files
from pilaster.rtl.gates.netlist import Gate, Netlist, Port
from pilaster.rtl.gates.nodes import MappedNetlist
from pilaster.rtl.gates.power import gate_energies
from pilaster.rtl.gates.timing import analyze_timing

TINY = (Path(__file__).parent / "tiny.lib").read_text()
A, B, Y = 3, 4, 5


@pytest.fixture
def with_cell(tmp_path):
    """Read the tiny library with a cell more, and lines at its top."""

    def read(cell, top=""):
        text = TINY.replace("technology (cmos);", f"technology (cmos); {top}")
        path = tmp_path / "more.lib"
        path.write_text(text[: text.rindex("}")] + cell + "\n}\n")
        return Library.read(path)

    return read


def gate(body, function="!A"):
    return f"""cell (NEW) {{ area : 3; {body}
      pin (A) {{ direction : input; capacitance : 0.01; }}
      pin (B) {{ direction : input; capacitance : 0.01; }}
      pin (Y) {{ direction : output; function : "{function}"; }} }}"""


def energies(library, toggles=(), high=(0.25, 0.5)):
    """Energies of one gate NEW, over 1,000 cycles of 1 us, in pJ."""
    ports = (Port("clk", "input", (2,)), Port("in", "input", (A, B)), Port("y", "output", (Y,)))
    one = Gate((), "NEW", {"A": A, "B": B, "Y": Y})
    mapped = MappedNetlist(Netlist(6, ports, (one,), ()), library)
    changes, share = np.zeros(6), np.zeros(6)
    share[[A, B]] = high
    for net, count in toggles:
        changes[net] = count
    seen = Activity(1000, 1, changes, share, np.zeros(0), np.zeros(0), True, True)
    return gate_energies(mapped, seen, analyze_timing(mapped, 1000.0, {}, {}), 1000.0)


def leak(value, when="", supply=""):
    condition = f'when : "{when}"; ' if when else ""
    pin = f'related_pg_pin : "{supply}"; ' if supply else ""
    return f"leakage_power () {{ {pin}{condition}value : {value}; }} "


LEAKAGES = {
    "of the cell": ("cell_leakage_power : 8;", 8),
    "of the library": ("", 6),
    "of the library, for a negative one": ("cell_leakage_power : -1;", 6),
    "of no state": (leak(5), 5),
    "of no state, before that of the cell": ("cell_leakage_power : 8;" + leak(5), 5),
    "of states": (leak(4, "A") + leak(8, "!A"), 7),  # A is high a quarter of the time
    "of the others": (leak(4, "A") + leak(12), 10),
    "of the others, by the cell": ("cell_leakage_power : 8;" + leak(4, "A"), 7),
    "of the others, by the library": (leak(4, "A"), 5.5),
    "of two supplies": (leak(3, "", "VDD") + leak(4, "", "VSS"), 7),
    "of two supplies in states": (
        leak(4, "A", "VDD") + leak(8, "!A", "VDD") + leak(1, "A", "VDDL") + leak(2, "", "VDDL"),
        7 + 1.75,
    ),
}


@pytest.mark.parametrize(("body", "nanowatts"), LEAKAGES.values(), ids=LEAKAGES.keys())
def test_leakage_is_what_the_standard_says(body, nanowatts, with_cell):
    library = with_cell(gate(body), "default_cell_leakage_power : 6;")
    assert energies(library).leakage == pytest.approx([nanowatts])  # 1 nW for 1 ms is 1 pJ


def test_leakage_by_area_is_the_last_to_count(with_cell):
    library = with_cell(gate(""), "default_leakage_power_density : 2;")
    assert energies(library).leakage == pytest.approx([6])


def power(value, supply="", related="A", when=""):
    condition = f'when : "{when}"; ' if when else ""
    pin = f'related_pg_pin : "{supply}"; ' if supply else ""
    return (
        f'internal_power () {{ related_pin : "{related}"; {pin}{condition}'
        f'power (scalar) {{ values ("{value}"); }} }} '
    )


POWERS = {
    "one": (power(0.1), 0.1),
    "two supplies add up": (power(0.1, "VDD") + power(0.3, "VDDL"), 0.4),
    "a negative one is taken off": (power(0.1, "VDD") + power(-0.04, "VSS"), 0.06),
    "levels of power add up": (
        (power(0.1, "X") + power(0.3, "Y")).replace("related_pg_pin", "power_level"),
        0.4,
    ),
    "pins share": (power(0.1) + power(0.4, related="B"), 0.2),  # B changes half as often
    "a list of pins": (power(0.1, related="A B"), 0.1),
    "states": (power(0.1, when="B") + power(0.3, when="!B"), 0.2),
    "states of one pin leave the other's alone": (
        power(0.1, when="B") + power(0.3, when="!B") + power(0.5, related="B"),
        0.3,
    ),
    "other states": (power(0.1, when="B") + power(0.3), 0.2),
}


@pytest.mark.parametrize(("body", "pj"), POWERS.values(), ids=POWERS.keys())
def test_internal_energy_is_what_the_standard_says(body, pj, with_cell):
    cell = gate("").replace('function : "!A";', f'function : "!A | B"; {body}')
    found = energies(with_cell(cell), [(A, 200), (B, 100), (Y, 60)])
    assert found.internal == pytest.approx([60 * pj])


def test_a_table_of_three_axes_is_read_at_both_loads(with_cell):
    template = (
        "power_lut_template (three) { variable_1 : input_transition_time; "
        "variable_2 : total_output_net_capacitance; "
        "variable_3 : equal_or_opposite_output_net_capacitance; "
        'index_1 ("0, 1"); index_2 ("0, 1"); index_3 ("0, 2"); }'
    )
    table = 'power (three) { values ("0, 1, 2, 3", "4, 5, 6, 7"); }'
    energy = f'internal_power () {{ related_pin : "A"; equal_or_opposite_output : "Y"; {table} }}'
    cell = gate("").replace("direction : output;", f"direction : output; {energy}")
    (power,) = with_cell(template + cell).cells["NEW"].pins["Y"].powers
    assert power.opposite == "Y"
    slew, load, other = np.array([0.5]), np.array([0.25]), np.array([1.0])
    assert power.rise.at(slew, load, other) == pytest.approx(4 * 0.5 + 2 * 0.25 + 1 / 2)


@pytest.mark.parametrize(
    ("more", "usable"),
    [
        ("", True),
        ("dont_use : false;", True),
        ('dont_use : "TRUE";', False),
        ("dont_use : 1;", False),
        ("is_level_shifter : true;", False),
        ('pin (Z) { direction : output; function : "A"; three_state : "B"; }', False),
        ("pin (P) { direction : inout; }", False),
        ("bus (D) { bus_type : word; direction : input; }", False),
    ],
)
def test_synthesis_takes_what_a_library_lets_it(more, usable, with_cell):
    kind = "type (word) { base_type : array; bit_width : 4; bit_from : 3; bit_to : 0; }"
    cell = with_cell(kind + gate(more)).cells["NEW"]
    assert cell.usable == usable
    if "bus" in more:
        assert [name for name in cell.pins if name[0] == "D"] == [f"D[{i}]" for i in range(4)]


@pytest.mark.parametrize(
    "state",
    [
        'latch (IQ, IQN) { enable : "A"; data_in : "B"; }',
        'ff_bank (IQ, IQN, 2) { clocked_on : "A"; next_state : "B"; }',
        'statetable ("A B", "Y") { table : "L - : - : N"; }',
    ],
)
def test_a_cell_with_another_state_than_a_flip_flops_is_no_logic(state, with_cell):
    cell = with_cell(gate(state)).cells["NEW"]
    assert cell.latch
    assert not cell.is_logic
    assert not cell.is_register


def test_a_timing_type_of_one_edge_has_no_table_of_the_other(with_cell):
    tables = "".join(
        f'{edge} (scalar) {{ values ("0.3"); }} ' for edge in ("cell_rise", "cell_fall")
    )
    timing = f'timing () {{ related_pin : "A B"; timing_type : combinational_fall; {tables} }}'
    cell = gate("").replace("direction : output;", f"direction : output; {timing}")
    first, second = with_cell(cell).cells["NEW"].pins["Y"].arcs
    assert (first.related, second.related, first.kind) == ("A", "B", "combinational")
    assert first.delays[0] is None
    assert first.delays[1].at(np.zeros(1), np.zeros(1)) == pytest.approx(0.3)
    assert (first.sense, second.sense) == ("negative_unate", "non_unate")


@pytest.mark.parametrize(
    ("text", "voltage"),
    [
        ("nom_voltage : 1.1; operating_conditions (a) { voltage : 1.2; }", 1.1),
        ("operating_conditions (a) { voltage : 1.2; }", 1.2),
        (
            "nom_voltage : 1.1; operating_conditions (a) { voltage : 1.2; } "
            "operating_conditions (b) { voltage : 1.3; } default_operating_conditions : a;",
            1.2,
        ),
        (
            "default_operating_conditions : b; nom_voltage : 1.1; "
            "operating_conditions (b) { voltage : 1.3; } operating_conditions (c) { voltage : 2; }",
            1.3,
        ),
    ],
)
def test_the_supply_is_that_of_the_default_operating_conditions(text, voltage, tmp_path):
    path = tmp_path / "conditions.lib"
    plain = TINY.replace("default_operating_conditions : typical;", "")
    plain = plain.replace("nom_voltage : 1.0;", text)
    plain = plain.replace(
        "operating_conditions (typical) { process : 1; voltage : 1.0; temperature : 25; }", ""
    )
    path.write_text(plain)
    assert Library.read(path).voltage == voltage


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("conditions : typical", "conditions : cold", "names 'cold', which is not there"),
        ("cell_rise (delay)", "cell_rise (other)", "no lu_table_template has that name"),
        ('"0.1, 0.2", "1.1, 1.2"', '"0.1, 0.2", "1.1"', "values do not fit its indices"),
        ("variable_1 : input_tr", "variable_1 : height_tr", "axis 'height_transition_time'"),
        ('index_1 ("0, 1")', 'index_1 ("1, 0")', "index_1 does not rise"),
        ("table_lookup", "generic_cmos", "delay_model 'generic_cmos' is not table_lookup"),
        ("cell (INV)", "cell (NOR2)", "cell NOR2 is there twice"),
        ("library (tiny) {", 'library (tiny) { include_file ("no.inc");', "no.inc: no such file"),
        ("library (tiny) {", 'library (tiny) { include_file ("bad.lib");', "more than 16 deep"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(old, new, words, tmp_path):
    path = tmp_path / "bad.lib"
    assert old in TINY
    path.write_text(TINY.replace(old, new))
    with pytest.raises(InputError) as refused:
        Library.read(path)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_files_are_found_by_name_by_pattern_and_in_a_folder(tmp_path):
    for name in ("b.lib", "a.lib", "c.lib.gz", "read.me"):
        (tmp_path / name).write_text("")
    names = [tmp_path / name for name in ("a.lib", "b.lib", "c.lib.gz")]
    assert library_files([tmp_path]) == tuple(names)
    assert library_files([tmp_path / "[ab].lib", tmp_path / "a.lib"]) == tuple(names[:2])
    assert library_files([tmp_path / "no.lib"]) == (tmp_path / "no.lib",)  # told when it is read
    (tmp_path / "empty").mkdir()
    for name, words in (("empty", "has no Liberty file"), ("x*.lib", "no file has such a name")):
        with pytest.raises(InputError, match=words):
            library_files([tmp_path / name])


def test_files_of_one_library_have_one_supply_and_no_cell_in_common(tmp_path):
    first, second, third = (tmp_path / f"{name}.lib" for name in "abc")
    first.write_text(TINY)
    second.write_text("library (tiny_more) { nom_voltage : 0.9; cell (X) { area : 1; } }")
    third.write_text("library (tiny_more) { nom_voltage : 1.0; cell (INV) { area : 1; } }")
    with pytest.raises(InputError, match=r"b\.lib: is at 0\.9 V and .*a\.lib at 1 V"):
        Library.read(first, second)
    with pytest.raises(InputError, match="cell INV is in another file, too"):
        Library.read(first, third)
    second.write_text("library (tiny_more) { nom_voltage : 1.0; cell (X) { area : 1; } }")
    library = Library.read(second, first)
    assert library.name == "tiny"
    assert list(library.cells) == sorted(library.cells)
    assert "X" in library.cells
