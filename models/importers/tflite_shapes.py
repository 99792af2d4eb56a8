"""Operators of .tflite files that move, rename or regroup axes, begin, or stand aside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pilaster.base.errors import InputError
from pilaster.models.graph import INPUT
from pilaster.models.importers.layout import CHANNELS_FIRST, CHANNELS_LAST
from pilaster.models.importers.tflite_elementwise import rescale
from pilaster.models.importers.tflite_file import Operator
from pilaster.models.importers.tflite_graph import TfliteGraph
from pilaster.models.importers.tflite_operators import Handler
from pilaster.models.importers.tflite_tensors import edge_quantization, integers
from pilaster.models.importers.values import UNPADDED
from pilaster.models.shape import Padding

__all__ = ["SHAPES"]


def reshape(graph: TfliteGraph, operator: Operator) -> None:
    """RESHAPE, SQUEEZE and EXPAND_DIMS."""
    info, target = graph.info(operator, 0), graph.result(operator)
    value = graph.values.get(operator.inputs[0])
    if value is not None and value.host:
        graph.values[operator.outputs[0]] = value
        return
    graph.start_behind(operator)
    value = graph.padded(graph.moved(operator))
    _check_alike(graph, operator)
    sizes = list(target.shape)
    if operator.kind == "RESHAPE" and graph.is_constant(operator, 1):
        sizes = integers(graph.info(operator, 1))
    elif operator.kind == "RESHAPE" and len(operator.inputs) > 1 and operator.inputs[1] >= 0:
        raise InputError(f"has the sizes {graph.described(operator, 1)}; must be known before")
    try:
        layout = value.layout.reshaped(sizes)
    except InputError as error:
        raise InputError(f"{error}; {info.name} has {value.layout.sizes}") from error
    graph.set(operator, replace(value, layout=layout))


def transpose(graph: TfliteGraph, operator: Operator) -> None:
    """TRANSPOSE."""
    value = graph.moved(operator)
    _check_alike(graph, operator)
    axes = integers(graph.info(operator, 1))
    graph.set(operator, replace(value, layout=value.layout.transposed(axes)))


def _check_alike(graph: TfliteGraph, operator: Operator) -> None:
    info, target = graph.info(operator, 0), graph.result(operator)
    if info.dtype != target.dtype or not graph.quantized_alike(info, target):
        raise InputError("changes the scale")


def pad(graph: TfliteGraph, operator: Operator) -> None:
    """PAD: zeros around a map, for the convolution that reads it."""
    value = graph.whole(operator)
    _check_alike(graph, operator)
    layout, size = value.layout, graph.size(value)
    amounts = integers(graph.info(operator, 1))
    rank = len(layout.sizes)
    if len(amounts) != 2 * rank:
        raise InputError(f"needs paddings for {rank} axes")
    if operator.kind == "PADV2":
        fill, zero = graph.info(operator, 2), graph.tensors[value.name].zero_point
        if fill.data is None or fill.data.ravel().tolist() != [zero]:
            raise InputError("must pad with zeros")
    known = (*CHANNELS_LAST, *CHANNELS_FIRST)
    names = next((axes for axes in known if layout.is_of(axes, size)), layout.groups)
    by_axis = {"H": (0, 0), "W": (0, 0)}
    pairs = [(amounts[i], amounts[i + 1]) for i in range(0, 2 * rank, 2)]
    for place, (axis, pair) in enumerate(zip(names, pairs, strict=True)):
        if pair == (0, 0):
            continue
        if axis not in by_axis or min(pair) < 0:
            raise InputError(f"must pad rows and columns only, not {pairs}")
        by_axis[axis] = pair
        layout = layout.resized(place, axis, layout.sizes[place] + sum(pair))
    padding = Padding(*by_axis["H"], *by_axis["W"])
    if padding == UNPADDED:
        graph.set(operator, value)
        return
    name = f"pad_{operator.index}"
    graph.set(operator, replace(value, layout=layout, padding=padding, padded_by=name))


def quantize(graph: TfliteGraph, operator: Operator) -> None:
    """QUANTIZE: the file's input, a change of scale, or int8 as uint8."""
    left = graph.values.get(operator.inputs[0]) if operator.inputs else None
    if left is not None and left.host:
        raise InputError(f"reads the result of {left.host[-1]}, which is left to the host")
    info, target = graph.info(operator, 0), graph.result(operator)
    value = graph.padded(graph.moved(operator))
    tensor = edge_quantization(target)
    if value.name == INPUT and info.dtype == "FLOAT32":
        if graph.tensors.setdefault(INPUT, tensor) != tensor:
            raise InputError("quantizes the input a second time, to another scale")
        graph.set(operator, value)
        return
    source = edge_quantization(info)
    if (source.scale, source.zero_point) == (tensor.scale, tensor.zero_point):
        graph.set(operator, value)
        return
    rescale(graph, operator, value)


HOST_NAMES = {
    "ARG_MAX": "argmax",
    "DEQUANTIZE": "dequantization",
    "LOGISTIC": "sigmoid",
    "LOG_SOFTMAX": "softmax",
    "SOFTMAX": "softmax",
}


def host(graph: TfliteGraph, operator: Operator) -> None:
    """SOFTMAX, LOGISTIC, ARG_MAX and DEQUANTIZE at the end: left to the host."""
    index = operator.inputs[0] if operator.inputs else -1
    value = graph.values.get(index)
    if value is None:
        raise InputError("reads what no operator before it gives")
    graph.result(operator)
    if operator.options.get("Beta", 1) <= 0:
        raise InputError("has a Beta that is not positive")
    if operator.kind == "ARG_MAX":
        rank = len(value.layout.sizes)
        axes = integers(graph.info(operator, 1))
        if axes not in ([-1], [rank - 1]):
            raise InputError(f"is along the axes {axes}, must be along the last")
    left = (*value.host, HOST_NAMES[operator.kind])
    graph.values[operator.outputs[0]] = replace(graph.padded(value), host=left)


SHAPES: Mapping[str, Handler] = {
    "ARG_MAX": host,
    "DEQUANTIZE": host,
    "EXPAND_DIMS": reshape,
    "LOGISTIC": host,
    "LOG_SOFTMAX": host,
    "PAD": pad,
    "PADV2": pad,
    "QUANTIZE": quantize,
    "RESHAPE": reshape,
    "SOFTMAX": host,
    "SQUEEZE": reshape,
    "TRANSPOSE": transpose,
}
"""Operators by name."""
