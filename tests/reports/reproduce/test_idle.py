"""Laws: hardware that waits costs what its source says, and what runs costs the same as before."""

from __future__ import annotations

import pytest

from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.energy.table import EnergyTable
from pilaster.models.energy.technology import conversion_factor
from pilaster.reports.reproduce.idle import CLOCK, idle_table, study_tables

NAMES = ("eyeriss65", "horowitz45", "ihp130")


@pytest.mark.parametrize("name", NAMES)
def test_a_clocked_table_adds_the_clock_and_changes_nothing_else(name: str) -> None:
    shipped = EnergyTable.load(name)
    clocked = idle_table(shipped, 8, 8)
    assert not shipped.has_clock
    factor = 1.0
    if name != "ihp130":
        factor = conversion_factor("stillmaker-baas", 130, 1.2, shipped.node_nm, shipped.voltage_v)
    clock = clocked.energy_pj(Action.CLOCK, Attributes(bits=10))
    assert clock == pytest.approx(10 * CLOCK["value"] * factor)
    lane = Attributes(activation_bits=8, weight_bits=8, accumulator_bits=24)
    assert clocked.energy_pj(Action.MAC, lane) == shipped.energy_pj(Action.MAC, lane)
    memory = Attributes(bits=64, depth=300)
    for action in (Action.PSUM_READ, Action.WEIGHT_READ, Action.COLUMN_WRITE):
        assert clocked.energy_pj(action, memory) == shipped.energy_pj(action, memory)


def test_lanes_leak_by_the_product_of_their_widths() -> None:
    table = EnergyTable.load("horowitz45")
    adder = 2.3
    narrow = idle_table(table, 8, 8).leakage_uw(lanes=1)
    wide = idle_table(table, 16, 16).leakage_uw(lanes=1)
    assert narrow is not None
    assert wide is not None
    assert wide - adder == pytest.approx(4 * (narrow - adder))
    assert idle_table(table, 32, 32).leakage_uw(lanes=1) == pytest.approx(80 + adder)


def test_every_entry_has_a_source() -> None:
    tables = study_tables(NAMES)
    assert [t.name for t in tables[:2]] == ["eyeriss65", "eyeriss65-clocked"]
    assert len(tables) == 2 * len(NAMES)
    assert all(listing.source for table in tables for listing in table.listing)
