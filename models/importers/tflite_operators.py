"""Operators of .tflite files that compute, each as a layer with LiteRT's integers.

Source: the TensorFlow Lite 8-bit quantization specification, and how LiteRT 2 prepares its kernels.
Scales in a file are single precision; LiteRT computes with them in double.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.importers.layout import Axes, Layout
from pilaster.models.importers.tflite_file import Operator
from pilaster.models.importers.tflite_graph import TfliteGraph
from pilaster.models.importers.tflite_tensors import (
    activation,
    described,
    integers,
    weights_of,
    window_padding,
)
from pilaster.models.importers.values import UNPADDED, dilated, holds, padded
from pilaster.models.joins import join_parameters
from pilaster.models.layers import Add, Concat, Conv, FullyConnected, Pool, Weighted, Window
from pilaster.models.quantization import ConvParameters, Rounding, quantize_multiplier
from pilaster.models.single_rounding import multiplier_rounded_once

__all__ = ["OPERATORS", "Handler", "check_equal"]

Handler = Callable[[TfliteGraph, Operator], None]

ONE_ROW: Axes = ("N", "W", "H", "C")
"""Axes of a map whose only row a file has behind its columns: its windows lie on their side."""


def conv(graph: TfliteGraph, operator: Operator) -> None:
    """CONV_2D: weights (out, rows, columns, in / groups)."""
    weight = weights_of(graph.info(operator, 1), 4)
    shape = graph.shapes[graph.value(operator).name]
    groups, rest = divmod(shape.channels, weight.shape[3])
    if rest:
        raise InputError(f"weights for {weight.shape[3]} channels do not divide {shape.channels}")
    _convolution(graph, operator, "conv", weight, 0, groups)


def depthwise(graph: TfliteGraph, operator: Operator) -> None:
    """DEPTHWISE_CONV_2D: weights (1, rows, columns, out)."""
    weight = weights_of(graph.info(operator, 1), 4)
    shape = graph.shapes[graph.value(operator).name]
    if weight.shape[0] != 1 or weight.shape[3] % shape.channels:
        raise InputError(f"weights {weight.shape} do not fit {shape.channels} channels")
    weight = weight.transpose(3, 1, 2, 0)
    _convolution(graph, operator, "depthwise", weight, 3, shape.channels)


def _convolution(
    graph: TfliteGraph,
    operator: Operator,
    kind: str,
    weight: NDArray[np.integer],
    axis: int,
    groups: int,
) -> None:
    value, options = graph.value(operator), operator.options
    axes = graph.axes(value)
    if len(axes) != 4:
        raise InputError(f"reads axes of {value.layout}; must have four")
    fused = options["FusedActivationFunction"]
    relu, ceiling = activation(fused)
    dilation = (options["DilationHFactor"], options["DilationWFactor"])
    stride = (options["StrideH"], options["StrideW"])
    if axes == ONE_ROW:
        dilation, stride, weight = dilation[::-1], stride[::-1], weight.transpose(0, 2, 1, 3)
    extents = tuple(
        (size - 1) * step + 1 for size, step in zip(weight.shape[1:3], dilation, strict=True)
    )
    size = padded(graph.shapes[value.name], value.padding)
    padding = window_padding(options["Padding"], size, extents, stride, value.padding)
    if not holds(extents, padding):
        value = graph.padded(value)
        padding = window_padding(options["Padding"], size, extents, stride, UNPADDED)
    window = Window((extents[0], extents[1]), stride, padding)
    layer = Conv(weight.shape[0], window, groups, relu, ceiling)
    layer.output_shape(graph.shapes[value.name])  # before a large kernel is written out
    name = graph.add(operator, kind, layer, (value.name,), axes, fused)
    real = _real(graph, operator, name, _scales(graph, operator, axis, len(weight)))
    bias = _bias(graph, operator, len(weight))
    spread = weight if dilation == (1, 1) else dilated(weight, dilation)
    graph.give(name, ConvParameters(spread, bias, *quantize_multiplier(real)))


def fully_connected(graph: TfliteGraph, operator: Operator) -> None:
    """FULLY_CONNECTED: weights (out, in), rounded once, in double precision.

    Over a whole map, or over the channels of each place.
    """
    weight = weights_of(graph.info(operator, 1), 2)
    if operator.options["WeightsFormat"]:
        raise InputError("has shuffled weights, must have them in the default format")
    value = graph.whole(operator)
    shape, layout, outputs = graph.shapes[value.name], value.layout, len(weight)
    images = dict(layout.order).get("N", 1)
    fused = operator.options["FusedActivationFunction"]
    relu, ceiling = activation(fused)
    layer: Weighted
    keep = bool(operator.options["KeepNumDims"])
    if weight.shape[1] == shape.size and "N" not in "".join(a for a, _ in layout.order[1:]):
        layer = FullyConnected(outputs, relu, ceiling)
        places = [(axis, size) for axis, size in layout.order if axis != "N"]
        blocks = weight.reshape(outputs, *(size for _, size in places))
        order = sorted(range(len(places)), key=lambda place: "HWC".index(places[place][0]))
        weight = blocks.transpose(0, *(place + 1 for place in order))
        result = Layout.of(("N", "C"), {"N": images, "C": outputs})
        if keep and layout.sizes[-1] == shape.size:
            result = result.reshaped((*layout.sizes[:-1], outputs))
    elif (
        layout.sizes
        and weight.shape[1] == layout.sizes[-1] == shape.channels
        and (layout.groups[-1] in ("C", ""))
    ):
        layer = Conv(outputs, Window((1, 1)), 1, relu, ceiling)
        result = layout.resized(len(layout.sizes) - 1, "C", outputs)
        if not keep:
            result = result.reshaped((-1, outputs))
    else:
        raise InputError(
            f"weights for {weight.shape[1]} inputs do not fit the map {shape} with axes of "
            f"{layout}; it must be a layer over the whole map, or over its channels"
        )
    name = graph.add(operator, "fc", layer, (value.name,), result, fused)
    real = _real(graph, operator, name, _scales(graph, operator, 0, outputs))
    bias = _bias(graph, operator, outputs)
    found = ConvParameters(
        weight.reshape(layer.weight_shape(shape)), bias, *quantize_multiplier(real)
    )
    bounds = found.accumulator_bounds(graph.tensors[value.name].magnitude)
    limits = graph.tensors[name].stream_range
    multiplier, shift = multiplier_rounded_once(real, limits, bounds)
    graph.give(name, replace(found, multiplier=multiplier, shift=shift, rounding=Rounding.ONCE))


def _scales(graph: TfliteGraph, operator: Operator, axis: int, outputs: int) -> NDArray[np.float64]:
    """Scale of the weights of each output channel."""
    info = graph.info(operator, 1)
    scales = info.scales.astype(np.float64)
    if len(scales) not in (1, outputs) or (len(scales) > 1 and info.axis != axis):
        raise InputError(f"has {len(scales)} weight scales for {outputs} output channels")
    if not ((scales > 0) & np.isfinite(scales)).all():
        raise InputError("has a weight scale that is not positive")
    return np.broadcast_to(scales, (outputs,))


def _real(
    graph: TfliteGraph, operator: Operator, name: str, scales: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Real multipliers of a layer's sums."""
    source = graph.tensors[graph.values[operator.inputs[0]].name]
    real: NDArray[np.float64] = source.scale * scales / graph.tensors[name].scale
    return real


