"""Operators of .tflite files that change each value alone: a depthwise convolution by one weight.

Source: how LiteRT 2 prepares its kernels of ADD, SUB, MUL, QUANTIZE and RELU for int8.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.graph import Node
from pilaster.models.importers.staircase import staircase
from pilaster.models.importers.tflite_file import Operator, TensorInfo
from pilaster.models.importers.tflite_graph import TfliteGraph
from pilaster.models.importers.tflite_operators import Handler, add
from pilaster.models.importers.tflite_tensors import activation, described, quantization
from pilaster.models.importers.values import Value, ones
from pilaster.models.joins import AddParameters, join_parameters
from pilaster.models.layers import Add, Conv, Window
from pilaster.models.quantization import ConvParameters, TensorQuantization, quantize_multiplier

__all__ = ["ELEMENTWISE", "rescale"]

Integers = NDArray[np.int64]


def add_or_shift(graph: TfliteGraph, operator: Operator) -> None:
    """ADD of two maps, or of a map and a constant; SUB of a constant, or from one."""
    if len(operator.inputs) != 2:
        raise InputError(f"has {len(operator.inputs)} inputs, must have two")
    places = [index for index in range(2) if graph.is_constant(operator, index)]
    if not places:
        if operator.kind == "SUB":
            raise InputError("subtracts two maps; only a constant may be subtracted")
        add(graph, operator)
        return
    value, constant, scale = _operands(graph, operator, places[0])
    if operator.kind == "SUB" and places[0] == 1:
        constant = -constant
    negative = operator.kind == "SUB" and places[0] == 0
    name = _scaling(graph, operator, value)
    source, target = graph.tensors[value.name], graph.tensors[name]
    found = AddParameters.between((source, scale), target)
    low, high = source.stream_range
    stream = np.arange(low, high + 1, dtype=np.int64)[np.newaxis]
    operands = (-stream if negative else stream, constant[:, np.newaxis])
    first, second = (
        factor.requantize(operand << found.left_shift)
        for factor, operand in zip(found.inputs, operands, strict=True)
    )
    table = np.clip(found.output.requantize(first + second), *target.stream_range)
    slopes = np.full(len(constant), (-1 if negative else 1) * source.scale / target.scale)
    try:
        graph.give(name, staircase(table, low, target.stream_range, slopes))
    except InputError:
        if negative:
            raise
        _add_constant(graph, name, constant, scale)


def _add_constant(
    graph: TfliteGraph, name: str, constant: Integers, scale: TensorQuantization
) -> None:
    """Make a sum of a layer that adds constants: its other arm gives these, whatever it reads."""
    place = next(i for i, node in enumerate(graph.nodes) if node.name == name)
    node = graph.nodes[place]
    assert isinstance(node.layer, Conv)
    source, channels = node.inputs[0], node.layer.out_channels
    arm = f"{name}_constant"
    low, high = min(0, int(constant.min())), max(0, int(constant.max()))
    graph.nodes[place : place + 1] = [
        Node(arm, Conv(channels, Window((1, 1)), channels), (source,)),
        Node(name, Add(node.layer.relu, node.layer.ceiling), (source, arm)),
    ]
    graph.shapes[arm] = graph.shapes[source]
    graph.tensors[arm] = TensorQuantization(scale.scale, 0, low, high)
    multiplier, shift = quantize_multiplier(np.ones(channels))
    weight = np.zeros((channels, 1, 1, 1), np.int8)
    graph.give(arm, ConvParameters(weight, constant, multiplier, shift))
    sources = (graph.tensors[source], scale)
    graph.joins[name] = join_parameters(Add(), sources, graph.tensors[name])


def multiply(graph: TfliteGraph, operator: Operator) -> None:
    """MUL of a map and a constant: the constant's integers are the weights."""
    if len(operator.inputs) != 2:
        raise InputError(f"has {len(operator.inputs)} inputs, must have two")
    places = [index for index in range(2) if graph.is_constant(operator, index)]
    if len(places) != 1:
        raise InputError("multiplies two maps; one must be a constant")
    value, constant, scale = _operands(graph, operator, places[0])
    name = _scaling(graph, operator, value)
    scales = (graph.tensors[value.name].scale, scale.scale, graph.tensors[name].scale)
    first, second, target = map(np.float32, scales)
    real = float(first * second / target)  # LiteRT's MUL does this in single precision
    multiplier, shift = quantize_multiplier(np.full(len(constant), real))
    weight = constant.astype(np.int16).reshape(-1, 1, 1, 1)
    graph.give(name, ConvParameters(weight, np.zeros_like(constant), multiplier, shift))


def _operands(
    graph: TfliteGraph, operator: Operator, place: int
) -> tuple[Value, Integers, TensorQuantization]:
    """Give the map, and the constant's integers by channel, its zero point taken off."""
    value, info = graph.whole(operator, 1 - place), graph.info(operator, place)
    scale = quantization(info)
    return value, _by_channel(graph, value, info) - scale.zero_point, scale


def _by_channel(graph: TfliteGraph, value: Value, info: TensorInfo) -> Integers:
    """Give a constant, broadcast as LiteRT does, for each channel."""
    assert info.data is not None
    layout, channels = value.layout, graph.shapes[value.name].channels
    if info.data.size != int(np.prod(info.shape, dtype=np.int64)):
        raise InputError(f"needs a whole constant, has {described(info)}")
    sizes = (1,) * (len(layout.sizes) - len(info.shape)) + info.shape
    many = [place for place, size in enumerate(sizes) if size > 1]
    if many and (len(sizes) != len(layout.sizes) or many != [layout.along("C")]):
        raise InputError(
            f"reads a constant of the shape {info.shape} beside axes of {layout}; must be one "
            f"number, or one a channel"
        )
    return np.broadcast_to(info.data.ravel().astype(np.int64), (channels,))


def relu(graph: TfliteGraph, operator: Operator) -> None:
    """RELU and RELU6, whose kernels divide the scales in single precision."""
    value = graph.whole(operator)
    name = _scaling(graph, operator, value)
    source, target = graph.tensors[value.name].scale, graph.tensors[name].scale
    _rescaled(graph, value, name, float(np.float32(source) / np.float32(target)))


def rescale(graph: TfliteGraph, operator: Operator, value: Value) -> None:
    """Bring a value to the operator's scale, as QUANTIZE does."""
    name = _scaling(graph, operator, value)
    source, target = graph.tensors[value.name].scale, graph.tensors[name].scale
    _rescaled(graph, value, name, source / target)


def _rescaled(graph: TfliteGraph, value: Value, name: str, factor: float) -> None:
    real = np.array([factor])
    channels = graph.shapes[value.name].channels
    graph.give(name, ones(channels, Window((1, 1)), *quantize_multiplier(real)))


FUSED = {"RELU": 1, "RELU6": 3}


def _scaling(graph: TfliteGraph, operator: Operator, value: Value) -> str:
    """Add a depthwise convolution of 1x1."""
    fused = operator.options.get("FusedActivationFunction", FUSED.get(operator.kind, 0))
    channels = graph.shapes[value.name].channels
    layer = Conv(channels, Window((1, 1)), channels, *activation(fused))
    return graph.add(operator, operator.kind.lower(), layer, (value.name,), value.layout, fused)


ELEMENTWISE: Mapping[str, Handler] = {
    "ADD": add_or_shift,
    "MUL": multiply,
    "RELU": relu,
    "RELU6": relu,
    "SUB": add_or_shift,
}
"""Operators by name."""
