"""A .tflite file as plain data, read so that no content of the file can do harm.

Source: the TensorFlow Lite schema (FlatBuffers), as the package `tflite` has it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError

__all__ = ["MOST_ELEMENTS", "NUMBERS", "Operator", "TensorInfo", "TfliteModel", "read_tflite"]

IDENTIFIER = b"TFL3"

MOST_ELEMENTS = 1 << 28
"""Of any tensor: more would not fit in memory when computed."""

MOST_AXES = 8

MOST_INDICES = 1 << 12
"""Of the tensors that one operator reads or writes."""

MALFORMED = (
    struct.error,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)
"""What the FlatBuffers reader raises where offsets or lengths lead nowhere."""

FUSED = "FusedActivationFunction"

STEPS = ("Padding", "StrideH", "StrideW", FUSED)

POOL = ("Pool2DOptions", (*STEPS, "FilterHeight", "FilterWidth"))

DILATION = ("DilationHFactor", "DilationWFactor")

REDUCER = ("ReducerOptions", ("KeepDims",))

MASKS = ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask")

OPTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "ADD": ("AddOptions", (FUSED,)),
    "AVERAGE_POOL_2D": POOL,
    "CONCATENATION": ("ConcatenationOptions", ("Axis", FUSED)),
    "CONV_2D": ("Conv2DOptions", (*STEPS, *DILATION)),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", (*STEPS, *DILATION)),
    "FULLY_CONNECTED": ("FullyConnectedOptions", ("WeightsFormat", "KeepNumDims", FUSED)),
    "GATHER": ("GatherOptions", ("Axis", "BatchDims")),
    "MAX_POOL_2D": POOL,
    "MEAN": REDUCER,
    "MUL": ("MulOptions", (FUSED,)),
    "PACK": ("PackOptions", ("Axis",)),
    "REDUCE_MAX": REDUCER,
    "REDUCE_MIN": REDUCER,
    "REDUCE_PROD": REDUCER,
    "RESIZE_NEAREST_NEIGHBOR": (
        "ResizeNearestNeighborOptions",
        ("AlignCorners", "HalfPixelCenters"),
    ),
    "SOFTMAX": ("SoftmaxOptions", ("Beta",)),
    "STRIDED_SLICE": ("StridedSliceOptions", MASKS),
    "SUB": ("SubOptions", (FUSED,)),
    "SUM": REDUCER,
    "UNPACK": ("UnpackOptions", ("Axis",)),
}
"""Options read, by operator: their table, and its fields."""

INT32 = 2
"""Of the schema's types."""

PERMITTED: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "CONV_2D": {"QuantizedBiasType": (0, INT32)},
    "FULLY_CONNECTED": {"AsymmetricQuantizeInputs": (0, 1), "QuantizedBiasType": (0, INT32)},
    "ADD": {"PotScaleInt16": (0, 1)},
    "SUB": {"PotScaleInt16": (0, 1)},
    "DEPTHWISE_CONV_2D": {"DepthMultiplier": tuple(range(1 << 10))},
}
"""Options that say nothing of int8, or what shapes say too, and the values that they may have."""


NUMBERS: Mapping[str, type[np.generic]] = {
    "BOOL": np.bool_,
    "FLOAT32": np.float32,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "INT8": np.int8,
    "UINT8": np.uint8,
}
"""Types of constants that are understood."""


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of the file.

    Attributes
    ----------
    shape : sizes, -1 where a size is dynamic
    dtype : name of the type in the schema, such as INT8
    axis : of the scales, where there are several
    data : of a constant; None where the tensor is computed
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int
    data: NDArray[np.generic] | None


@dataclass(frozen=True)
class Operator:
    """An operator: its place in the file, its kind, and the tensors it reads and writes.

    Attributes
    ----------
    inputs : indices of tensors, -1 where an optional one is left out
    options : by the schema's field names
    """

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, int]


