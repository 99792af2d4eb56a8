"""Operators of .onnx files that work on each value by itself, with constants that are broadcast.

Source: the ONNX operator specification, and its page on multidirectional broadcasting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.importers.onnx_file import OnnxNode
from pilaster.models.importers.onnx_graph import Constant, OnnxGraph
from pilaster.models.importers.steps import Bounds, IntegerBounds, Offsets, Scaling
from pilaster.models.importers.values import Value
from pilaster.models.layers import Add

__all__ = ["ELEMENTWISE", "add_sum"]

Floats = NDArray[np.float64]

UNBOUNDED = 1 << 31
"""Beyond all integers of an activation."""


def batch_norm(graph: OnnxGraph, node: OnnxNode) -> None:
    """BatchNormalization by running statistics: a factor and an offset for each channel."""
    scale, shift, mean, variance = (
        graph.needed(node, index).real.astype(np.float64) for index in range(1, 5)
    )
    value = graph.all_reals(node)
    channels = graph.shapes[value.name].channels
    sizes, groups = value.layout.sizes, value.layout.groups
    if len(sizes) < 2 or sizes[1] != channels or groups[1] not in ("C", ""):
        raise InputError(f"reads axes of {value.layout}; channels must be the second")
    for found in (scale, shift, mean, variance):
        if found.shape != (channels,):
            raise InputError(f"has parameters of the shape {found.shape} for {channels} channels")
    if graph.model.opset < 7 and not node.attributes.get("is_test", 0):
        raise InputError("is in training mode, as is_test is 0; export the model for inference")
    epsilon = float(node.attributes.get("epsilon", 1e-5))
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = scale / np.sqrt(variance + epsilon)
    _scale(graph, node, value, factor, shift - mean * factor)


def relu(graph: OnnxGraph, node: OnnxNode) -> None:
    """Relu: no less than zero, of reals or of integers."""
    _bound(graph, node, graph.all(node), 0.0, np.inf)


def clip(graph: OnnxGraph, node: OnnxNode) -> None:
    """Clip: no less than the one, no more than the other, and this last."""
    limits = []
    for index, (key, default) in enumerate((("min", -np.inf), ("max", np.inf)), 1):
        stated = graph.constant(node, index)
        found = np.asarray(node.attributes.get(key, default) if stated is None else stated.real)
        limits.append(_limit(found))
    _bound(graph, node, graph.all(node), *limits)


def extreme(graph: OnnxGraph, node: OnnxNode) -> None:
    """Min and Max of a value and constants."""
    computed = [i for i in range(len(node.inputs)) if not graph.is_constant(node, i)]
    if len(computed) != 1:
        raise InputError(f"reads {len(computed)} values that are computed, must read one")
    low, high = -np.inf, np.inf
    for index in range(len(node.inputs)):
        if index == computed[0]:
            continue
        limit = _limit(graph.needed(node, index).real)
        low, high = (max(low, limit), high) if node.kind == "Max" else (low, min(high, limit))
    _bound(graph, node, graph.all(node, computed[0]), low, high)


def _limit(found: NDArray[np.generic]) -> float:
    """Give a bound, which must be one for all values."""
    if found.size != 1:
        raise InputError(f"has bounds of the shape {found.shape}, must be one number")
    limit = float(found.item())
    if np.isnan(limit):
        raise InputError("has a bound that is not a number")
    return limit


def _bound(graph: OnnxGraph, node: OnnxNode, value: Value, low: float, high: float) -> None:
    if low > high:
        raise InputError(f"bounds values by {low:g} and {high:g}; the first must not be larger")
    if not value.whole:
        graph.set(node, graph.change(node, value, Bounds(low, high)))
        return
    limits = (int(np.clip(limit, -UNBOUNDED, UNBOUNDED)) for limit in (low, high))
    graph.set(node, graph.change(node, value, IntegerBounds(*limits)))


def arithmetic(graph: OnnxGraph, node: OnnxNode) -> None:
    """Add, Sub, Mul and Div of a value and a constant; Add of two values, which Sum is too."""
    if len(node.inputs) != 2:
        raise InputError(f"has {len(node.inputs)} inputs, must have two")
    constants = [index for index in range(2) if graph.is_constant(node, index)]
    if not constants:
        if node.kind not in ("Add", "Sum"):
            raise InputError("is of two values that are computed; one must be a constant")
        first, second = (graph.all_reals(node, index) for index in range(2))
        graph.set(node, add_sum(graph, node, first, second))
        return
    place = constants[0]
    value, constant = graph.all_reals(node, 1 - place), graph.needed(node, place)
    whole = _broadcast(value, constant.real.astype(np.float64))
    if not (whole == whole[:1, :1]).all():
        _offset(graph, node, value, whole, constant, place)
        return
    found = whole[0, 0]
    one, zero = np.ones_like(found), np.zeros_like(found)
    if node.kind in ("Add", "Sum"):
        factor, offset = one, found
    elif node.kind == "Sub":
        factor, offset = (one, -found) if place == 1 else (-one, found)
    elif node.kind == "Mul":
        factor, offset = found, zero
    elif place == 1:
        with np.errstate(divide="ignore"):
            factor, offset = 1.0 / found, zero
    else:
        raise InputError("divides a constant; only division by one is supported")
    _scale(graph, node, value, factor, offset)


def add_sum(graph: OnnxGraph, node: OnnxNode, first: Value, second: Value) -> Value:
    """Add a sum of two values."""
    if first.layout != second.layout:
        raise InputError(
            f"adds values of the shapes {first.layout} and {second.layout}; they must be the same"
        )
    return graph.add(node, Add(), (first.name, second.name), first.layout)


def _broadcast(value: Value, constant: Floats) -> Floats:
    """Give a constant (rows, columns, channels) as it is broadcast to a value."""
    dims = value.layout.sizes
    sizes = (1,) * (len(dims) - constant.ndim) + constant.shape
    if len(sizes) != len(dims) or any(
        size not in (1, whole) for size, whole in zip(sizes, dims, strict=True)
    ):
        raise InputError(f"broadcasts a constant of the shape {constant.shape} to {dims}")
    whole: Floats = value.layout.arranged(np.broadcast_to(constant.reshape(sizes), dims))
    if not (whole == whole[:1]).all():
        raise InputError(f"has a constant of the shape {constant.shape} that differs by image")
    found: Floats = whole[0]
    return found


def _offset(
    graph: OnnxGraph, node: OnnxNode, value: Value, whole: Floats, constant: Constant, place: int
) -> None:
    """Add or subtract a constant that is not the same for all rows and columns."""
    if node.kind not in ("Add", "Sub", "Sum"):
        raise InputError(
            f"has a constant of the shape {constant.real.shape}, which is not the same for all "
            f"rows and columns of {value.layout.sizes}; a factor may differ by channel only"
        )
    sign = -1.0 if node.kind == "Sub" and place == 1 else 1.0
    if node.kind == "Sub" and place == 0:
        one = np.ones(whole.shape[2])
        value = graph.change(node, value, Scaling(-one, 0 * one))
    if not np.isfinite(whole).all():
        raise InputError("has constants that are not finite")
    known = constant.scales is not None and constant.scales.size == 1
    scale = float(constant.scales.item()) if known and constant.scales is not None else None
    graph.set(node, graph.change(node, value, Offsets(sign * whole, scale)))


def _scale(graph: OnnxGraph, node: OnnxNode, value: Value, factor: Floats, offset: Floats) -> None:
    if not (np.isfinite(factor).all() and np.isfinite(offset).all()):
        raise InputError("has factors or offsets that are not finite")
    graph.set(node, graph.change(node, value, Scaling(factor, offset)))


ELEMENTWISE: Mapping[str, Callable[[OnnxGraph, OnnxNode], None]] = {
    "Add": arithmetic,
    "BatchNormalization": batch_norm,
    "Clip": clip,
    "Div": arithmetic,
    "Max": extreme,
    "Min": extreme,
    "Mul": arithmetic,
    "Relu": relu,
    "Sub": arithmetic,
    "Sum": arithmetic,
}
"""Operators by name."""
