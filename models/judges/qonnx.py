"""QONNX' quantizers written out in operators of ONNX, which ONNX Runtime has.

Source: the operator definitions of QONNX, https://github.com/fastmachinelearning/qonnx: a value is
divided by the scale, the zero point is added, the sum is clipped to the range and then rounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["without_quantizers"]

DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")

ROUNDINGS: Mapping[str, tuple[str, float | None]] = {
    "ROUND": ("Round", None),
    "HALF_EVEN": ("Round", None),
    "CEIL": ("Ceil", None),
    "FLOOR": ("Floor", None),
    "UP": ("Ceil", 0.0),
    "DOWN": ("Floor", 0.0),
    "ROUND_TO_ZERO": ("Floor", 0.0),
    "HALF_UP": ("Floor", 0.5),
    "HALF_DOWN": ("Ceil", -0.5),
}
"""By rounding mode: an operator, and what is added to magnitudes where it rounds these."""


def without_quantizers(model: Any) -> Any:
    """Give an ONNX model with Quant, IntQuant and BipolarQuant in operators of ONNX.

    A quantizer that ONNX has no operators for stays: the runtime will say so.
    """
    import onnx

    if all(node.domain not in DOMAINS for node in model.graph.node):
        return model
    found = onnx.ModelProto()
    found.CopyFrom(model)
    del found.graph.node[:]
    writer = _Writer(found.graph, _constants(model))
    for node in model.graph.node:
        writer.write(node)
    return found


def _constants(model: Any) -> dict[str, NDArray[Any]]:
    from onnx import helper, numpy_helper

    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and len(node.attribute) == 1:
            value = helper.get_attribute_value(node.attribute[0])
            is_tensor = node.attribute[0].name == "value"
            found[node.output[0]] = numpy_helper.to_array(value) if is_tensor else np.asarray(value)
    return found


class _Writer:
    """Writes operators into a graph, with constants of its own."""

    def __init__(self, graph: Any, constants: Mapping[str, NDArray[Any]]) -> None:
        self._graph = graph
        self._constants = constants
        self._made = 0

    def write(self, node: Any) -> None:
        """Write a node, or the operators of a quantizer that it is."""
        if node.domain in DOMAINS and node.op_type == "BipolarQuant":
            source, scale = node.input
            self._make("Mul", self._sign(source), scale, output=node.output[0])
        elif node.domain in DOMAINS and node.op_type in ("Quant", "IntQuant"):
            self._write_quantizer(node)
        else:
            self._graph.node.append(node)

    def _write_quantizer(self, node: Any) -> None:
        from onnx import helper

        source, scale, zero, bits = node.input
        stated = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        mode = stated.get("rounding_mode", b"ROUND").decode().upper()
        width = self._constants.get(bits)
        if mode not in ROUNDINGS or width is None or width.size != 1:
            self._graph.node.append(node)
            return
        signed, narrow = (bool(stated.get(name, 1)) for name in ("signed", "narrow"))
        value = self._make("Add", self._make("Div", source, scale), zero)
        if signed and float(width.item()) == 1:
            value = self._sign(value)
        else:
            least, largest = _range(float(width.item()), signed, narrow)
            value = self._make("Min", value, self._number(largest))
            value = self._make("Max", value, self._number(least))
            value = self._rounded(value, *ROUNDINGS[mode])
        self._make("Mul", self._make("Sub", value, zero), scale, output=node.output[0])

    def _rounded(self, value: str, kind: str, added: float | None) -> str:
        if added is None:
            return self._make(kind, value)
        magnitude = self._make("Add", self._make("Abs", value), self._number(added))
        return self._make("Mul", self._make("Sign", value), self._make(kind, magnitude))

    def _sign(self, value: str) -> str:
        """-1 below zero, else 1."""
        negative = self._make("Less", value, self._number(0.0))
        return self._make("Where", negative, self._number(-1.0), self._number(1.0))

    def _make(self, kind: str, *inputs: str, output: str = "") -> str:
        from onnx import helper

        self._made += 1
        output = output or f"quantizer/{self._made}"
        self._graph.node.append(helper.make_node(kind, inputs, [output]))
        return output

    def _number(self, value: float) -> str:
        from onnx import numpy_helper

        name = f"quantizer/number/{value}"
        if all(tensor.name != name for tensor in self._graph.initializer):
            array = np.array(value, np.float32)
            self._graph.initializer.append(numpy_helper.from_array(array, name))
        return name


def _range(bits: float, signed: bool, narrow: bool) -> tuple[float, float]:
    """Least and largest integer."""
    if signed:
        half = 2.0 ** (bits - 1)
        return narrow - half, half - 1
    return 0.0, 2.0**bits - 1 - narrow
