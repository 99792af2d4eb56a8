"""The integer reference against LiteRT's reference kernels, element for element.

One kernel changed its rounding between releases. The reference FULLY_CONNECTED of LiteRT 1.2
uses the fixed-point multiplier, as CONV_2D and DEPTHWISE_CONV_2D do in every release tried; that
of LiteRT 2.3 computes ``round(double(sum) * scale)``, halves away from zero (LiteRT,
tflite/kernels/internal/reference/integer_ops/fully_connected.h). Dense layers are judged twice:
as the equal CONV_2D, exactly, and as FULLY_CONNECTED, where all elements follow the one rule or
all follow the other, from Pilaster's sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.layers import Conv, FullyConnected, Layer, Pool, Window
from pilaster.models.network import Network, Precision
from pilaster.models.quantization import (
    ConvParameters,
    TensorQuantization,
    quantize_multiplier,
    requantize,
)
from pilaster.models.reference.conv import conv_accumulators
from pilaster.models.reference.network import tensors
from pilaster.models.shape import Padding, Shape
from tests.models import tflite_file as file
from tests.strategies import seeds, shapes, stream_values

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Scales = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """A network with what a .tflite file has to say on top: operators and real scales."""

    network: Network
    weight_scales: Mapping[str, Scales]
    operators: Mapping[str, str]

    def real_multiplier(self, node: Node) -> NDArray[np.float64]:
        """Give the real multipliers as TensorFlow Lite computes them from its float32 scales."""
        scales = self.weight_scales[node.name].astype(np.float64)
        tensor = self.network.tensors
        return tensor[node.inputs[0]].scale * scales / tensor[node.name].scale


def same_padding(shape: Shape, kernel: tuple[int, int], stride: tuple[int, int]) -> Padding:
    """SAME padding: as many outputs as strides fit in the input, the odd zero at the end."""
    total = [
        max(0, (-(-size // step) - 1) * step + extent - size)
        for size, extent, step in zip((shape.height, shape.width), kernel, stride, strict=True)
    ]
    top, left = total[0] // 2, total[1] // 2
    return Padding(top, total[0] - top, left, total[1] - left)


@st.composite
def tflite_windows(draw: st.DrawFn, shape: Shape, kernel: int = 5) -> Window:
    """Draw a window with SAME or VALID padding."""
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    if draw(st.booleans()):
        extents = (draw(st.integers(1, kernel)), draw(st.integers(1, kernel)))
        return Window(extents, stride, same_padding(shape, extents, stride))
    extents = (
        draw(st.integers(1, min(kernel, shape.height))),
        draw(st.integers(1, min(kernel, shape.width))),
    )
    return Window(extents, stride)


@st.composite
def cases(draw: st.DrawFn, shape: Shape, layers: Mapping[str, Layer]) -> Case:
    """Draw the integers and scales of a chain.

    The multiplier's magnitude is drawn first, from a left shift to one that is flushed to zero,
    and biases that carry the sums over the whole output range and beyond it on both sides.
    """
    graph = Graph.chain("random", shape, layers)
    rng = np.random.default_rng(draw(seeds()))
    quantizations = {INPUT: _int8(_random_scale(rng), draw(st.integers(-128, 127)))}
    parameters: dict[str, ConvParameters] = {}
    weight_scales: dict[str, Scales] = {}
    for node in graph.nodes:
        source = quantizations[node.inputs[0]]
        if isinstance(node.layer, Pool):
            quantizations[node.name] = source
            continue
        exponent = draw(st.one_of(st.integers(-16, -2), st.integers(-36, 4)), label="exponent")
        top = draw(st.sampled_from([127, 20, 2]), label="largest weight")
        zero_point = draw(st.integers(-128, 127), label="output zero point")
        size = node.layer.weight_shape(graph.input_of(node))
        weight = rng.integers(-top, top, size, np.int8, endpoint=True)
        per_channel = isinstance(node.layer, Conv) or (
            len(weight) > 1 and draw(st.booleans(), label="scale per channel")
        )
        spread = rng.uniform(0.5, 1.0, len(weight) if per_channel else 1)
        scales = (_random_scale(rng) * spread).astype(np.float32)
        scale = np.float32(source.scale * float(scales.max()) / 2.0**exponent)
        quantizations[node.name] = _int8(scale, zero_point, relu=node.layer.relu)
        reach = int(min(1 << 30, 200 / 2.0**exponent)) + 1
        bias = rng.integers(-reach, reach + 1, len(weight))
        real = np.full(len(weight), _products(source, scales, per_channel) / float(scale))
        parameters[node.name] = ConvParameters(weight, bias, *quantize_multiplier(real))
        weight_scales[node.name] = scales
    precisions = dict.fromkeys(parameters, Precision(8, 31))
    network = Network(graph, quantizations, parameters, precisions, False, "random integers")
    return Case(network, weight_scales, {node.name: node.layer.kind for node in graph.nodes})


def _products(source: TensorQuantization, scales: Scales, per_channel: bool) -> Floats:
    """Input scale times weight scales: a product in single precision where there is one scale.

    So do TensorFlow Lite's PopulateConvolutionQuantizationParams (per channel) and
    GetQuantizedConvolutionMultipler (per tensor).
    """
    if per_channel:
        return source.scale * scales.astype(np.float64)
    return (np.float32(source.scale) * scales).astype(np.float64)


def _int8(scale: np.float32, zero_point: int, relu: bool = False) -> TensorQuantization:
    return TensorQuantization(float(scale), zero_point, zero_point if relu else -128, 127)


def _random_scale(rng: np.random.Generator) -> np.float32:
    return np.float32(10 ** rng.uniform(-3, 0))


def write(case: Case, count: int) -> bytes:
    """Write a case as a .tflite file for `count` images."""
    graph = case.network.graph
    known = [_activation(case, INPUT, count)]
    for node in graph.nodes:
        if not isinstance(node.layer, Pool):
            known += _constants(case, node)
        known.append(_activation(case, node.name, count))
    operators = [_operator(case, node) for node in graph.nodes]
    return file.tflite_file(known, operators, INPUT, graph.outputs[0])


def _operator(case: Case, node: Node) -> file.Operator:
    graph, layer = case.network.graph, node.layer
    shape = graph.input_of(node)
    if isinstance(layer, Pool):
        window, same = layer.window, _is_same(layer.window)
        return file.pool_2d(
            layer.mode, node.inputs[0], node.name, window.kernel, window.stride, same=same
        )
    names = (node.inputs[0], f"{node.name}/weight", f"{node.name}/bias")
    if case.operators[node.name] == "fully_connected":
        return file.fully_connected(names, node.name, relu=layer.relu)
    window = layer.as_conv(shape).window
    same = _is_same(window)
    if case.operators[node.name] == "depthwise":
        multiplier = graph.shapes[node.name].channels // shape.channels
        return file.depthwise_conv_2d(
            names, node.name, window.stride, multiplier=multiplier, same=same, relu=layer.relu
        )
    return file.conv_2d(names, node.name, window.stride, same=same, relu=layer.relu)


def _is_same(window: Window) -> bool:
    """Whether a window's padding is SAME; without padding VALID says the same."""
    return window.padding != Padding()


