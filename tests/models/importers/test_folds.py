"""Folds that another reader sees: readers are those of a value, not of a name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from pilaster.models.importers import import_network
from pilaster.models.importers.onnx import build
from pilaster.models.importers.onnx_floats import float_network
from pilaster.models.quantizer import float_tensors
from pilaster.models.reference.network import infer
from tests.models.importers.onnx_writer import INPUT, OnnxWriter, run

Build = Callable[[OnnxWriter, str], str]

SHAPE = (3, 6, 5)
"""Of the map that is folded into: channels, rows, columns."""

ALIASES: dict[str, Build] = {
    "nothing": lambda w, x: x,
    "Identity": lambda w, x: w.add("Identity", [x], 3),
    "two of them": lambda w, x: w.add("Identity", [w.add("Identity", [x], 3)], 3),
    "Dropout": lambda w, x: w.add("Dropout", [x], 3),
    "Reshape": lambda w, x: w.add("Reshape", [x, w.constant(np.array([0, 3, 6, 5]))], 3),
}

FOLDS: dict[str, Build] = {
    "Relu": lambda w, x: w.relu(x),
    "Clip": lambda w, x: w.clip(x, 0.5),
    "BatchNormalization": lambda w, x: w.batch_norm(x),
    "Add": lambda w, x: w.add("Add", [x, w.reals(3, 1, 1)], 3),
    "Mul": lambda w, x: w.add("Mul", [w.reals(1, 3, 1, 1), x], 3),
    "Relu of BatchNormalization": lambda w, x: w.relu(w.batch_norm(x)),
    "Sub of Relu": lambda w, x: w.add("Sub", [w.relu(x), w.reals(1)], 3),
}

READERS: dict[str, Callable[[OnnxWriter, str, str], str]] = {
    "a sum": lambda w, x, y: w.add("Add", [x, y], 3),
    "a concatenation": lambda w, x, y: w.add("Concat", [y, x], 6, axis=1),
    "a layer": lambda w, x, y: w.add("Sum", [y, w.conv(x, 3, (1, 1))], 3),
    "another fold": lambda w, x, y: w.add("Add", [w.batch_norm(x), y], 3),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("fold", FOLDS)
@pytest.mark.parametrize("joined", [False, True])
def test_a_skip_reads_what_was_before_the_fold(
    fold: str, alias: str, reader: str, joined: bool, tmp_path: Path
) -> None:
    writer = OnnxWriter(SHAPE, 3)
    first = writer.conv(INPUT, 3, (3, 3), pads=[1, 1, 1, 1])
    if joined:
        first = writer.add("Add", [first, INPUT], 3)
    folded = FOLDS[fold](writer, ALIASES[alias](writer, first))
    output = READERS[reader](writer, first, folded)
    equals_onnx_runtime(writer, output, tmp_path)


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("fold", FOLDS)
def test_what_one_alone_reads_is_folded(fold: str, alias: str, tmp_path: Path) -> None:
    writer = OnnxWriter(SHAPE, 3)
    first = ALIASES[alias](writer, writer.conv(INPUT, 3, (3, 3), pads=[1, 1, 1, 1]))
    names = equals_onnx_runtime(writer, FOLDS[fold](writer, first), tmp_path)
    assert len(names) == (2 if fold == "Sub of Relu" else 1)


def equals_onnx_runtime(writer: OnnxWriter, output: str, folder: Path) -> list[str]:
    """Compare a float network's output with ONNX Runtime's; give the names of its layers."""
    model = writer.model(output)
    path = folder / "float.onnx"
    onnx.save(model, path)
    images = writer.images(3)
    network = float_network(build(path), "float").network
    *_, last = float_tensors(network, images.astype(np.float64)).values()
    expected = run(model, images, [output])[output]
    expected = expected.reshape(3, last.shape[3], *last.shape[1:3]).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(last, expected, rtol=1e-4, atol=1e-5)
    return [node.name for node in network.graph.nodes]


def quantized_conv(w: OnnxWriter, source: str) -> str:
    weight = w.constant(w.rng.integers(-127, 128, (3, 3, 3, 3), np.int8))
    real = w.add("DequantizeLinear", [weight, w.constant(np.float32(2**-8))], 0)
    return w.add("Conv", [source, real], 3, pads=[1, 1, 1, 1])


def pair(w: OnnxWriter, source: str, scale: float = 2**-5, zero: int = 0) -> str:
    """Quantize and dequantize."""
    inputs = [w.constant(np.float32(scale)), w.constant(np.int8(zero))]
    whole = w.add("QuantizeLinear", [source, *inputs], 3)
    return w.add("DequantizeLinear", [whole, *inputs], 3)


def conv_alone(w: OnnxWriter) -> str:
    return quantized_conv(w, pair(w, INPUT, 2**-7))


QUANTIZED: dict[str, Callable[[OnnxWriter], str]] = {
    "a convolution raw through ReLU, and quantized": lambda w: two(
        w, conv_alone(w), lambda x: pair(w, w.relu(x)), lambda x: pair(w, x, 2**-6)
    ),
    "two quantizers": lambda w: two(
        w, conv_alone(w), lambda x: pair(w, x, 2**-4), lambda x: pair(w, x, 2**-6, 7)
    ),
    "ReLU behind the quantizer that a skip reads": lambda w: two(
        w, pair(w, conv_alone(w)), lambda x: pair(w, w.relu(x)), lambda x: x
    ),
    "ReLU behind the quantizer, with none behind it": lambda w: two(
        w, pair(w, conv_alone(w)), w.relu, lambda x: x
    ),
    "a factor behind a quantizer": lambda w: two(
        w, pair(w, conv_alone(w)), lambda x: pair(w, w.batch_norm(x)), lambda x: x
    ),
    "max pools of a convolution, before and behind a quantizer": lambda w: two(
        w, conv_alone(w), lambda x: pair(w, pooled(w, w.relu(x))), lambda x: pooled(w, pair(w, x))
    ),
    "a sum quantized twice": lambda w: two(
        w, twice(w), lambda x: pair(w, w.relu(x), 2**-4), lambda x: pair(w, x, 2**-4)
    ),
}


def two(
    w: OnnxWriter, source: str, first: Callable[[str], str], second: Callable[[str], str]
) -> str:
    """Add what two readers make of a value."""
    return pair(w, w.add("Add", [first(w.add("Identity", [source], 3)), second(source)], 3), 2**-4)


def pooled(w: OnnxWriter, source: str) -> str:
    return w.add("MaxPool", [source], 3, kernel_shape=[2, 2], strides=[1, 1])


def twice(w: OnnxWriter) -> str:
    image = pair(w, INPUT, 2**-7)
    return w.add("Add", [image, pair(w, quantized_conv(w, image))], 3)


@pytest.mark.parametrize("name", QUANTIZED)
def test_what_one_reads_quantized_and_another_raw_is_computed_for_each(
    name: str, tmp_path: Path
) -> None:
    writer = OnnxWriter(SHAPE, 5)
    output = QUANTIZED[name](writer)
    model = writer.model(output)
    path = tmp_path / "quantized.onnx"
    onnx.save(model, path)
    network, images = import_network(path), writer.images(20)
    found = infer(network, network.encode(images)).transpose(0, 3, 1, 2)
    expected = run(model, images, [output])[output]
    distance = np.abs(found - expected / network.tensors[network.graph.outputs[0]].scale)
    assert distance.max() < 0.01
