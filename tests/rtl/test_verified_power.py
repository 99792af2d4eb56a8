"""The bill of a verified run: the RTL's counts and the model's cost alike, part by part."""

import pytest

from pilaster.models.energy import EnergyTable
from pilaster.rtl.parts import PARTS
from pilaster.rtl.verification.verified_power import stage_powers
from pilaster.rtl.verification.verify import verify
from pilaster.sim.pipeline import Pipeline
from tests.rtl.test_joins import block


def test_a_network_that_forks_and_joins():
    network, machine, images = block("depthwise-separable")
    verdict = verify(network, machine, images, switching=True, optimize=False)
    assert verdict.equal
    found = stage_powers(Pipeline(network, machine), verdict, EnergyTable.load("sg13g2"), 25.0)
    names = [node.name for node in network.graph.nodes]
    assert [stage.name for stage in found[: len(names)]] == names
    assert {stage.name for stage in found[len(names) :]} == {"output"}
    for stage in found:
        assert stage.rtl_pj == pytest.approx(stage.model_pj)
        assert set(stage.parts) <= set(PARTS)
        assert stage.total.rtl_pj == pytest.approx(sum(stage.rtl_pj.values()))
        assert stage.total.register_bits > 0
    counted = sum(each.toggles for each in verdict.switching.values()) / len(images)
    assert sum(stage.total.toggles for stage in found) == pytest.approx(counted)
