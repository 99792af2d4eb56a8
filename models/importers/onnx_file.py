"""An .onnx file as plain data, with one error for whatever may be wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError

__all__ = ["MOST_ELEMENTS", "OnnxModel", "OnnxNode", "read_onnx"]

MOST_ELEMENTS = 1 << 28
"""Of any tensor: more would not fit in memory when computed."""

DOMAINS = (
    *("", "ai.onnx", "com.microsoft"),
    *("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general"),
)
"""Of operators that go by their names alone."""

MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    TypeError,
    ValueError,
)
"""What `onnx` raises at numbers that do not fit together."""


@dataclass(frozen=True)
class OnnxNode:
    """An operator.

    Attributes
    ----------
    name : the file's, of letters, digits and underscores, and unlike any other
    inputs, outputs : names of tensors; empty where an optional one is left out
    attributes : numbers, tuples, texts and arrays by name
    domain : of the operator, by which its name has a meaning
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    domain: str = ""


@dataclass(frozen=True)
class OnnxModel:
    """The graph of a file.

    Attributes
    ----------
    constants : initializers, by tensor name
    source, target : name of the one input that is no constant, and of the one output
    shape : of the input, -1 where a size is dynamic
    dtype : of the input
    opset : version of ONNX' own operators
    """

    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, NDArray[Any]]
    source: str
    target: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    opset: int


def read_onnx(path: Path) -> OnnxModel:
    """Read a file.

    Raises
    ------
    InputError
        If the file cannot be read or is none, or has several inputs or outputs.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise InputError("an .onnx file needs onnx: pip install 'pilaster[import]'") from error
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return _model(onnx, onnx.load_model_from_string(content))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except DecodeError as error:
        raise InputError(f"{path}: not an .onnx file, or cut short; export it anew") from error
    except MALFORMED as error:
        raise InputError(f"{path}: damaged; export it anew") from error


def _model(onnx: Any, model: Any) -> OnnxModel:
    graph = model.graph
    if not graph.node:
        raise InputError("has no operators")
    if model.functions or graph.sparse_initializer:
        raise InputError("has functions or sparse tensors of its own; export it without")
    constants = {tensor.name: _array(onnx, tensor) for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise InputError(
            f"has {len(inputs)} inputs and {len(graph.output)} outputs, must have one of each"
        )
    tensor = inputs[0].type.tensor_type
    shape = tuple(
        d.dim_value if d.WhichOneof("value") == "dim_value" else -1 for d in tensor.shape.dim
    )
    if np.prod([float(max(1, size)) for size in shape]) > MOST_ELEMENTS:
        raise InputError(f"input {inputs[0].name}: the shape {shape} is too large")
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    nodes, taken = [], {"input"}
    for index, node in enumerate(graph.node):
        name = re.sub(r"\W+", "_", node.name, flags=re.ASCII).strip("_")
        if not name or name[0].isdigit() or name in taken:
            name = f"{name or node.op_type}_{index}"
            name = name if name[0].isalpha() else f"n{name}"
        taken.add(name)
        kind = node.op_type
        if node.domain not in DOMAINS:
            kind = f"{node.domain}.{kind}"
        attributes = {a.name: _attribute(onnx, a) for a in node.attribute}
        outputs = tuple(node.output)
        found = MappingProxyType(attributes)
        nodes.append(OnnxNode(name, kind, tuple(node.input), outputs, found, node.domain))
    return OnnxModel(
        tuple(nodes),
        MappingProxyType(constants),
        inputs[0].name,
        graph.output[0].name,
        shape,
        dtype,
        next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1),
    )


def _attribute(onnx: Any, attribute: Any) -> Any:
    kinds = onnx.AttributeProto
    if attribute.type in (kinds.GRAPH, kinds.GRAPHS, kinds.SPARSE_TENSOR, kinds.TYPE_PROTO):
        return None  # of operators that are not supported
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if attribute.type == kinds.TENSOR:
        return _array(onnx, value)
    if isinstance(value, int | float | str):
        return value
    return tuple(value)


def _array(onnx: Any, tensor: Any) -> NDArray[Any]:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise InputError(
            f"tensor {tensor.name} is in another file; save the model with its data inside"
        )
    if np.prod([float(size) for size in tensor.dims]) > MOST_ELEMENTS:
        raise InputError(f"tensor {tensor.name}: the shape {tuple(tensor.dims)} is too large")
    found: NDArray[Any] = onnx.numpy_helper.to_array(tensor)
    return found
