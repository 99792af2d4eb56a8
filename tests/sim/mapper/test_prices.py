"""Law: a candidate costs what the simulator says of a machine that has it."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilaster.models.energy import EnergyTable
from pilaster.sim import program_tables
from pilaster.sim.area import stage_area_um2
from pilaster.sim.beats import Beats
from pilaster.sim.machine import Machine, Schedule
from pilaster.sim.mapper.folds import Limits
from pilaster.sim.mapper.prices import Pricing, areas_um2, column_buffer_pj, energies_pj
from pilaster.sim.mapper.space import candidates, sent_beats
from pilaster.sim.simulate import simulate
from pilaster.sim.stages.kinds import build_stage
from tests.strategies import graphs, networks

BOTH = (Schedule.SCATTER, Schedule.GATHER)


@settings(max_examples=60, deadline=None)
@given(
    networks(graphs(3)),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["eyeriss65", "horowitz45", "ihp130", "sg13g2"]),
    st.sampled_from([None, 7, 10**9]),
    st.sampled_from([None, 50.0]),
    st.sampled_from([program_tables.SHARED_TILES, 0, 20]),
    st.booleans(),
)
def test_energy_is_that_of_the_simulation(network, seed, name, on_chip, clock_mhz, shared, rows):
    with patch.object(program_tables, "SHARED_TILES", shared):
        limits = Limits(schedules=BOTH, on_chip_weight_bits=on_chip, row_sums=rows)
        check_energies(network, seed, EnergyTable.load(name), limits, clock_mhz)


def check_energies(network, seed, table, limits, clock_mhz):
    """Set the energies of candidates drawn beside those of the machine that has them."""
    rng = np.random.default_rng(seed)
    nodes = network.graph.nodes
    found = [candidates(network, node, limits) for node in nodes]
    chosen = [int(rng.integers(len(each))) for each in found]
    specs = {node.name: each.spec(i) for node, each, i in zip(nodes, found, chosen, strict=True)}
    machine = Machine("random", "random", 100, specs)
    result = simulate(network, machine, table=table, clock_mhz=clock_mhz)
    pricing = Pricing(table, result.cycles_per_image, clock_mhz)
    beats = Beats.whole(network.graph.input_shape.channels)
    for stage, each, i in zip(result.stages, found, chosen, strict=True):
        energy = energies_pj(each, pricing)[i] + column_buffer_pj(each, 0, [beats], pricing)[i, 0]
        assert energy == pytest.approx(stage.energy_pj, rel=1e-9)
        sent, sends = sent_beats(each)
        beats = sent[sends[i]]


@settings(max_examples=60, deadline=None)
@given(
    networks(graphs(3)),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["horowitz45", "ihp130"]),
    st.sampled_from([None, 7]),
    st.booleans(),
)
def test_area_is_that_of_the_stage(network, seed, name, on_chip, rows):
    table, rng = EnergyTable.load(name), np.random.default_rng(seed)
    limits = Limits(schedules=BOTH, on_chip_weight_bits=on_chip, row_sums=rows)
    for node in network.graph.nodes:
        found = candidates(network, node, limits)
        areas = areas_um2(found, table)
        for index in rng.integers(0, len(found), 5).tolist():
            stage = build_stage(network, node, found.spec(index))
            assert areas[index] == pytest.approx(stage_area_um2(stage, table), rel=1e-9)
