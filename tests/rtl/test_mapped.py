"""Machines that the mapper chose, in gates: equal to the model, and as soon as was asked for."""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st

import pilaster as pl
from pilaster.data import images_for
from pilaster.models.graph import INPUT
from pilaster.rtl.verification.verify import verify
from pilaster.sim.mapper.request import SCHEDULES
from tests.strategies import graphs, networks, stream_values

POLICIES = ["multi-cycle", "immediate"]

MOST_LANES = 200


def check_in_gates(network, found, images):
    """Gates and model are equal; by the stamps of both, no column waits and no answer is late."""
    verdict = verify(network, found.machine, images, optimize=False)
    assert verdict.equal, "\n".join(str(d) for s in verdict.stages for d in s.differences)
    stamps = pl.simulate(network, found.machine, images).stamps
    accepted = stamps.stages[0].accepted.ravel()
    assert (np.diff(accepted) == found.column_interval_cycles).all()
    assert (stamps.latency_after_last_column <= found.max_latency_cycles).all()


def check_policies(network, interval, latency, images):
    lanes = {}
    for policy in POLICIES:
        found = pl.map(network, column_interval=interval, max_latency=latency, policy=policy)
        check_in_gates(network, found, images_for(network, None, images).images)
        lanes[policy] = found.lanes
    assert lanes["multi-cycle"] < lanes["immediate"]


def test_digits_by_both_policies():
    check_policies(pl.load("digits"), 100, 300, 3)


@pytest.mark.slow
@pytest.mark.parametrize(("interval", "latency"), [(256, 10_749), (512, 5_056), (1_024, 5_312)])
def test_lenet5_by_both_policies(interval, latency):
    check_policies(pl.load("lenet5"), interval, latency, 2)


@pytest.mark.slow
def test_random_networks():
    @seed(2045)
    @settings(
        max_examples=40,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        networks(graphs(3)),
        st.sampled_from(["lanes", "energy"]),
        st.sampled_from(POLICIES),
        st.sampled_from(list(SCHEDULES)),
        st.integers(1, 8),
        st.integers(0, 2**31),
    )
    def run(network, objective, policy, schedule, slower, data_seed):
        shape = network.graph.input_shape
        interval = shape.height * shape.channels * slower
        request = {"objective": objective, "policy": policy, "schedule": schedule}
        try:
            found = pl.map(network, column_interval=interval, **request)
        except (pl.InputError, pl.Infeasible):
            assume(False)
        # Where the last columns are not used, the answer may come before them.
        assume(found.lanes <= MOST_LANES and found.latency_cycles > 0)
        tensor = network.tensors[INPUT]
        values = stream_values(np.random.default_rng(data_seed), tensor, 2, shape)
        tight = pl.map(
            network, column_interval=interval, max_latency=found.latency_cycles, **request
        )
        check_in_gates(network, tight, values * tensor.scale)

    run()
