"""Forks and joins in gates: the three laws on the blocks that branching networks are built of."""

from dataclasses import replace

import numpy as np
import pytest

from pilaster.base.errors import InputError
from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.layers import Add, Concat, Conv, FullyConnected, Pool, Window
from pilaster.models.shape import Padding, Shape
from pilaster.models.zoo.synthetic import synthetic
from pilaster.rtl.pipeline import PipelineComponent
from pilaster.rtl.verification.verify import verify
from pilaster.sim.closed_form import stamps
from pilaster.sim.default import default_machine
from pilaster.sim.pipeline import Pipeline
from tests.rtl.test_verify import check
from tests.sim.test_joins import Unchecked

SHAPE = Shape(6, 8, 3)
SAME = Window((3, 3), padding=Padding(1, 1, 1, 1))
POINT = Window((1, 1))


def conv(channels, window=POINT, groups=1):
    return Conv(channels, window, groups, relu=True)


BLOCKS = {
    # ResNet: a shortcut of its own tensor, then one that is projected and strided.
    "residual": (
        Node("first", conv(4, SAME), (INPUT,)),
        Node("one", conv(4, SAME), ("first",)),
        Node("two", Conv(4, SAME), ("one",)),
        Node("sum", Add(relu=True), ("first", "two")),
        Node("three", Conv(5, Window((3, 3), (2, 2), Padding(1, 1, 1, 1))), ("sum",)),
        Node("short", Conv(5, Window((1, 1), (2, 2))), ("sum",)),
        Node("last", Add(relu=True), ("three", "short")),
    ),
    # MobileNet v2: depthwise between two 1x1, and a shortcut of the input itself.
    "depthwise-separable": (
        Node("wide", conv(6), (INPUT,)),
        Node("depth", conv(6, SAME, 6), ("wide",)),
        Node("narrow", Conv(3, POINT), ("depth",)),
        Node("sum", Add(), ("narrow", INPUT)),
    ),
    # SqueezeNet: a squeeze, and two expansions side by side.
    "fire": (
        Node("squeeze", conv(2), (INPUT,)),
        Node("expand1", conv(3), ("squeeze",)),
        Node("expand3", conv(4, SAME), ("squeeze",)),
        Node("both", Concat(), ("expand1", "expand3")),
        Node("classes", FullyConnected(5), ("both",)),
    ),
    # GoogLeNet: four branches of the input, one of them pooled.
    "inception": (
        Node("one", conv(3), (INPUT,)),
        Node("reduce3", conv(2), (INPUT,)),
        Node("three", conv(3, SAME), ("reduce3",)),
        Node("reduce5", conv(2), (INPUT,)),
        Node("five", conv(2, Window((5, 5), padding=Padding(2, 2, 2, 2))), ("reduce5",)),
        Node("pool", Pool("max", SAME), (INPUT,)),
        Node("project", conv(2), ("pool",)),
        Node("all", Concat(), ("one", "three", "five", "project")),
    ),
}


def block(name, interval=60):
    """A block's network, its machine, and two images."""
    network = synthetic(Graph(name, SHAPE, BLOCKS[name]))
    rng = np.random.default_rng(8)
    images = rng.integers(0, 256, (2, SHAPE.height, SHAPE.width, SHAPE.channels)).astype(np.uint8)
    return network, default_machine(network, interval), images


QUICK = {"residual": None, "depthwise-separable": 3, "fire": None, "inception": 3}
"""Traffic in the ordinary tests."""


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_of_each_kind(name):
    check(*block(name), QUICK[name])


@pytest.mark.slow
@pytest.mark.parametrize("traffic_seed", [None, 1, 2, 3])
@pytest.mark.parametrize("interval", [26, 200])
@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_at_other_intervals(name, interval, traffic_seed):
    check(*block(name, interval), traffic_seed)


def with_columns(machine, join, columns):
    spec = replace(machine.stages[join], arm_columns=columns)
    return replace(machine, stages={**machine.stages, join: spec})


def test_a_column_buffer_less_delays_the_gates_as_it_does_the_model():
    """The fewest column buffers let no stage wait; with one less the RTL is later, or stuck."""
    network, machine, images = block("residual")
    count = len(images)
    sum_arms = machine.stages["sum"].arm_columns
    assert sum_arms[0] > 2
    plenty = with_columns(with_columns(machine, "sum", (9, 9)), "last", (9, 9))
    expected = stamps(Pipeline(network, plenty), count)
    assert stamps(Pipeline(network, machine), count).same_as(expected)
    less = with_columns(machine, "sum", (sum_arms[0] - 1, sum_arms[1]))
    late = stamps(Pipeline(network, less), count)
    assert late.answers[-1] > expected.answers[-1]
    verdict = check(network, less, images)
    assert verdict.rtl_cycles == late.taken.max()


def test_gates_that_wait_for_ever_are_told(monkeypatch):
    """A machine of the fewest column buffers, built with too few: the run ends, and says so."""
    network, machine, images = block("residual")
    few = with_columns(machine, "sum", (2, 2))
    with pytest.raises(InputError, match="stage sum: arm_columns: with"):
        _ = Pipeline(network, few).stages
    built = Unchecked(network, few)

    def stuck(self, source):
        stages = built.stages
        return [stages[stage].arm_columns[arm] for stage, arm in self._readers[source]]

    monkeypatch.setattr(PipelineComponent, "_columns_of_readers", stuck)
    verdict = verify(network, machine, images, optimize=False)
    assert not verdict.finished
    assert not verdict.equal