def _activation(case: Case, name: str, count: int) -> file.Tensor:
    tensor, shape = case.network.tensors[name], case.network.graph.shapes[name]
    size: tuple[int, ...] = (count, shape.height, shape.width, shape.channels)
    if case.operators.get(name) == "fully_connected":
        size = (count, shape.channels)
    return file.Tensor(name, size, np.array([tensor.scale], np.float32), tensor.zero_point)


def _constants(case: Case, node: Node) -> list[file.Tensor]:
    found, kind = case.network.parameters[node.name], case.operators[node.name]
    scales = case.weight_scales[node.name]
    weight, axis = found.weight, 0
    if kind == "depthwise":
        weight, axis = weight.transpose(3, 1, 2, 0), 3
    elif kind == "fully_connected":
        weight = weight.reshape(len(weight), -1)
    bias = found.bias.astype(np.int32)
    bias_scales = scales * np.float32(case.network.tensors[node.inputs[0]].scale)
    return [
        file.Tensor(f"{node.name}/weight", weight.shape, scales, data=weight, channel_axis=axis),
        file.Tensor(f"{node.name}/bias", bias.shape, bias_scales, data=bias),
    ]


def judge(case: Case, values: NDArray[np.int32]) -> None:
    """Assert that LiteRT computes what Pilaster does, layer by layer."""
    network = case.network
    raw = (values + network.tensors[INPUT].zero_point).astype(np.int8)
    found = file.run_reference(write(case, len(values)), raw)
    source = values
    for name, expected in tensors(network, source):
        node = network.graph.node(name)
        judged = found[name].reshape(expected.shape).astype(np.int64)
        judged -= network.tensors[name].zero_point
        if case.operators[name] == "fully_connected" and not np.array_equal(judged, expected):
            expected = rounded_once(case, node, source)
        np.testing.assert_array_equal(judged, expected, err_msg=name)
        source = judged.astype(np.int32)


