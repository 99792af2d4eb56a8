"""Test support: .tflite files made in memory and run with LiteRT's reference kernels.

`Tensor` and `Operator` say what is in a file, the functions named after operators say the
operator's options, `tflite_file` writes the bytes, and `run_reference` gives every tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import flatbuffers
import numpy as np
import tflite
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

__all__ = [
    "Operator",
    "Tensor",
    "conv_2d",
    "depthwise_conv_2d",
    "fully_connected",
    "operator",
    "pool_2d",
    "run_reference",
    "tflite_file",
]

SCHEMA_VERSION = 3
FILE_IDENTIFIER = b"TFL3"
TYPES = {
    name: getattr(tflite.TensorType, name.upper())
    for name in ("int8", "uint8", "int16", "int32", "int64", "float32")
}

VERSIONS = {
    **{"FULLY_CONNECTED": 4, "SOFTMAX": 2, "LOGISTIC": 2, "MUL": 2},
    **dict.fromkeys(("EXPAND_DIMS", "RESHAPE", "SQUEEZE"), 1),
    **dict.fromkeys(
        ("CAST", "GATHER", "PACK", "REDUCE_PROD", "SHAPE", "SLICE", "STRIDED_SLICE"), 1
    ),
}
"""Versions of an operator's int8 kernel, where that is not 3; a higher one is refused."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file. With `data` it is a constant; more than one scale is per channel."""

    name: str
    shape: tuple[int, ...]
    scales: NDArray[np.float32]
    zero_point: int = 0
    data: NDArray[np.integer] | None = None
    channel_axis: int = 0
    dtype: str = "int8"


@dataclass(frozen=True)
class Operator:
    """An operator that reads and writes tensors by name; see the functions below."""

    code: int
    options_type: int
    write_options: Callable[[flatbuffers.Builder], int]
    inputs: tuple[str, ...]
    output: str


def operator(
    kind: str, inputs: tuple[str, ...], output: str, table: str, **fields: int
) -> Operator:
    """Give any operator by its name in the schema, with the fields of its table of options."""

    def write(builder: flatbuffers.Builder) -> int:
        getattr(tflite, f"{table}Start")(builder)
        for name, value in fields.items():
            getattr(tflite, f"{table}Add{name}")(builder, value)
        return int(getattr(tflite, f"{table}End")(builder))

    code = getattr(tflite.BuiltinOperator, kind)
    return Operator(code, getattr(tflite.BuiltinOptions, table), write, inputs, output)


def _padding(same: bool) -> int:
    return tflite.Padding.SAME if same else tflite.Padding.VALID


def _activation(relu: bool) -> int:
    kinds = tflite.ActivationFunctionType
    return kinds.RELU if relu else kinds.NONE


def conv_2d(
    inputs: tuple[str, str, str], output: str, stride: tuple[int, int], *, same: bool, relu: bool
) -> Operator:
    """CONV_2D over (input, weight, bias); weight is (out, rows, columns, in / groups)."""

    def write(builder: flatbuffers.Builder) -> int:
        tflite.Conv2DOptionsStart(builder)
        tflite.Conv2DOptionsAddPadding(builder, _padding(same))
        tflite.Conv2DOptionsAddStrideH(builder, stride[0])
        tflite.Conv2DOptionsAddStrideW(builder, stride[1])
        tflite.Conv2DOptionsAddFusedActivationFunction(builder, _activation(relu))
        return int(tflite.Conv2DOptionsEnd(builder))

    return Operator(
        tflite.BuiltinOperator.CONV_2D, tflite.BuiltinOptions.Conv2DOptions, write, inputs, output
    )


def depthwise_conv_2d(
    inputs: tuple[str, str, str],
    output: str,
    stride: tuple[int, int],
    *,
    multiplier: int,
    same: bool,
    relu: bool,
) -> Operator:
    """DEPTHWISE_CONV_2D over (input, weight, bias); weight is (1, rows, columns, out)."""

    def write(builder: flatbuffers.Builder) -> int:
        tflite.DepthwiseConv2DOptionsStart(builder)
        tflite.DepthwiseConv2DOptionsAddPadding(builder, _padding(same))
        tflite.DepthwiseConv2DOptionsAddStrideH(builder, stride[0])
        tflite.DepthwiseConv2DOptionsAddStrideW(builder, stride[1])
        tflite.DepthwiseConv2DOptionsAddDepthMultiplier(builder, multiplier)
        tflite.DepthwiseConv2DOptionsAddFusedActivationFunction(builder, _activation(relu))
        return int(tflite.DepthwiseConv2DOptionsEnd(builder))

    code = tflite.BuiltinOperator.DEPTHWISE_CONV_2D
    options_type = tflite.BuiltinOptions.DepthwiseConv2DOptions
    return Operator(code, options_type, write, inputs, output)


def fully_connected(inputs: tuple[str, str, str], output: str, *, relu: bool) -> Operator:
    """FULLY_CONNECTED over (input, weight, bias); weight is (out, in)."""

    def write(builder: flatbuffers.Builder) -> int:
        tflite.FullyConnectedOptionsStart(builder)
        tflite.FullyConnectedOptionsAddFusedActivationFunction(builder, _activation(relu))
        return int(tflite.FullyConnectedOptionsEnd(builder))

    code = tflite.BuiltinOperator.FULLY_CONNECTED
    return Operator(code, tflite.BuiltinOptions.FullyConnectedOptions, write, inputs, output)