@dataclass(frozen=True)
class TfliteModel:
    """The one graph of a file, all indices within range."""

    tensors: tuple[TensorInfo, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_tflite(path: Path) -> TfliteModel:
    """Read a file.

    Raises
    ------
    InputError
        If the file cannot be read or is none, or has what this reader does not know.
    """
    try:
        import tflite
    except ImportError as error:
        raise InputError("a .tflite file needs tflite: pip install 'pilaster[import]'") from error
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if content[4:8] != IDENTIFIER:
        raise InputError(f"{path}: not a .tflite file (no TFL3 at byte 4); give one, or an .onnx")
    try:
        return _model(tflite, content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except MALFORMED as error:
        raise InputError(f"{path}: damaged or cut short; export it anew") from error


def _model(tflite: Any, content: bytes) -> TfliteModel:
    model = tflite.Model.GetRootAs(content, 0)
    if model.SubgraphsLength() != 1:
        raise InputError(f"has {model.SubgraphsLength()} subgraphs, must have one")
    graph = model.Subgraphs(0)
    dtypes, kinds = _names(tflite.TensorType), _names(tflite.BuiltinOperator)
    tensors = tuple(
        _tensor(model, graph.Tensors(index), dtypes) for index in range(graph.TensorsLength())
    )
    operators = tuple(
        _operator(tflite, model, graph.Operators(index), index, kinds, len(tensors))
        for index in range(graph.OperatorsLength())
    )
    inputs = _indices(graph.InputsLength(), graph.Inputs, len(tensors))
    outputs = _indices(graph.OutputsLength(), graph.Outputs, len(tensors))
    return TfliteModel(tensors, operators, inputs, outputs)


def _names(enumeration: Any) -> Mapping[int, str]:
    return {value: name for name, value in vars(enumeration).items() if name[0] != "_"}


def _indices(length: int, get: Callable[[int], int], count: int) -> tuple[int, ...]:
    if length > MOST_INDICES:
        raise ValueError("more tensors than any operator has")
    found = tuple(int(get(i)) for i in range(length))
    if any(not -1 <= index < count for index in found):
        raise ValueError("a tensor that is not there")
    return found


def _tensor(model: Any, tensor: Any, dtypes: Mapping[int, str]) -> TensorInfo:
    name = (tensor.Name() or b"").decode(errors="replace")
    dtype = dtypes[tensor.Type()]
    if max(tensor.ShapeLength(), tensor.ShapeSignatureLength()) > MOST_AXES:
        raise InputError(f"tensor {name}: has more than {MOST_AXES} axes")
    shape = tuple(int(tensor.Shape(i)) for i in range(tensor.ShapeLength()))
    signature = tuple(int(tensor.ShapeSignature(i)) for i in range(tensor.ShapeSignatureLength()))
    if signature and len(signature) == len(shape):
        shape = tuple(-1 if s < 0 else size for size, s in zip(shape, signature, strict=True))
    elements = 1
    for size in shape:
        elements *= max(1, size)
    if elements > MOST_ELEMENTS:
        raise InputError(f"tensor {name}: the shape {shape} is too large")
    if tensor.Sparsity() is not None:
        raise InputError(f"tensor {name}: sparse storage is not supported; export it dense")
    scales, zero_points, axis = np.zeros(0, np.float32), np.zeros(0, np.int64), 0
    quantization = tensor.Quantization()
    if quantization is not None:
        scales = _vector(quantization.ScaleLength(), quantization.ScaleAsNumpy, scales)
        zeros = _vector(quantization.ZeroPointLength(), quantization.ZeroPointAsNumpy, zero_points)
        zero_points, axis = zeros, int(quantization.QuantizedDimension())
    return TensorInfo(name, shape, dtype, scales, zero_points, axis, _data(model, tensor, dtype))


def _vector(length: int, get: Callable[[], Any], empty: NDArray[Any]) -> NDArray[Any]:
    return np.array(get(), empty.dtype) if length else empty


def _data(model: Any, tensor: Any, dtype: str) -> NDArray[np.generic] | None:
    number = tensor.Buffer()
    if not 0 <= number < model.BuffersLength():
        raise ValueError("a buffer that is not there")
    buffer = model.Buffers(number)
    if buffer.DataLength() == 0:
        if buffer.Offset() > 1:
            raise InputError("weights outside the FlatBuffer are not supported")
        return None
    raw: NDArray[np.generic] = buffer.DataAsNumpy()  # not a copy
    return raw.view(NUMBERS[dtype]) if dtype in NUMBERS else raw


def _operator(
    tflite: Any, model: Any, operator: Any, index: int, kinds: Mapping[int, str], tensors: int
) -> Operator:
    number = operator.OpcodeIndex()
    if not 0 <= number < model.OperatorCodesLength():
        raise ValueError("an operator code that is not there")
    code = model.OperatorCodes(number)
    # Codes that fit a byte stand in the deprecated field of older files.
    value = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    kind = kinds.get(value, f"operator {value}")
    if kind == "CUSTOM":
        kind = f"CUSTOM {(code.CustomCode() or b'').decode(errors='replace')}"
    options = {}
    if kind in OPTIONS:
        table_name, fields = OPTIONS[kind]
        found = operator.BuiltinOptions()
        if found is None:
            raise InputError(f"operator {index} {kind}: has no options")
        if operator.BuiltinOptionsType() != getattr(tflite.BuiltinOptions, table_name):
            raise InputError(f"operator {index} {kind}: has options of another operator")
        table = getattr(tflite, table_name)()
        table.Init(found.Bytes, found.Pos)
        _check_known(tflite, table_name, found, f"operator {index} {kind}")
        options = {field: _number(getattr(table, field)()) for field in fields}
        for field, values in PERMITTED.get(kind, {}).items():
            value = int(getattr(table, field)())
            if value not in values:
                raise InputError(f"operator {index} {kind}: {field} {value} is not supported")
    return Operator(
        index,
        kind,
        _indices(operator.InputsLength(), operator.Inputs, tensors),
        _indices(operator.OutputsLength(), operator.Outputs, tensors),
        MappingProxyType(options),
    )


def _number(value: float) -> int:
    """Give a whole option as it is, and the sign of a real one."""
    return int(np.sign(value)) if isinstance(value, float) else int(value)


class _Fields:
    """Takes the place of a builder, to learn how many fields a table has."""

    count = 0

    def StartObject(self, count: int) -> None:  # noqa: N802, the builder's name
        self.count = count


def _check_known(tflite: Any, table_name: str, found: Any, where: str) -> None:
    """Check that a table has no field that the schema does not know; it may change the result."""
    fields = _Fields()
    getattr(tflite, f"{table_name}Start")(fields)
    start = found.Pos - struct.unpack_from("<i", found.Bytes, found.Pos)[0]
    (size,) = struct.unpack_from("<H", found.Bytes, start)
    places = struct.unpack_from(f"<{(size - 4) // 2}H", found.Bytes, start + 4)
    if any(places[fields.count :]):
        raise InputError(f"{where}: has options that are newer than the schema known here")