def rounded_once(case: Case, node: Node, values: NDArray[np.int32]) -> Integers:
    """Apply the rule of LiteRT 2.3's FULLY_CONNECTED to Pilaster's sums."""
    network = case.network
    layer = node.layer.as_conv(network.graph.input_of(node))  # type: ignore[union-attr]
    magnitude = network.tensors[node.inputs[0]].magnitude
    sums = conv_accumulators(values, layer, network.parameters[node.name], magnitude)
    real = sums * case.real_multiplier(node)
    whole = np.copysign(np.floor(np.abs(real) + 0.5), real)
    return np.clip(whole, *network.tensors[node.name].stream_range).astype(np.int64)


def draw_values(data: st.DataObject, case: Case) -> NDArray[np.int32]:
    rng = np.random.default_rng(data.draw(seeds()))
    network = case.network
    count = data.draw(st.integers(1, 2))
    return stream_values(rng, network.tensors[INPUT], count, network.graph.input_shape)


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, derandomize=True)


@examples(80)
@given(st.data())
def test_a_convolution_equals_conv_2d(data: st.DataObject) -> None:
    shape = data.draw(shapes(8, 8, 6))
    outputs, relu = data.draw(st.integers(1, 6)), data.draw(st.booleans())
    layer = Conv(outputs, data.draw(tflite_windows(shape)), relu=relu)
    case = data.draw(cases(shape, {"conv": layer}))
    judge(case, draw_values(data, case))


@examples(50)
@given(st.data())
def test_a_grouped_convolution_equals_conv_2d(data: st.DataObject) -> None:
    groups, inputs, outputs = (data.draw(st.integers(low, 3)) for low in (2, 1, 1))
    shape = Shape(data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8)), groups * inputs)
    window = data.draw(tflite_windows(shape))
    layer = Conv(groups * outputs, window, groups, data.draw(st.booleans()))
    case = data.draw(cases(shape, {"conv": layer}))
    judge(case, draw_values(data, case))


@examples(50)
@given(st.data())
def test_one_group_a_channel_equals_depthwise_conv_2d(data: st.DataObject) -> None:
    shape = data.draw(shapes(8, 8, 6))
    window = data.draw(tflite_windows(shape))
    outputs = shape.channels * data.draw(st.integers(1, 2), label="depth multiplier")
    layer = Conv(outputs, window, shape.channels, data.draw(st.booleans()))
    case = data.draw(cases(shape, {"conv": layer}))
    case = Case(case.network, case.weight_scales, {"conv": "depthwise"})
    judge(case, draw_values(data, case))


