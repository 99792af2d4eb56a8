"""Operators of .onnx files with real numbers, each as a change to the graph.

Source: the ONNX operator specification, https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pilaster.models.errors import InputError
from pilaster.models.importers.onnx_file import OnnxNode
from pilaster.models.importers.onnx_graph import Constant, OnnxGraph
from pilaster.models.importers.values import (
    UNPADDED,
    Value,
    around,
    dilated,
    padded,
)
from pilaster.models.layers import Concat, Conv, FullyConnected, Pool, Window
from pilaster.models.shape import Padding, Shape, same_padding

__all__ = [
    "OPERATORS",
    "Handler",
    "add_conv",
    "add_dense",
    "add_global_average",
    "add_pool",
    "host",
]

Handler = Callable[[OnnxGraph, OnnxNode], None]


def conv(graph: OnnxGraph, node: OnnxNode) -> None:
    """Conv: weights (out, in / groups, rows, columns)."""
    weight, bias = graph.needed(node, 1), graph.constant(node, 2)
    graph.set(node, add_conv(graph, node, graph.real(node), weight, bias))


def add_conv(
    graph: OnnxGraph, node: OnnxNode, value: Value, weight: Constant, bias: Constant | None
) -> Value:
    """Add a convolution of a value, whose weights and biases are given."""
    if weight.real.ndim != 4 or weight.real.size == 0:
        raise InputError(f"needs weights of 4 axes, has the shape {weight.real.shape}")
    shape = padded(graph.unflattened(value), value.padding)
    dilation = _pair(node.attributes.get("dilations", (1, 1)), "dilations")
    if min(dilation) < 1:
        raise InputError(f"dilations must be positive, not {dilation}")
    last = _channels_last(weight)
    kernel = last.real.shape[1:3]
    if _pair(node.attributes.get("kernel_shape", kernel), "kernel_shape") != kernel:
        raise InputError(f"kernel_shape is not that of the weights, {kernel}")
    extents = tuple((size - 1) * step + 1 for size, step in zip(kernel, dilation, strict=True))
    window = _window(node, shape, extents, value.padding, ceil=False)
    layer = Conv(len(last.real), window, _integer(node.attributes.get("group", 1)))
    layer.output_shape(graph.shapes[value.name])  # before a large kernel is written out
    if dilation != (1, 1):
        integers = last.integers
        if integers is not None:
            integers = dilated(integers, dilation).astype(np.int64)
        last = replace(last, real=dilated(last.real, dilation), integers=integers)
    biases = np.zeros(len(last.real)) if bias is None else bias.real.astype(np.float64)
    return graph.add_weighted(node, layer, value.name, last, biases)


def _channels_last(weight: Constant) -> Constant:
    integers = None if weight.integers is None else weight.integers.transpose(0, 2, 3, 1)
    return replace(weight, real=weight.real.transpose(0, 2, 3, 1), integers=integers)


def _window(
    node: OnnxNode, shape: Shape, kernel: tuple[int, ...], extra: Padding, *, ceil: bool
) -> Window:
    """Give the window of an operator over a map, which has `extra` padding in it already."""
    stride = _pair(node.attributes.get("strides", (1, 1)), "strides")
    mode = node.attributes.get("auto_pad", "NOTSET")
    if min(*kernel, *stride) < 1:
        raise InputError(f"kernel and stride must be positive: {kernel}, {stride}")
    if mode != "NOTSET" and any(node.attributes.get("pads", ())):
        raise InputError(f"has pads and auto_pad {mode}; only one of these may be there")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        padding = same_padding(shape, kernel, stride, odd_first=mode == "SAME_LOWER")
    elif mode == "VALID":
        padding = UNPADDED
    elif mode == "NOTSET":
        pads = node.attributes.get("pads", (0, 0, 0, 0))
        if not isinstance(pads, tuple) or len(pads) != 4:
            raise InputError(f"pads must be four numbers, not {pads}")
        top, left, bottom, right = map(_integer, pads)
        padding = Padding(top, bottom, left, right)
    else:
        raise InputError(f"auto_pad {mode}: must be NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    if ceil:
        padding = around(padding, _last_windows(shape, kernel, stride, padding))
    return Window((kernel[0], kernel[1]), stride, around(extra, padding))


def _last_windows(
    shape: Shape, kernel: tuple[int, ...], stride: tuple[int, int], padding: Padding
) -> Padding:
    """Padding by which a window that is cut short still counts, if it begins on the map."""
    extra = []
    for size, before, after, extent, step in (
        (shape.height, padding.top, padding.bottom, kernel[0], stride[0]),
        (shape.width, padding.left, padding.right, kernel[1], stride[1]),
    ):
        rest = (size + before + after - extent) % step
        start = size + before + after - extent - rest + step
        extra.append(step - rest if rest and start < size + before else 0)
    return Padding(bottom=extra[0], right=extra[1])


def gemm(graph: OnnxGraph, node: OnnxNode) -> None:
    """Gemm of a map and constant weights."""
    found = node.attributes
    weight, bias = graph.needed(node, 1), graph.constant(node, 2)
    alpha, beta = float(found.get("alpha", 1.0)), float(found.get("beta", 1.0))
    if alpha <= 0.0:
        raise InputError(f"alpha must be positive, not {alpha:g}")
    scales = None if weight.scales is None else weight.scales * alpha
    weight = replace(weight, real=weight.real * alpha, scales=scales)
    real = None if bias is None else bias.real.astype(np.float64) * beta
    transposed = bool(found.get("transB", 0))
    value = graph.real(node)
    graph.set(node, add_dense(graph, node, value, weight, real, transposed=transposed))


def matmul(graph: OnnxGraph, node: OnnxNode) -> None:
    """MatMul of a map and constant weights (in, out)."""
    value, weight = graph.real(node), graph.needed(node, 1)
    graph.set(node, add_dense(graph, node, value, weight, None, transposed=False))


def add_dense(
    graph: OnnxGraph, node: OnnxNode, value: Value, weight: Constant, bias: Any, *, transposed: bool
) -> Value:
    """Add a dense layer over a whole map, which a file flattens channels first.

    transposed : whether the weights are (out, in), else (in, out)
    """
    if weight.real.ndim != 2 or weight.real.size == 0:
        raise InputError(f"needs weights of 2 axes, has the shape {weight.real.shape}")
    shape = graph.shapes[value.name]
    outputs, inputs = weight.real.shape if transposed else weight.real.shape[::-1]
    if inputs != shape.size or value.padding != UNPADDED:
        raise InputError(f"weights for {inputs} inputs do not fit the map {shape}")
    if not value.flat and (shape.height, shape.width) != (1, 1):
        raise InputError(f"reads the map {shape} unflattened; put Flatten before it")

    def ordered(values: Any) -> Any:
        rows = values if transposed else values.T
        blocks = rows.reshape(outputs, shape.channels, shape.height, shape.width)
        return blocks.transpose(0, 2, 3, 1)

    integers = None if weight.integers is None else ordered(weight.integers)
    axis = weight.axis if transposed else 1 - weight.axis
    last = Constant(ordered(weight.real), integers, weight.scales, axis)
    found = np.zeros(1) if bias is None else np.asarray(bias, np.float64)
    if found.ndim > 2 or (*(1, 1), *found.shape)[-2] != 1 or found.size not in (1, outputs):
        raise InputError(f"has biases of the shape {found.shape} for {outputs} outputs")
    biases = np.broadcast_to(found.ravel(), (outputs,))
    dense = graph.add_weighted(node, FullyConnected(outputs), value.name, last, biases)
    return replace(dense, flat=True)


def pool(graph: OnnxGraph, node: OnnxNode) -> None:
    """MaxPool and AveragePool; padding takes part in neither."""
    mode = "max" if node.kind == "MaxPool" else "average"
    value = graph.map(node) if mode == "max" else graph.real_map(node)
    graph.set(node, replace(add_pool(graph, node, value), whole=value.whole))


def add_pool(graph: OnnxGraph, node: OnnxNode, value: Value) -> Value:
    """Add a pool of a map."""
    found = node.attributes
    mode = "max" if node.kind == "MaxPool" else "average"
    if _pair(found.get("dilations", (1, 1)), "dilations") != (1, 1):
        raise InputError("is dilated; only convolutions may be")
    kernel = _pair(found.get("kernel_shape", ()), "kernel_shape")
    shape = graph.shapes[value.name]
    window = _window(node, shape, kernel, UNPADDED, ceil=bool(found.get("ceil_mode")))
    if mode == "average" and found.get("count_include_pad", 0) and window.padding != UNPADDED:
        raise InputError("counts padding into its average (count_include_pad); it must not")
    return graph.add(node, Pool(mode, window), (value.name,))  # type: ignore[arg-type]


def global_average(graph: OnnxGraph, node: OnnxNode) -> None:
    """GlobalAveragePool, and ReduceMean over rows and columns."""
    value = graph.real_map(node)
    mean = add_global_average(graph, node, value)
    if node.kind == "ReduceMean":
        axes = graph.constant(node, 1)
        stated = node.attributes.get("axes", ()) if axes is None else axes.real.ravel().tolist()
        if sorted(_integer(axis) % 4 for axis in stated) != [2, 3]:
            raise InputError(f"must be over rows and columns, axes 2 and 3, not {stated}")
        mean = replace(mean, flat=not node.attributes.get("keepdims", 1))
    graph.set(node, mean)


def add_global_average(graph: OnnxGraph, node: OnnxNode, value: Value) -> Value:
    """Add the average over a whole map."""
    shape = graph.shapes[value.name]
    return graph.add(node, Pool("average", Window((shape.height, shape.width))), (value.name,))


def concat(graph: OnnxGraph, node: OnnxNode) -> None:
    """Concat along channels."""
    axis = _integer(node.attributes.get("axis", 1))
    if axis not in (1, -3):
        raise InputError(f"is along axis {axis}, must be along channels, axis 1")
    values = [graph.map(node, index) for index in range(len(node.inputs))]
    whole = {value.whole for value in values}
    if len(whole) != 1:
        raise InputError("reads both integers and reals")
    joined = graph.add(node, Concat(), tuple(value.name for value in values))
    graph.set(node, replace(joined, whole=whole.pop()))


def flatten(graph: OnnxGraph, node: OnnxNode) -> None:
    """Flatten to (images, values)."""
    value = _flattenable(graph, node)
    if _integer(node.attributes.get("axis", 1)) not in (1, -3):
        raise InputError(f"axis {node.attributes['axis']}: must be 1, to keep images apart")
    graph.set(node, replace(value, flat=True))


def reshape(graph: OnnxGraph, node: OnnxNode) -> None:
    """Reshape, where it flattens or changes nothing."""
    if graph.is_constant(node, 0):
        _reshape_constant(graph, node)
        return
    value = _flattenable(graph, node)
    stated = graph.constant(node, 1)
    sizes = node.attributes.get("shape", ()) if stated is None else stated.real.ravel().tolist()
    shape = graph.shapes[value.name]
    if node.attributes.get("allowzero", 0) and 0 in sizes:
        raise InputError("has sizes of zero, which allowzero says are to be kept")
    if len(sizes) == 2 and sizes[1] in (-1, shape.size) and sizes[0] in (-1, 0, 1):
        graph.set(node, replace(value, flat=True))
    elif tuple(sizes[1:]) == (shape.channels, shape.height, shape.width) and not value.flat:
        graph.set(node, value)
    else:
        raise InputError(f"turns {shape} into {tuple(sizes)}; only flattening is supported")


def _reshape_constant(graph: OnnxGraph, node: OnnxNode) -> None:
    sizes = graph.needed(node, 1).real.ravel().tolist()
    found = graph.needed(node, 0).real
    kept = [
        found.shape[i] if size == 0 and i < found.ndim else size for i, size in enumerate(sizes)
    ]
    if any(size < -1 for size in kept):
        raise InputError(f"has the sizes {sizes}")
    graph.give(node, Constant(found.reshape(kept)))


def squeeze(graph: OnnxGraph, node: OnnxNode) -> None:
    """Squeeze of rows and columns behind a global average."""
    value = _flattenable(graph, node)
    shape = graph.shapes[value.name]
    if (shape.height, shape.width) != (1, 1):
        raise InputError(f"reads the map {shape}, must read one of a single row and column")
    found = graph.constant(node, 1)
    axes = node.attributes.get("axes", ()) if found is None else found.real.ravel().tolist()
    if axes and sorted(_integer(axis) % 4 for axis in axes) != [2, 3]:
        raise InputError(f"must be of rows and columns, axes 2 and 3, not {tuple(axes)}")
    graph.set(node, replace(value, flat=True))


def _flattenable(graph: OnnxGraph, node: OnnxNode) -> Value:
    """Give what is read, behind operators that are left to the host too."""
    found = graph.values.get(node.inputs[0]) if node.inputs else None
    if found is None:
        return graph.value(node)
    if found.padding != UNPADDED:
        raise InputError("reads the result of a Pad; only convolutions may")
    return found


def dropout(graph: OnnxGraph, node: OnnxNode) -> None:
    """Dropout: nothing, at inference."""
    training = graph.constant(node, 2)
    stated = 0 if training is None else training.real.any()
    if graph.model.opset < 7:
        stated = not node.attributes.get("is_test", 0)
    if stated:
        raise InputError("is in training mode; export the model for inference")
    same(graph, node)


def same(graph: OnnxGraph, node: OnnxNode) -> None:
    """Identity: nothing."""
    if graph.is_constant(node, 0):
        graph.give(node, graph.needed(node, 0))
        return
    found = graph.values.get(node.inputs[0]) if node.inputs else None
    graph.set(node, graph.value(node) if found is None else found)


def transpose(graph: OnnxGraph, node: OnnxNode) -> None:
    """Transpose of constant weights."""
    if not graph.is_constant(node, 0):
        raise InputError("is of a map; only constants may be transposed")
    found = graph.needed(node, 0)
    axes = node.attributes.get("perm", tuple(reversed(range(found.real.ndim))))
    if sorted(axes) != list(range(found.real.ndim)):
        raise InputError(f"perm {axes} does not fit the shape {found.real.shape}")
    integers = None if found.integers is None else found.integers.transpose(axes)
    axis = axes.index(found.axis) if axes else 0
    graph.give(node, Constant(found.real.transpose(axes), integers, found.scales, axis))


def pad(graph: OnnxGraph, node: OnnxNode) -> None:
    """Pad with zeros, for the convolution that reads it."""
    value = graph.map(node)
    stated, fill = graph.constant(node, 1), graph.constant(node, 2)
    amounts = node.attributes.get("pads", ()) if stated is None else stated.real.ravel().tolist()
    axes = graph.constant(node, 3)
    if axes is not None:
        amounts = _on_all_axes(amounts, axes.real.ravel().tolist())
    if len(amounts) != 8 or any(amounts[i] for i in (0, 1, 4, 5)):
        raise InputError(f"must pad rows and columns only, not {tuple(amounts)}")
    filled = np.asarray(node.attributes.get("value", 0.0) if fill is None else fill.real)
    if filled.size != 1:
        raise InputError(f"pads with {filled.size} values, must be one")
    if value.whole:
        graph.fills.append((f"node {node.name} ({node.kind})", value.name, int(filled.item())))
    elif filled.item() != 0:
        raise InputError("must pad with zeros")
    _, _, top, left, _, _, bottom, right = map(_integer, amounts)
    graph.set(node, replace(value, padding=Padding(top, bottom, left, right)))


def _on_all_axes(amounts: Sequence[Any], axes: Sequence[Any]) -> list[Any]:
    """Spread what is padded before and behind some axes of a map over all four."""
    places = [_integer(axis) % 4 for axis in axes]
    if len(amounts) != 2 * len(places) or len(set(places)) != len(places):
        raise InputError(f"has {len(amounts)} pads for the axes {list(axes)}")
    spread = [0] * 8
    for place, before, behind in zip(places, amounts, amounts[len(places) :], strict=False):
        spread[place], spread[place + 4] = before, behind
    return spread


def constant(graph: OnnxGraph, node: OnnxNode) -> None:
    """Constant."""
    for key in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if key in node.attributes:
            graph.give(node, Constant(np.asarray(node.attributes[key])))
            return
    raise InputError("has no value of numbers")


MOST_FILLED = 1 << 27
"""Elements of a constant that a file gives by its shape."""


def constant_of_shape(graph: OnnxGraph, node: OnnxNode) -> None:
    """ConstantOfShape."""
    sizes = [_integer(size) for size in graph.needed(node, 0).real.ravel().tolist()]
    if any(size < 0 for size in sizes) or np.prod([float(s) for s in sizes]) > MOST_FILLED:
        raise InputError(f"has the sizes {sizes}")
    value = np.asarray(node.attributes.get("value", np.zeros(1, np.float32))).ravel()
    graph.give(node, Constant(np.full(sizes, value[0], value.dtype)))


HOST_NAMES = {
    "ArgMax": "argmax",
    "LogSoftmax": "softmax",
    "QLinearSoftmax": "softmax",
    "Softmax": "softmax",
}


def host(graph: OnnxGraph, node: OnnxNode) -> None:
    """Softmax and ArgMax at the end: left to the host."""
    value = _flattenable(graph, node)
    rank = len(graph.dims(value))
    default = 0 if node.kind == "ArgMax" else 1 if graph.model.opset < 13 else -1
    axis = _integer(node.attributes.get("axis", default))
    if axis not in (1, 1 - rank):
        raise InputError(f"is along axis {axis}, must be along channels, axis 1")
    graph.set(node, replace(value, host=(*value.host, HOST_NAMES[node.kind])))


def _integer(value: Any) -> int:
    if not isinstance(value, int):
        raise InputError(f"{value!r} must be a whole number")
    return value


def _pair(values: Any, what: str) -> tuple[int, int]:
    if not isinstance(values, tuple) or len(values) != 2:
        raise InputError(f"{what} must be two numbers, rows and columns, not {values!r}")
    return (_integer(values[0]), _integer(values[1]))


OPERATORS: Mapping[str, Handler] = {
    "ArgMax": host,
    "AveragePool": pool,
    "Concat": concat,
    "Constant": constant,
    "ConstantOfShape": constant_of_shape,
    "Conv": conv,
    "Dropout": dropout,
    "Flatten": flatten,
    "Gemm": gemm,
    "GlobalAveragePool": global_average,
    "Identity": same,
    "LogSoftmax": host,
    "MatMul": matmul,
    "MaxPool": pool,
    "Pad": pad,
    "ReduceMean": global_average,
    "Reshape": reshape,
    "Softmax": host,
    "Squeeze": squeeze,
    "Transpose": transpose,
}
"""Operators by name."""
