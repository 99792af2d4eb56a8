"""Bad files: one line that names the file and what is wrong; never a crash, hang or traceback."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from pilaster.base.errors import InputError
from pilaster.models.importers import import_network
from tests.models import tflite_file as file
from tests.models.importers.mutations import mutated
from tests.models.importers.onnx_writer import OnnxWriter, quantized
from tests.models.importers.qonnx_writer import QonnxWriter, network, saved
from tests.models.importers.tflite_writer import INPUT, RELU6, TfliteWriter

SLOWEST_SECONDS = 5.0


def tflite() -> TfliteWriter:
    """Write a file with every kind of operator."""
    writer = TfliteWriter((8, 7, 3), 1)
    first = writer.conv(writer.pad(INPUT, (0, 1), (1, 1)), 4, (3, 3), (2, 2), same=False)
    second = writer.depthwise(first, 1, (3, 3), fused=RELU6)
    total = writer.add(first, second)
    pooled = writer.pool("average", writer.concat([second, second]), (2, 2), (1, 1), same=True)
    writer.add(writer.conv(pooled, 4), total)
    last = writer.mean(writer.operators[-1].output)
    writer.softmax(writer.fully_connected(writer.flatten(last), 3))
    return writer


def refusal(path: Path, calibration: np.ndarray | None = None) -> str | None:
    """Import a file: give the error's line, or None."""
    start = time.monotonic()
    try:
        import_network(path, calibration)
    except InputError as error:
        line = str(error)
        assert line.startswith(str(path))
        assert "\n" not in line
        return line
    finally:
        assert time.monotonic() - start < SLOWEST_SECONDS
    return None


def fuzz(
    content: bytes, suffix: str, folder: Path, count: int, calibration: np.ndarray | None = None
) -> tuple[int, int]:
    """Import `count` mutations; give how many were refused, and how many imported."""
    path = folder / f"model{suffix}"
    path.write_bytes(content)
    assert refusal(path, calibration) is None
    refused = 0
    for seed in range(count):
        path.write_bytes(mutated(content, seed))
        refused += refusal(path, calibration) is not None
    return refused, count - refused


