"""The three laws on whole networks of the literature; hours for a simulator, so once in a while."""

import pytest

import pilaster as pl
from pilaster.data import images_for
from pilaster.models.layers import Pool

LAST = "pool5"
"""The fully connected layers behind it take their weights from DRAM."""

LEAST_UTILIZATION = 0.90
LANES = range(1_000, 5_001)


def verdict_of(name):
    network = pl.load(name)
    machine = pl.load_machine(None, network)
    verdict = pl.verify(network, machine, images_for(network, None, 1).images, until=LAST)
    assert verdict.equal, "\n".join(str(d) for s in verdict.stages for d in s.differences)
    return network, machine, verdict


@pytest.mark.slow
def test_alexnet():
    verdict_of("alexnet")


@pytest.mark.slow
def test_vgg16_and_its_lanes_are_used():
    network, machine, verdict = verdict_of("vgg16")
    convs = {n.name for n in network.graph.until(LAST).nodes if not isinstance(n.layer, Pool)}
    lanes = {name: machine.stages[name].fold.lanes for name in convs}
    assert sum(lanes.values()) in LANES
    used = sum(s.utilization * lanes[s.name] for s in verdict.stages if s.name in convs)
    assert used / sum(lanes.values()) >= LEAST_UTILIZATION
