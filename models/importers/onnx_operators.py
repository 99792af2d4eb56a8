"""Operators of .onnx files with real numbers, each as a change to the graph.

Source: the ONNX operator specification, https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from pilaster.models.layers import Add, Concat, Conv, FullyConnected, Pool, Weighted, Window
from pilaster.models.shape import Padding, Shape, same_padding

__all__ = ["OPERATORS", "Handler", "add_conv", "add_dense", "global_average", "host", "pool"]

Handler = Callable[[OnnxGraph, OnnxNode], None]


def conv(graph: OnnxGraph, node: OnnxNode) -> None:
    """Conv: weights (out, in / groups, rows, columns)."""
    add_conv(graph, node, graph.needed(node, 1), graph.constant(node, 2))


def add_conv(graph: OnnxGraph, node: OnnxNode, weight: Constant, bias: Constant | None) -> None:
    """Add a convolution whose weights and biases are given, of the value that comes first."""
    if weight.real.ndim != 4 or weight.real.size == 0:
        raise InputError(f"needs weights of 4 axes, has the shape {weight.real.shape}")
    value = graph.value(node)
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
    graph.add_weighted(node, layer, value.name, last, biases)


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
    if found.get("transA", 0):
        raise InputError("transA must be 0")
    weight, bias = graph.needed(node, 1), graph.constant(node, 2)
    alpha, beta = float(found.get("alpha", 1.0)), float(found.get("beta", 1.0))
    if alpha != 1.0:
        weight = Constant(weight.real * alpha)
    real = None if bias is None else bias.real.astype(np.float64) * beta
    add_dense(graph, node, weight, real, transposed=bool(found.get("transB", 0)))


def matmul(graph: OnnxGraph, node: OnnxNode) -> None:
    """MatMul of a map and constant weights (in, out)."""
    add_dense(graph, node, graph.needed(node, 1), None, transposed=False)


def add_dense(
    graph: OnnxGraph, node: OnnxNode, weight: Constant, bias: Any, *, transposed: bool
) -> None:
    """Add a dense layer over a whole map, which a file flattens channels first.

    transposed : whether the weights are (out, in), else (in, out)
    """
    if weight.real.ndim != 2 or weight.real.size == 0:
        raise InputError(f"needs weights of 2 axes, has the shape {weight.real.shape}")
    value = graph.value(node)
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
    biases = np.zeros(outputs) if bias is None else np.asarray(bias, np.float64).ravel()
    if biases.size == 1:
        biases = np.broadcast_to(biases, (outputs,))
    graph.add_weighted(node, FullyConnected(outputs), value.name, last, biases)


def batch_norm(graph: OnnxGraph, node: OnnxNode) -> None:
    """BatchNormalization, folded into the layer before it, or a depthwise convolution by one."""
    scale, shift, mean, variance = (
        graph.needed(node, index).real.astype(np.float64) for index in range(1, 5)
    )
    if not scale.shape == shift.shape == mean.shape == variance.shape:
        raise InputError("has parameters of different shapes")
    epsilon = float(node.attributes.get("epsilon", 1e-5))
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = scale / np.sqrt(variance + epsilon)
    offset = shift - mean * factor
    target = graph.fusable(node)
    if target is None or not isinstance(target.layer, Weighted):
        graph.add_scaling(node, graph.map(node), factor, offset)
        return
    name = target.name
    if factor.shape != graph.biases[name].shape:
        raise InputError(f"has {factor.size} factors for {graph.biases[name].size} channels")
    graph.weights[name] = graph.weights[name] * factor[:, None, None, None]
    graph.biases[name] = graph.biases[name] * factor + offset
    if name in graph.integers:
        sign = np.sign(factor).astype(np.int64)
        graph.integers[name] = graph.integers[name] * sign[:, None, None, None]
        graph.scales[name] = graph.scales[name] * np.where(sign == 0, 1.0, np.abs(factor))
    graph.set(node, graph.value(node))


def relu(graph: OnnxGraph, node: OnnxNode) -> None:
    """Relu."""
    _activate(graph, node, None)


def clip(graph: OnnxGraph, node: OnnxNode) -> None:
    """Clip from zero: a ReLU with a ceiling."""
    limits = []
    for index, (key, default) in enumerate((("min", -np.inf), ("max", np.inf)), 1):
        stated = graph.constant(node, index)
        value = node.attributes.get(key, default) if stated is None else stated.real
        limits.append(float(np.asarray(value, np.float64).reshape(())))
    if limits[0] != 0.0 or not limits[1] > 0.0:
        raise InputError(f"clips to {limits[0]:g} to {limits[1]:g}; it must be from 0 up")
    _activate(graph, node, None if np.isinf(limits[1]) else limits[1])


def _activate(graph: OnnxGraph, node: OnnxNode, ceiling: float | None) -> None:
    value = graph.value(node)
    target = graph.fusable(node)
    if target is not None and isinstance(target.layer, Weighted | Add):
        graph.replace_layer(target.name, relu=True, ceiling=ceiling)
        graph.set(node, value)
        return
    channels = graph.shapes[graph.map(node)].channels
    name = graph.add_scaling(node, value.name, np.ones(channels), np.zeros(channels))
    graph.replace_layer(name, relu=True, ceiling=ceiling)


def pool(graph: OnnxGraph, node: OnnxNode) -> None:
    """MaxPool and AveragePool; padding takes part in neither."""
    name = graph.map(node)
    found = node.attributes
    mode = "max" if node.kind == "MaxPool" else "average"
    if len(node.outputs) > 1 and node.outputs[1]:
        raise InputError("gives the places of its maxima, which is not supported")
    if _pair(found.get("dilations", (1, 1)), "dilations") != (1, 1):
        raise InputError("is dilated; only convolutions may be")
    kernel = _pair(found.get("kernel_shape", ()), "kernel_shape")
    window = _window(node, graph.shapes[name], kernel, UNPADDED, ceil=bool(found.get("ceil_mode")))
    if mode == "average" and found.get("count_include_pad", 0) and window.padding != UNPADDED:
        raise InputError("counts padding into its average (count_include_pad); it must not")
    graph.add(node, Pool(mode, window), (name,))  # type: ignore[arg-type]


def global_average(graph: OnnxGraph, node: OnnxNode) -> None:
    """GlobalAveragePool, and ReduceMean over rows and columns."""
    name = graph.map(node)
    if node.kind == "ReduceMean":
        axes = graph.constant(node, 1)
        stated = node.attributes.get("axes", ()) if axes is None else axes.real.ravel().tolist()
        if sorted(_integer(axis) % 4 for axis in stated) != [2, 3]:
            raise InputError(f"must be over rows and columns, axes 2 and 3, not {stated}")
    shape = graph.shapes[name]
    graph.add(node, Pool("average", Window((shape.height, shape.width))), (name,))


def add(graph: OnnxGraph, node: OnnxNode) -> None:
    """Add and Sum of two maps; Add of constants to the layer before it."""
    if len(node.inputs) != 2:
        raise InputError(f"has {len(node.inputs)} inputs, must have two")
    constants = [index for index in range(2) if graph.is_constant(node, index)]
    if not constants:
        graph.add(node, Add(), (graph.map(node, 0), graph.map(node, 1)))
        return
    computed = replace(node, inputs=(node.inputs[1 - constants[0]], *node.inputs))
    added = graph.needed(node, constants[0]).real.astype(np.float64)
    target = graph.fusable(computed)
    channels = graph.shapes[graph.value(computed).name].channels
    per_channel = added.ravel()
    if per_channel.size == 1:
        per_channel = np.broadcast_to(per_channel, (channels,))
    on_channels = added.size == 1 or added.shape[max(0, added.ndim - 3)] == channels
    flat = graph.value(computed).flat or isinstance(getattr(target, "layer", None), FullyConnected)
    if per_channel.size != channels or not (on_channels or flat):
        raise InputError(f"adds a constant of the shape {added.shape}, must be one a channel")
    if target is None or not isinstance(target.layer, Weighted):
        graph.add_scaling(node, graph.map(computed), np.ones(channels), per_channel)
        return
    graph.biases[target.name] = graph.biases[target.name] + per_channel
    graph.set(node, graph.value(computed))


def concat(graph: OnnxGraph, node: OnnxNode) -> None:
    """Concat along channels."""
    axis = _integer(node.attributes.get("axis", 1))
    names = tuple(graph.map(node, index) for index in range(len(node.inputs)))
    if axis not in (1, -3):
        raise InputError(f"is along axis {axis}, must be along channels, axis 1")
    graph.add(node, Concat(), names)


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
    graph.set(node, replace(value, flat=True))


def _flattenable(graph: OnnxGraph, node: OnnxNode) -> Value:
    """Give what is read, behind operators that are left to the host too."""
    found = graph.values.get(node.inputs[0]) if node.inputs else None
    if found is None:
        return graph.value(node)
    if found.padding != UNPADDED:
        raise InputError("reads the result of a Pad; only convolutions may")
    return found


def same(graph: OnnxGraph, node: OnnxNode) -> None:
    """Identity and Dropout: nothing, at inference."""
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
    name = graph.map(node)
    if node.attributes.get("mode", "constant") != "constant":
        raise InputError(f"mode {node.attributes['mode']}: must be constant")
    stated, fill = graph.constant(node, 1), graph.constant(node, 2)
    amounts = node.attributes.get("pads", ()) if stated is None else stated.real.ravel().tolist()
    if len(amounts) != 8 or any(amounts[i] for i in (0, 1, 4, 5)):
        raise InputError(f"must pad rows and columns only, not {tuple(amounts)}")
    if node.attributes.get("value", 0.0) or (fill is not None and fill.real.any()):
        raise InputError("must pad with zeros")
    _, _, top, left, _, _, bottom, right = map(_integer, amounts)
    graph.set(node, Value(name, padding=Padding(top, bottom, left, right)))


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
    "Add": add,
    "ArgMax": host,
    "AveragePool": pool,
    "BatchNormalization": batch_norm,
    "Clip": clip,
    "Concat": concat,
    "Constant": constant,
    "ConstantOfShape": constant_of_shape,
    "Conv": conv,
    "Dropout": same,
    "Flatten": flatten,
    "Gemm": gemm,
    "GlobalAveragePool": global_average,
    "Identity": same,
    "LogSoftmax": host,
    "MatMul": matmul,
    "MaxPool": pool,
    "Pad": pad,
    "ReduceMean": global_average,
    "Relu": relu,
    "Reshape": reshape,
    "Softmax": host,
    "Squeeze": squeeze,
    "Sum": add,
    "Transpose": transpose,
}
"""Operators by name."""
