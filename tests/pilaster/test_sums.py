"""Laws: energies add up whichever way they are cut, counts are whole, and so are MACs."""

from __future__ import annotations

import json

import numpy as np
import pytest

import pilaster as pl
from pilaster.models.datasets import embedded_digits, fit
from pilaster.models.energy import EnergyTable
from pilaster.models.layers import Conv
from pilaster.models.network import Network
from pilaster.models.zoo import ZOO
from pilaster.sim.machine_file import load_machine, machine_names
from pilaster.sim.results import Result
from tests.pilaster.conftest import Command

EXACT = 1e-12


def digits_for(network: Network, count: int) -> np.ndarray:
    shape = network.graph.input_shape
    return fit(embedded_digits("test"), shape.height, shape.width, shape.channels).images[:count]


def result_of(machine_name: str, images: int) -> Result:
    machine = load_machine(machine_name)
    network = pl.load(machine.network)
    return pl.simulate(network, machine, digits_for(network, images) if images else None)


def check_sums(result: Result) -> None:
    bill = result.energy
    assert sum(bill.by_action.values()) == pytest.approx(bill.total_pj, rel=EXACT)
    assert sum(bill.by_stage.values()) == pytest.approx(bill.total_pj, rel=EXACT)
    for stage in result.stages:
        assert bill.by_stage[stage.name] == pytest.approx(stage.energy_pj, rel=EXACT)
        assert all(type(count) is int and count > 0 for count in stage.actions.counts.values())
        found = stage.as_dict()
        if stage.lanes:
            performed = found["actions"].get("mac", 0)
            assert performed + stage.gated_macs + stage.skipped_macs == stage.macs
            assert stage.gated_macs == found["actions"].get("mac_gated", 0)
            assert min(performed, stage.gated_macs, stage.skipped_macs) >= 0
        assert 0 <= stage.utilisation <= 1
    assert result.macs == sum(stage.macs for stage in result.stages)


@pytest.mark.parametrize("machine", machine_names())
def test_sums_agree_without_images(machine: str) -> None:
    result = result_of(machine, 0)
    check_sums(result)
    for node, stage in zip(ZOO[result.network].build().nodes, result.stages, strict=True):
        # Without values only rows of padding are known to be zero.
        if isinstance(node.layer, Conv) and node.layer.window.padding.top:
            assert stage.gated_macs > 0
        else:
            assert stage.gated_macs == 0


@pytest.mark.parametrize("machine", ["digits", "digits-gather", "lenet5", "lenet5-gather"])
def test_sums_agree_with_images(machine: str) -> None:
    result = result_of(machine, 20)
    check_sums(result)
    assert sum(stage.gated_macs for stage in result.stages) > 0


@pytest.mark.parametrize("machine", ["digits", "lenet5", "lenet5-gather"])
@pytest.mark.parametrize("table", ["eyeriss65", "ihp130"])
def test_the_same_images_twice_double_every_count_and_energy(machine: str, table: str) -> None:
    laid_out = load_machine(machine)
    network = pl.load(laid_out.network)
    images = digits_for(network, 7)
    prices = EnergyTable.load(table)
    once = pl.simulate(network, laid_out, images, table=prices, clock_mhz=50)
    images = np.concatenate([images, images])
    twice = pl.simulate(network, laid_out, images, table=prices, clock_mhz=50)
    assert twice.energy.total_pj == pytest.approx(2 * once.energy.total_pj, rel=EXACT)
    assert twice.energy.by_action.keys() == once.energy.by_action.keys()
    for action, energy in once.energy.by_action.items():
        assert twice.energy.by_action[action] == pytest.approx(2 * energy, rel=EXACT)
    for before, after in zip(once.stages, twice.stages, strict=True):
        assert dict(after.actions.counts) == {k: 2 * n for k, n in before.actions.counts.items()}
        assert after.energy_pj == pytest.approx(2 * before.energy_pj, rel=EXACT)
        for count in ("macs", "gated_macs", "skipped_macs"):
            assert getattr(after, count) == 2 * getattr(before, count)
        assert after.busy_cycles == before.busy_cycles
    assert twice.stamps.latency[0] == once.stamps.latency[0]
    assert twice.energy_per_image_pj == pytest.approx(once.energy_per_image_pj, rel=EXACT)


@pytest.mark.parametrize(
    ("network", "all_macs", "conv_macs"),
    [
        # The same numbers, from the graph and with their publications: tests/models/test_graph.py.
        ("lenet5", 416_520, 405_600),
        ("alexnet", 724_406_816, 665_784_864),
        ("vgg16", 15_470_264_320, 15_346_630_656),
    ],
)
@pytest.mark.parametrize("suffix", ["", "-gather"])
def test_macs_are_the_published_ones(
    network: str, all_macs: int, conv_macs: int, suffix: str, command: Command
) -> None:
    machine = network + suffix
    outcome = command("run", network, "--machine", machine, "--images", 0, "--json")
    found = json.loads(outcome.out)
    assert found["macs"] == all_macs
    kinds = {stage["kind"] for stage in found["stages"]}
    assert "conv" in kinds
    assert sum(s["macs"] for s in found["stages"] if s["kind"] == "conv") == conv_macs
