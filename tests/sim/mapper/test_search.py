"""Law: the mapper's answer is that of brute force, and every machine keeps what was asked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilaster.models.energy import EnergyTable
from pilaster.models.zoo import ZOO
from pilaster.sim.mapper.folds import Limits
from pilaster.sim.mapper.map import Space
from pilaster.sim.mapper.request import SCHEDULES, Objective, Policy, Request
from pilaster.sim.mapper.search import Effort, search
from pilaster.sim.mapper.solve import solve
from tests.sim.mapper.brute_force import LANE, BruteForce
from tests.strategies import graphs, joined_graphs, networks

MOST_MACHINES = 500


def request_of(network, rng, objective, schedule, interval=None):
    shape = network.graph.input_shape
    if interval is None:
        interval = int(rng.integers(shape.height, 8 * shape.height * shape.channels + 40))
    return Request(
        network=network,
        column_interval=interval,
        max_latency=None,
        max_lanes=None,
        objective=objective,
        table=EnergyTable.load("ihp130"),
        clock_mhz=10.0,
        policy=Policy(rng.choice([str(p) for p in Policy])),
        schedule=schedule,
        on_chip_weight_bits=None,
        free_idling=True,
        row_sums=bool(rng.integers(2)),
    )


def check_against_brute_force(network, seed, objective, schedule, interval=None):
    """Search some of the candidates, with limits at which some machines are too slow or large."""
    rng = np.random.default_rng(seed)
    request = request_of(network, rng, objective, schedule, interval)
    immediate = request.policy is Policy.IMMEDIATE
    limits = Limits(schedules=SCHEDULES[schedule], immediate=immediate, row_sums=request.row_sums)
    space = Space(request, limits)
    stages = len(network.graph.nodes)
    most = int(MOST_MACHINES ** (1 / stages))
    kept = []
    for found in space.candidates:
        count = min(len(found), most)
        kept.append(sorted(rng.choice(len(found), count, replace=False).tolist()))
    free = BruteForce(space, kept)
    for limit in ("none", "latency", "lanes", "both"):
        changes = {}
        if limit in ("latency", "both") and free.keeps.any():
            changes["max_latency"] = int(np.quantile(free.latency[free.keeps], rng.random() ** 2))
        if limit in ("lanes", "both") and free.keeps.any():
            changes["max_lanes"] = int(np.quantile(free.lanes[free.keeps], rng.random()))
        changes = {name: max(1, value) for name, value in changes.items()}
        limited = Request(**{**vars(request), **changes})
        brute = BruteForce(Space(limited, limits), kept) if changes else free
        question = Space(limited, limits).question(objective, limited.max_lanes)
        part = []
        for stage, indices in zip(question.stages, kept, strict=True):
            part.append(np.flatnonzero(np.isin(stage.index, indices)))
        found = solve(question.of(part))
        if network.graph.is_chain:
            check_search_of_chains(Space(limited, limits), kept, brute.least)
        assert found.proven
        if objective is Objective.LANES and found.choice is not None:
            small = sum(
                int(stage.small_units[choice])
                for stage, choice in zip(space.candidates, found.choice, strict=True)
            )
            assert LANE * found.cost + small == brute.least
        else:
            assert found.cost == pytest.approx(brute.least, rel=1e-9)


def check_search_of_chains(space, kept, least):
    """The search stage by stage finds the same."""
    request = space.request
    problem = space.problem(request.objective, request.max_lanes)
    part = []
    for stage, indices in zip(problem.stages, kept, strict=True):
        part.append(np.flatnonzero(np.isin(stage.index, indices)))
    found = search(problem.of(part), Effort(widths=(8, 4096), grown=4096))
    assert found.proven
    assert found.cost == pytest.approx(least, rel=1e-9)


OBJECTIVES = st.sampled_from(list(Objective))


@settings(max_examples=25, deadline=None)
@given(networks(graphs(3)), st.integers(0, 2**32 - 1), OBJECTIVES, st.sampled_from(list(SCHEDULES)))
def test_search_equals_brute_force(network, seed, objective, schedule):
    check_against_brute_force(network, seed, objective, schedule)


@settings(max_examples=15, deadline=None)
@given(networks(joined_graphs(1)), st.integers(0, 2**32 - 1), OBJECTIVES)
def test_search_equals_brute_force_where_a_network_joins(network, seed, objective):
    check_against_brute_force(network, seed, objective, "scatter")


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(networks(joined_graphs(2)), st.integers(0, 2**32 - 1), OBJECTIVES)
def test_search_equals_brute_force_where_a_network_joins_often(network, seed, objective):
    check_against_brute_force(network, seed, objective, "both")


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(networks(graphs(4)), st.integers(0, 2**32 - 1), OBJECTIVES, st.sampled_from(list(SCHEDULES)))
def test_search_equals_brute_force_often(network, seed, objective, schedule):
    check_against_brute_force(network, seed, objective, schedule)


@pytest.mark.parametrize("objective", list(Objective))
@pytest.mark.parametrize("seed", range(3))
def test_digits_equals_brute_force(objective, seed):
    interval = (24, 60, 200)[seed]
    check_against_brute_force(ZOO["digits"].load(), seed, objective, "scatter", interval)
