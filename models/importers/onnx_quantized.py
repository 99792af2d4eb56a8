"""Operators of .onnx files that quantise: QuantizeLinear, DequantizeLinear and the QLinear family.

They say how tensors are quantised; around them the graph is one of real numbers. Source: the ONNX
operator specification, and ONNX Runtime's contributed operators (com.microsoft).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pilaster.models.errors import InputError
from pilaster.models.importers.onnx_file import OnnxNode
from pilaster.models.importers.onnx_graph import Constant, OnnxGraph
from pilaster.models.importers.onnx_operators import (
    Handler,
    add_conv,
    add_dense,
    add_global_average,
    add_pool,
    host,
)
from pilaster.models.importers.steps import Quantizer
from pilaster.models.importers.values import Value
from pilaster.models.layers import Add, Concat
from pilaster.models.quantization import TensorQuantization

__all__ = ["QUANTIZERS"]

RANGES: Mapping[np.dtype[np.generic], tuple[int, int]] = {
    np.dtype(kind): (int(np.iinfo(kind).min), int(np.iinfo(kind).max))
    for kind in (np.int8, np.uint8, np.int16, np.uint16)
}


def quantize_linear(graph: OnnxGraph, node: OnnxNode) -> None:
    """QuantizeLinear: of a value, its integers."""
    left = graph.values.get(node.inputs[0]) if node.inputs else None
    if left is not None and left.host:
        graph.set(node, left)
        return
    graph.set(node, _quantized(graph, node, graph.real(node), 1))


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


def _quantized(graph: OnnxGraph, node: OnnxNode, value: Value, place: int) -> Value:
    """Give the integers of reals, whose scale stands in a place, and its zero point behind it."""
    tensor = _activation(graph, node, place)
    return replace(graph.change(node, value, Quantizer(tensor)), whole=True)


def _dequantized(graph: OnnxGraph, node: OnnxNode, value: Value, place: int) -> Value:
    """Give the reals of integers, whose scale stands in a place, and its zero point behind it."""
    graph.state(value, _activation(graph, node, place))
    return replace(value, whole=False)


def qlinear_conv(graph: OnnxGraph, node: OnnxNode) -> None:
    """QLinearConv(x, scale, zero, w, scale, zero, scale, zero, bias)."""
    value = _dequantized(graph, node, graph.value(node), 1)
    weight = _constant(graph, node, 3, 4)
    bias = graph.constant(node, 8)
    if bias is not None:
        bias = _bias(bias, graph.needed(node, 1), weight)
    graph.set(node, _quantized(graph, node, add_conv(graph, node, value, weight, bias), 6))


def qlinear_matmul(graph: OnnxGraph, node: OnnxNode) -> None:
    """QLinearMatMul(a, scale, zero, b, scale, zero, scale, zero)."""
    value = _dequantized(graph, node, graph.value(node), 1)
    weight = _constant(graph, node, 3, 4)
    dense = add_dense(graph, node, value, weight, None, transposed=False)
    graph.set(node, _quantized(graph, node, dense, 6))


def qgemm(graph: OnnxGraph, node: OnnxNode) -> None:
    """QGemm(a, scale, zero, b, scale, zero, bias, scale, zero)."""
    found = node.attributes
    if found.get("transA", 0) or float(found.get("alpha", 1.0)) != 1.0:
        raise InputError("transA must be 0 and alpha 1")
    value = _dequantized(graph, node, graph.value(node), 1)
    weight, bias = _constant(graph, node, 3, 4), graph.constant(node, 6)
    real = None if bias is None else _bias(bias, graph.needed(node, 1), weight).real
    transposed = bool(found.get("transB", 0))
    dense = add_dense(graph, node, value, weight, real, transposed=transposed)
    graph.set(node, _quantized(graph, node, dense, 7))


def qlinear_add(graph: OnnxGraph, node: OnnxNode) -> None:
    """QLinearAdd(a, scale, zero, b, scale, zero, scale, zero)."""
    values = [_dequantized(graph, node, graph.map(node, place), place + 1) for place in (0, 3)]
    if graph.dims(values[0]) != graph.dims(values[1]):
        raise InputError("adds values of different shapes")
    total = graph.add(node, Add(), tuple(value.name for value in values))
    graph.set(node, _quantized(graph, node, total, 6))


def qlinear_concat(graph: OnnxGraph, node: OnnxNode) -> None:
    """QLinearConcat(scale, zero, then input, scale, zero for each)."""
    if node.attributes.get("axis") not in (1, -3):
        raise InputError("must be along channels, axis 1")
    places = range(2, len(node.inputs), 3)
    values = [_dequantized(graph, node, graph.map(node, place), place + 1) for place in places]
    joined = graph.add(node, Concat(), tuple(value.name for value in values))
    graph.set(node, _quantized(graph, node, joined, 0))


def qlinear_global_average(graph: OnnxGraph, node: OnnxNode) -> None:
    """QLinearGlobalAveragePool(x, scale, zero, scale, zero)."""
    if node.attributes.get("channels_last", 0):
        raise InputError("channels_last must be 0")
    value = _dequantized(graph, node, graph.map(node), 1)
    graph.set(node, _quantized(graph, node, add_global_average(graph, node, value), 3))


def qlinear_average(graph: OnnxGraph, node: OnnxNode) -> None:
    """QLinearAveragePool(x, scale, zero, scale, zero)."""
    if node.attributes.get("channels_last", 0):
        raise InputError("channels_last must be 0")
    value = _dequantized(graph, node, graph.map(node), 1)
    graph.set(node, _quantized(graph, node, add_pool(graph, node, value), 3))


def _scale(graph: OnnxGraph, node: OnnxNode, place: int) -> NDArray[np.float64]:
    scale = graph.needed(node, place).real.astype(np.float64)
    if not (np.isfinite(scale) & (scale > 0)).all():
        raise InputError("has a scale that is not positive")
    return scale


def _zero(graph: OnnxGraph, node: OnnxNode, place: int) -> NDArray[np.generic]:
    found = graph.constant(node, place)
    return np.zeros(1, np.uint8) if found is None else found.real


def _activation(graph: OnnxGraph, node: OnnxNode, place: int) -> TensorQuantization:
    """Give the quantisation whose scale stands in a place, and its zero point behind it."""
    scale, zero = _scale(graph, node, place), _zero(graph, node, place + 1)
    if scale.size != 1 or zero.size != 1:
        raise InputError(f"has {scale.size} scales for an activation, must have one")
    if zero.dtype not in RANGES:
        raise InputError(f"quantises to {zero.dtype}, must be int8, uint8, int16 or uint16")
    return TensorQuantization(float(scale.item()), int(zero.item()), *RANGES[zero.dtype])


def _constant(graph: OnnxGraph, node: OnnxNode, place: int, scale_place: int) -> Constant:
    """Give a quantised constant; its zero point stands behind its scale."""
    raw = graph.needed(node, place).real
    if not np.issubdtype(raw.dtype, np.integer):
        raise InputError(f"dequantises {raw.dtype}, must be integers")
    scale, zero = _scale(graph, node, scale_place), _zero(graph, node, scale_place + 1)
    axis = int(node.attributes.get("axis", 1 if node.kind == "DequantizeLinear" else 0))
    if node.kind == "QLinearMatMul":
        axis = 1
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
    "QLinearSoftmax": host,
    "QuantizeLinear": quantize_linear,
}
"""Operators by name."""