@pytest.mark.parametrize("count", [400, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_tflite_files(count: int, tmp_path: Path) -> None:
    refused, taken = fuzz(tflite().written(), ".tflite", tmp_path, count)
    assert refused > count // 4
    assert taken > count // 60


def onnx_float() -> tuple[OnnxWriter, bytes]:
    """Write a float file with every kind of layer."""
    w = OnnxWriter((3, 7, 6), 1)
    first = w.relu(w.batch_norm(w.conv(INPUT, 4, (3, 3), pads=[1, 1, 1, 1])))
    second = w.clip(w.conv(first, 4, (3, 3), 4, auto_pad="SAME_UPPER"), 6.0)
    joined = w.add("Concat", [w.add("Add", [first, second], 4), first], 8, axis=1)
    pooled = w.add("MaxPool", [joined], 8, kernel_shape=[2, 2], strides=[2, 2])
    w.add("Softmax", [w.dense(pooled, 8 * 3 * 3, 5)], 5)
    return w, w.model().SerializeToString()


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_float_onnx_files(count: int, tmp_path: Path) -> None:
    writer, content = onnx_float()
    refused, taken = fuzz(content, ".onnx", tmp_path, count, writer.images(2))
    assert refused > count // 4
    assert taken > count // 60


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("qdq", [True, False])
def test_mutated_quantized_onnx_files(qdq: bool, count: int, tmp_path: Path) -> None:
    writer, content = onnx_float()
    made = quantized(
        onnx.load_model_from_string(content),
        writer.images(4),
        tmp_path,
        qdq=qdq,
        per_channel=True,
        unsigned=True,
    )
    refused, taken = fuzz(made.SerializeToString(), ".onnx", tmp_path, count)
    assert refused > count // 4
    assert taken > count // 60


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_qonnx_files(count: int, tmp_path: Path) -> None:
    writer = QonnxWriter((2, 6, 7), 1)
    content = saved(writer, network(writer, 3, 4), tmp_path / "whole.onnx").read_bytes()
    refused, taken = fuzz(content, ".onnx", tmp_path, count)
    assert refused > count // 4
    assert taken > count // 60


ONNX: dict[str, tuple[Callable[[OnnxWriter], object], str]] = {
    "an unsupported operator": (
        lambda w: w.add("Tanh", [INPUT], 3),
        "node n1 (Tanh): is not supported but of constants; supported are Add, ArgMax, Av",
    ),
    "an operator behind softmax": (
        lambda w: w.relu(w.add("Softmax", ["t0"], 2, axis=1)),
        "node n2 (Relu): reads the result of softmax, which is left to the host",
    ),
    "weights that are computed": (
        lambda w: w.add("Conv", ["t0", "t0"], 2),
        "node n1 (Conv): input 1 (t0) must be a constant",
    ),
    "clipping from below zero": (
        lambda w: w.add("Clip", ["t0", w.reals()], 2),
        "it must be from 0 up",
    ),
    "an average that counts padding, cut short": (
        lambda w: w.add(
            "AveragePool",
            ["t0"],
            2,
            kernel_shape=[2, 2],
            pads=[1, 1, 0, 0],
            count_include_pad=1,
            ceil_mode=1,
        ),
        "counts padding into its average (count_include_pad); it must not",
    ),
    "a concatenation of rows": (
        lambda w: w.add("Concat", ["t0", "t0"], 2, axis=2),
        "is along axis 2, must be along channels, axis 1",
    ),
    "a reshape that cuts axes apart": (
        lambda w: w.conv(
            w.add("Reshape", ["t0", w.constant(np.array([0, 3, -1, 1]))], 3), 2, (1, 1)
        ),
        "reads axes of (1, 3, 24, 1), in the order C, H, W; must be (images, channels, rows, colum",
    ),
    "a reshape of another size": (
        lambda w: w.add("Reshape", ["t0", w.constant(np.array([0, 5, -1]))], 3),
        "turns (1, 2, 6, 6) into (1, 5, -1)",
    ),
    "a dense layer on a map": (
        lambda w: w.add("MatMul", ["t0", w.reals(72, 5)], 5),
        "reads the map 6x6x2 unflattened; put Flatten before it",
    ),
    "pads of the wrong kind": (
        lambda w: w.conv("t0", 2, (3, 3), pads=[1, 1]),
        "pads must be 4 numbers, not (1, 1)",
    ),
    "a layer that leads nowhere": (
        lambda w: (w.relu(INPUT), w.conv("t0", 2, (1, 1))),
        "one output is needed",
    ),
}


@pytest.mark.parametrize("case", ONNX)
def test_what_an_onnx_file_must_not_have_is_named(case: str, tmp_path: Path) -> None:
    apply, message = ONNX[case]
    writer = OnnxWriter((3, 6, 6), 1)
    writer.conv(INPUT, 2, (1, 1))
    apply(writer)
    path = tmp_path / "bad.onnx"
    path.write_bytes(writer.model().SerializeToString())
    assert message in (refusal(path, writer.images(1)) or "")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (["n", 3, "h", 6], "input image has a dynamic shape, (-1, 3, -1, 6); export it with fixed"),
        ([1, 60], "input image has the shape (1, 60) and no columns; it must be (images, channels"),
    ],
)
def test_a_shape_without_fixed_columns_is_refused(
    shape: list[object], message: str, tmp_path: Path
) -> None:
    writer = OnnxWriter((3, 6, 6), 1)
    writer.conv(INPUT, 2, (1, 1))
    model = writer.model()
    source = onnx.helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, shape)
    model.graph.input[0].CopyFrom(source)
    path = tmp_path / "bad.onnx"
    path.write_bytes(model.SerializeToString())
    assert message in (refusal(path) or "")


def test_weights_in_another_file_are_refused(tmp_path: Path) -> None:
    writer = OnnxWriter((3, 6, 6), 1)
    writer.conv(INPUT, 2, (1, 1))
    model = writer.model()
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    path = tmp_path / "bad.onnx"
    path.write_bytes(model.SerializeToString())
    assert refusal(path) == (
        f"{path}: tensor c0 is in another file; save the model with its data inside"
    )


def test_calibration_images_for_integers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite().written())
    assert refusal(path, np.zeros((1, 8, 7, 3))) == (
        f"{path}: is quantized already; leave the calibration images out"
    )


def change(name: str, **changes: object) -> Callable[[TfliteWriter], None]:
    """Change a tensor of the file."""

    def apply(writer: TfliteWriter) -> None:
        place = next(i for i, tensor in enumerate(writer.tensors) if tensor.name == name)
        old = writer.tensors[place]
        writer.tensors[place] = file.Tensor(**{**vars(old), **changes})  # type: ignore[arg-type]

    return apply


def unsupported(writer: TfliteWriter) -> None:
    writer._add("TANH", ("t0",), writer.shapes["t0"], "ReshapeOptions", 0.1)


