"""Operators of .onnx files that quantize: QuantizeLinear, DequantizeLinear and the QLinear family.

They say how tensors are quantized; around them the graph is one of real numbers. Source: the ONNX
operator specification, and ONNX Runtime's contributed operators (com.microsoft).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.importers.onnx_elementwise import add_sum
from pilaster.models.importers.onnx_file import OnnxNode
from pilaster.models.importers.onnx_graph import Constant, OnnxGraph
from pilaster.models.importers.onnx_operators import (
    Handler,
    add_concat,
    add_conv,
    add_dense,
    add_global_average,
    add_pool,
)
from pilaster.models.importers.onnx_shapes import host
from pilaster.models.importers.steps import Quantizer
from pilaster.models.importers.values import Value
from pilaster.models.quantization import TensorQuantization

__all__ = ["QUANTIZERS"]

RANGES: Mapping[np.dtype[Any], tuple[int, int]] = {
    np.dtype(kind): (int(np.iinfo(kind).min), int(np.iinfo(kind).max))
    for kind in (np.int8, np.uint8, np.int16, np.uint16)
}


OUTPUT_TYPES: Mapping[int, np.dtype[Any]] = {
    0: np.dtype(np.uint8),
    2: np.dtype(np.uint8),
    3: np.dtype(np.int8),
    4: np.dtype(np.uint16),
    5: np.dtype(np.int16),
}
"""By the numbers of ONNX' data types; 0 where none is stated."""


def quantize_linear(graph: OnnxGraph, node: OnnxNode) -> None:
    """QuantizeLinear: of a value, its integers."""
    left = graph.values.get(node.inputs[0]) if node.inputs else None
    if left is not None and left.host:
        graph.set(node, left)
        return
    graph.set(node, _quantized(graph, node, graph.real(node), _quantizer(graph, node, 1)))


def dequantize_linear(graph: OnnxGraph, node: OnnxNode) -> None:
    """DequantizeLinear: of a constant, its real values; else what the integers stand for."""
    if graph.is_constant(node, 0):
        graph.give(node, _constant(graph, node, 0, 1))
        return
    left = graph.values.get(node.inputs[0]) if node.inputs else None
    if left is not None and left.host:
        graph.set(node, left)
        return
    graph.set(node, _dequantized(graph, node, graph.value(node), 1))


def _quantizer(graph: OnnxGraph, node: OnnxNode, place: int) -> Quantizer:
    """Give the quantizer whose scale stands in a place, and its zero point behind it."""
    tensor, dtype = _activation(graph, node, place, _output_type(graph, node))
    return Quantizer(tensor, dtype=dtype, sums=node.kind in OF_SUMS)


OF_SUMS = ("QGemm", "QLinearConv", "QLinearGlobalAveragePool", "QLinearMatMul")
"""Operators of which ONNX Runtime scales integer sums."""


def _quantized(graph: OnnxGraph, node: OnnxNode, value: Value, quantizer: Quantizer) -> Value:
    """Give the integers of reals."""
    return replace(graph.change(node, value, quantizer), whole=True)


def _dequantized(graph: OnnxGraph, node: OnnxNode, value: Value, place: int) -> Value:
    """Give the reals of integers, whose scale stands in a place, and its zero point behind it."""
    found = graph.integer_type(value)
    if found is None:
        raise InputError("reads reals as integers; there is no QuantizeLinear before it")
    tensor, dtype = _activation(graph, node, place, found)
    if dtype != found:
        raise InputError(f"has a zero point of {dtype} for integers of {found}")
    graph.state(value, tensor)
    return replace(value, whole=False)


def _output_type(graph: OnnxGraph, node: OnnxNode) -> np.dtype[Any]:
    """Give the type of the integers that an operator gives where it has no zero point for them."""
    if node.kind != "QuantizeLinear":  # the type of what it reads
        place = 2 if node.kind == "QLinearConcat" else 0
        return graph.integer_type(graph.value(node, place)) or np.dtype(np.uint8)
    number = node.attributes.get("output_dtype", 0)
    if number not in OUTPUT_TYPES:
        raise InputError(f"output_dtype {number}: must be INT8, UINT8, INT16 or UINT16")
    return OUTPUT_TYPES[number]


def qlinear_conv(graph: OnnxGraph, node: OnnxNode) -> None:
    """QLinearConv(x, scale, zero, w, scale, zero, scale, zero, bias)."""
    value = _dequantized(graph, node, graph.value(node), 1)
    weight = _constant(graph, node, 3, 4)
    bias = graph.constant(node, 8)
    if bias is not None:
        bias = _bias(bias, graph.needed(node, 1), weight)
    sums = add_conv(graph, node, value, weight, bias)
    graph.set(node, _quantized(graph, node, sums, _quantizer(graph, node, 6)))


def qlinear_matmul(graph: OnnxGraph, node: OnnxNode) -> None:
    """QLinearMatMul(a, scale, zero, b, scale, zero, scale, zero)."""
    value = _dequantized(graph, node, graph.value(node), 1)
    weight = _constant(graph, node, 3, 4)
    dense = add_dense(graph, node, value, weight, None, transposed=False)
    graph.set(node, _quantized(graph, node, dense, _quantizer(graph, node, 6)))


def qgemm(graph: OnnxGraph, node: OnnxNode) -> None:
    """QGemm(a, scale, zero, b, scale, zero, bias, scale, zero)."""
    value = _dequantized(graph, node, graph.value(node), 1)
    weight, bias = _constant(graph, node, 3, 4), graph.constant(node, 6)
    real = None if bias is None else _bias(bias, graph.needed(node, 1), weight).real
    transposed = bool(node.attributes.get("transB", 0))
    dense = add_dense(graph, node, value, weight, real, transposed=transposed)
    graph.set(node, _quantized(graph, node, dense, _quantizer(graph, node, 7)))


