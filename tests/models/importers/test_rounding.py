"""Halves go where ONNX Runtime and QONNX send them: in layers, sums, averages and joins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import pilaster as pl
from pilaster.models.graph import INPUT as SOURCE
from pilaster.models.importers import import_network
from pilaster.models.layers import Add, Pool
from pilaster.models.network import Network
from pilaster.models.quantization import Rounding, TensorQuantization
from pilaster.models.reference.network import infer
from pilaster.rtl.verification.verify import verify
from pilaster.sim.default import default_machine
from tests.models.importers.onnx_writer import INPUT, OnnxWriter, run
from tests.models.importers.qonnx_writer import QonnxWriter, saved
from tests.models.importers.test_qonnx import executed

MICROSOFT = "com.microsoft"


class Whole:
    """QLinear operators, with scales that are powers of two, so that halves abound."""

    def __init__(self, seed: int, dtype: type[np.integer[Any]], zero: int) -> None:
        self.writer = OnnxWriter((3, 6, 5), seed)
        self._dtype, self._zero = dtype, zero
        self._last = self._pair(2**-6)
        self.output = self.writer.add("QuantizeLinear", [INPUT, *self._last], 3)

    def _pair(self, scale: float) -> list[str]:
        w = self.writer
        return [w.constant(np.float32(scale)), w.constant(self._dtype(self._zero))]

    def conv(self, source: str, groups: int = 1, kernel: int = 1) -> str:
        """QLinearConv of few weights, so that sums are small."""
        w = self.writer
        weight = w.constant(w.rng.integers(-2, 3, (3, 3 // groups, kernel, kernel), np.int8))
        scale = w.constant(np.float32([0.5, 0.25, 1.0]))
        pair = self._pair(2**-5)
        bias = w.constant(w.rng.integers(-9, 10, 3, np.int32))
        zero = w.constant(np.int8(0))
        inputs = [source, *self._last, weight, scale, zero, *pair, bias]
        self._last = pair
        pads = [kernel // 2] * 4
        return w.add("QLinearConv", inputs, 3, group=groups, pads=pads)

    def add(self, first: str, second: str) -> str:
        """QLinearAdd."""
        pair = self._pair(2**-4)
        inputs = [first, *self._last, second, *self._last, *pair]
        self._last = pair
        return self.writer.add("QLinearAdd", inputs, 3, domain=MICROSOFT)

    def pool(self, source: str, kind: str, factor: float = 1.0, **attributes: Any) -> str:
        """QLinearAveragePool and QLinearGlobalAveragePool."""
        scale = onnx.numpy_helper.to_array(self.writer.constants[int(self._last[0][1:])])
        pair = self._last if factor == 1.0 else self._pair(float(scale) * factor)
        inputs = [source, *self._last, *pair]
        self._last = pair
        return self.writer.add(kind, inputs, 3, domain=MICROSOFT, **attributes)

    def concat(self, first: str, second: str) -> str:
        """QLinearConcat to a coarser scale."""
        pair = self._pair(2**-3)
        inputs = [*pair, first, *self._last, second, *self._last]
        self._last = pair
        return self.writer.add("QLinearConcat", inputs, 6, axis=1, domain=MICROSOFT)

    def dense(self, source: str) -> str:
        """QLinearMatMul."""
        w = self.writer
        flat = w.add("Flatten", [source], 90)
        weight = w.constant(w.rng.integers(-1, 2, (90, 4), np.int8))
        pair = self._pair(2**-2)
        unit = [w.constant(np.float32(0.25)), w.constant(np.int8(0))]
        inputs = [flat, *self._last, weight, *unit, *pair]
        self._last = pair
        return w.add("QLinearMatMul", inputs, 4)

    def saved(self, output: str, folder: Path) -> tuple[Any, Path]:
        """Give the model, with real outputs, and its file."""
        real = self.writer.add("DequantizeLinear", [output, *self._last], 3)
        model = self.writer.model(real)
        model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
        path = folder / "whole.onnx"
        onnx.save(model, path)
        return model, path


LAYERS: dict[str, Callable[[Whole, str], str]] = {
    "QLinearConv": lambda w, x: w.conv(x, kernel=3),
    "QLinearConv of groups": lambda w, x: w.conv(x, groups=3),
    "QLinearAdd": lambda w, x: w.add(x, x),
    "QLinearAdd of two": lambda w, x: added(w, x),
    "QLinearAveragePool": lambda w, x: w.pool(
        x, "QLinearAveragePool", kernel_shape=[2, 2], pads=[1, 0, 0, 1]
    ),
    "QLinearAveragePool to another scale": lambda w, x: w.pool(
        x, "QLinearAveragePool", 2.0, kernel_shape=[2, 4]
    ),
    "QLinearGlobalAveragePool": lambda w, x: w.pool(
        w.pool(x, "QLinearAveragePool", kernel_shape=[3, 4]), "QLinearGlobalAveragePool"
    ),
    "QLinearConcat": lambda w, x: w.concat(x, x),
    "QLinearMatMul": lambda w, x: w.dense(x),
    "all": lambda w, x: everything(w, x),
}


def added(w: Whole, source: str) -> str:
    first = w.conv(source)
    return w.add(first, w.writer.add("MaxPool", [first], 3, kernel_shape=[1, 1]))


def everything(w: Whole, source: str) -> str:
    first = w.conv(source, kernel=3)
    total = w.add(first, w.writer.add("Clip", [first], 3))
    return w.concat(total, total)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("zero", [1, 8])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_integer_operators_are_onnx_runtimes(
    name: str, zero: int, dtype: type[np.integer[Any]], tmp_path: Path
) -> None:
    whole = Whole(1, dtype, zero + (120 if dtype is np.uint8 else 0))
    model, path = whole.saved(LAYERS[name](whole, whole.output), tmp_path)
    equal(import_network(path), model, whole.writer)


def equal(network: Network, model: Any, writer: OnnxWriter, images: int = 20) -> None:
    """Compare outputs, of images whose values lie on halves of the first quantizer too."""
    rng, (channels, rows, columns) = np.random.default_rng(4), writer.shape
    halves = rng.integers(-200, 200, (images, rows, columns, channels)) * 2.0**-7
    (name,) = (output.name for output in model.graph.output)
    expected = run(model, halves.astype(np.float32), [name])[name]
    found = infer(network, network.encode(halves)).transpose(0, 3, 1, 2)
    scale = network.tensors[network.graph.outputs[0]].scale
    np.testing.assert_array_equal(found.reshape(expected.shape) * scale, expected)


@pytest.mark.parametrize("zero", [1, 8])
def test_the_rtl_rounds_as_onnx_runtime_does(zero: int, tmp_path: Path) -> None:
    whole = Whole(2, np.int8, zero)
    first = whole.conv(whole.output, kernel=3)
    floor = whole.writer.constant(np.int8(zero + 3))  # all values above zero
    total = whole.add(first, whole.writer.add("Max", [first, floor], 3))
    last = whole.pool(total, "QLinearAveragePool", kernel_shape=[2, 2])
    model, path = whole.saved(last, tmp_path)
    network = import_network(path)
    roundings = {p.rounding for p in network.parameters.values()}
    roundings |= {n.layer.rounding for n in network.graph.nodes if isinstance(n.layer, Pool)}
    assert roundings == {Rounding.EVEN, Rounding.ODD if zero % 2 else Rounding.EVEN}
    assert any(isinstance(node.layer, Add) for node in network.graph.nodes)
    assert any(tensor.stream_range[0] > 0 for tensor in network.tensors.values())
    equal(network, model, whole.writer)
    verdict = verify(network, default_machine(network, 90), whole.writer.images(2), optimize=False)
    assert verdict.equal, verdict


@pytest.mark.parametrize("zero", [0.0, 3.0])
@pytest.mark.parametrize("signed", [0, 1])
def test_quantizers_of_qonnx_round_halves_to_the_even_integer(
    zero: float, signed: int, tmp_path: Path
) -> None:
    """A Quant adds its zero point before it rounds; QONNX' own arithmetic is the judge."""
    w = QonnxWriter((3, 6, 5), 1)

    def activation(source: str, scale: float) -> str:
        inputs = [source, w.constant(np.float32(scale)), w.number(zero), w.number(6)]
        found = {"signed": signed, "narrow": 0, "rounding_mode": "ROUND"}
        return w.add("Quant", inputs, 3, domain="qonnx.custom_op.general", **found)

    image = activation(INPUT, 2**-5)
    total = activation(w.add("Add", [image, image], 3), 2**-3)
    pool = w.add("AveragePool", [total], 3, kernel_shape=[2, 2])
    path = saved(w, activation(pool, 2**-3), tmp_path / "halves.onnx")
    network, images = import_network(path), w.images(20)
    (output,) = (tensor.name for tensor in onnx.load(path).graph.output)
    expected = executed(path, images, [output])[output]
    found = infer(network, network.encode(images)).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(found * 2**-3, expected)


