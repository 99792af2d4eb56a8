"""Which operators of .onnx files are known, with every attribute and the inputs of each.

What is not in this table is refused: an attribute that nobody reads may change what is computed.
Source: the ONNX operator specification, that of ONNX Runtime's contributed operators, and that of
QONNX.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pilaster.base.errors import InputError
from pilaster.models.importers.onnx_file import OnnxNode

__all__ = ["check_node"]

ONNX = ("", "ai.onnx")
MICROSOFT = ("com.microsoft",)
QONNX = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")

READ = None
"""Of an attribute whose operator reads it."""

Permitted = tuple[Any, ...] | None


@dataclass(frozen=True)
class _Known:
    """An operator.

    Attributes
    ----------
    inputs : most inputs; None for any number
    attributes : values that each may have, by name
    """

    domains: tuple[str, ...]
    inputs: int | None
    attributes: Mapping[str, Permitted] = field(default_factory=lambda: MappingProxyType({}))


WINDOW: Mapping[str, Permitted] = {
    "auto_pad": READ,
    "dilations": READ,
    "kernel_shape": READ,
    "pads": READ,
    "strides": READ,
}
CONV = {**WINDOW, "group": READ}
POOL = {**WINDOW, "ceil_mode": (0, 1)}
AVERAGE = {**POOL, "count_include_pad": READ}
CHANNELS_FIRST: Mapping[str, Permitted] = {"channels_last": (0,)}
OLD: Mapping[str, Permitted] = {"consumed_inputs": READ}
QUANTIZED: Mapping[str, Permitted] = {
    "axis": READ,
    "block_size": (0,),
    "output_dtype": READ,
    "precision": (0, 1),
    "saturate": (0, 1),
}
QUANT: Mapping[str, Permitted] = {"narrow": (0, 1), "rounding_mode": READ, "signed": (0, 1)}

KNOWN: Mapping[str, _Known] = {
    "Add": _Known(ONNX, 2, OLD),
    "ArgMax": _Known(ONNX, 1, {"axis": READ, "keepdims": (0, 1), "select_last_index": (0,)}),
    "AveragePool": _Known(ONNX, 1, AVERAGE),
    "BatchNormalization": _Known(
        ONNX,
        5,
        {
            "epsilon": READ,
            "is_test": (1,),
            "momentum": READ,
            "spatial": (1,),
            "training_mode": (0,),
            **OLD,
        },
    ),
    "Cast": _Known(ONNX, 1, {"round_mode": READ, "saturate": (0, 1), "to": READ}),
    "BipolarQuant": _Known(QONNX, 2),
    "Clip": _Known(ONNX, 3, {"max": READ, "min": READ, **OLD}),
    "Concat": _Known(ONNX, None, {"axis": READ}),
    "Constant": _Known(
        ONNX,
        0,
        dict.fromkeys(("value", "value_float", "value_floats", "value_int", "value_ints"), READ),
    ),
    "ConstantOfShape": _Known(ONNX, 1, {"value": READ}),
    "Conv": _Known(ONNX, 3, CONV),
    "DequantizeLinear": _Known(
        ONNX + MICROSOFT, 3, {"axis": READ, "block_size": (0,), "output_dtype": (0, 1)}
    ),
    "Div": _Known(ONNX, 2, OLD),
    "Dropout": _Known(ONNX, 3, {"is_test": (1,), "ratio": READ, "seed": READ, **OLD}),
    "Flatten": _Known(ONNX, 1, {"axis": READ}),
    "Gemm": _Known(ONNX, 3, {"alpha": READ, "beta": READ, "transA": (0,), "transB": (0, 1)}),
    "GlobalAveragePool": _Known(ONNX, 1),
    "Identity": _Known(ONNX, 1),
    "IntQuant": _Known(QONNX, 4, QUANT),
    "LogSoftmax": _Known(ONNX, 1, {"axis": READ}),
    "MatMul": _Known(ONNX, 2),
    "Max": _Known(ONNX, None, OLD),
    "MaxPool": _Known(ONNX, 1, {**POOL, "storage_order": (0, 1)}),
    "Min": _Known(ONNX, None, OLD),
    "Mul": _Known(ONNX, 2, OLD),
    "Pad": _Known(ONNX, 4, {"mode": ("constant",), "pads": READ, "value": READ}),
    "QGemm": _Known(MICROSOFT, 9, {"alpha": (1.0,), "transA": (0,), "transB": (0, 1)}),
    "QLinearAdd": _Known(MICROSOFT, 8),
    "QLinearAveragePool": _Known(MICROSOFT, 5, {**AVERAGE, **CHANNELS_FIRST}),
    "QLinearConcat": _Known(MICROSOFT, None, {"axis": READ}),
    "QLinearConv": _Known(ONNX + MICROSOFT, 9, {**CONV, **CHANNELS_FIRST}),
    "QLinearGlobalAveragePool": _Known(MICROSOFT, 5, CHANNELS_FIRST),
    "QLinearMatMul": _Known(ONNX + MICROSOFT, 8),
    "QLinearSigmoid": _Known(MICROSOFT, 5),
    "QLinearSoftmax": _Known(MICROSOFT, 5, {"axis": READ, "opset": READ}),
    "Quant": _Known(QONNX, 4, QUANT),
    "QuantizeLinear": _Known(ONNX + MICROSOFT, 3, QUANTIZED),
    "ReduceMean": _Known(
        ONNX, 2, {"axes": READ, "keepdims": (0, 1), "noop_with_empty_axes": (0, 1)}
    ),
    "Relu": _Known(ONNX, 1, OLD),
    "Reshape": _Known(ONNX, 2, {"allowzero": READ, "shape": READ, **OLD}),
    "Resize": _Known(
        ONNX,
        4,
        {
            "antialias": (0,),
            "axes": READ,
            "coordinate_transformation_mode": READ,
            "cubic_coeff_a": READ,
            "exclude_outside": (0, 1),
            "extrapolation_value": READ,
            "keep_aspect_ratio_policy": ("stretch",),
            "mode": READ,
            "nearest_mode": READ,
        },
    ),
    "Shape": _Known(ONNX, 1, {"end": READ, "start": READ}),
    "Sigmoid": _Known(ONNX, 1, OLD),
    "Softmax": _Known(ONNX, 1, {"axis": READ}),
    "Squeeze": _Known(ONNX, 2, {"axes": READ}),
    "Sub": _Known(ONNX, 2, OLD),
    "Sum": _Known(ONNX, None, OLD),
    "Transpose": _Known(ONNX, 1, {"perm": READ}),
    "Unsqueeze": _Known(ONNX, 2, {"axes": READ}),
    "Upsample": _Known(ONNX, 2, {"mode": READ, "scales": READ}),
}
"""Operators by name."""


def check_node(node: OnnxNode) -> None:
    """Check that all that a node says is known here.

    Raises
    ------
    InputError
        If it is not, or has a value that is not supported.
    """
    known = KNOWN[node.kind]
    if node.domain not in known.domains:
        raise InputError(f"is of the domain {node.domain!r}, must be of {known.domains[0]!r}")
    for name, value in node.attributes.items():
        if name not in known.attributes:
            names = ", ".join(sorted(known.attributes)) or "none"
            raise InputError(f"attribute {name}: is not known here; known are {names}")
        permitted = known.attributes[name]
        if permitted is not None and value not in permitted:
            listed = " or ".join(map(str, permitted))
            raise InputError(f"attribute {name}: {value} is not supported, must be {listed}")
    inputs = [index for index, name in enumerate(node.inputs) if name]
    if known.inputs is not None and inputs and inputs[-1] >= known.inputs:
        raise InputError(f"has {inputs[-1] + 1} inputs; known are {known.inputs} at most")
