"""Energy and timing of netlists small enough to work out by hand, in a library made up for that."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pilaster.rtl.gates.activity import Activity
from pilaster.rtl.gates.liberty import Library
from pilaster.rtl.gates.netlist import LOW, Gate, Netlist, Port
from pilaster.rtl.gates.nodes import MappedNetlist
from pilaster.rtl.gates.opensta import run_opensta
from pilaster.rtl.gates.power import gate_energies
from pilaster.rtl.gates.timing import FALL, RISE, analyze_timing

LIBRARY = Library.read(Path(__file__).parent / "tiny.lib")
CLK, A, B, N, Y, Q, GCK = 2, 3, 4, 5, 6, 7, 8


def mapped(*gates, outputs=(Y,)):
    ports = (
        Port("clk", "input", (CLK,)),
        Port("a", "input", (A,)),
        Port("b", "input", (B,)),
        Port("y", "output", outputs),
    )
    return MappedNetlist(Netlist(9, ports, gates, ()), LIBRARY)


def activity(cycles, toggles, high):
    changes, share = np.zeros(9), np.zeros(9)
    for net, value in toggles.items():
        changes[net] = value
    for net, value in high.items():
        share[net] = value
    share[1] = 1
    changes[CLK], share[CLK] = 2 * cycles, 0.5
    return Activity(cycles, 1, changes, share, np.zeros(0), np.zeros(0), True, True)


def energies(netlist, seen, period=10.0):
    timing = analyze_timing(netlist, period, {}, {})
    return gate_energies(netlist, seen, timing, period)


def test_an_inverter():
    # Two inverters in a row: the first drives 0.01 pF, the second nothing.
    chain = mapped(Gate((), "INV", {"A": A, "Y": N}), Gate((), "INV", {"A": N, "Y": Y}))
    seen = activity(100, {A: 40, N: 40, Y: 40}, {A: 0.25, N: 0.75, Y: 0.25})
    found = energies(chain, seen)
    # Leakage: 2 nW while A is high, 1 nW while it is low, for 100 cycles of 10 ns.
    np.testing.assert_allclose(found.leakage, [1.25e-3 * 1, 1.75e-3 * 1])
    # Internal: 0.02 pJ of either edge, 0.1 of the load in pF more.
    np.testing.assert_allclose(found.internal, [40 * (0.02 + 0.1 * 0.01), 40 * 0.02])
    # Switching: half C V^2 of an edge; the pin that a port drives is charged to its gate.
    np.testing.assert_allclose(found.switching, [0.5 * 0.01 * 40 * 2, 0.0])
    assert not found.clock.any()


def test_a_nand_weighs_its_inputs_and_its_states():
    gate = mapped(Gate((), "NAND2", {"A": A, "B": B, "Y": Y}))
    seen = activity(100, {A: 10, B: 30, Y: 20}, {A: 0.6, B: 0.5, Y: 0.7})
    found = energies(gate, seen)
    # Of its output's edges a quarter is made by A at 0.01 pJ, the rest by B at 0.03; an edge of B
    # costs 0.003 pJ while A is low.
    np.testing.assert_allclose(found.internal, [20 * (0.01 / 4 + 0.03 * 3 / 4) + 30 * 0.4 * 0.003])


def test_a_register_knows_its_data_from_its_output():
    register = mapped(Gate((), "DFF", {"CK": CLK, "D": A, "Q": Y}))
    seen = activity(100, {A: 20, Y: 20}, {A: 0.6, Y: 0.6})
    found = energies(register, seen)
    # Data and output differ in a fifth of the cycles, are high together in half of them, and low
    # in 0.3: two edges of the clock a cycle, at 0.03, 0.01 and 0.02 pJ.
    clock = 200 * (0.2 * 0.03 + 0.5 * 0.01 + 0.3 * 0.02)
    np.testing.assert_allclose(found.internal, [clock + 20 * 0.05])
    driven = 0.5 * 0.01 * 200
    np.testing.assert_allclose(found.clock, [clock + driven])
    np.testing.assert_allclose(found.switching, [driven + 0.5 * 0.01 * 20])


def test_a_gated_register_is_clocked_while_its_gate_is_open():
    gated = mapped(
        Gate((), "ICG", {"CK": CLK, "EN": B, "GCK": GCK}),
        Gate((), "DFF", {"CK": GCK, "D": A, "Q": Y}),
    )
    seen = activity(100, {A: 5, B: 8, Y: 5, GCK: 50}, {A: 0.4, B: 0.25, Y: 0.4, GCK: 0.125})
    found = energies(gated, seen)
    clock = 50 * (0.2 * 0.03 + 0.3 * 0.01 + 0.5 * 0.02)
    np.testing.assert_allclose(found.internal, [50 * 0.02, clock + 5 * 0.05])
    np.testing.assert_allclose(found.switching, [0.5 * 0.01 * (200 + 8 + 50), 0.5 * 0.01 * 5])
    # In every cycle there is the clock at the gate's pin; what it lets through is not.
    np.testing.assert_allclose(found.clock, [0.5 * 0.01 * 200, 0])


def test_a_pin_tied_to_a_constant_costs_nothing():
    gate = mapped(Gate((), "NAND2", {"A": A, "B": LOW, "Y": Y}))
    found = energies(gate, activity(10, {A: 10}, {A: 0.5, Y: 1.0}))
    assert found.internal == pytest.approx([0.0])


def test_slack_of_a_path_from_register_to_register():
    # A register of 0.01 pF load, an inverter of 0.01, a NAND of 0.01, and a register.
    netlist = mapped(
        Gate(("one",), "DFF", {"CK": CLK, "D": Y, "Q": Q}),
        Gate(("two",), "INV", {"A": Q, "Y": N}),
        Gate(("three",), "NAND2", {"A": N, "B": B, "Y": Y}),
        outputs=(),
    )
    found = analyze_timing(netlist, 5.0, {}, {})
    slew = 0.05 + 2 * 0.01
    settled = 0.3 + 0.01  # no slew at the clock
    inverted = settled + 0.1 + slew / 10 + 0.01
    rising = inverted + 0.1 + slew / 10 + 0.01  # the NAND falls 0.1 later than it rises
    np.testing.assert_allclose(found.arrivals[:, Q], settled)
    np.testing.assert_allclose(found.arrivals[:, N], inverted)
    np.testing.assert_allclose(found.arrivals[RISE, Y], rising)
    np.testing.assert_allclose(found.arrivals[FALL, Y], rising + 0.1)
    assert found.slack_ns == pytest.approx(5.0 - 0.15 - rising - 0.1)
    assert found.fastest_mhz == pytest.approx(1e3 / (0.15 + rising + 0.1))
    assert [point.driver for point in found.path] == ["one.DFF", "two.INV", "three.NAND2"]


@pytest.mark.skipif(shutil.which("sta") is None, reason="OpenSTA is not installed")
def test_opensta_finds_the_same_slack_and_leakage():
    netlist = mapped(
        Gate(("one",), "DFF", {"CK": CLK, "D": Y, "Q": Q}),
        Gate(("two",), "NAND2", {"A": Q, "B": A, "Y": N}),
        Gate(("three",), "NAND2", {"A": N, "B": B, "Y": Y}),
        outputs=(),
    )
    judged = run_opensta(netlist, 5.0)
    assert judged.slack_ns == pytest.approx(analyze_timing(netlist, 5.0, {}, {}).slack_ns, abs=2e-4)
    # A register of 5 nW and two gates of 3 nW.
    assert judged.leakage_uw == pytest.approx(0.011)


def test_memories_delay_and_are_set_up():
    chain = mapped(Gate((), "INV", {"A": N, "Y": Y}), outputs=())
    found = analyze_timing(chain, 5.0, {N: 3.0}, {Y: 0.5})
    assert found.slack_ns == pytest.approx(5.0 - 0.5 - 3.0 - 0.1)


def test_a_clock_that_is_not_met_has_a_negative_slack():
    chain = mapped(Gate((), "INV", {"A": A, "Y": Y}))
    assert analyze_timing(chain, 0.05, {}, {}).slack_ns == pytest.approx(-0.05)
