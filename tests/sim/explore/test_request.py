"""Laws: a range gives rising intervals; a request that makes no sense is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pilaster as pl
from pilaster.models.energy import EnergyTable
from pilaster.sim.explore.request import axes_of, column_intervals, default_tables

TABLES = (EnergyTable.load("eyeriss65"), EnergyTable.load("ihp130"))


@given(st.integers(1, 3000), st.integers(0, 3000), st.integers(2, 40))
def test_intervals_rise_from_one_end_to_the_other(first, more, count):
    last = first + more
    if count > more + 1:
        with pytest.raises(pl.InputError, match="different intervals cannot be had"):
            column_intervals((first, last, count))
        return
    found = column_intervals((first, last, count))
    assert len(found) == count
    assert (found[0], found[-1]) == (first, last)
    assert (np.diff(found) > 0).all()


def test_intervals_grow_by_a_factor():
    assert column_intervals((100, 800, 4)) == (100, 200, 400, 800)
    assert column_intervals(256) == column_intervals((256, 256)) == (256,)
    assert column_intervals((100, 102)) == (100, 101, 102)
    assert len(column_intervals((128, 1024))) == 8


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (0, "at least 1 cycle"),
        ((200, 100), "ends at 100, before it begins at 200"),
        ((1, 2, 3, 4), "must be A, "),
        ((), "must be A, "),
        ((100.0, 200), "must be A, "),
        ((100, 200, 1), "give 2 to 101"),
        ((100, 200, 0), "give 2 to 101"),
    ],
)
def test_what_is_no_range_is_refused(asked, says):
    with pytest.raises(pl.InputError, match=says):
        column_intervals(asked)


def test_axes_name_their_columns_and_tables():
    found = axes_of(["lanes", "energy", "power:ihp130", "area"], (256,), TABLES, 10.0)
    assert [axis.column for axis in found] == [
        "lanes",
        "energy_pj_eyeriss65",
        "power_uw_ihp130",
        "area_um2_ihp130",
    ]
    assert [str(axis) for axis in axes_of(None, (256,), TABLES, None)] == ["lanes", "latency"]
    assert [axis.name for axis in axes_of(None, (128, 256), TABLES, None)][2:] == ["interval"]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["lanes"], "at least two"),
        (["lanes", "lanes"], "lanes is given twice"),
        (["energy", "energy:eyeriss65"], "given twice"),
        (["lanes", "latancy"], "did you mean latency"),
        (["lanes", "energy:horowitz45"], "none of the energy tables given: eyeriss65, ihp130"),
        (["lanes", "latency:ihp130"], "latency needs no energy table"),
        (["lanes", "area:eyeriss65"], "eyeriss65: has no area"),
        (["lanes", "power"], "power needs a clock"),
    ],
)
def test_axes_that_cannot_be_are_refused(names, says):
    with pytest.raises(pl.InputError, match=says):
        axes_of(names, (256,), TABLES, None)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"column_interval": 7}, "at least 8 are needed"),
        ({"machines": 0}, "machines: must be at least 1"),
        ({"machines": 10.0}, "machines: must be a whole number"),
        ({"machines": 2, "column_interval": (100, 200)}, "fewer than the 8 column intervals"),
        ({"max_latency": 0}, "max_latency: must be at least 1"),
        ({"seed": -1}, "seed: must be at least 0"),
        ({"schedule": "scater"}, "schedule: 'scater' is not known"),
        ({"clock_mhz": 0.0}, "clock_mhz: must be above 0"),
        ({"energy": []}, "at least one energy table"),
        ({"energy": ["ihp130", "ihp130"]}, "same name"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, says):
    with pytest.raises(pl.InputError, match=says):
        pl.explore(pl.load("digits"), **{"column_interval": 200, **arguments})


def test_energy_with_no_bound_on_hardware_is_by_a_table_that_prices_waiting():
    leaking = (*TABLES, EnergyTable.load("sg13g2"))
    names = ["latency", "energy"]
    assert axes_of(names, (256,), leaking, None)[1].table == "sg13g2"
    assert axes_of(["lanes", *names], (256,), leaking, None)[2].table == "eyeriss65"
    for wanted in ("energy", "energy:ihp130"):
        with pytest.raises(pl.InputError, match=r"has neither .* give lanes as an axis, too"):
            axes_of(["latency", wanted], (256,), TABLES, 10.0)


@pytest.mark.parametrize(
    ("axes", "tables"),
    [
        (None, ("eyeriss65",)),
        (["lanes", "latency"], ("eyeriss65",)),
        (["latency", "energy"], ("sg13g2",)),
        (["power", "area"], ("sg13g2", "ihp130")),
        (["lanes", "area"], ("ihp130",)),
    ],
)
def test_default_tables_can_answer(axes, tables):
    assert default_tables(axes) == tables
    found = [EnergyTable.load(name) for name in tables]
    assert axes_of(axes, (256,), found, 10.0)
