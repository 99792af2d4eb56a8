"""Operators of .onnx files with real numbers, each as a change to the graph.

Source: the ONNX operator specification, https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.importers.layout import CHANNELS_FIRST, CHANNELS_LAST, Axes, Layout
from pilaster.models.importers.onnx_file import OnnxNode
from pilaster.models.importers.onnx_graph import Constant, OnnxGraph
from pilaster.models.importers.values import (
    UNPADDED,
    Value,
    around,
    dilated,
    holds,
    padded,
)
from pilaster.models.layers import Concat, Conv, FullyConnected, Pool, Weighted, Window
from pilaster.models.shape import Padding, Shape, same_padding

__all__ = [
    "OPERATORS",
    "Handler",
    "add_concat",
    "add_conv",
    "add_dense",
    "add_global_average",
    "add_pool",
]

ONE_ROW: Axes = ("N", "C", "W", "H")
"""Axes of a map whose only row a file has behind its columns: its windows lie on their side."""

Handler = Callable[[OnnxGraph, OnnxNode], None]


def conv(graph: OnnxGraph, node: OnnxNode) -> None:
    """Conv: weights (out, in / groups, rows, columns)."""
    weight, bias = graph.needed(node, 1), graph.constant(node, 2)
    graph.set(node, add_conv(graph, node, graph.real(node), weight, bias))


def add_conv(
    graph: OnnxGraph, node: OnnxNode, value: Value, weight: Constant, bias: Constant | None
) -> Value:
    """Add a convolution of a value, whose weights and biases are given."""
    axes = graph.axes(value)
    if weight.real.ndim != len(axes) or weight.real.size == 0:
        raise InputError(f"needs weights of {len(axes)} axes, has the shape {weight.real.shape}")
    dilation = _pair(node, "dilations", axes, (1, 1))
    if min(dilation) < 1:
        raise InputError(f"dilations must be positive, not {dilation}")
    last = _channels_last(weight, axes)
    kernel = last.real.shape[1:3]
    if _pair(node, "kernel_shape", axes, kernel) != kernel:
        raise InputError(f"kernel_shape is not that of the weights, {kernel}")
    extents = tuple((size - 1) * step + 1 for size, step in zip(kernel, dilation, strict=True))
    shape = padded(graph.shapes[value.name], value.padding)
    window_padding = _padding(node, axes, shape, extents, ceil=False)
    if not holds(extents, around(value.padding, window_padding)):
        value = graph.padded(value)
        if not holds(extents, window_padding):
            name = f"{node.name}_pad"
            value = graph.padded(_surrounded(value, name, window_padding, axes))
            window_padding = UNPADDED
    padding = around(value.padding, window_padding)
    window = Window((extents[0], extents[1]), _pair(node, "strides", axes, (1, 1)), padding)
    layer = Conv(len(last.real), window, _integer(node.attributes.get("group", 1)))
    layer.output_shape(graph.shapes[value.name])  # before a large kernel is written out
    if dilation != (1, 1):
        integers = last.integers
        if integers is not None:
            integers = dilated(integers, dilation).astype(np.int64)
        last = replace(last, real=dilated(last.real, dilation), integers=integers)
    biases = np.zeros(len(last.real)) if bias is None else bias.real.astype(np.float64)
    return graph.add_weighted(node, layer, value.name, axes, last, biases)


def _channels_last(weight: Constant, axes: Axes) -> Constant:
    """Give weights (out, rows, columns, in / groups); the file's lie as its map does."""

    def moved(values: NDArray[Any]) -> NDArray[Any]:
        if len(axes) == 3:
            values = values[:, :, np.newaxis]
        return values.transpose(0, 3, 2, 1) if axes == ONE_ROW else values.transpose(0, 2, 3, 1)

    integers = None if weight.integers is None else moved(weight.integers)
    return replace(weight, real=moved(weight.real), integers=integers)