def pool_2d(
    mode: str,
    source: str,
    output: str,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    *,
    same: bool,
) -> Operator:
    """MAX_POOL_2D or AVERAGE_POOL_2D, by `mode`."""

    def write(builder: flatbuffers.Builder) -> int:
        tflite.Pool2DOptionsStart(builder)
        tflite.Pool2DOptionsAddPadding(builder, _padding(same))
        tflite.Pool2DOptionsAddStrideH(builder, stride[0])
        tflite.Pool2DOptionsAddStrideW(builder, stride[1])
        tflite.Pool2DOptionsAddFilterHeight(builder, kernel[0])
        tflite.Pool2DOptionsAddFilterWidth(builder, kernel[1])
        return int(tflite.Pool2DOptionsEnd(builder))

    codes = tflite.BuiltinOperator
    code = codes.MAX_POOL_2D if mode == "max" else codes.AVERAGE_POOL_2D
    return Operator(code, tflite.BuiltinOptions.Pool2DOptions, write, (source,), output)


def tflite_file(
    tensors: Sequence[Tensor], operators: Sequence[Operator], source: str, output: str
) -> bytes:
    """Write a .tflite file with one subgraph from the tensor `source` to the tensor `output`."""
    builder = flatbuffers.Builder(1024)
    index = {tensor.name: position for position, tensor in enumerate(tensors)}
    codes = sorted({operator.code for operator in operators})
    written_tensors = [_tensor(builder, tensor, n) for n, tensor in enumerate(tensors, 1)]
    written_operators = [_operator(builder, op, codes.index(op.code), index) for op in operators]
    subgraph = _subgraph(builder, written_tensors, written_operators, index[source], index[output])
    # By the format's rule buffer 0 is empty; buffer n holds the data of tensor n - 1.
    buffers = [_buffer(builder, None), *(_buffer(builder, tensor.data) for tensor in tensors)]
    all_codes = _offsets(builder, [_operator_code(builder, code) for code in codes])
    all_subgraphs = _offsets(builder, [subgraph])
    all_buffers = _offsets(builder, buffers)
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, SCHEMA_VERSION)
    tflite.ModelAddOperatorCodes(builder, all_codes)
    tflite.ModelAddSubgraphs(builder, all_subgraphs)
    tflite.ModelAddBuffers(builder, all_buffers)
    builder.Finish(tflite.ModelEnd(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


def run_reference(file: bytes, values: NDArray[np.generic]) -> Mapping[str, NDArray[np.integer]]:
    """Run a file on `values` with the reference kernels; give every tensor by name."""
    interpreter = Interpreter(
        model_content=file,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
        num_threads=1,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    return {
        detail["name"]: interpreter.get_tensor(detail["index"])
        for detail in interpreter.get_tensor_details()
        if detail["name"]
    }


def _offsets(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _integers(builder: flatbuffers.Builder, values: Sequence[int]) -> int:
    return int(builder.CreateNumpyVector(np.array(values, np.int32)))


def _buffer(builder: flatbuffers.Builder, data: NDArray[np.integer] | None) -> int:
    content = None
    if data is not None:
        raw = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
        builder.StartVector(1, len(raw), 16)
        builder.head -= len(raw)
        builder.Bytes[builder.head : builder.head + len(raw)] = raw.tobytes()
        content = builder.EndVector()
    tflite.BufferStart(builder)
    if content is not None:
        tflite.BufferAddData(builder, content)
    return int(tflite.BufferEnd(builder))


def _tensor(builder: flatbuffers.Builder, tensor: Tensor, buffer: int) -> int:
    scales = builder.CreateNumpyVector(tensor.scales.astype(np.float32))
    zero_points = np.full(len(tensor.scales), tensor.zero_point, np.int64)
    zeros = builder.CreateNumpyVector(zero_points)
    tflite.QuantizationParametersStart(builder)
    tflite.QuantizationParametersAddScale(builder, scales)
    tflite.QuantizationParametersAddZeroPoint(builder, zeros)
    tflite.QuantizationParametersAddQuantizedDimension(builder, tensor.channel_axis)
    quantization = tflite.QuantizationParametersEnd(builder)
    shape = _integers(builder, tensor.shape)
    name = builder.CreateString(tensor.name)
    dtype = tensor.dtype if tensor.data is None else tensor.data.dtype.name
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, shape)
    tflite.TensorAddType(builder, TYPES[dtype])
    tflite.TensorAddBuffer(builder, buffer)
    tflite.TensorAddName(builder, name)
    tflite.TensorAddQuantization(builder, quantization)
    return int(tflite.TensorEnd(builder))


def _operator(
    builder: flatbuffers.Builder, operator: Operator, code_index: int, index: Mapping[str, int]
) -> int:
    inputs = _integers(builder, [index[name] for name in operator.inputs])
    outputs = _integers(builder, [index[operator.output]])
    options = operator.write_options(builder)
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, code_index)
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    tflite.OperatorAddBuiltinOptionsType(builder, operator.options_type)
    tflite.OperatorAddBuiltinOptions(builder, options)
    return int(tflite.OperatorEnd(builder))


def _operator_code(builder: flatbuffers.Builder, code: int) -> int:
    versions = {getattr(tflite.BuiltinOperator, kind): v for kind, v in VERSIONS.items()}
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(code, 127))
    tflite.OperatorCodeAddBuiltinCode(builder, code)
    tflite.OperatorCodeAddVersion(builder, versions.get(code, 3))
    return int(tflite.OperatorCodeEnd(builder))


def _subgraph(
    builder: flatbuffers.Builder,
    tensors: Sequence[int],
    operators: Sequence[int],
    source: int,
    output: int,
) -> int:
    all_tensors = _offsets(builder, tensors)
    all_operators = _offsets(builder, operators)
    inputs = _integers(builder, [source])
    outputs = _integers(builder, [output])
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, all_tensors)
    tflite.SubGraphAddInputs(builder, inputs)
    tflite.SubGraphAddOutputs(builder, outputs)
    tflite.SubGraphAddOperators(builder, all_operators)
    return int(tflite.SubGraphEnd(builder))
