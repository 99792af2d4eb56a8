"""Laws: what is chosen fits by its own estimate; no more blocks are taken than there are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pilaster as pl
from pilaster.rtl.boards.catalogue import BOARDS
from pilaster.rtl.boards.errors import DoesNotFitError
from pilaster.rtl.boards.fit import Estimate, Large, Part, choose_machine, estimate, soft_parts
from pilaster.sim.pipeline import Pipeline
from tests.rtl.boards.networks import hidden

CASES = [("digits", "icebreaker"), ("lenet5", "ulx3s_25f"), ("lenet5", "ulx3s_85f")]


@pytest.mark.parametrize(("name", "board"), CASES)
def test_the_choice_fits_and_keeps_up(name, board):
    network, device = pl.load(name), BOARDS[board].device
    machine = choose_machine(network, device)
    assert not estimate(Pipeline(network, machine), device.family).excess(device)
    image = machine.column_interval * network.graph.input_shape.width
    assert all(stage.busy_cycles <= image for stage in Pipeline(network, machine).stages)


def test_a_larger_device_is_never_slower():
    network = pl.load("lenet5")
    intervals = [
        choose_machine(network, BOARDS[f"ulx3s_{size}"].device).column_interval
        for size in ("25f", "45f", "85f")
    ]
    assert intervals == sorted(intervals, reverse=True)


def test_what_cannot_fit_is_told_by_resource():
    with pytest.raises(DoesNotFitError, match=r"[\d,]+ LUTs where there are 4,\d+"):
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


memories = st.lists(
    st.builds(Large, st.uuids().map(str), st.integers(1, 100), st.integers(1, 5)), max_size=6
).map(tuple)


@given(memories, st.integers(0, 60))
def test_weights_are_loaded_only_where_block_rams_do_not_suffice(large, others):
    device = BOARDS["icebreaker"].device
    rams = others + sum(memory.block_rams for memory in large)
    need = Estimate(0, rams, (), large)
    loaded = need.loaded(device)
    assert bool(loaded) <= (rams > device.block_rams)
    chosen = [memory for memory in large if memory.name in loaded]
    assert sum(memory.sprams for memory in chosen) <= device.sprams
    left = rams - sum(memory.block_rams for memory in chosen)
    spare = device.sprams - sum(memory.sprams for memory in chosen)
    others = [memory for memory in large if memory not in chosen]
    assert left <= device.block_rams or all(memory.sprams > spare for memory in others)
    assert need.excess(device).get("block_rams", (left, None))[0] == left


@pytest.mark.parametrize(
    ("network", "loaded"),
    [(pl.load("digits"), set()), (hidden(8, 8, 3, 128), {"fc2_weights"})],
    ids=["digits", "hidden"],
)
def test_a_small_board_loads_what_its_block_rams_do_not_hold(network, loaded):
    device = BOARDS["icebreaker"].device
    pipeline = Pipeline(network, choose_machine(network, device))
    assert estimate(pipeline, device.family).loaded(device) == loaded


def test_a_device_without_sprams_loads_nothing():
    need = Estimate(0, 500, (), (Large("fc2_weights", 400, 1),))
    assert need.loaded(BOARDS["ulx3s_25f"].device) == set()
