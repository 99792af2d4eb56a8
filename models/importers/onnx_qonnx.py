"""Operators of QONNX, whose quantizers have any number of bits: Quant and BipolarQuant.

Source: the operator definitions of QONNX, https://github.com/fastmachinelearning/qonnx, which
Brevitas and others export. A quantizer of a constant gives weights their integers; one of an
activation states its scale and range.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.importers.onnx_file import OnnxNode
from pilaster.models.importers.onnx_graph import Constant, OnnxGraph
from pilaster.models.importers.onnx_operators import Handler
from pilaster.models.importers.steps import Quantizer
from pilaster.models.quantization import Rounding, TensorQuantization
from pilaster.models.quantizer import MOST_BITS

__all__ = ["QONNX"]

Floats = NDArray[np.float64]

ROUNDINGS: Mapping[str, np.ufunc] = {
    "ROUND": np.rint,
    "HALF_EVEN": np.rint,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "DOWN": np.trunc,
    "ROUND_TO_ZERO": np.trunc,
}
"""Of constants; activations are rounded to the nearest."""

NEAREST = ("ROUND", "HALF_EVEN", "HALF_UP")


def quant(graph: OnnxGraph, node: OnnxNode) -> None:
    """Quant(x, scale, zero point, bits), with whether it is signed and its range narrow."""
    scale, zero = _scale(graph, node), graph.needed(node, 2).real.astype(np.float64)
    minimum, maximum = _range(graph, node)
    rounding = str(node.attributes.get("rounding_mode", "ROUND")).upper()
    if not (zero == np.rint(zero)).all():
        raise InputError("has a zero point that is no whole number")
    if graph.is_constant(node, 0):
        real = graph.needed(node, 0).real.astype(np.float64)
        if minimum == maximum:
            _give(graph, node, np.where(real / scale + zero >= 0, 1.0, -1.0), scale)
            return
        if rounding not in ROUNDINGS:
            raise InputError(f"rounding_mode {rounding}: must be {', '.join(ROUNDINGS)}")
        bounded = np.clip(real / scale + zero, minimum, maximum)
        _give(graph, node, ROUNDINGS[rounding](bounded) - zero, scale)
        return
    if minimum == maximum:
        raise InputError(ONE_BIT)
    if rounding not in NEAREST:
        raise InputError(f"rounding_mode {rounding}: an activation's must be ROUND")
    if scale.size != 1 or zero.size != 1:
        raise InputError(f"has {scale.size} scales for an activation, must have one")
    if not minimum <= zero.item() <= maximum:
        raise InputError(f"the zero point {zero.item():g} must lie in [{minimum}, {maximum}]")
    tensor = TensorQuantization(float(scale.item()), int(zero.item()), minimum, maximum)
    quantizer = Quantizer(tensor).of_raw()
    if rounding == "HALF_UP":  # away from zero, which is up where nothing is below it
        if zero.item() or minimum < 0:
            raise InputError("rounding_mode HALF_UP: of integers below zero is not supported")
        quantizer = Quantizer(tensor, Rounding.ONCE)
    graph.set(node, graph.change(node, graph.real(node), quantizer))


def bipolar_quant(graph: OnnxGraph, node: OnnxNode) -> None:
    """BipolarQuant(x, scale): -1 or +1 times the scale."""
    scale = _scale(graph, node)
    if not graph.is_constant(node, 0):
        raise InputError(ONE_BIT)
    _give(graph, node, np.where(graph.needed(node, 0).real >= 0, 1.0, -1.0), scale)


ONE_BIT = "gives an activation the values -1 and +1; only weights may have these"


def _scale(graph: OnnxGraph, node: OnnxNode) -> Floats:
    scale = graph.needed(node, 1).real.astype(np.float64)
    if not (np.isfinite(scale) & (scale > 0)).all():
        raise InputError("has a scale that is not positive")
    return scale


def _range(graph: OnnxGraph, node: OnnxNode) -> tuple[int, int]:
    """Give the least and the largest integer; equal for one signed bit, which is -1 or +1."""
    stated = graph.needed(node, 3).real.astype(np.float64)
    bits = stated.item() if stated.size == 1 else 0.0
    if not 1 <= bits <= MOST_BITS or bits != int(bits):
        raise InputError(f"quantizes to {stated} bits, must be one number from 1 to {MOST_BITS}")
    signed, narrow = (bool(node.attributes.get(name, 1)) for name in ("signed", "narrow"))
    if signed and bits == 1:
        return 0, 0
    if signed:
        half = 1 << (int(bits) - 1)
        return narrow - half, half - 1
    return 0, (1 << int(bits)) - 1 - narrow


def _give(graph: OnnxGraph, node: OnnxNode, integers: Floats, scale: Floats) -> None:
    """Make a quantized constant of integers, whose scale is one or runs along one axis."""
    if not np.isfinite(integers).all():
        raise InputError("quantizes what is not finite")
    shape = (1,) * (integers.ndim - scale.ndim) + scale.shape
    axes = [axis for axis, size in enumerate(shape) if size > 1]
    if len(shape) != integers.ndim or len(axes) > 1:
        raise InputError(f"has scales of the shape {scale.shape}; they may run along one axis")
    whole = integers.astype(np.int64)
    axis = axes[0] if axes else 0
    graph.give(node, Constant(integers * scale, whole, scale.ravel(), axis))


QONNX: Mapping[str, Handler] = {
    "BipolarQuant": bipolar_quant,
    "IntQuant": quant,
    "Quant": quant,
}
"""Operators by name."""