TFLITE: dict[str, tuple[Callable[[TfliteWriter], None], str]] = {
    "an unsupported operator": (
        unsupported,
        "operator 1 TANH: is not supported; supported are ADD, ARG_MAX, AVERAGE_POOL_2D, "
        "CONCATENATION, CONV_2D, DEPTHWISE_CONV_2D, DEQUANTIZE, EXPAND_DIMS, FULLY_CONNECTED, "
        "LOGISTIC, LOG_SOFTMAX, MAX_POOL_2D, MEAN, MUL, PAD, PADV2, QUANTIZE, RELU, RELU6, "
        "RESHAPE, RESIZE_NEAREST_NEIGHBOR, SOFTMAX, SQUEEZE, SUB, TRANSPOSE; train it with ReLU or "
        "ReLU6 in its place",
    ),
    "a float input": (
        change(INPUT, dtype="float32"),
        "operator 0 CONV_2D: tensor image is FLOAT32, must be INT8; quantize the model to int8",
    ),
    "float weights": (
        change("w0", data=np.ones((2, 3, 3, 2), np.float32)),
        "operator 0 CONV_2D: needs constant weights of INT8 and 4 axes, has constant FLOAT32",
    ),
    "16-bit activations": (change("t0", dtype="int16"), "CONV_2D: tensor t0 is INT16, must be"),
    "no scale": (change("t0", scales=np.zeros(0)), "tensor t0: needs one scale and one zero point"),
    "an infinite scale": (
        change("t0", scales=np.array([np.inf])),
        "CONV_2D: a quantization scale must be positive, not inf",
    ),
    "a zero point out of range": (
        change("t0", zero_point=300),
        "the zero point 300 must lie in [-128, 127]",
    ),
    "too few weight scales": (
        change("w0", scales=np.ones(1, np.float32).repeat(3)),
        "has 3 weight scales for 2 output channels",
    ),
    "weights with a zero point": (
        change("w0", zero_point=3),
        "weights w0 have a zero point, must be symmetric",
    ),
    "no columns": (
        change(INPUT, shape=(1, 60)),
        "(1, 60) and no columns; it must be (images, rows",
    ),
    "a dynamic width": (
        change(INPUT, shape=(1, 5, -1, 2)),
        "the input has a dynamic shape, (1, 5, -1, 2); export it with fixed sizes",
    ),
    "a shape that does not follow": (
        change("t0", shape=(1, 9, 9, 2)),
        "gives the shape (1, 9, 9, 2) by the file, and 5x6x2 by its inputs",
    ),
    "a huge tensor": (change(INPUT, shape=(1, 99999, 99999, 2)), "is too large"),
    "short weights": (
        change("w0", data=np.ones((1, 3, 3, 2), np.int8), shape=(2, 3, 3, 2)),
        "weights w0 have 18 values for (2, 3, 3, 2)",
    ),
    "short biases": (
        change("b0", data=np.ones(1, np.int32)),
        "needs 2 constant biases of INT32, has constant INT32 of the shape (2,)",
    ),
}


@pytest.mark.parametrize("case", TFLITE)
def test_what_a_tflite_file_must_not_have_is_named(case: str, tmp_path: Path) -> None:
    apply, message = TFLITE[case]
    writer = TfliteWriter((5, 6, 2), 1)
    writer.conv(INPUT, 2, (3, 3))
    apply(writer)
    path = tmp_path / "bad.tflite"
    path.write_bytes(writer.written())
    assert message in (refusal(path) or "")


def test_a_layer_behind_softmax_is_refused(tmp_path: Path) -> None:
    writer = TfliteWriter((5, 6, 2), 1)
    writer.conv(writer.softmax(writer.conv(INPUT, 2)), 2)
    path = tmp_path / "bad.tflite"
    path.write_bytes(writer.written())
    assert refusal(path) == (
        f"{path}: operator 2 CONV_2D: reads the result of softmax, which is left to the host"
    )


def test_a_layer_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    writer = TfliteWriter((5, 6, 2), 1)
    writer.conv(INPUT, 2)
    writer.conv(INPUT, 2)
    path = tmp_path / "bad.tflite"
    path.write_bytes(writer.written())
    assert refusal(path) == (f"{path}: bad: one output is needed, there are ('conv_0', 'conv_1')")


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\x1c\0\0\0TFL3", b"PK\3\4" * 9])
def test_what_is_no_tflite_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.tflite"
    path.write_bytes(content)
    assert refusal(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for suffix in (".tflite", ".onnx"):
        path = tmp_path / f"none{suffix}"
        assert refusal(path) == f"{path}: cannot be read: No such file or directory"
