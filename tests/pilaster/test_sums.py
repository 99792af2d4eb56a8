"""Laws: energies add up whichever way they are cut, counts are whole, and so are MACs."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

import pilaster as pl
from pilaster.models.datasets import embedded_digits, fit
from pilaster.models.energy import EnergyTable
from pilaster.models.layers import Conv
from pilaster.models.network import Network
from pilaster.models.zoo import ZOO
from pilaster.reports.tables import stages_csv
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
            assert performed + stage.gated_macs + stage.skipped_macs == pytest.approx(
                stage.macs, rel=EXACT
            )
            assert stage.gated_macs == found["actions"].get("mac_gated", 0)
            assert min(performed, stage.gated_macs, stage.skipped_macs) >= 0
        assert 0 <= stage.utilization <= 1
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
def test_the_same_images_twice_change_no_figure_of_an_image(machine: str, table: str) -> None:
    laid_out = load_machine(machine)
    network = pl.load(laid_out.network)
    images = digits_for(network, 7)
    prices = EnergyTable.load(table)
    once = pl.simulate(network, laid_out, images, table=prices, clock_mhz=50)
    images = np.concatenate([images, images])
    twice = pl.simulate(network, laid_out, images, table=prices, clock_mhz=50)
    for before, after in zip(once.stages, twice.stages, strict=True):
        assert dict(after.actions.counts) == {k: 2 * n for k, n in before.actions.counts.items()}
    differ = {"images": 14, "counted_images": 14, "activations": "of 14 images"}
    found, expected = (json.loads(json.dumps(each.as_dict())) for each in (twice, once))
    assert {key: found[key] for key in differ} == differ
    assert_close({**found, **{key: expected[key] for key in (*differ, "notes")}}, expected)
    first, second = ([*csv.DictReader(io.StringIO(stages_csv(e)))] for e in (once, twice))
    for before, after in zip(first, second, strict=True):
        assert before.keys() == after.keys()
        for name, value in before.items():
            number = value.replace(".", "").replace("e-", "").isdigit()
            expected = pytest.approx(float(value), rel=EXACT) if number else value
            assert (float(after[name]) if number else after[name]) == expected, name


def assert_close(found: object, expected: object) -> None:
    """Two JSON values are equal, numbers but for their last digits."""
    if isinstance(expected, dict):
        assert isinstance(found, dict)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_close(found[key], value)
    elif isinstance(expected, list):
        assert isinstance(found, list)
        for each, value in zip(found, expected, strict=True):
            assert_close(each, value)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=EXACT)
    else:
        assert found == expected


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
