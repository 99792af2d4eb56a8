"""Operators of .onnx files that compute nothing: they move, rename or regroup axes, or stand aside.

Source: the ONNX operator specification, https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pilaster.base.errors import InputError
from pilaster.models.graph import INPUT
from pilaster.models.importers.layout import Layout
from pilaster.models.importers.onnx_file import OnnxNode
from pilaster.models.importers.onnx_graph import Constant, OnnxGraph
from pilaster.models.importers.onnx_operators import Handler
from pilaster.models.importers.values import Value

__all__ = ["SHAPES", "host"]


def flatten(graph: OnnxGraph, node: OnnxNode) -> None:
    """Flatten to two axes."""
    value = _moved(graph, node)
    if value is None:
        return
    sizes = value.layout.sizes
    axis = _whole(node.attributes.get("axis", 1))
    if not -len(sizes) <= axis <= len(sizes):
        raise InputError(f"axis {axis}: there are {len(sizes)}")
    axis = axis + len(sizes) if axis < 0 else axis
    first, second = (int(np.prod(part, dtype=np.int64)) for part in (sizes[:axis], sizes[axis:]))
    graph.set(node, replace(value, layout=value.layout.reshaped((first, second))))


def reshape(graph: OnnxGraph, node: OnnxNode) -> None:
    """Reshape."""
    value = _moved(graph, node)
    if value is None:
        return
    stated = graph.constant(node, 1)
    found = node.attributes.get("shape", ()) if stated is None else stated.real.ravel().tolist()
    sizes = [_whole(size) for size in found]
    old = value.layout.sizes
    if not node.attributes.get("allowzero", 0):
        sizes = [old[i] if size == 0 and i < len(old) else size for i, size in enumerate(sizes)]
    graph.set(node, replace(value, layout=value.layout.reshaped(sizes)))


def squeeze(graph: OnnxGraph, node: OnnxNode) -> None:
    """Squeeze: leaves out axes of size 1."""
    value = _moved(graph, node)
    if value is None:
        return
    graph.set(node, replace(value, layout=value.layout.squeezed(_axes(graph, node))))


def unsqueeze(graph: OnnxGraph, node: OnnxNode) -> None:
    """Unsqueeze: puts in axes of size 1."""
    value = _moved(graph, node)
    if value is None:
        return
    axes = _axes(graph, node)
    if axes is None:
        raise InputError("has no axes")
    graph.set(node, replace(value, layout=value.layout.unsqueezed(axes)))


def _axes(graph: OnnxGraph, node: OnnxNode) -> list[int] | None:
    stated = graph.constant(node, 1)
    found = node.attributes.get("axes") if stated is None else stated.real.ravel().tolist()
    return None if found is None else [_whole(axis) for axis in found]


def transpose(graph: OnnxGraph, node: OnnxNode) -> None:
    """Transpose."""
    value = graph.value(node)
    axes = node.attributes.get("perm", tuple(reversed(range(len(value.layout.sizes)))))
    if not isinstance(axes, tuple):
        raise InputError(f"perm {axes!r} must be a list")
    layout = value.layout.transposed([_whole(axis) for axis in axes])
    graph.set(node, replace(value, layout=layout))


def _moved(graph: OnnxGraph, node: OnnxNode) -> Value | None:
    """Give what is read; none behind operators left to the host, where there is no more to do."""
    found = graph.values.get(node.inputs[0]) if node.inputs else None
    if found is not None and found.host:
        graph.set(node, found)
        return None
    return graph.all(node)


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


def cast(graph: OnnxGraph, node: OnnxNode) -> None:
    """Cast of the file's input: its integers are reals."""
    value = graph.value(node)
    if value.name != INPUT or not np.issubdtype(graph.model.dtype, np.integer):
        raise InputError("is of a map; only an input of integers may be cast")
    graph.set(node, replace(value, whole=False))


def shape(graph: OnnxGraph, node: OnnxNode) -> None:
    """Shape: known before an image comes."""
    sizes = graph.value(node).layout.sizes
    start, end = node.attributes.get("start", 0), node.attributes.get("end")
    graph.give(node, Constant(np.array(sizes[start:end], np.int64)))


def constant(graph: OnnxGraph, node: OnnxNode) -> None:
    """Constant."""
    for key, kind in CONSTANTS.items():
        if key in node.attributes:
            graph.give(node, Constant(np.asarray(node.attributes[key], kind)))
            return
    raise InputError("has no value of numbers")


CONSTANTS = {
    "value": None,
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
}
"""Attributes of a Constant, and their types; None for that of a tensor."""

MOST_FILLED = 1 << 27
"""Elements of a constant that a file gives by its shape."""


def constant_of_shape(graph: OnnxGraph, node: OnnxNode) -> None:
    """ConstantOfShape."""
    sizes = [_whole(size) for size in graph.needed(node, 0).real.ravel().tolist()]
    if any(size < 0 for size in sizes) or np.prod([float(s) for s in sizes]) > MOST_FILLED:
        raise InputError(f"has the sizes {sizes}")
    value = np.asarray(node.attributes.get("value", np.zeros(1, np.float32))).ravel()
    graph.give(node, Constant(np.full(sizes, value[0], value.dtype)))


GIVES = ("Constant", "ConstantOfShape", "Shape")
"""Operators that give constants."""

HOST_NAMES = {
    "ArgMax": "argmax",
    "LogSoftmax": "softmax",
    "QLinearSigmoid": "sigmoid",
    "QLinearSoftmax": "softmax",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
}


def host(graph: OnnxGraph, node: OnnxNode) -> None:
    """Softmax, Sigmoid and ArgMax at the end: left to the host."""
    found = graph.values.get(node.inputs[0]) if node.inputs else None
    value = graph.value(node) if found is None else graph.padded(found)
    if HOST_NAMES[node.kind] != "sigmoid" and not value.host:
        rank = len(value.layout.sizes)
        default = 0 if node.kind == "ArgMax" else 1 if graph.model.opset < 13 else -1
        axis = _whole(node.attributes.get("axis", default))
        if not -rank <= axis < rank or not _has_classes(value.layout, axis):
            raise InputError(
                f"is along axis {axis}, must be along channels, not one of {value.layout}"
            )
    graph.set(node, replace(value, host=(*value.host, HOST_NAMES[node.kind])))


def _has_classes(layout: Layout, axis: int) -> bool:
    """Whether an axis has all channels, and no image beside another."""
    groups = layout.groups
    others = "".join(group for place, group in enumerate(groups) if place != axis % len(groups))
    return "C" not in others and "N" not in groups[axis]


def _whole(value: Any) -> int:
    if not isinstance(value, int):
        raise InputError(f"{value!r} must be a whole number")
    return value


SHAPES: Mapping[str, Handler] = {
    "ArgMax": host,
    "Cast": cast,
    "Constant": constant,
    "ConstantOfShape": constant_of_shape,
    "Dropout": dropout,
    "Flatten": flatten,
    "Identity": same,
    "LogSoftmax": host,
    "Reshape": reshape,
    "Shape": shape,
    "Sigmoid": host,
    "Softmax": host,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
"""Operators by name."""
