"""Random machines: any fold, order and schedule that fits a random network."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from pilaster.models.errors import InputError
from pilaster.models.graph import INPUT, Graph
from pilaster.models.layers import Conv, FullyConnected, Pool, Window
from pilaster.models.network import Network, Precision
from pilaster.models.quantization import ConvParameters, TensorQuantization, quantize_multiplier
from pilaster.models.shape import Padding, Shape
from pilaster.sim.geometry import ConvGeometry
from pilaster.sim.machine import Fold, LoopOrder, Machine, Schedule, StageSpec
from pilaster.sim.pipeline import Pipeline


@st.composite
def windows(draw, shape, largest=5):
    kernel = (
        draw(st.integers(1, min(largest, shape.height + 2))),
        draw(st.integers(1, min(largest, shape.width + 2))),
    )
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    rows = st.integers(0, kernel[0] - 1)
    columns = st.integers(0, kernel[1] - 1)
    padding = Padding(draw(rows), draw(rows), draw(columns), draw(columns))
    return Window(kernel, stride, padding)


@st.composite
def layers(draw, shape):
    kind = draw(st.sampled_from(["conv", "conv", "conv", "pool", "fully_connected"]))
    if kind == "fully_connected":
        return FullyConnected(draw(st.integers(1, 7)), draw(st.booleans()))
    window = draw(windows(shape))
    if kind == "pool":
        return Pool(draw(st.sampled_from(["max", "average"])), window)
    divisors = [g for g in range(1, shape.channels + 1) if shape.channels % g == 0]
    groups = draw(st.sampled_from(divisors))
    return Conv(groups * draw(st.integers(1, 4)), window, groups, draw(st.booleans()))


@st.composite
def graphs(draw, most_layers=4):
    shape = Shape(draw(st.integers(1, 12)), draw(st.integers(1, 12)), draw(st.integers(1, 4)))
    found, start = {}, shape
    for index in range(draw(st.integers(1, most_layers))):
        layer = draw(layers(shape))
        try:
            shape = layer.output_shape(shape)
        except InputError:
            continue
        found[f"layer{index}"] = layer
    if not found:
        found["layer"] = FullyConnected(2)
    return Graph.chain("random", start, found)


@st.composite
def networks(draw, most_layers=4):
    """A random graph with random integers; often with whole kernel columns or channels of zeros."""
    graph = draw(graphs(most_layers))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tensors = {INPUT: TensorQuantization(1 / 255, -128, -128, 127)}
    parameters, precisions = {}, {}
    for node in graph.nodes:
        source = tensors[node.inputs[0]]
        if isinstance(node.layer, Pool):
            tensors[node.name] = source
            continue
        shape = node.layer.weight_shape(graph.input_of(node))
        weight = rng.integers(-127, 128, shape)
        for axis in range(4):
            if rng.random() < 0.3:
                index = [slice(None)] * 4
                index[axis] = rng.integers(shape[axis])
                weight[tuple(index)] = 0
        gain = 40 / (source.magnitude * 127 * max(1, np.prod(shape[1:])) ** 0.5)
        multiplier, shift = quantize_multiplier(rng.uniform(0.5, 1.5, shape[0]) * gain)
        bias = rng.integers(-3000, 3001, shape[0])
        parameters[node.name] = ConvParameters(weight.astype(np.int16), bias, multiplier, shift)
        precisions[node.name] = Precision(8, 31)
        zero_point = -128 if node.layer.relu else int(rng.integers(-128, 128))
        tensors[node.name] = TensorQuantization(1.0, zero_point, -128, 127)
    return Network(graph, tensors, parameters, precisions, False, "random")


@st.composite
def specs(draw, node, shape):
    schedule = draw(st.sampled_from(Schedule))
    if isinstance(node.layer, Pool):
        return StageSpec(Fold(out_channels=draw(st.integers(1, shape.channels))), schedule)
    geometry = ConvGeometry(node.layer.as_conv(shape), shape)
    order = draw(st.sampled_from(LoopOrder))
    columns = geometry.kernel_columns
    if schedule is Schedule.SCATTER:
        columns = geometry.open_columns
    out_channels = draw(st.integers(1, geometry.out_channels))
    fold = Fold(
        taps=1 if order is LoopOrder.PSUMS_HELD else draw(st.integers(1, geometry.taps)),
        in_channels=draw(st.integers(1, geometry.channels)),
        out_channels=out_channels,
        kernel_columns=draw(st.integers(1, columns)),
        requantizers=draw(st.integers(1, out_channels)),
        loop_order=order,
    )
    return StageSpec(fold, schedule, draw(st.sampled_from([0, 0, 0, 8, 64])))


@st.composite
def pipelines(draw, most_layers=4):
    """A random network on a random machine."""
    network = draw(networks(most_layers))
    stages = {
        node.name: draw(specs(node, network.graph.input_of(node))) for node in network.graph.nodes
    }
    interval = draw(st.sampled_from([1, 3, 10, 50, 300]))
    return Pipeline(network, Machine("random", "random", interval, stages))
