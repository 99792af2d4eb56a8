"""The three laws in gates: values, cycle stamps and action counts of the RTL are the model's."""

import os
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st

import pilaster as pl
from pilaster.data import images_for
from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.layers import Conv, Window
from pilaster.models.shape import Padding, Shape
from pilaster.models.zoo.synthetic import synthetic
from pilaster.rtl.verification.verify import verify
from pilaster.sim import program_tables
from pilaster.sim.machine import Fold, LoopOrder, Machine, Schedule, StageSpec
from tests.rtl.power_up import powered_up
from tests.sim.strategies import pipelines
from tests.strategies import stream_values

MOST_LANES = 200
"""Larger machines only take longer to compile."""

SEARCH_SEED = int(os.environ.get("PILASTER_SEARCH_SEED", "2023"))


def check(network, machine, images, traffic_seed=None, loaded=False):
    """Hold a machine that comes up with anything in its registers and memories to the model."""
    verdict = verify(
        network,
        machine,
        images,
        seed=traffic_seed,
        loaded=loaded,
        mutate=powered_up,
        optimize=False,
    )
    assert verdict.equal, "\n".join(str(d) for s in verdict.stages for d in s.differences)
    return verdict


@pytest.mark.parametrize("schedule", Schedule)
@pytest.mark.parametrize(("rows", "stride"), [(6, 2), (7, 2), (7, 3)])
def test_nothing_is_taken_from_before_the_reset(schedule, rows, stride):
    window = Window((3, 3), (stride, stride), padding=Padding(1, 1, 1, 1))
    nodes = (Node("a", Conv(3, window), (INPUT,)), Node("b", Conv(2, window), ("a",)))
    network = synthetic(Graph("strided", Shape(rows, rows, 2), nodes))
    images = np.random.default_rng(rows).integers(0, 256, (2, rows, rows, 2)).astype(np.uint8)
    machine = pl.default_machine(network, 500, schedule=schedule)
    check(network, machine, images)


@pytest.mark.parametrize("traffic_seed", [None, 1], ids=["steady", "stalls"])
def test_digits(traffic_seed):
    network = pl.load("digits")
    images = images_for(network, None, 50).images
    check(network, pl.load_machine(None, network), images, traffic_seed)


@pytest.mark.parametrize("traffic_seed", [None, 2], ids=["steady", "stalls"])
def test_lenet5(traffic_seed):
    network = pl.load("lenet5")
    images = images_for(network, None, 8).images
    check(network, pl.load_machine(None, network), images, traffic_seed)


def test_digits_with_tables_that_share(monkeypatch):
    monkeypatch.setattr("pilaster.sim.program_tables.SHARED_TILES", 0)
    network = pl.load("digits")
    check(network, pl.load_machine(None, network), images_for(network, None, 5).images, 4)


def machine_of(network, schedule, order, whole_columns, interval):
    """The default machine's layers with one order, and one or all kernel columns in parallel."""
    stages = {}
    default = pl.load_machine(None, network)
    for node in network.graph.nodes:
        fold = default.stages[node.name].fold
        shape = network.graph.input_of(node)
        if hasattr(node.layer, "as_conv"):
            columns = node.layer.as_conv(shape).window.kernel[1] if whole_columns else 1
            fold = replace(fold, taps=1, kernel_columns=columns, loop_order=order)
        stages[node.name] = StageSpec(fold, schedule)
    return Machine("variant", network.name, interval, stages)


STARVED, BALANCED, SATURATED = 2000, 500, 1


@pytest.mark.parametrize("schedule", Schedule)
@pytest.mark.parametrize("order", LoopOrder)
@pytest.mark.parametrize(
    ("whole_columns", "interval"),
    [(False, STARVED), (True, BALANCED), (False, SATURATED), (True, SATURATED)],
)
def test_digits_in_every_style(schedule, order, whole_columns, interval):
    network = pl.load("digits")
    machine = machine_of(network, schedule, order, whole_columns, interval)
    check(network, machine, images_for(network, None, 3).images, 3)


def test_a_row_that_leaves_slowly_behind_one_that_has_many_passes():
    """Sums held: two cycles to leave; the first column has two passes a row, the last but one."""
    graph = Graph(
        "short",
        Shape(2, 3, 1),
        (Node("conv", Conv(4, Window((1, 2), (1, 2), Padding(right=1)), relu=False), (INPUT,)),),
    )
    network = synthetic(graph)
    fold = Fold(out_channels=2, requantizers=1, loop_order=LoopOrder.PSUMS_HELD)
    machine = Machine("short", "short", 4, {"conv": StageSpec(fold, Schedule.GATHER)})
    check(network, machine, np.arange(12, dtype=np.uint8).reshape(2, 2, 3, 1) * 20)


def search(examples, part):
    """Random networks, folds, widths, sparsity and stalls; shrinks a failing case."""

    @seed(SEARCH_SEED + part)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        pipelines(most_layers=3), st.integers(0, 2**31), st.booleans(), st.booleans(), st.booleans()
    )
    def run(pipeline, data_seed, stalls, loaded, shares):
        assume(pipeline.lanes <= MOST_LANES)
        machine = pipeline.machine
        stages = {
            name: replace(spec, dram_bits_per_cycle=0) for name, spec in machine.stages.items()
        }
        machine = replace(machine, stages=stages)
        network = pipeline.network
        tensor, rng = network.tensors[INPUT], np.random.default_rng(data_seed)
        values = stream_values(rng, tensor, 2, network.graph.input_shape)
        tiles = 0 if shares else program_tables.SHARED_TILES
        with mock.patch.object(program_tables, "SHARED_TILES", tiles):
            check(network, machine, values * tensor.scale, data_seed if stalls else None, loaded)

    run()


@pytest.mark.parametrize("part", range(5))
def test_search_for_a_counter_example(part):
    search(5, part)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(5, 25))
def test_long_search_for_a_counter_example(part):
    search(25, part)