@pytest.mark.parametrize("zero", [0, 1])
def test_images_are_made_integers_in_single_precision(zero: int, tmp_path: Path) -> None:
    """Scales and reals for which double precision gives other integers."""
    writer = OnnxWriter((1, 16, 16), 1)
    scale = np.float32(1 / 255)
    pair = [writer.constant(scale), writer.constant(np.uint8(zero))]
    image = writer.add("QuantizeLinear", [INPUT, *pair], 1)
    real = writer.add("DequantizeLinear", [image, *pair], 1)
    output = writer.add("MaxPool", [real], 1, kernel_shape=[1, 1])
    model, path = writer.model(output), tmp_path / "image.onnx"
    onnx.save(model, path)
    halves = (np.arange(256) + 0.5) * (1 / 255)
    values = np.nextafter(halves.astype(np.float32), np.float32(1)).reshape(1, 16, 16, 1)
    assert (np.rint(values / scale) != np.rint(values.astype(float) / float(scale))).any()
    network = import_network(path)
    expected = run(model, values, [output])[output] / scale
    found = infer(network, network.encode(values))
    np.testing.assert_array_equal(found.ravel(), np.rint(expected).ravel())


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        (Rounding.EVEN, [-2, -2, 0, 0, 2, 2]),
        (Rounding.ODD, [-3, -1, -1, 1, 1, 3]),
        (Rounding.AWAY, [-3, -2, -1, 1, 2, 3]),
    ],
)
def test_halves_of_an_image_go_where_its_runtime_sends_them(
    rounding: Rounding, expected: list[int]
) -> None:
    network = replace(pl.load("digits"), encoding=rounding)
    tensor = TensorQuantization(0.5, 0, -128, 127)
    network = replace(network, tensors={**network.tensors, SOURCE: tensor})
    column = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0, 0]).reshape(8, 1) * 0.5
    assert network.encode_column(column).ravel()[:6].tolist() == expected