def _bias(graph: TfliteGraph, operator: Operator, outputs: int) -> NDArray[np.int64]:
    if len(operator.inputs) < 3 or operator.inputs[2] < 0:
        return np.zeros(outputs, np.int64)
    info = graph.info(operator, 2)
    if info.dtype != "INT32" or info.data is None or info.data.shape != (outputs,):
        raise InputError(f"needs {outputs} constant biases of INT32, has {described(info)}")
    return info.data.astype(np.int64)


def pool(graph: TfliteGraph, operator: Operator) -> None:
    """MAX_POOL_2D and AVERAGE_POOL_2D."""
    value, options = graph.value(operator), operator.options
    axes = graph.axes(value)
    kernel = (options["FilterHeight"], options["FilterWidth"])
    stride = (options["StrideH"], options["StrideW"])
    if axes == ONE_ROW:
        kernel, stride = kernel[::-1], stride[::-1]
    mode: Literal["max", "average"] = "max" if operator.kind == "MAX_POOL_2D" else "average"
    # Zeros around what is not negative are no maximum: they may be left out of the window.
    absorbed = mode == "max" and graph.tensors[value.name].stream_range[0] >= 0
    size = padded(graph.shapes[value.name], value.padding)
    padding = window_padding(options["Padding"], size, kernel, stride, value.padding)
    if not (absorbed and holds(kernel, padding)):
        value = graph.padded(value)
        padding = window_padding(options["Padding"], size, kernel, stride, UNPADDED)
    fused = options["FusedActivationFunction"]
    activation(fused)
    layer = Pool(mode, Window(kernel, stride, padding))
    pooled = graph.add(operator, f"{mode}_pool", layer, (value.name,), axes, fused)
    check_equal(graph, value.name, pooled)
    source, target = graph.tensors[value.name], graph.tensors[pooled]
    if target.minimum > source.minimum or target.maximum < source.maximum:
        raise InputError("has a fused activation; only one that changes nothing is supported")
    graph.tensors[pooled] = source