@examples(50)
@given(st.data())
def test_a_dense_layer_equals_conv_2d_over_the_whole_map(data: st.DataObject) -> None:
    shape = data.draw(shapes(6, 6, 6))
    layer = FullyConnected(data.draw(st.integers(1, 8)), data.draw(st.booleans()))
    case = data.draw(cases(shape, {"fc": layer.as_conv(shape)}))
    judge(case, draw_values(data, case))


@examples(50)
@given(st.data())
def test_a_dense_layers_sums_equal_fully_connected(data: st.DataObject) -> None:
    shape = data.draw(shapes(6, 6, 6))
    layer = FullyConnected(data.draw(st.integers(1, 8)), data.draw(st.booleans()))
    case = data.draw(cases(shape, {"fc": layer}))
    judge(case, draw_values(data, case))


@pytest.mark.parametrize("mode", ["max", "average"])
@examples(50)
@given(data=st.data())
def test_a_pool_equals_pool_2d(mode: str, data: st.DataObject) -> None:
    shape = data.draw(shapes(9, 9, 4))
    layer = Pool(mode, data.draw(tflite_windows(shape)))  # type: ignore[arg-type]
    case = data.draw(cases(shape, {"pool": layer}))
    judge(case, draw_values(data, case))


@examples(30)
@given(st.data())
def test_every_layer_of_a_chain_equals_the_same_chain_in_litert(data: st.DataObject) -> None:
    shape = Shape(data.draw(st.integers(6, 12)), data.draw(st.integers(6, 12)), 2)
    layers: dict[str, Layer] = {}
    size = shape
    for name in ("conv1", "pool1", "conv2", "pool2"):
        window = data.draw(tflite_windows(size, 3))
        if name.startswith("conv"):
            layer: Layer = Conv(4, window, data.draw(st.sampled_from([1, 2])), relu=True)
        else:
            layer = Pool(data.draw(st.sampled_from(["max", "average"])), window)
        layers[name] = layer
        size = layer.output_shape(size)
    layers["fc"] = FullyConnected(10)
    case = data.draw(cases(shape, layers))
    judge(case, draw_values(data, case))


@pytest.mark.parametrize("operator", ["conv", "depthwise", "fully_connected"])
@pytest.mark.parametrize("exponent", range(-33, 7))
def test_requantization_equals_litert_where_rounding_is_hardest(
    exponent: int, operator: str
) -> None:
    """Sums within two units of where the output rounds the other way, for every shift."""
    rng = np.random.default_rng(exponent + 100)
    channels = 2000
    scales = (2.0**exponent * rng.uniform(0.5, 1, channels)).astype(np.float32)
    scales[:400] = 2.0 ** (exponent - 1)
    real = scales.astype(np.float64)
    halves = rng.integers(-130, 130, channels) + 0.5
    sums = np.rint(halves / real) + rng.integers(-2, 3, channels)
    # Left shifts of the kernels' 32-bit sums wrap; the specification has none so large.
    limit = (1 << (31 - max(0, exponent))) - 1
    sums = np.clip(sums, -limit, limit).astype(np.int64)
    groups = channels if operator == "depthwise" else 1
    layer: Layer = Conv(channels, Window((1, 1)), groups)
    if operator == "fully_connected":
        layer = FullyConnected(channels)
    weight = np.zeros((channels, 1, 1, 1), np.int8)
    parameters = ConvParameters(weight, sums, *quantize_multiplier(real))
    graph = Graph.chain("sums", Shape(1, 1, groups), {"layer": layer})
    quantizations = dict.fromkeys(graph.shapes, _int8(np.float32(1), 0))
    precisions = {"layer": Precision(8, 31)}
    network = Network(graph, quantizations, {"layer": parameters}, precisions, False, "sums")
    judge(
        Case(network, {"layer": scales}, {"layer": operator}), np.zeros((1, 1, 1, groups), np.int32)
    )
    found = requantize(sums, parameters.multiplier, parameters.shift)
    if -23 <= exponent <= 0:
        assert found.min() < -128
        assert found.max() > 127
