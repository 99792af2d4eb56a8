"""What random graphs found: bounds beyond a range, a Pad of two values, coarse biases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from pilaster.models.importers import import_network
from pilaster.models.reference.network import infer
from tests.models.importers.onnx_writer import INPUT, OnnxWriter, run
from tests.models.importers.test_attributes import equals_at_opset_21
from tests.models.importers.test_folds import conv_alone, pair


def bound(w: OnnxWriter, kind: str, value: float) -> str:
    return w.add(kind, [conv_alone(w), w.constant(np.float32(value))], 3)


BEYOND: dict[str, Callable[[OnnxWriter], str]] = {
    "a bound below the range": lambda w: pair(w, bound(w, "Min", -3.0), 2**-6, -128),
    "a bound above the range": lambda w: pair(w, bound(w, "Max", 9.0), 2**-6),
    "a bound that leaves zero out": lambda w: pair(w, bound(w, "Max", 0.5), 2**-6),
    "a bound below zero": lambda w: pair(w, bound(w, "Min", -0.5), 2**-6),
}


@pytest.mark.parametrize("case", BEYOND)
def test_bounds_saturate_as_the_quantizer_behind_them(case: str, tmp_path: Path) -> None:
    writer = OnnxWriter((3, 6, 5), 1)
    equals_at_opset_21(writer, BEYOND[case](writer), tmp_path)


def test_zeros_around_a_value_and_around_its_integers_are_two(tmp_path: Path) -> None:
    writer = OnnxWriter((3, 6, 5), 1)
    image = pair(writer, INPUT, 2**-6)
    pads = writer.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1]))
    padded = writer.add("Pad", [image, pads], 3)
    total = writer.add("Add", [padded, pair(writer, padded, 2**-2)], 3)
    equals_at_opset_21(writer, pair(writer, total, 2**-3), tmp_path)


@pytest.mark.parametrize("unit", [2**-3, 2**-1, 2.0])
def test_a_bias_between_the_units_of_a_sum_moves_no_value_by_more_than_one(
    unit: float, tmp_path: Path
) -> None:
    writer = OnnxWriter((3, 6, 5), 1)
    image = pair(writer, INPUT, 2**-2)
    weight = writer.constant(writer.rng.integers(-3, 4, (4, 3, 1, 1), np.int8))
    real = writer.add("DequantizeLinear", [weight, writer.constant(np.float32(unit))], 0)
    bias = writer.reals(4, low=-2.0, high=2.0)
    output = pair(writer, writer.add("Conv", [image, real, bias], 4), 2**-5)
    model, path = writer.model(output), tmp_path / "coarse.onnx"
    onnx.save(model, path)
    network, images = import_network(path), writer.images(9)
    found = infer(network, network.encode(images)).transpose(0, 3, 1, 2)
    assert np.abs(found - run(model, images, [output])[output] * 2**5).max() <= 1.01


CARRIED: dict[str, Callable[[OnnxWriter, str], str]] = {
    "a sum of sums": lambda w, x: w.add("Add", [*[w.add("Add", [x, x], 3)] * 2], 3),
    "a sum of convolutions": lambda w, x: w.add("Add", [conv_of(w, x), conv_of(w, x)], 3),
    "a bounded sum and a sum": lambda w, x: bounded_sums(w, x),
}


def conv_of(w: OnnxWriter, source: str) -> str:
    weight = w.constant(w.rng.integers(-3, 4, (3, 3, 1, 1), np.int8))
    real = w.add("DequantizeLinear", [weight, w.constant(np.float32(0.25))], 0)
    return w.add("Conv", [source, real], 3)


def bounded_sums(w: OnnxWriter, source: str) -> str:
    total = w.add("Add", [source, source], 3)
    first = w.add("Max", [w.add("Add", [total, source], 3), w.constant(np.float32(0.4375))], 3)
    return w.add("Add", [first, total], 3)


@pytest.mark.parametrize("case", CARRIED)
def test_reals_that_nothing_quantizes_keep_their_halves(case: str, tmp_path: Path) -> None:
    writer = OnnxWriter((3, 6, 5), 1)
    total = CARRIED[case](writer, pair(writer, INPUT, 2**-6))
    equals_at_opset_21(writer, pair(writer, total, 2**-2, 3), tmp_path)


def test_a_sum_that_is_carried_to_two_readers_makes_layers_of_their_own(tmp_path: Path) -> None:
    """The second once replaced the first, which had been read already: wrong numbers."""
    writer = OnnxWriter((3, 6, 5), 1)
    raw = conv_of(writer, pair(writer, INPUT, 2**-6))
    total = writer.add("Add", [pair(writer, raw, 2**-3), raw], 3)
    output = writer.add("Add", [pair(writer, total, 2**-3), total], 3)
    equals_at_opset_21(writer, pair(writer, output, 2**-5, 3), tmp_path)
