"""Laws: what is chosen fits by its own estimate; no more blocks are taken than there are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pilaster as pl
from pilaster.rtl.boards.catalog import BOARDS
from pilaster.rtl.boards.errors import DoesNotFitError
from pilaster.rtl.boards.fit import Estimate, choose_machine, estimate
from pilaster.rtl.boards.memories import Large
from pilaster.rtl.boards.multipliers import Multipliers, Part, share_blocks
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


def test_room_is_left_for_counters():
    network, device = pl.load("lenet5"), BOARDS["ulx3s_25f"].device
    without, chosen = (choose_machine(network, device, counters) for counters in (False, True))
    pipeline = Pipeline(network, chosen)
    assert not estimate(pipeline, device.family, True).excess(device)
    assert estimate(pipeline, device.family, True).luts > estimate(pipeline, device.family).luts
    assert chosen.column_interval >= without.column_interval


def test_products_too_small_for_a_block_are_luts():
    network, device = pl.load("digits", bits=(4, 4)), BOARDS["icebreaker"].device
    parts = estimate(Pipeline(network, choose_machine(network, device)), device.family).parts
    lanes = {part.name for part in parts if part.name.endswith(".lanes")}
    assert lanes <= share_blocks(parts, 100).soft


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


def a_part(name, blocks, luts, halves, pair_share):
    if not halves or blocks is None:
        return Part(name, blocks, luts)
    return Part(name, blocks, luts, (blocks + 1) // 2, int(luts * pair_share))


parts = st.lists(
    st.builds(
        a_part,
        st.uuids().map(str),
        st.none() | st.integers(0, 40),
        st.integers(1, 5000),
        st.booleans(),
        st.floats(0, 1),
    ),
    max_size=6,
    unique_by=lambda part: part.name,
).map(tuple)


def blocks_of(part, made):
    if part.name in made.soft:
        return 0
    return part.pair_blocks if part.name in made.paired else part.blocks


@given(parts, st.integers(0, 100))
def test_parts_that_keep_their_blocks_find_them(parts, blocks):
    made = share_blocks(parts, blocks)
    assert not made.soft & made.paired
    spare = blocks - sum(blocks_of(part, made) for part in parts)
    assert spare >= 0
    short = sum(part.blocks or 0 for part in parts) > blocks
    for part in parts:
        if part.name in made.soft:
            needed = part.fewest_blocks(short)
            assert needed is None or needed > spare
        elif part.name in made.paired:
            assert part.blocks - part.pair_blocks > spare
    assert short or not made.paired
    luts = {part.name: part.luts for part in parts if part.name in made.soft}
    luts |= {part.name: part.pair_luts for part in parts if part.name in made.paired}
    assert made.luts == sum(luts.values())


def test_lanes_are_paired_only_where_blocks_are_short():
    network = pl.load("lenet5", bits=(4, 8))
    small, large = (BOARDS[f"ulx3s_{size}"].device for size in ("25f", "85f"))
    pipeline = Pipeline(network, choose_machine(network, small))
    parts = estimate(pipeline, small.family).parts
    made = share_blocks(parts, small.multipliers)
    assert made.paired
    assert made.paired_stages <= {stage.name for stage in pipeline.stages}
    assert share_blocks(parts, large.multipliers) == Multipliers(frozenset(), frozenset(), 0)
    wide = estimate(Pipeline(pl.load("lenet5"), pl.load_machine(None, pl.load("lenet5"))), "ecp5")
    assert all(part.pair_blocks is None for part in wide.parts)


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
