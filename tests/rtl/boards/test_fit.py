"""Laws: what is chosen fits by its own estimate; no more DSP blocks are taken than there are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pilaster as pl
from pilaster.rtl.boards.catalogue import BOARDS
from pilaster.rtl.boards.errors import DoesNotFitError
from pilaster.rtl.boards.fit import Part, choose_machine, estimate, soft_parts
from pilaster.sim.pipeline import Pipeline

CASES = [("digits", "icebreaker"), ("lenet5", "ulx3s_25f"), ("lenet5", "ulx3s_85f")]


@pytest.mark.parametrize(("name", "board"), CASES)
def test_the_choice_fits_and_keeps_up(name, board):
    network, device = pl.load(name), BOARDS[board].device
    machine = choose_machine(network, device)
    assert not estimate(Pipeline(network, machine), device.family).excess(device)
    image = machine.column_interval * network.graph.input_shape.width
    assert all(stage.busy_cycles <= image for stage in Pipeline(network, machine).stages)


def test_room_is_left_for_counters():
    network, device = pl.load("lenet5"), BOARDS["ulx3s_25f"].device
    without, chosen = (choose_machine(network, device, counters) for counters in (False, True))
    pipeline = Pipeline(network, chosen)
    assert not estimate(pipeline, device.family, True).excess(device)
    assert estimate(pipeline, device.family, True).luts > estimate(pipeline, device.family).luts
    assert chosen.column_interval >= without.column_interval


def test_a_larger_device_is_never_slower():
    network = pl.load("lenet5")
    intervals = [
        choose_machine(network, BOARDS[f"ulx3s_{size}"].device).column_interval
        for size in ("25f", "45f", "85f")
    ]
    assert intervals == sorted(intervals, reverse=True)


def test_what_cannot_fit_is_told_by_resource():
    with pytest.raises(DoesNotFitError, match=r"\d+ block RAMs where there are 30"):
        choose_machine(pl.load("lenet5"), BOARDS["icebreaker"].device)


parts = st.lists(
    st.builds(Part, st.uuids().map(str), st.integers(0, 40), st.integers(1, 5000)),
    max_size=8,
    unique_by=lambda part: part.name,
).map(tuple)


@given(parts, st.integers(0, 100))
def test_parts_that_keep_their_blocks_find_them(parts, blocks):
    soft = soft_parts(parts, blocks)
    hard = [part for part in parts if part.name not in soft]
    assert sum(part.blocks for part in hard) <= blocks
    spare = blocks - sum(part.blocks for part in hard)
    assert all(part.blocks > spare for part in parts if part.name in soft)