def _padding(
    node: OnnxNode, axes: Axes, shape: Shape, kernel: tuple[int, ...], *, ceil: bool
) -> Padding:
    """Give the padding of an operator's window over a map."""
    stride = _pair(node, "strides", axes, (1, 1))
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
        count = len(axes) - 2
        pads = _numbers(node.attributes.get("pads", (0,) * (2 * count)), "pads", 2 * count)
        first, second = (
            _rows_and_columns(pads[:count], axes, 0),
            _rows_and_columns(pads[count:], axes, 0),
        )
        padding = Padding(first[0], second[0], first[1], second[1])
    else:
        raise InputError(f"auto_pad {mode}: must be NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    if ceil:
        padding = around(padding, _last_windows(shape, kernel, stride, padding))
    return padding


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
    """Add a dense layer over a whole map, or over the channels of each place.

    transposed : whether the weights are (out, in), else (in, out)
    """
    if weight.real.ndim != 2 or weight.real.size == 0:
        raise InputError(f"needs weights of 2 axes, has the shape {weight.real.shape}")
    value = graph.padded(value)
    shape, layout = graph.shapes[value.name], value.layout
    outputs, inputs = weight.real.shape if transposed else weight.real.shape[::-1]
    if not layout.sizes or inputs != layout.sizes[-1]:
        if inputs == shape.size:
            raise InputError(f"reads the map {shape} unflattened; put Flatten before it")
        raise InputError(f"weights for {inputs} inputs do not fit the axes {layout.sizes}")
    *outer, inner = layout.groups
    whole = set("".join(outer)) <= {"N"}
    if "N" in inner or not (whole or inner in ("C", "")):
        raise InputError(
            f"reads the map {shape} with axes of {layout}; must read all of it, or its channels"
        )
    size = graph.size(value)

    def ordered(values: Any) -> Any:
        rows = values if transposed else values.T
        blocks = rows.reshape(outputs, *(size[axis] for axis in inner))
        wanted = [inner.index(axis) + 1 for axis in "HWC" if axis in inner]
        spread = (shape.height, shape.width, shape.channels) if whole else (1, 1, inputs)
        return blocks.transpose(0, *wanted).reshape(outputs, *spread)

    integers = None if weight.integers is None else ordered(weight.integers)
    axis = weight.axis if transposed else 1 - weight.axis
    last = Constant(ordered(weight.real), integers, weight.scales, axis)
    found = np.zeros(1) if bias is None else np.asarray(bias, np.float64)
    if found.ndim > 2 or (*(1, 1), *found.shape)[-2] != 1 or found.size not in (1, outputs):
        raise InputError(f"has biases of the shape {found.shape} for {outputs} outputs")
    biases = np.broadcast_to(found.ravel(), (outputs,))
    layer: Weighted = FullyConnected(outputs) if whole else Conv(outputs, Window((1, 1)))
    if whole:
        order = tuple(found for found in layout.order if found[0] == "N")
        layout = Layout(order, (*layout.sizes[:-1], 1))
    result = layout.resized(len(outer), "C", outputs)
    return graph.add_weighted(node, layer, value.name, result, last, biases)


def pool(graph: OnnxGraph, node: OnnxNode) -> None:
    """MaxPool and AveragePool; padding takes part in neither."""
    mode = "max" if node.kind == "MaxPool" else "average"
    value = graph.all(node) if mode == "max" else graph.all_reals(node)
    graph.set(node, replace(add_pool(graph, node, value), whole=value.whole))


def add_pool(graph: OnnxGraph, node: OnnxNode, value: Value) -> Value:
    """Add a pool of a map."""
    found = node.attributes
    axes, shape = graph.axes(value), graph.shapes[value.name]
    mode = "max" if node.kind == "MaxPool" else "average"
    if _pair(node, "dilations", axes, (1, 1)) != (1, 1):
        raise InputError("is dilated; only convolutions may be")
    if "kernel_shape" not in found:
        raise InputError("has no kernel_shape")
    kernel = _pair(node, "kernel_shape", axes, (1, 1))
    _check_same(node, axes, shape, kernel)
    padding = _padding(node, axes, shape, kernel, ceil=bool(found.get("ceil_mode")))
    if mode == "average" and found.get("count_include_pad", 0) and padding != UNPADDED:
        if found.get("ceil_mode"):
            raise InputError("counts padding into its average (count_include_pad); it must not")
        value = graph.padded(_surrounded(value, node.name + "_pad", padding, axes))
        padding = UNPADDED
    window = Window(kernel, _pair(node, "strides", axes, (1, 1)), padding)
    return graph.add(node, Pool(mode, window), (value.name,), axes)  # type: ignore[arg-type]


def _check_same(node: OnnxNode, axes: Axes, shape: Shape, kernel: tuple[int, int]) -> None:
    """Refuse SAME where strides leave values out: the standard does not say at which side."""
    mode = node.attributes.get("auto_pad", "NOTSET")
    stride = _pair(node, "strides", axes, (1, 1))
    for size, extent, step in zip((shape.height, shape.width), kernel, stride, strict=True):
        if mode.startswith("SAME") and (-(-size // step) - 1) * step + extent < size:
            raise InputError(
                f"auto_pad {mode}: strides {stride} of a kernel {kernel} leave out rows or columns "
                f"at a side that is not defined; give pads"
            )


def global_average(graph: OnnxGraph, node: OnnxNode) -> None:
    """GlobalAveragePool."""
    graph.set(node, add_global_average(graph, node, graph.all_reals(node)))


def add_global_average(graph: OnnxGraph, node: OnnxNode, value: Value) -> Value:
    """Add the average over a whole map."""
    places = range(2, len(graph.axes(value)))
    return _add_mean(graph, node, value, places)


def reduce_mean(graph: OnnxGraph, node: OnnxNode) -> None:
    """ReduceMean over rows, columns or both."""
    value = graph.all_reals(node)
    axes = graph.constant(node, 1)
    stated = node.attributes.get("axes", ()) if axes is None else axes.real.ravel().tolist()
    rank = len(value.layout.sizes)
    numbers = [_integer(axis) for axis in stated]
    if not all(-rank <= axis < rank for axis in numbers):
        raise InputError(f"has the axes {numbers} of {rank}")
    mean = _add_mean(graph, node, value, {axis % rank for axis in numbers})
    if not node.attributes.get("keepdims", 1):
        mean = replace(mean, layout=mean.layout.squeezed(numbers))
    graph.set(node, mean)


def _add_mean(graph: OnnxGraph, node: OnnxNode, value: Value, places: Collection[int]) -> Value:
    """Add an average over some of the file's axes, that are rows, columns or both."""
    layout, shape = value.layout, graph.shapes[value.name]
    over = "".join(group for place, group in enumerate(layout.groups) if place in places)
    if not places or not set(over) <= {"H", "W"}:
        raise InputError(f"must be over rows and columns, not over {tuple(places)} of {layout}")
    window = Window((shape.height if "H" in over else 1, shape.width if "W" in over else 1))
    order = tuple(found for found in layout.order if found[0] not in over)
    sizes = tuple(1 if place in places else size for place, size in enumerate(layout.sizes))
    return graph.add(node, Pool("average", window), (value.name,), Layout(order, sizes))


def concat(graph: OnnxGraph, node: OnnxNode) -> None:
    """Concat along channels."""
    values = [graph.all(node, index) for index in range(len(node.inputs))]
    whole = {value.whole for value in values}
    if len(whole) != 1:
        raise InputError("reads both integers and reals")
    graph.set(node, replace(add_concat(graph, node, values), whole=whole.pop()))


def add_concat(graph: OnnxGraph, node: OnnxNode, values: Sequence[Value]) -> Value:
    """Add a concatenation of values."""
    if "axis" not in node.attributes:
        raise InputError("has no axis")
    axis = _integer(node.attributes["axis"])
    rank = len(values[0].layout.sizes) if values else 0
    if not -rank <= axis < rank:
        raise InputError(f"is along axis {axis} of {rank}")
    place = axis % rank
    sizes = [graph.size(value)["C"] for value in values]
    results = set()
    for value, size in zip(values, sizes, strict=True):
        layout = value.layout
        if (
            len(layout.sizes) != rank
            or layout.sizes[place] != size
            or layout.groups[place] not in ("C", "")
        ):
            raise InputError(f"is along axis {axis}, must be along channels, axis 1")
        results.add(layout.resized(place, "C", sum(sizes)))
    if len(results) != 1:
        raise InputError("joins maps of different axes")
    return graph.add(node, Concat(), tuple(value.name for value in values), results.pop())


def pad(graph: OnnxGraph, node: OnnxNode) -> None:
    """Pad with zeros: padding of the convolution that reads it, or written out."""
    value = graph.all(node)
    layout, size = value.layout, graph.size(value)
    rank = len(layout.sizes)
    stated, fill = graph.constant(node, 1), graph.constant(node, 2)
    amounts = node.attributes.get("pads", ()) if stated is None else stated.real.ravel().tolist()
    axes = graph.constant(node, 3)
    if axes is not None:
        amounts = _on_all_axes(amounts, axes.real.ravel().tolist(), rank)
    if len(amounts) != 2 * rank:
        raise InputError(f"has {len(amounts)} pads, must have {2 * rank}")
    filled = np.asarray(node.attributes.get("value", 0.0) if fill is None else fill.real)
    if filled.size != 1:
        raise InputError(f"pads with {filled.size} values, must be one")
    known = (*CHANNELS_FIRST, *CHANNELS_LAST)
    names = next((axes for axes in known if layout.is_of(axes, size)), layout.groups)
    by_axis = {"H": (0, 0), "W": (0, 0)}
    for place, axis in enumerate(names):
        pair = _integer(amounts[place]), _integer(amounts[place + rank])
        if pair == (0, 0):
            continue
        if axis not in by_axis:
            raise InputError(f"must pad rows and columns only, not {tuple(amounts)}")
        by_axis[axis] = pair
    padding = Padding(*by_axis["H"], *by_axis["W"])
    if padding != UNPADDED and value.whole:
        graph.fills.append((f"node {node.name} ({node.kind})", value.name, int(filled.item())))
    elif padding != UNPADDED and filled.item() != 0:
        raise InputError("must pad with zeros")
    graph.set(node, _surrounded(value, node.name, padding, names))


def _surrounded(value: Value, name: str, padding: Padding, axes: Sequence[str]) -> Value:
    """Give a value with zeros around it, its axes being some."""
    layout = value.layout
    amounts = {"H": padding.top + padding.bottom, "W": padding.left + padding.right}
    for place, axis in enumerate(axes):
        if amounts.get(axis):
            layout = layout.resized(place, axis, layout.sizes[place] + amounts[axis])
    if layout == value.layout:
        return value
    return replace(value, layout=layout, padding=padding, padded_by=name)


def _on_all_axes(amounts: Sequence[Any], axes: Sequence[Any], rank: int) -> list[Any]:
    """Spread what is padded before and behind some axes of a map over all of them."""
    places = [_integer(axis) % rank for axis in axes]
    if len(amounts) != 2 * len(places) or len(set(places)) != len(places):
        raise InputError(f"has {len(amounts)} pads for the axes {list(axes)}")
    spread = [0] * (2 * rank)
    for place, before, behind in zip(places, amounts, amounts[len(places) :], strict=False):
        spread[place], spread[place + rank] = before, behind
    return spread


def _integer(value: Any) -> int:
    if not isinstance(value, int):
        raise InputError(f"{value!r} must be a whole number")
    return value


def _numbers(values: Any, what: str, count: int) -> tuple[int, ...]:
    if not isinstance(values, tuple) or len(values) != count:
        raise InputError(f"{what} must be {count} numbers, not {values!r}")
    return tuple(_integer(value) for value in values)


def _rows_and_columns(values: tuple[int, ...], axes: Axes, default: int) -> tuple[int, int]:
    """Give a file's numbers for the axes behind channels as those of rows and columns."""
    found = dict.fromkeys("HW", default) | dict(zip(axes[2:], values, strict=True))
    return (found["H"], found["W"])


def _pair(node: OnnxNode, what: str, axes: Axes, default: tuple[int, ...]) -> tuple[int, int]:
    """Give an attribute's numbers for rows and columns."""
    if what not in node.attributes:
        return (default[0], default[1])
    return _rows_and_columns(_numbers(node.attributes[what], what, len(axes) - 2), axes, 1)


OPERATORS: Mapping[str, Handler] = {
    "AveragePool": pool,
    "Concat": concat,
    "Conv": conv,
    "Gemm": gemm,
    "GlobalAveragePool": global_average,
    "MatMul": matmul,
    "MaxPool": pool,
    "Pad": pad,
    "ReduceMean": reduce_mean,
}
"""Operators by name."""
