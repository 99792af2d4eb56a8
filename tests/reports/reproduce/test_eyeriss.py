"""Laws: the chip's numbers are as published, and the machine beside it has the chip's budget."""

from __future__ import annotations

import math

import pytest

from pilaster.models.zoo import ZOO
from pilaster.models.zoo.synthetic import synthetic
from pilaster.reports.reproduce import eyeriss
from pilaster.reports.reproduce.eyeriss import NETWORKS, Row, chip, compare
from pilaster.sim.mapper import map_network

# The totals that the tables of the paper state, beside their layers: batch, mW, ms, DRAM MB.
TOTALS = {"alexnet": (4, 278, 115.3, 15.4), "vgg16": (3, 236, 4309.5, 321.1)}


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_add_up_to_the_published_totals(name: str) -> None:
    batch, power, total, dram = TOTALS[name]
    layers = chip().layers[name].values()
    assert chip().batches[name] == batch
    assert sum(layer.total_ms for layer in layers) == pytest.approx(total, abs=0.15)
    assert sum(layer.dram_mb for layer in layers) == pytest.approx(dram, abs=0.25)
    energy = sum(layer.total_ms * layer.power_mw for layer in layers)
    assert energy / total == pytest.approx(power, rel=0.01)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_is_one_of_the_networks(name: str) -> None:
    convolutions = [n.name for n in ZOO[name].build().nodes if n.name.startswith("conv")]
    assert list(chip().layers[name]) == convolutions


def test_a_layer_has_the_least_interval_that_the_lanes_hold() -> None:
    graph = ZOO["alexnet"].build()
    network = synthetic(eyeriss._alone(graph, graph.node("conv5")))
    interval = eyeriss._least_interval(network)
    assert map_network(network, column_interval=interval).lanes <= chip().lanes
    assert map_network(network, column_interval=interval - 1).lanes > chip().lanes


@pytest.mark.slow
def test_a_network_stays_within_the_budget() -> None:
    rows = {row.layer: row for row in compare(["alexnet"], workers=2)}
    graph = ZOO["alexnet"].build()
    for row in rows.values():
        assert row.lanes <= chip().lanes
        assert row.on_chip_mj <= row.no_zeros_mj
        assert row.on_chip_mj < row.clocked_mj
        if row.weights_in == "chip":
            assert row.memory_kb * 8192 <= chip().memory_bits
    total = rows[eyeriss.WHOLE]
    parts = [row for name, row in rows.items() if name not in (eyeriss.WHOLE, eyeriss.PIPELINE)]
    assert total.ms == pytest.approx(sum(row.ms for row in parts))
    # Every column meets every weight of a layer that does not stay on chip.
    conv3: Row = rows["conv3"]
    shape = graph.input_of(graph.node("conv3"))
    network = synthetic(
        eyeriss._alone(graph, graph.node("conv3")), weight_bits=16, activation_bits=16
    )
    mapping, _ = eyeriss._best(network, conv3.column_interval_cycles, True)
    fold = mapping.machine.stages["conv3"].fold
    assert fold.kernel_columns == 1
    tiles = ((384, fold.out_channels), (256, fold.in_channels), (3, fold.taps))
    column = math.prod(-(-size // tile) * tile for size, tile in tiles)
    touched = column * (3 * shape.width - 2)  # a kernel column at each edge meets padding
    assert conv3.dram_weights_mb == pytest.approx(touched * 2e-6)
