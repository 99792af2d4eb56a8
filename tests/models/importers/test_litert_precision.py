"""Where LiteRT computes in single precision and where in double: scales for which these differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.importers import import_network
from pilaster.models.quantization import quantize_multiplier, requantize
from pilaster.models.reference.network import infer
from tests.models import tflite_file as file
from tests.models.importers.tflite_writer import INPUT, TfliteWriter

CASES = 8
INTEGERS = np.arange(-128, 128)


def scaled(real: float, sums: NDArray[np.int64]) -> NDArray[np.int64]:
    multiplier, shift = quantize_multiplier(np.array([real]))
    return np.clip(requantize(sums, multiplier, shift), -128, 127)


def judged(writer: TfliteWriter, values: NDArray[np.int8], folder: Path) -> None:
    content = writer.written()
    path = folder / "model.tflite"
    path.write_bytes(content)
    network = import_network(path)
    name = network.graph.outputs[0]
    expected = file.run_reference(content, values)["t0"].astype(np.int32)
    found = infer(network, values.astype(np.int32)) + network.tensors[name].zero_point
    np.testing.assert_array_equal(found.ravel(), expected.ravel())


def change(writer: TfliteWriter, name: str, **changes: Any) -> None:
    place = next(i for i, tensor in enumerate(writer.tensors) if tensor.name == name)
    writer.tensors[place] = file.Tensor(**{**vars(writer.tensors[place]), **changes})


@pytest.mark.parametrize("kind", ["RELU", "RELU6", "QUANTIZE"])
def test_scales_are_divided_as_litert_does(kind: str, tmp_path: Path) -> None:
    rng, cases = np.random.default_rng(1), 0
    while cases < CASES:
        source, target = (10 ** rng.uniform(-3, -1, 2)).astype(np.float32)
        double, single = float(source) / float(target), float(source / target)
        same = scaled(double, INTEGERS) == scaled(single, INTEGERS)
        if same[128:].all() or not 0.05 < single < 4:
            continue
        cases += 1
        writer = TfliteWriter((16, 16, 1), 1)
        writer.rescale(kind, INPUT)
        change(writer, INPUT, scales=np.array([source]), zero_point=0)
        change(writer, "t0", scales=np.array([target]), zero_point=0)
        judged(writer, INTEGERS.astype(np.int8).reshape(1, 16, 16, 1), tmp_path)


def test_scales_are_multiplied_as_litert_does(tmp_path: Path) -> None:
    rng, cases = np.random.default_rng(1), 0
    while cases < CASES:
        scales = (10 ** rng.uniform(-2, -1, 3)).astype(np.float32)
        double = float(scales[0]) * float(scales[1]) / float(scales[2])
        single = float(scales[0] * scales[1] / scales[2])
        constant = int(rng.integers(20, 128))
        products = INTEGERS * constant
        if (scaled(double, products) == scaled(single, products)).all():
            continue
        cases += 1
        writer = TfliteWriter((16, 16, 1), 1)
        writer.tensors.append(
            file.Tensor("k", (1,), scales[1:2], 0, data=np.array([constant], np.int8))
        )
        writer._add("MUL", (INPUT, "k"), (16, 16, 1), "MulOptions", float(scales[2]))
        change(writer, INPUT, scales=scales[:1], zero_point=0)
        change(writer, "t0", scales=scales[2:], zero_point=0)
        judged(writer, INTEGERS.astype(np.int8).reshape(1, 16, 16, 1), tmp_path)


@pytest.mark.parametrize("kind", ["conv", "fully_connected"])
def test_the_scale_of_sums_is_in_double_precision(kind: str, tmp_path: Path) -> None:
    rng, cases = np.random.default_rng(1), 0
    while cases < CASES:
        source, weight, target = (10 ** rng.uniform((-3, -4, -2), (-1, -2, 0))).astype(np.float32)
        double = float(source) * float(weight) / float(target)
        single = float(source * weight) / float(target)
        limit = int(120 / double)
        if limit > 1 << 22:
            continue
        sums = np.arange(-limit, limit)
        parted = sums[scaled(double, sums) != scaled(single, sums)][:40]
        if not len(parted):
            continue
        cases += 1
        writer = TfliteWriter((1, 1, 1), 1)
        getattr(writer, kind)(INPUT, len(parted))
        change(writer, INPUT, scales=np.array([source]), zero_point=0)
        change(writer, "t0", scales=np.array([target]), zero_point=0)
        change(writer, "w0", scales=np.array([weight]))
        change(writer, "b0", scales=np.array([source * weight]), data=parted.astype(np.int32))
        judged(writer, np.zeros((1, 1, 1, 1), np.int8), tmp_path)


REFUSED = {
    "a softmax that turns the order": (
        lambda w: w.operators.append(
            file.operator("SOFTMAX", ("t0",), "t1", "SoftmaxOptions", Beta=-1.0)
        ),
        "operator 1 SOFTMAX: has a Beta that is not positive",
    ),
    "options of another operator": (
        lambda w: w.operators.append(file.operator("ADD", ("t0", "t0"), "t1", "MulOptions")),
        "operator 1 ADD: has options of another operator",
    ),
    "the largest of a column": (
        lambda w: (
            w._constant(np.array([1], np.int32)),
            w.operators.append(file.operator("ARG_MAX", ("t0", "c1"), "t1", "ArgMaxOptions")),
        ),
        "operator 1 ARG_MAX: is along the axes",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_options_that_change_the_result_are_refused(case: str, tmp_path: Path) -> None:
    write, message = REFUSED[case]
    writer = TfliteWriter((2, 3, 2), 1)
    writer.conv(INPUT, 2)
    writer._activation("t1", (2, 3, 2), 0.1)
    write(writer)
    path = tmp_path / "model.tflite"
    path.write_bytes(writer.written())
    with pytest.raises(InputError, match=message):
        import_network(path)