def qlinear_add(graph: OnnxGraph, node: OnnxNode) -> None:
    """QLinearAdd(a, scale, zero, b, scale, zero, scale, zero)."""
    first, second = (
        _dequantized(graph, node, graph.all(node, place), place + 1) for place in (0, 3)
    )
    total = add_sum(graph, node, first, second)
    graph.set(node, _quantized(graph, node, total, _quantizer(graph, node, 6).of_raw()))


def qlinear_concat(graph: OnnxGraph, node: OnnxNode) -> None:
    """QLinearConcat(scale, zero, then input, scale, zero for each)."""
    places = range(2, len(node.inputs), 3)
    values = [_dequantized(graph, node, graph.all(node, place), place + 1) for place in places]
    joined = add_concat(graph, node, values)
    graph.set(node, _quantized(graph, node, joined, _quantizer(graph, node, 0)))


def qlinear_global_average(graph: OnnxGraph, node: OnnxNode) -> None:
    """QLinearGlobalAveragePool(x, scale, zero, scale, zero)."""
    value = _dequantized(graph, node, graph.all(node), 1)
    mean = add_global_average(graph, node, value)
    graph.set(node, _quantized(graph, node, mean, _quantizer(graph, node, 3)))


def qlinear_average(graph: OnnxGraph, node: OnnxNode) -> None:
    """QLinearAveragePool(x, scale, zero, scale, zero)."""
    value = _dequantized(graph, node, graph.all(node), 1)
    mean = add_pool(graph, node, value)
    graph.set(node, _quantized(graph, node, mean, _quantizer(graph, node, 3).of_raw()))


def _scale(graph: OnnxGraph, node: OnnxNode, place: int) -> NDArray[np.float64]:
    scale = graph.needed(node, place).real.astype(np.float64)
    if not (np.isfinite(scale) & (scale > 0)).all():
        raise InputError("has a scale that is not positive")
    return scale


def _activation(
    graph: OnnxGraph, node: OnnxNode, place: int, default: np.dtype[Any]
) -> tuple[TensorQuantization, np.dtype[Any]]:
    """Give the quantization whose scale stands in a place, with its zero point behind it."""
    scale, zero = _scale(graph, node, place), graph.constant(node, place + 1)
    zeros: NDArray[Any] = np.zeros(1, default) if zero is None else zero.real
    if scale.size != 1 or zeros.size != 1:
        raise InputError(f"has {scale.size} scales for an activation, must have one")
    if zeros.dtype not in RANGES:
        raise InputError(f"quantizes to {zeros.dtype}, must be int8, uint8, int16 or uint16")
    if node.attributes.get("output_dtype", 0) and zeros.dtype != default:
        raise InputError(f"output_dtype is {default}, and the zero point {zeros.dtype}")
    tensor = TensorQuantization(float(scale.item()), int(zeros.item()), *RANGES[zeros.dtype])
    return tensor, zeros.dtype


def _constant(graph: OnnxGraph, node: OnnxNode, place: int, scale_place: int) -> Constant:
    """Give a quantized constant; its zero point stands behind its scale."""
    raw = graph.needed(node, place).real
    if not np.issubdtype(raw.dtype, np.integer):
        raise InputError(f"dequantizes {raw.dtype}, must be integers")
    scale, stated = _scale(graph, node, scale_place), graph.constant(node, scale_place + 1)
    zero: NDArray[Any] = np.zeros(1, np.int64) if stated is None else stated.real
    axis = int(node.attributes.get("axis", 1 if node.kind == "DequantizeLinear" else 0))
    if node.kind in ("QGemm", "QLinearMatMul"):  # along the outputs
        axis = 0 if node.attributes.get("transB", 0) else 1
    axis = axis % raw.ndim if raw.ndim else 0
    if scale.size > 1 and scale.size != raw.shape[axis]:
        raise InputError(f"has {scale.size} scales along {raw.shape[axis]} places")
    if zero.size not in (1, scale.size):
        raise InputError(f"has {zero.size} zero points for {scale.size} scales")
    spread = [1] * raw.ndim
    if scale.size > 1:
        spread[axis] = scale.size
    zeros = zero.astype(np.int64).reshape(spread if zero.size > 1 else [1] * raw.ndim)
    integers = raw.astype(np.int64) - zeros
    return Constant(integers * scale.reshape(spread), integers, scale.ravel(), axis)


def _bias(bias: Constant, source_scale: Constant, weight: Constant) -> Constant:
    """Give the real values of a bias in units of input scale times weight scale."""
    assert weight.scales is not None
    unit = source_scale.real.astype(np.float64).item() * weight.scales
    if bias.real.ndim != 1 or unit.size not in (1, bias.real.size):
        raise InputError(f"has {bias.real.size} biases for {unit.size} weight scales")
    return Constant(bias.real.astype(np.float64) * unit)


QUANTIZERS: Mapping[str, Handler] = {
    "DequantizeLinear": dequantize_linear,
    "QGemm": qgemm,
    "QLinearAdd": qlinear_add,
    "QLinearAveragePool": qlinear_average,
    "QLinearConcat": qlinear_concat,
    "QLinearConv": qlinear_conv,
    "QLinearGlobalAveragePool": qlinear_global_average,
    "QLinearMatMul": qlinear_matmul,
    "QLinearSigmoid": host,
    "QLinearSoftmax": host,
    "QuantizeLinear": quantize_linear,
}
"""Operators by name."""
