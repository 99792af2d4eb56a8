"""The check of the check: `verify` sees every fault that the RTL generator is given."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.joins import join_parameters
from pilaster.models.layers import (
    Add,
    Concat,
    Conv,
    FullyConnected,
    Join,
    Pool,
    Upsample,
    Window,
)
from pilaster.models.network import Network, Precision
from pilaster.models.quantization import (
    ConvParameters,
    Rounding,
    TensorQuantization,
    quantize_multiplier,
)
from pilaster.models.shape import Padding, Shape
from pilaster.rtl.verification.verify import verify
from pilaster.sim.machine import Fold, LoopOrder, Machine, Schedule, StageSpec
from tests.rtl.faults import (
    ANSWERS,
    ENLARGED,
    EVENLY,
    FAULTS,
    GATHER,
    JOINED,
    POOLED,
    ROWS,
    SCATTER,
)

ALL_ROUND = Padding(1, 1, 1, 1)
POINT = Window((1, 1), (1, 1), Padding(0, 0, 0, 0))
HELD = LoopOrder.PSUMS_HELD
IMAGES = 2

LAYERS = {
    # Tiles do not divide channels; the last stage is the slowest, so all others wait for room.
    SCATTER: {
        "conv1": (
            Conv(5, Window((3, 3), (1, 1), ALL_ROUND), 1, False),
            Fold(taps=3, in_channels=2, out_channels=2, kernel_columns=2),
        ),
        "pool2": (Pool("max", Window((3, 3), (2, 1), ALL_ROUND)), Fold(out_channels=2)),
        "conv3": (
            Conv(4, Window((3, 3), (2, 2), ALL_ROUND), 1, True),
            Fold(in_channels=4, out_channels=2, kernel_columns=2, loop_order=HELD),
        ),
        "fc4": (FullyConnected(30, False), Fold()),
    },
    # Source and sink hesitate; the depthwise layer leaves every other column idle.
    GATHER: {
        "conv1": (
            Conv(3, Window((3, 3), (1, 1), ALL_ROUND), 1, False),
            Fold(taps=2, in_channels=2, out_channels=2, kernel_columns=2),
        ),
        "pool2": (Pool("average", Window((2, 3), (1, 1), ALL_ROUND)), Fold(out_channels=2)),
        "conv3": (
            Conv(3, Window((2, 1), (1, 2), Padding(0, 0, 0, 0)), 3, False),
            Fold(out_channels=2),
        ),
        "conv4": (
            Conv(4, Window((2, 3), (1, 1), Padding(0, 0, 1, 1)), 1, True),
            Fold(in_channels=3, out_channels=4, kernel_columns=3, loop_order=HELD),
        ),
    },
    # A stage faster than the sink, so that it waits for the output buffer; and so the next.
    ANSWERS: {
        "conv1": (
            Conv(3, Window((1, 1), (1, 1), Padding(0, 0, 0, 0)), 1, False),
            Fold(in_channels=2),
        ),
    },
    # Sums stay in a memory of a word a row between passes; the last layer has no others.
    ROWS: {
        "conv1": (
            Conv(5, Window((3, 3), (1, 1), ALL_ROUND), 1, False),
            Fold(taps=2, in_channels=2, out_channels=2),
        ),
        "conv2": (
            Conv(4, Window((2, 3), (1, 1), Padding(0, 0, 1, 1)), 1, True),
            Fold(in_channels=3, out_channels=3, kernel_columns=2),
        ),
        "conv3": (Conv(3, POINT, 1, False), Fold(in_channels=2, out_channels=2)),
    },
    # Arms of other widths and scales than what they are joined to; their buffers hold them up.
    JOINED: {
        "conv1": (Conv(3, POINT, 1, False), Fold(in_channels=2, out_channels=2)),
        "conv2": (Conv(3, Window((3, 3), (1, 1), ALL_ROUND), 1, False), Fold(3, 3, 3, 1, 3)),
        "add3": (Add(), Fold(out_channels=2)),
        "conv4": (Conv(2, POINT, 1, True), Fold(in_channels=3, out_channels=2)),
        "concat5": (Concat(), Fold(out_channels=2)),
    },
    # Each row is sent twice, each column three times, to a stage that is slower.
    ENLARGED: {
        "upsample1": (Upsample((2, 3)), Fold(out_channels=2)),
        "conv2": (Conv(2, POINT, 1, False), Fold()),
    },
    POOLED: {"pool1": (Pool("max", Window((2, 2), (1, 1), Padding(0, 1, 0, 1))), Fold())},
    EVENLY: {"pool1": (Pool("average", Window((2, 2), (1, 1)), Rounding.EVEN), Fold())},
}
READS = {
    "conv2": ("conv1",),
    "add3": ("conv1", "conv2"),
    "conv4": ("add3",),
    "concat5": ("conv4", "conv1", "add3"),
}
"""What layers read, where it is not the layer before."""
ARM_COLUMNS = {"add3": (3, 2), "concat5": (2, 4, 3)}

INPUTS = {
    SCATTER: Shape(6, 5, 3),
    GATHER: Shape(6, 6, 2),
    ANSWERS: Shape(4, 6, 2),
    ROWS: Shape(5, 6, 3),
    POOLED: Shape(4, 6, 2),
    EVENLY: Shape(4, 6, 2),
    ENLARGED: Shape(3, 4, 3),
    JOINED: Shape(4, 8, 2),
}
TRAFFIC = dict.fromkeys(LAYERS, 5) | dict.fromkeys((SCATTER, JOINED))

QUICK = ("started-late", "never-gated")
"""Faults of the ordinary tests, of cycles and of actions alone; the others take minutes."""


def marks(fault):
    return [] if fault.name in QUICK else [pytest.mark.slow]


@cache
def bench(name):
    """Network, machine and images, the same each time."""
    rng = np.random.default_rng(7)
    layers, shape = LAYERS[name], INPUTS[name]
    before = [(each,) for each in (INPUT, *layers)]
    nodes = tuple(
        Node(layer, kind, READS.get(layer, read) if name == JOINED else read)
        for (layer, (kind, _)), read in zip(layers.items(), before, strict=False)
    )
    graph = Graph(name, shape, nodes)
    tensors = {INPUT: TensorQuantization(1 / 255, -128, -128, 127)}
    parameters, precisions, joins = {}, {}, {}
    for node in graph.nodes:
        source = tensors[node.inputs[0]]
        tensors[node.name] = source
        if node.layer.keeps_quantization:
            continue
        if isinstance(node.layer, Join):
            tensors[node.name] = TensorQuantization(1.7, 3, -128, 127)
            sources = tuple(tensors[read] for read in node.inputs)
            joins[node.name] = join_parameters(node.layer, sources, tensors[node.name])
            continue
        weight = rng.integers(-7, 8, node.layer.weight_shape(graph.input_of(node)))
        gain = 30 / (source.magnitude * np.prod(weight.shape[1:]) ** 0.5)
        multiplier, shift = quantize_multiplier(rng.uniform(0.5, 1.5, len(weight)) * gain)
        bias = rng.integers(-1000, 1001, len(weight))
        parameters[node.name] = ConvParameters(weight.astype(np.int16), bias, multiplier, shift)
        precisions[node.name] = Precision(8, 31)
        zero_point = -128 if node.layer.relu else 10
        scale = 0.6 if node.name == "conv2" else 1.0
        tensors[node.name] = TensorQuantization(scale, zero_point, -128, 127)
    network = Network(graph, tensors, parameters, precisions, False, "for faults", joins)
    schedule = Schedule.GATHER if name == GATHER else Schedule.SCATTER
    stages = {
        layer: StageSpec(
            fold, schedule, arm_columns=ARM_COLUMNS.get(layer, ()), row_sums=name == ROWS
        )
        for layer, (_, fold) in layers.items()
    }
    images = rng.integers(0, 256, (IMAGES, shape.height, shape.width, shape.channels), np.uint8)
    images[rng.random(images.shape) < 0.3] = 0
    return network, Machine(name, name, 1, stages), images


def run(name):
    return verify(*bench(name), seed=TRAFFIC[name], optimize=False)


@pytest.fixture(autouse=True)
def shared_tables(monkeypatch):
    """Let small machines share passes and blocks too."""
    monkeypatch.setattr("pilaster.sim.program_tables.SHARED_TILES", 0)


@pytest.fixture(scope="session")
def sound():
    """Hold a machine without faults to the model, once."""

    @cache
    def check(name):
        verdict = run(name)
        assert verdict.equal, [str(d) for s in verdict.stages for d in s.differences]

    return check


def test_names_are_unique():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_generator_has_what_the_fault_changes(fault):
    with fault.patch():
        pass


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, id=fault.name, marks=marks(fault)) for fault in FAULTS]
)
def test_the_fault_is_seen(fault, sound):
    sound(fault.bench)
    with fault.patch():
        verdict = run(fault.bench)
    assert not verdict.equal
    assert not getattr(verdict, f"{fault.law}_equal")
    first = next(found for stage in verdict.stages for found in stage.differences)
    assert first.stage in LAYERS[fault.bench]
    assert first.expected != first.found
    assert str(first).startswith(f"{first.stage}: {first.what}")
    assert str(first).endswith(f"expected {first.expected}, found {first.found}")
