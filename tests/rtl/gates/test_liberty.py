"""Liberty files: functions, tables and units; and what is told of a file that is none."""

import gzip
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilaster.base.errors import InputError
from pilaster.rtl.gates.function import Function
from pilaster.rtl.gates.liberty import Library
from pilaster.rtl.gates.liberty_tables import Table

TINY = Path(__file__).parent / "tiny.lib"


@pytest.fixture(scope="module")
def tiny():
    return Library.read(TINY)


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("A & B | C", "(a and b) or c"),
        ("A | B & C", "a or (b and c)"),
        ("!(A*B)+C", "(not (a and b)) or c"),
        ("A ^ B & C", "(a != b) and c"),
        ("A' B C'", "(not a) and b and (not c)"),
        ("(A B)' | !C", "(not (a and b)) or (not c)"),
        ("A & 1 ^ C", "a and (True != c)"),
    ],
)
def test_a_function_has_the_values_of_its_text(text, python):
    function = Function.parse(text)
    for a, b, c in product((False, True), repeat=3):
        values = {"A": np.bool_(a), "B": np.bool_(b), "C": np.bool_(c), "1": np.True_}
        assert bool(function.value(values)) == eval(python, {"a": a, "b": b, "c": c})
        verilog = function.verilog({name: f"values[{name!r}]" for name in "ABC"})
        assert bool(eval(verilog.replace("1'b1", "np.True_"))) == bool(function.value(values))


@pytest.mark.parametrize("text", ["", "A &", "& A", "(A", "A)", "A ? B", "'"])
def test_a_text_that_is_no_function_is_refused(text):
    with pytest.raises(InputError, match="no Boolean function"):
        Function.parse(text)


@given(st.floats(-1, 4), st.floats(-1, 4))
def test_a_table_of_a_bilinear_function_is_that_function(slew, load):
    slews, loads = np.array([0.0, 0.5, 2.0]), np.array([0.0, 1.0, 3.0])

    def exact(s, x):
        return 1 + 2 * s + 3 * x + 4 * s * x

    table = Table(slews, loads, exact(slews[:, None], loads[None, :]))
    found = table.at(np.array([slew]), np.array([load]))
    np.testing.assert_allclose(found, exact(slew, load), atol=1e-9)


def test_numbers_are_held_in_one_set_of_units(tiny):
    inverter = tiny.cells["INV"]
    assert tiny.voltage == 1.0
    assert inverter.leakage_uw == pytest.approx(0.007)
    (arc,) = inverter.pins["Y"].arcs
    zero, one = np.zeros(1), np.ones(1)
    # The file's tables have the load first; held they have the slew first.
    assert arc.delays[0].at(zero, one) == pytest.approx(1.1)
    assert arc.delays[0].at(one, zero) == pytest.approx(0.2)


def test_other_units_give_other_numbers(tmp_path):
    text = TINY.read_text().replace('time_unit : "1ns"', 'time_unit : "100ps"')
    text = text.replace("capacitive_load_unit (1, pf)", "capacitive_load_unit (10, ff)")
    path = tmp_path / "other.lib.gz"
    path.write_bytes(gzip.compress(text.encode()))
    cell = Library.read(path).cells["INV"]
    assert cell.pins["A"].capacitance == pytest.approx(1e-4)
    assert cell.pins["Y"].arcs[0].delays[0].at(np.zeros(1), np.zeros(1)) == pytest.approx(0.01)
    assert cell.pins["Y"].powers[0].rise.at(np.zeros(1), np.zeros(1)) == pytest.approx(1e-4)


def test_the_clock_gate_is_found_and_its_pins(tiny):
    gate = tiny.clock_gate
    assert gate is not None
    assert gate.name == "ICG"
    assert (gate.clock_gate.clock, gate.clock_gate.enable, gate.clock_gate.output) == (
        *("CK", "EN"),
        "GCK",
    )
    assert not gate.usable


def without_flip_flop():
    text = TINY.read_text()
    first = text.index("  cell (DFF)")
    return text[:first] + text[text.index("  cell (ICG)") :]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"module top; endmodule", "is no Liberty file: line 1"),
        (b"cell (A) { }", "does not begin with a library"),
        (b"library (a) { cell (b) {", "the end of the file"),
        (b"\xff\xfe\x00", "is no text"),
        (b"library (a) { nom_voltage : 1; }", "has no flip-flop"),
        (without_flip_flop().encode(), "has no flip-flop"),
        (b"library (a) { }", "no nom_voltage"),
        (TINY.read_bytes().replace(b"!(A & B)", b"!(A & "), "cell NAND2: pin Y: '!(A &'"),
        (TINY.read_bytes().replace(b"area : 2;", b"area : two;"), "area: 'two' is no number"),
        (TINY.read_bytes().replace(b'"1ns"', b'"1 hour"'), "'1 hour' is no unit of s"),
    ],
)
def test_a_file_that_is_no_library_is_told_in_one_line(content, message, tmp_path):
    path = tmp_path / "bad.lib"
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        Library.read(path)
    assert message in str(refused.value)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)
