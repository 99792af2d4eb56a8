"""Attributes and types of .onnx operators: each is honored or refused, and none is unknown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pilaster.base.errors import InputError
from pilaster.models.importers import import_network
from pilaster.models.importers.onnx import SUPPORTED
from pilaster.models.importers.onnx_attributes import KNOWN
from pilaster.models.reference.network import infer
from pilaster.rtl.verification.verify import verify
from pilaster.sim.default import default_machine
from tests.models.importers.onnx_writer import INPUT, OnnxWriter, run
from tests.models.importers.test_folds import conv_alone, equals_onnx_runtime, pair

Write = Callable[[OnnxWriter], object]


def refused(write: Write, message: str, folder: Path, opset: int = 21) -> None:
    writer = OnnxWriter((3, 6, 5), 1)
    write(writer)
    model = writer.model()
    model.opset_import[0].version = opset
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    path = folder / "bad.onnx"
    onnx.save(model, path)
    with pytest.raises(InputError, match=message):
        import_network(path, writer.images(1))


def normal(w: OnnxWriter, **attributes: Any) -> str:
    ones = [w.reals(3, low=0.5) for _ in range(4)]
    return w.add("BatchNormalization", [INPUT, *ones], 3, **attributes)


def quantizer(w: OnnxWriter, **attributes: Any) -> str:
    return w.add("QuantizeLinear", [INPUT, w.constant(np.float32(1))], 3, **attributes)


REFUSED: dict[str, tuple[Write, str]] = {
    "SAME that leaves a row out": (
        lambda w: w.add(
            "MaxPool", [INPUT], 3, kernel_shape=[1, 1], strides=[3, 1], auto_pad="SAME_LOWER"
        ),
        "leave out rows or columns at a side that is not defined; give pads",
    ),
    "batch statistics": (lambda w: normal(w, training_mode=1), "training_mode: 1 is not supported"),
    "dropout in training": (
        lambda w: w.add("Dropout", [INPUT, w.reals(), w.constant(np.array(True))], 3),
        "is in training mode",
    ),
    "floats of 8 bits": (lambda w: quantizer(w, output_dtype=TensorProto.FLOAT8E5M2), "output_dty"),
    "blocks": (lambda w: quantizer(w, block_size=2), "attribute block_size: 2 is not supported"),
    "half precision": (lambda w: quantizer(w, precision=10), "attribute precision: 10 is not"),
    "reflection": (
        lambda w: w.add("Pad", [INPUT, w.constant(np.zeros(8, int))], 3, mode="reflect"),
        "attribute mode: reflect is not supported, must be constant",
    ),
    "an attribute of tomorrow": (
        lambda w: w.conv(INPUT, 2, (1, 1), magic=1),
        r"node n0 \(Conv\): attribute magic: is not known here; known are auto_pad, dilations",
    ),
    "an input of tomorrow": (
        lambda w: w.add("Relu", [INPUT, w.reals(1)], 3),
        "has 2 inputs; known are 1 at most",
    ),
    "channels last": (
        lambda w: w.add(
            "QLinearGlobalAveragePool",
            [INPUT, *[w.reals(1)] * 4],
            3,
            channels_last=1,
            domain="com.microsoft",
        ),
        "attribute channels_last: 1 is not supported, must be 0",
    ),
    "an operator in the wrong domain": (
        lambda w: w.add("Relu", [INPUT], 3, domain="com.microsoft"),
        "is of the domain 'com.microsoft', must be of ''",
    ),
    "pads and auto_pad": (
        lambda w: w.conv(INPUT, 2, (3, 3), pads=[1, 1, 1, 1], auto_pad="SAME_UPPER"),
        "has pads and auto_pad SAME_UPPER; only one",
    ),
    "softmax along columns": (
        lambda w: w.add("Softmax", [INPUT], 3),
        "is along axis -1, must be along channels",
    ),
    "the last of equal classes": (
        lambda w: w.add("ArgMax", [w.conv(INPUT, 2, (6, 5))], 1, axis=1, select_last_index=1),
        "attribute select_last_index: 1",
    ),
    "integers read as reals": (
        lambda w: w.conv(quantizer(w), 2, (1, 1)),
        "reads integers as reals; put DequantizeLinear before it",
    ),
    "another zero point's type": (
        lambda w: w.add(
            "DequantizeLinear", [quantizer(w), w.constant(np.float32(1)), w.constant(np.int8(0))], 3
        ),
        "has a zero point of int8 for integers of uint8",
    ),
    "cropping": (
        lambda w: w.conv(
            w.add("Pad", [INPUT, w.constant(np.array([0, 0, -1, 0, 0, 0, 0, 0]))], 3), 2, (1, 1)
        ),
        "padding must not be negative",
    ),
    "a pad that is no zero": (
        lambda w: w.conv(
            w.add(
                "DequantizeLinear",
                [
                    w.add("Pad", [quantizer(w), w.constant(np.array([0, 0, 1, 0] * 2))], 3),
                    w.constant(np.float32(1)),
                    w.constant(np.uint8(9)),
                ],
                3,
            ),
            2,
            (1, 1),
        ),
        "gives n0 a second scale",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_change_the_network_is_refused(case: str, tmp_path: Path) -> None:
    refused(*REFUSED[case], tmp_path)


def test_every_operator_has_its_attributes_in_the_table() -> None:
    assert set(SUPPORTED) == set(KNOWN)


@pytest.mark.parametrize("kind", [kind for kind in SUPPORTED if KNOWN[kind].domains[0] == ""])
def test_no_attribute_of_the_standard_is_forgotten(kind: str) -> None:
    """Each is in the table, or named here as one that is refused."""
    if kind not in {schema.name for schema in onnx.defs.get_all_schemas()}:
        pytest.skip("of ONNX Runtime")
    stated = set(onnx.defs.get_schema(kind).attributes)
    assert stated - set(KNOWN[kind].attributes) <= {"sparse_value", "value_string", "value_strings"}


@pytest.mark.parametrize("kind", [TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16])
@pytest.mark.parametrize("stated", [False, True])
def test_the_type_of_integers_is_that_of_the_attribute(
    kind: int, stated: bool, tmp_path: Path
) -> None:
    writer = OnnxWriter((3, 6, 5), 1)
    inputs = [conv_alone(writer), writer.constant(np.float32(2**-6))]
    if stated:
        zero = np.zeros((), helper.tensor_dtype_to_np_dtype(kind))
        inputs.append(writer.constant(zero))
    whole = writer.add("QuantizeLinear", inputs, 3, output_dtype=kind)
    output = writer.add("DequantizeLinear", [whole, *inputs[1:]], 3)
    equals_at_opset_21(writer, output, tmp_path)


ON_INTEGERS: dict[str, Callable[[OnnxWriter, str], str]] = {
    "Relu": lambda w, x: w.relu(x),
    "Clip": lambda w, x: w.add("Clip", [x, *integers(w, -60, 30)], 3),
    "Clip from below": lambda w, x: w.add("Clip", [x, *integers(w, -60)], 3),
    "Clip from above": lambda w, x: w.add("Clip", [x, "", *integers(w, 7)], 3),
    "Min": lambda w, x: w.add("Min", [*integers(w, 11), x], 3),
    "Max": lambda w, x: w.add("Max", [x, *integers(w, -50)], 3),
    "MaxPool": lambda w, x: w.add("MaxPool", [x], 3, kernel_shape=[2, 2], pads=[1, 0, 0, 1]),
    "Concat": lambda w, x: w.add("Concat", [x, x], 6, axis=1),
    "Reshape": lambda w, x: w.add("Reshape", [x, w.constant(np.array([0, -1]))], 90),
    "Identity": lambda w, x: w.add("Identity", [x], 3),
    "Flatten of Relu": lambda w, x: w.add("Flatten", [w.relu(x)], 90),
}


def integers(w: OnnxWriter, *values: int) -> list[str]:
    return [w.constant(np.array(value, np.int8)) for value in values]


@pytest.mark.parametrize("zero", [-20, 0, 13])
@pytest.mark.parametrize("name", ON_INTEGERS)
@pytest.mark.parametrize("skip", [False, True])
def test_operators_between_quantizers_act_on_integers(
    name: str, zero: int, skip: bool, tmp_path: Path
) -> None:
    writer = OnnxWriter((3, 6, 5), 1)
    scale = [writer.constant(np.float32(2**-6)), *integers(writer, zero)]
    before = writer.add("QuantizeLinear", [conv_alone(writer), *scale], 3)
    if skip and name in ("MaxPool", "Concat", "Reshape", "Flatten of Relu"):
        pytest.skip("gives another shape")
    output = writer.add("DequantizeLinear", [ON_INTEGERS[name](writer, before), *scale], 3)
    if skip:
        raw = writer.add("DequantizeLinear", [before, *scale], 3)
        output = pair(writer, writer.add("Add", [output, raw], 3), 2**-5)
    equals_at_opset_21(writer, output, tmp_path)


@pytest.mark.parametrize("zero", [-20, 0])
def test_integers_are_padded_with_integers(zero: int, tmp_path: Path) -> None:
    for fill in (zero, 3):
        writer = OnnxWriter((3, 6, 5), 1)
        scale = [writer.constant(np.float32(2**-6)), *integers(writer, zero)]
        whole = writer.add("QuantizeLinear", [conv_alone(writer), *scale], 3)
        pads = writer.constant(np.array([1, 2, 0, 1]))
        axes = writer.constant(np.array([-1, 2]))
        padded = writer.add("Pad", [whole, pads, *integers(writer, fill), axes], 3)
        real = writer.add("DequantizeLinear", [padded, *scale], 3)
        weight = writer.constant(writer.rng.integers(-127, 128, (2, 3, 3, 3), np.int8))
        real_weight = writer.add("DequantizeLinear", [weight, writer.constant(np.float32(1))], 0)
        last = pair(writer, writer.add("Conv", [real, real_weight], 2), 4.0)
        if fill == zero:
            equals_at_opset_21(writer, last, tmp_path)
            continue
        with pytest.raises(InputError, match=f"pads with 3, .*the zero point is {zero}"):
            equals_at_opset_21(writer, last, tmp_path)


def equals_at_opset_21(writer: OnnxWriter, output: str, folder: Path) -> None:
    """Compare a quantized network's output with ONNX Runtime's; its scales are powers of two."""
    model = writer.model(output)
    model.opset_import[0].version = 21
    model.ir_version = 10
    path = folder / "quantized.onnx"
    onnx.save(model, path)
    network, images = import_network(path), writer.images(9)
    found = infer(network, network.encode(images)).transpose(0, 3, 1, 2)
    expected = run(model, images, [output])[output].reshape(found.shape)
    scale = network.tensors[network.graph.outputs[0]].scale
    np.testing.assert_array_equal(found * scale, expected)


CONSTANTS = [(), (1,), (3, 1, 1), (1, 3, 1, 1), (1, 1, 1, 1)]
"""Shapes that are the same for all rows and columns."""


@pytest.mark.parametrize("shape", CONSTANTS)
@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("folded", [False, True])
def test_constants_are_broadcast_to_channels(
    kind: str, shape: tuple[int, ...], first: bool, folded: bool, tmp_path: Path
) -> None:
    writer = OnnxWriter((3, 4, 3), 2)
    source = writer.conv(INPUT, 3, (2, 1)) if folded else INPUT
    constant = writer.reals(*shape, low=0.5, high=2.0)
    output = writer.add(kind, [constant, source] if first else [source, constant], 3)
    output = writer.relu(output)
    if kind == "Div" and first:
        with pytest.raises(InputError, match="divides a constant"):
            equals_onnx_runtime(writer, output, tmp_path)
        return
    equals_onnx_runtime(writer, output, tmp_path)


@pytest.mark.parametrize("shape", [(3,), (3, 1), (1, 3), (3, 3), (3, 3, 3), (2, 1, 1, 1), (1,) * 5])
@pytest.mark.parametrize("kind", ["Mul", "Div"])
def test_constants_that_differ_by_row_or_column_are_no_factors(
    kind: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    writer = OnnxWriter((3, 3, 3), 2)
    writer.add(kind, [INPUT, writer.reals(*shape)], 3)
    with pytest.raises(
        InputError, match=r"broadcasts a constant|not the same for all rows|differs by image"
    ):
        equals_onnx_runtime(writer, writer.nodes[-1].output[0], tmp_path)


BY_PLACE = [(4,), (3, 1), (1, 4), (3, 4), (3, 3, 1), (3, 1, 4), (1, 3, 3, 4), (1, 1, 3, 4)]


@pytest.mark.parametrize("shape", BY_PLACE)
@pytest.mark.parametrize("kind", ["Add", "Sub", "Sub from"])
def test_constants_that_differ_by_row_or_column_are_added_where_they_stand(
    kind: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    writer = OnnxWriter((3, 3, 4), 2)
    source = writer.relu(writer.conv(INPUT, 3, (1, 1)))
    pair = [source, writer.reals(*shape)]
    output = writer.add(kind[:3], pair[::-1] if "from" in kind else pair, 3)
    equals_onnx_runtime(writer, writer.relu(output), tmp_path)


@pytest.mark.parametrize("shape", BY_PLACE)
@pytest.mark.parametrize("whole", [False, True])
def test_integers_that_differ_by_row_or_column_are_added_where_they_stand(
    whole: bool, shape: tuple[int, ...], tmp_path: Path
) -> None:
    writer = OnnxWriter((3, 3, 4), 2)
    before = pair(writer, writer.relu(conv_alone(writer)))
    if whole:
        constant = writer.add(
            "DequantizeLinear",
            [
                writer.constant(writer.rng.integers(-90, 90, shape, np.int8)),
                writer.constant(np.float32(2**-7)),
            ],
            0,
        )
    else:
        values = writer.rng.integers(-900, 900, shape) * 2.0**-10
        constant = writer.constant(values.astype(np.float32))
    total = writer.relu(writer.add("Add", [constant, before], 3))
    equals_at_opset_21(writer, pair(writer, total, 2**-4, 3), tmp_path)


def test_the_rtl_adds_constants_where_they_stand(tmp_path: Path) -> None:
    writer = OnnxWriter((3, 3, 4), 2)
    constant = writer.constant(np.arange(12, dtype=np.float32).reshape(3, 4) / 8)
    total = writer.add("Add", [pair(writer, conv_alone(writer)), constant], 3)
    equals_at_opset_21(writer, pair(writer, total), tmp_path)
    network = import_network(tmp_path / "quantized.onnx")
    verdict = verify(network, default_machine(network, 200), writer.images(2), optimize=False)
    assert verdict.equal, verdict


@pytest.mark.parametrize("shape", [(), (1,), (5,), (1, 5), (1, 1), (5, 1)])
@pytest.mark.parametrize("kind", ["Gemm", "MatMul"])
def test_biases_are_broadcast_to_outputs(kind: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    writer = OnnxWriter((3, 2, 3), 2)
    flat = writer.add("Flatten", [INPUT], 18)
    bias = writer.reals(*shape)
    if kind == "Gemm":
        output = writer.add("Gemm", [flat, writer.reals(18, 5), bias], 5, alpha=0.5, beta=2.0)
    else:
        output = writer.add("Add", [writer.add("MatMul", [flat, writer.reals(18, 5)], 5), bias], 5)
    if shape == (5, 1):
        with pytest.raises(InputError, match=r"biases of the shape|broadcasts a constant"):
            equals_onnx_runtime(writer, output, tmp_path)
        return
    equals_onnx_runtime(writer, output, tmp_path)


def test_values_of_a_dense_layer_are_no_map(tmp_path: Path) -> None:
    """A sum of (1, 3) and (1, 3, 1, 1) is (1, 3, 1, 3)."""
    writer = OnnxWriter((3, 2, 2), 2)
    dense = writer.dense(INPUT, 12, 3)
    mean = writer.add("GlobalAveragePool", [INPUT], 3)
    with pytest.raises(InputError, match="adds values of the shapes"):
        equals_onnx_runtime(writer, writer.add("Add", [dense, mean], 3), tmp_path)
