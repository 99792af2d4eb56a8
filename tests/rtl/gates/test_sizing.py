"""Laws: sizing keeps what a netlist computes, and no gate drives more than its library allows."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilaster.rtl.gates import closure
from pilaster.rtl.gates.families import buffers_of, sizes_of
from pilaster.rtl.gates.liberty import Library
from pilaster.rtl.gates.netlist import Gate, Netlist, Port
from pilaster.rtl.gates.nodes import MappedNetlist
from pilaster.rtl.gates.sizing import MemoryTiming, fit_sizes
from pilaster.rtl.gates.synthesis import Effort
from pilaster.rtl.gates.timing import analyze_timing, required_times

TINY = Path(__file__).parent / "tiny.lib"
CLK, FIRST = 2, 3
INPUTS = 4
MOST_LOAD = 0.2


def sized_library(folder):
    """Give cells of TINY in three sizes: each twice as strong, as large and as heavy to drive."""
    text = TINY.read_text()
    text = re.sub(r"max_capacitance : 10;", f"max_capacitance : {MOST_LOAD};", text)
    cells = re.findall(r"  cell \(\w+\) \{\n.*?\n  \}\n", text, re.DOTALL)
    more = []
    for cell in cells:
        name = re.match(r"  cell \((\w+)\)", cell)[1]
        for size in (2, 4) if name != "ICG" else ():

            def times(found, size=size):
                return f"{found[1]}{float(found[2]) * size:g};"

            one = cell.replace(f"cell ({name})", f"cell ({name}_X{size})")
            one = re.sub(r"((?:area|capacitance) : )([\d.]+);", times, one)
            one = one.replace('"0.05, 0.05", "2.05, 2.05"', f'"0.05, 0.05", "{2 / size:g}, 1"')
            one = one.replace('"0.1, 0.2", "1.1, 1.2"', f'"0.1, 0.2", "{0.1 + 1 / size:g}, 1"')
            more.append(one)
    path = folder / "sized.lib"
    path.write_text(text[: text.rindex("}")] + "".join(more) + "}\n")
    return Library.read(path)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return sized_library(tmp_path_factory.mktemp("library"))


def netlist(gates, nets):
    ports = (
        Port("clk", "input", (CLK,)),
        Port("in", "input", tuple(range(FIRST, FIRST + INPUTS))),
        Port("out", "output", (nets - 1,)),
    )
    return Netlist(nets, ports, tuple(gates), ())


@st.composite
def netlists(draw):
    """Gates whose inputs are among few nets, so that these have many loads."""
    gates, nets = [], FIRST + INPUTS
    for number in range(draw(st.integers(1, 60))):
        kind = draw(st.sampled_from(["INV", "BUF", "NAND2", "NOR2", "DFF"]))
        near = min(nets - 1, draw(st.integers(FIRST, FIRST + INPUTS + 8)))
        pins = {"A": near}
        if kind in ("NAND2", "NOR2"):
            pins["B"] = draw(st.integers(FIRST, nets - 1))
        out = "Y"
        if kind == "DFF":
            pins, out = {"D": near, "CK": CLK}, "Q"
        gates.append(Gate(("stage", str(number % 3)), kind, {**pins, out: nets}))
        nets += 1
    return netlist(gates, nets)


def values(library, found, state):
    """Values of all nets by the numbers of registers and inputs in `state`."""
    known = {0: np.False_, 1: np.True_, **state}
    waiting = list(found.gates)
    while waiting:
        later = []
        for gate in waiting:
            cell = library.cells[gate.cell]
            if cell.flip_flop is not None:
                continue
            if all(gate.nets[pin] in known for pin in cell.inputs):
                pins = {pin: known[gate.nets[pin]] for pin in cell.inputs}
                (output,) = cell.outputs
                known[gate.nets[output]] = cell.pins[output].function.value(pins)
            else:
                later.append(gate)
        assert len(later) < len(waiting)
        waiting = later
    return known


def ends(library, found, known):
    """What registers take and ports give."""
    registers = [g for g in found.gates if library.cells[g.cell].flip_flop is not None]
    return [bool(known[gate.nets["D"]]) for gate in registers] + [
        bool(known[net]) for net in found.port("out").nets
    ]


def overloaded(library, found):
    mapped, worst = MappedNetlist(found, library), 0.0
    for gate in found.gates:
        cell = library.cells[gate.cell]
        for pin in cell.outputs:
            load = mapped.edge_loads[:, gate.nets[pin]].max()
            worst = max(worst, load / cell.pins[pin].most_load)
    return worst


@settings(deadline=None, max_examples=40)
@given(netlists(), st.floats(0.2, 5.0), st.integers(0, 2**32 - 1))
def test_sizing_keeps_what_a_netlist_computes(library, plain, period_ns, seed):
    found, slack_ns = fit_sizes(plain, library, period_ns, MemoryTiming())
    mapped = MappedNetlist(found, library)
    assert slack_ns == analyze_timing(mapped, period_ns, {}, {}).slack_ns
    assert overloaded(library, found) <= 1 + 1e-9
    rng = np.random.default_rng(seed)
    held = [g.nets["Q"] for g in plain.gates if g.cell == "DFF"]
    for _ in range(4):
        state = {net: np.bool_(rng.random() < 0.5) for net in (*range(CLK, FIRST + INPUTS), *held)}
        before, after = (values(library, one, state) for one in (plain, found))
        assert ends(library, found, after) == ends(library, plain, before)
    old = [gate.path for gate in plain.gates]
    assert [gate.path for gate in found.gates[: len(old)]] == old


def test_a_register_of_many_loads_is_made_larger_or_buffered(library):
    def loaded(count):
        loads = [Gate((), "INV", {"A": 7, "Y": 8 + i}) for i in range(count)]
        plain = netlist([Gate(("here",), "DFF", {"CK": CLK, "D": 3, "Q": 7}), *loads], 8 + count)
        return fit_sizes(plain, library, 100.0, MemoryTiming())[0].gates

    few, some, many = loaded(2), loaded(20), loaded(400)
    assert few[0].cell == "DFF"
    assert (len(some) == 21 and some[0].cell != "DFF") or len(some) > 21
    buffers = many[401:]
    assert buffers
    assert {(gate.path, gate.cell.split("_")[0]) for gate in buffers} == {(("here",), "BUF")}


def test_a_slow_path_is_made_faster_and_the_clock_met(library):
    loads = [Gate((), "INV", {"A": 7 + i // 6, "Y": 8 + i}) for i in range(60)]
    plain = netlist([Gate((), "NAND2", {"A": 3, "B": 4, "Y": 7}), *loads], 68)
    before = analyze_timing(MappedNetlist(plain, library), 1.0, {}, {})
    period_ns = 0.97 * (1.0 - before.slack_ns)
    _, slack_ns = fit_sizes(plain, library, period_ns, MemoryTiming())
    assert slack_ns > period_ns - (1.0 - before.slack_ns)
    assert slack_ns >= 0


def test_required_times_tell_the_same_slack_as_arrivals(library):
    plain = netlist(
        [
            Gate((), "DFF", {"CK": CLK, "D": 9, "Q": 7}),
            Gate((), "INV", {"A": 7, "Y": 8}),
            Gate((), "NAND2", {"A": 8, "B": 3, "Y": 9}),
            Gate((), "INV", {"A": 9, "Y": 10}),
        ],
        11,
    )
    mapped = MappedNetlist(plain, library)
    timing = analyze_timing(mapped, 0.5, {}, {})
    slacks = required_times(mapped, timing, {}) - timing.arrivals
    assert slacks.min() == pytest.approx(timing.slack_ns)
    assert slacks[:, 7].min() == pytest.approx(timing.slack_ns)


def test_cells_of_one_function_and_other_sizes_are_a_family(library):
    sizes = sizes_of(library)
    assert [cell.name for cell in sizes["INV"]] == ["INV", "INV_X2", "INV_X4"]
    assert [cell.name for cell in sizes["DFF_X4"]] == ["DFF", "DFF_X2", "DFF_X4"]
    assert "ICG" not in sizes
    assert [cell.name for cell in buffers_of(library)] == ["BUF", "BUF_X2", "BUF_X4"]


@pytest.mark.parametrize(
    ("slacks", "tried", "chosen"),
    [((1.0,), 1, 0), ((-3.0, 0.5), 2, 1), ((-3.0, -1.0, -2.0), 3, 1), ((-1.0, -2.0, -3.0), 3, 0)],
)
def test_synthesis_tries_harder_until_the_clock_is_met(slacks, tried, chosen, monkeypatch):
    plain, efforts, told = netlist([], FIRST + INPUTS), [], []

    class Stub:
        def __init__(self, *arguments):
            pass

        def netlist(self, effort):
            efforts.append(effort)
            return replace(plain, nets=100 + len(efforts))

    def sized(found, *rest):
        return found, slacks[found.nets - 101]

    monkeypatch.setattr(closure, "Synthesis", Stub)
    monkeypatch.setattr(closure, "fit_sizes", sized)
    found = closure.synthesize(None, None, 1.0, True, lambda one: MemoryTiming(), told.append)
    assert efforts == [*Effort][:tried]
    assert found.effort is [*Effort][chosen]
    assert found.slack_ns == slacks[chosen]
    assert len(told) == tried - 1
