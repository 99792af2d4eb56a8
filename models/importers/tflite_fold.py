"""What a .tflite file computes from constants and shapes, computed before an image comes.

Source: the TensorFlow Lite schema, and LiteRT 2's kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.importers.tflite_file import MOST_ELEMENTS, NUMBERS, Operator
from pilaster.models.importers.tflite_graph import TfliteGraph
from pilaster.models.importers.tflite_tensors import elements

__all__ = ["FOLDED", "GIVES", "fold"]

Array = NDArray[Any]

Options = Mapping[str, int]

Shape = tuple[int, ...]


def fold(graph: TfliteGraph, operator: Operator) -> bool:
    """Compute an operator that reads nothing but constants or a shape; give whether it is one.

    Raises
    ------
    InputError
        If its inputs or options do not fit.
    """
    if operator.kind in GIVES:
        left = graph.values.get(operator.inputs[0]) if operator.inputs else None
        sizes = (left or graph.moved(operator)).layout.sizes
        _give(graph, operator, [np.array(sizes)])
        return True
    read = [graph.info(operator, i) for i, n in enumerate(operator.inputs) if n >= 0]
    if operator.kind not in FOLDED or not read or any(found.data is None for found in read):
        return False
    if any(n in graph.values for n in operator.inputs):
        return False
    arrays = []
    for found in read:
        assert found.data is not None
        if found.data.size != elements(found):
            raise InputError(
                f"constant {found.name} has {found.data.size} values for {found.shape}"
            )
        arrays.append(found.data.reshape(found.shape))
    if operator.kind in ARITHMETIC and any(len(found.scales) for found in read):
        raise InputError("computes with quantized constants; fold them before it is exported")
    target = graph.model.tensors[operator.outputs[0]] if operator.outputs else None
    if target is None or operator.outputs[0] < 0:
        raise InputError("has no output")
    kind = NUMBERS.get(target.dtype)
    if operator.kind == "CAST":
        if kind is None:
            raise InputError(f"casts to {target.dtype}, which is not supported")
        _give(graph, operator, [arrays[0].astype(kind)])
        return True
    try:
        with np.errstate(all="ignore"):
            results = FOLDED[operator.kind](arrays, operator.options, target.shape)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"has constants or options that do not fit: {error}") from error
    _give(graph, operator, results)
    return True


def _give(graph: TfliteGraph, operator: Operator, results: Sequence[Array]) -> None:
    if len(results) != len(operator.outputs):
        raise InputError(f"has {len(operator.outputs)} outputs, must have {len(results)}")
    for number, result in zip(operator.outputs, results, strict=True):
        if number < 0 or number in graph.values or result.size > MOST_ELEMENTS:
            raise InputError("gives a tensor that is there already, or is too large")
        info = graph.model.tensors[number]
        kind = NUMBERS.get(info.dtype)
        if kind is None:
            raise InputError(f"gives {info.dtype}, which is not supported")
        graph.settle(number, np.asarray(result, kind, order="C"))


def _strided_slice(arrays: Sequence[Array], options: Options, shape: Shape) -> list[Array]:
    """Take a slice; bits of the masks say which ends are open and which axes go."""
    found, begin, end, step = arrays
    if options["EllipsisMask"] or options["NewAxisMask"]:
        raise ValueError("an ellipsis or a new axis")
    index: list[Any] = []
    for place, (first, last, stride) in enumerate(
        zip(begin.tolist(), end.tolist(), step.tolist(), strict=True)
    ):
        if options["ShrinkAxisMask"] >> place & 1:
            index.append(first)
            continue
        open_first = options["BeginMask"] >> place & 1
        open_last = options["EndMask"] >> place & 1
        index.append(slice(None if open_first else first, None if open_last else last, stride))
    return [np.asarray(found[tuple(index)])]


def _gather(arrays: Sequence[Array], options: Options, shape: Shape) -> list[Array]:
    if options["BatchDims"]:
        raise ValueError("batch dimensions")
    return [np.take(arrays[0], arrays[1], axis=options["Axis"], mode="raise")]


def _slice(arrays: Sequence[Array], options: Options, shape: Shape) -> list[Array]:
    found, begin, size = arrays
    index = tuple(
        slice(first, None if count == -1 else first + count)
        for first, count in zip(begin.tolist(), size.tolist(), strict=True)
    )
    return [found[index]]


def _unpack(arrays: Sequence[Array], options: Options, shape: Shape) -> list[Array]:
    return list(np.moveaxis(arrays[0], options["Axis"], 0))


def _range(arrays: Sequence[Array], options: Options, shape: Shape) -> list[Array]:
    start, limit, step = (array.item() for array in arrays)
    if not step or abs((limit - start) / step) > MOST_ELEMENTS:
        raise ValueError("too many values")
    return [np.arange(start, limit, step)]


def _fill(arrays: Sequence[Array], options: Options, shape: Shape) -> list[Array]:
    sizes = arrays[0].ravel().tolist()
    if min(sizes, default=0) < 0 or prod(sizes) > MOST_ELEMENTS:
        raise ValueError("too many values")
    return [np.full(sizes, arrays[1].item())]


def _broadcast(arrays: Sequence[Array], options: Options, shape: Shape) -> list[Array]:
    if prod(abs(size) for size in arrays[1].ravel().tolist()) > MOST_ELEMENTS:
        raise ValueError("too many values")
    return [np.broadcast_to(arrays[0], arrays[1].ravel().tolist())]


def _divide(first: Array, second: Array) -> Array:
    """Divide integers toward zero, as C++ does."""
    if not second.all():
        raise ZeroDivisionError("division by zero")
    quotient = np.abs(first) // np.abs(second)
    result: Array = np.where((first < 0) == (second < 0), quotient, -quotient)
    return result


def _pair(function: Callable[[Array, Array], Array]) -> Fold:
    def apply(arrays: Sequence[Array], options: Options, shape: Shape) -> list[Array]:
        first, second = arrays
        if prod(np.broadcast_shapes(first.shape, second.shape)) > MOST_ELEMENTS:
            raise ValueError("too many values")
        return [function(first, second)]

    return apply


def _reduce(function: Callable[..., Array]) -> Fold:
    def apply(arrays: Sequence[Array], options: Options, shape: Shape) -> list[Array]:
        axes = tuple(arrays[1].ravel().tolist())
        return [np.asarray(function(arrays[0], axis=axes, keepdims=bool(options["KeepDims"])))]

    return apply


Fold = Callable[[Sequence[Array], Options, Shape], list[Array]]

MOVES: Mapping[str, Fold] = {
    "BROADCAST_TO": _broadcast,
    "CONCATENATION": lambda arrays, options, shape: [np.concatenate(arrays, options["Axis"])],
    "EXPAND_DIMS": lambda arrays, options, shape: [
        np.expand_dims(arrays[0], arrays[1].ravel().tolist()[0])
    ],
    "GATHER": _gather,
    "PACK": lambda arrays, options, shape: [np.stack(arrays, options["Axis"])],
    "RESHAPE": lambda arrays, options, shape: [
        arrays[0].reshape(arrays[1].ravel().tolist() if len(arrays) > 1 else shape)
    ],
    "SLICE": _slice,
    "SQUEEZE": lambda arrays, options, shape: [arrays[0].reshape(shape)],
    "STRIDED_SLICE": _strided_slice,
    "TRANSPOSE": lambda arrays, options, shape: [arrays[0].transpose(arrays[1].ravel().tolist())],
    "UNPACK": _unpack,
}
"""Operators whose results are values that they read."""

ARITHMETIC: Mapping[str, Fold] = {
    "ADD": _pair(np.add),
    "CAST": lambda arrays, options, shape: [arrays[0]],
    "DIV": _pair(lambda a, b: _divide(a, b) if a.dtype.kind in "iu" else a / b),
    "EQUAL": _pair(np.equal),
    "FILL": _fill,
    "FLOOR_DIV": _pair(lambda a, b: a // b),
    "FLOOR_MOD": _pair(lambda a, b: a % b),
    "GREATER": _pair(np.greater),
    "LESS": _pair(np.less),
    "MAXIMUM": _pair(np.maximum),
    "MINIMUM": _pair(np.minimum),
    "MUL": _pair(np.multiply),
    "NEG": lambda arrays, options, shape: [-arrays[0]],
    "NOT_EQUAL": _pair(np.not_equal),
    "RANGE": _range,
    "REDUCE_MAX": _reduce(np.max),
    "REDUCE_MIN": _reduce(np.min),
    "REDUCE_PROD": _reduce(np.prod),
    "SELECT": lambda arrays, options, shape: [np.where(*arrays)],
    "SELECT_V2": lambda arrays, options, shape: [np.where(*arrays)],
    "SUB": _pair(np.subtract),
    "SUM": _reduce(np.sum),
}

GIVES = ("SHAPE",)
"""Operators that give constants, whatever they read."""

FOLDED = {**MOVES, **ARITHMETIC}
"""What is computed from constants, by operator."""