def check_equal(graph: TfliteGraph, source: str, target: str) -> None:
    """Refuse a layer that changes the scale or the zero point."""
    first, second = graph.tensors[source], graph.tensors[target]
    if (first.scale, first.zero_point) != (second.scale, second.zero_point):
        raise InputError("has another scale or zero point at its output than at its input")


def mean(graph: TfliteGraph, operator: Operator) -> None:
    """MEAN over any axes: a convolution whose weights are ones."""
    value = graph.whole(operator)
    shape, layout = graph.shapes[value.name], value.layout
    rank = len(layout.sizes)
    stated = integers(graph.info(operator, 1))
    if not stated or not all(-rank <= axis < rank for axis in stated):
        raise InputError(f"is over the axes {stated} of {rank}")
    places = sorted({axis % rank for axis in stated})
    groups = layout.groups
    over = "".join(groups[place] for place in places)
    if "N" in over:
        raise InputError("is over the images; must be over rows, columns or channels")
    kernel = (shape.height if "H" in over else 1, shape.width if "W" in over else 1)
    depth = shape.channels if "C" in over else 1
    outputs = shape.channels // depth
    order = tuple(found for found in layout.order if found[0] not in over)
    sizes = tuple(1 if place in places else size for place, size in enumerate(layout.sizes))
    result = Layout(order, sizes)
    if not operator.options["KeepDims"]:
        result = result.squeezed(places)
    window = Window(kernel)
    layer = Conv(outputs, window, 1 if depth > 1 else shape.channels)
    name = graph.add(operator, "mean", layer, (value.name,), result, 0)
    real = np.array([graph.tensors[value.name].scale / graph.tensors[name].scale])
    # LiteRT takes the division into the multiplier: tflite::reference_ops::QuantizedMeanOrSum.
    count = prod(kernel) * depth
    multiplier, shift = quantize_multiplier(real)
    places_left = min(count.bit_length() - 1, 32, 31 + int(shift[0]))
    multiplier, shift = (multiplier << places_left) // count, shift - places_left
    weight, zero = np.ones((outputs, *kernel, depth), np.int8), np.zeros(outputs, np.int64)
    graph.give(name, ConvParameters(weight, zero, zero + multiplier, zero + shift))


def add(graph: TfliteGraph, operator: Operator) -> None:
    """ADD of two maps."""
    values = [graph.whole(operator, index) for index in range(2)]
    first, second = values
    if first.layout != second.layout:
        raise InputError(f"adds axes of {first.layout} and of {second.layout}; must be the same")
    fused = operator.options["FusedActivationFunction"]
    names = (first.name, second.name)
    _join(graph, operator, Add(*activation(fused)), names, first.layout, fused)


def concat(graph: TfliteGraph, operator: Operator) -> None:
    """CONCATENATION along channels, of inputs of one scale."""
    values = [graph.whole(operator, index) for index in range(len(operator.inputs))]
    rank = len(graph.result(operator).shape)
    axis = operator.options["Axis"]
    if not values or not -rank <= axis < rank:
        raise InputError(f"is along axis {axis} of {rank}")
    place = axis % rank
    total = sum(graph.shapes[value.name].channels for value in values)
    results = set()
    for value in values:
        layout, channels = value.layout, graph.shapes[value.name].channels
        if (
            len(layout.sizes) != rank
            or layout.sizes[place] != channels
            or (layout.groups[place] not in ("C", ""))
        ):
            raise InputError(f"is along axis {axis} of {layout}, must be along channels")
        results.add(layout.resized(place, "C", total))
    if len(results) != 1:
        raise InputError("joins maps of different axes")
    fused = operator.options["FusedActivationFunction"]
    if fused:
        raise InputError("has a fused activation")
    names = tuple(value.name for value in values)
    name = _join(graph, operator, Concat(), names, results.pop(), fused)
    for source in names:
        check_equal(graph, source, name)


def _join(
    graph: TfliteGraph,
    operator: Operator,
    layer: Add | Concat,
    names: tuple[str, ...],
    layout: Layout,
    fused: int,
) -> str:
    name = graph.add(operator, layer.kind, layer, names, layout, fused)
    sources = tuple(graph.tensors[source] for source in names)
    graph.joins[name] = join_parameters(layer, sources, graph.tensors[name])
    return name


OPERATORS: Mapping[str, Handler] = {
    "AVERAGE_POOL_2D": pool,
    "CONCATENATION": concat,
    "CONV_2D": conv,
    "DEPTHWISE_CONV_2D": depthwise,
    "FULLY_CONNECTED": fully_connected,
    "MAX_POOL_2D": pool,
    "MEAN": mean,
}
"""Operators by name."""
