"""What an .onnx file computes from constants, computed before an image comes.

`onnx` has a reference implementation of every operator: it is that which computes here. Constants
that are quantized keep their integers, where an operator moves values, or scales them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.importers.onnx_file import MOST_ELEMENTS, OnnxNode
from pilaster.models.importers.onnx_graph import Constant, OnnxGraph

__all__ = ["FOLDED", "fold"]

Array = NDArray[Any]

MOVES = frozenset(
    (
        *("Concat", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split"),
        *("Squeeze", "Tile", "Transpose", "Unsqueeze"),
    )
)
"""Operators whose results are values that they read."""

ARITHMETIC = frozenset(
    (
        *("Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Clip", "Div", "Equal", "Exp", "Floor"),
        *("GatherElements", "GatherND", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Log"),
        *("Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pad", "Pow", "QuantizeLinear", "Range"),
        *("Reciprocal", "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin"),
        *("ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Round", "ScatterElements"),
        *("ScatterND", "Shape", "Sigmoid", "Sign", "Size", "Sqrt", "Sub", "Sum", "Tanh", "Where"),
        *("Xor",),
    )
)

FOLDED = MOVES | ARITHMETIC


def fold(graph: OnnxGraph, node: OnnxNode) -> bool:
    """Compute an operator that reads nothing but constants; give whether it is one.

    Raises
    ------
    InputError
        If its inputs or attributes do not fit.
    """
    names = [name for name in node.inputs if name]
    if node.domain not in ("", "ai.onnx") or node.kind not in FOLDED or not names:
        return False
    if any(name not in graph.constants for name in names):
        return False
    read = [graph.constants[name] for name in names]
    quantized = [found for found in read if found.integers is not None]
    if not quantized:
        arrays = {name: found.real for name, found in zip(names, read, strict=True)}
        results = [Constant(array) for array in evaluated(node, arrays, graph.model.opset)]
    elif read[0] is quantized[0] and len(quantized) == 1 and node.kind in MOVES - {"Concat"}:
        results = _moved(graph, node, names, read)
    elif len(quantized) == 1 and len(read) == 2 and node.kind in ("Mul", "Div"):
        results = [_scaled(node, *read)]
    else:
        raise InputError("reads weights that are quantized; put it before their quantizer")
    for name, result in zip(node.outputs, results, strict=False):
        if name:
            graph.give(replace(node, outputs=(name,)), result)
    return True


def evaluated(node: OnnxNode, arrays: Mapping[str, Array], opset: int) -> list[Array]:
    """Compute an operator as `onnx` says."""
    from onnx import TensorProto, helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    _bound(node, [arrays[name] for name in node.inputs if name])
    attributes = {
        key: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        for key, value in node.attributes.items()
    }
    proto = helper.make_node(node.kind, node.inputs, node.outputs, **attributes)
    values = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in arrays.items()
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None)
        for name in node.outputs
        if name
    ]
    made = helper.make_graph([proto], "constants", values, outputs)
    try:
        with np.errstate(all="ignore"):
            found = ReferenceEvaluator(made, opsets={"": opset}).run(None, dict(arrays))
    except Exception as error:  # whatever it raises, the inputs do not fit
        raise InputError(f"cannot be computed: {type(error).__name__}: {error}") from error
    return [np.asarray(array) for array in found]


def _bound(node: OnnxNode, arrays: list[Array]) -> None:
    """Check that a result has not too many elements."""
    shapes = [array.shape for array in arrays]
    count = 0.0
    if node.kind in ("Expand", "Tile") and len(arrays) > 1:
        count = float(np.prod(np.maximum(arrays[1], 1), dtype=np.float64)) * arrays[0].size
    elif node.kind == "Range" and len(arrays) > 2 and arrays[2].any():
        start, limit, step = (float(array.reshape(-1)[0]) for array in arrays[:3])
        count = (limit - start) / step
    elif node.kind == "Pad" and len(arrays) > 1 and arrays[1].size == 2 * arrays[0].ndim:
        pads = arrays[1].reshape(2, -1).sum(axis=0)
        count = float(np.prod(np.abs(np.array(shapes[0]) + pads), dtype=np.float64))
    elif node.kind == "Gather" and len(arrays) > 1:
        count = float(arrays[0].size) * max(1, arrays[1].size)
    elif node.kind not in MOVES:
        axes = max((len(shape) for shape in shapes), default=0)
        spread = [(1,) * (axes - len(shape)) + shape for shape in shapes]
        count = float(np.prod([float(max(sizes)) for sizes in zip(*spread, strict=True)]))
    if not count <= MOST_ELEMENTS:
        raise InputError(f"gives {count:.0f} values, more than {MOST_ELEMENTS}")


def _moved(
    graph: OnnxGraph, node: OnnxNode, names: list[str], read: list[Constant]
) -> list[Constant]:
    """Move the values of a quantized constant, and its integers and scales with them."""
    first, opset = read[0], graph.model.opset
    assert first.integers is not None
    assert first.scales is not None
    spread = [1] * first.real.ndim
    if first.scales.size > 1:
        spread[first.axis] = first.scales.size
    scales = np.broadcast_to(first.scales.reshape(spread), first.real.shape)
    others = {name: found.real for name, found in zip(names[1:], read[1:], strict=True)}
    moved = [
        evaluated(node, {names[0]: array, **others}, opset)
        for array in (first.real, first.integers, np.ascontiguousarray(scales))
    ]
    return [_quantized(*arrays) for arrays in zip(*moved, strict=True)]


def _scaled(node: OnnxNode, first: Constant, second: Constant) -> Constant:
    """Multiply or divide a quantized constant by another."""
    found, by = (first, second.real) if first.integers is not None else (second, first.real)
    if node.kind == "Div":
        if first.integers is None:
            raise InputError("divides by weights that are quantized")
        by = 1.0 / by.astype(np.float64)
    factor = by.astype(np.float64)
    integers, axis = found.integers, found.axis
    assert integers is not None
    assert found.scales is not None
    spread = [1] * found.real.ndim
    if found.scales.size > 1:
        spread[axis] = found.scales.size
    scales = np.broadcast_to(found.scales.reshape(spread), found.real.shape)
    sign = np.sign(factor).astype(np.int64)
    sizes = np.where(sign == 0, 1.0, np.abs(factor))
    return _quantized(found.real * factor, integers * sign, scales * sizes)


def _quantized(real: Array, integers: Array, scales: Array) -> Constant:
    """Give a quantized constant; its scales, one for each value, may run along one axis."""
    axes = [
        axis
        for axis in range(scales.ndim)
        if scales.size and (scales != scales.take([0], axis)).any()
    ]
    if len(axes) > 1:
        raise InputError("gives weights whose scales run along several axes")
    if not axes:
        return Constant(real, integers, scales.ravel()[:1])
    along = scales
    for axis in reversed(range(scales.ndim)):
        if axis != axes[0]:
            along = along.take(0, axis)
    return Constant(real, integers, along.ravel(), axes[0])
