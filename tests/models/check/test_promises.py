"""What a check allows is what single precision and a rounded bias explain, and no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from pilaster.models.check import Check, check_file, compare
from pilaster.models.importers import import_network, trace_network
from pilaster.models.network import Network
from pilaster.models.quantization import Rounding
from pilaster.models.quantizer import FloatNetwork
from tests.models.importers.onnx_writer import INPUT, OnnxWriter
from tests.models.importers.qonnx_writer import QonnxWriter, saved


def checked(path: Path, images: NDArray[np.generic], *, calibrate: bool = False) -> Check:
    network = import_network(path, images if calibrate else None)
    return check_file(path, network, images, "written here", quantized_here=calibrate)


def cancelling(path: Path) -> NDArray[np.float32]:
    """Write a sum of a thousand products that is nearly zero; give images."""
    writer = OnnxWriter((1, 32, 32), 1)
    flat = writer.add("Flatten", [INPUT], 1024)
    signs = np.float32([1, -1] * 512)[:, None]
    writer.add("MatMul", [flat, writer.constant(signs)], 1)
    onnx.save(writer.model(), path)
    first = writer.rng.uniform(-1, 1, (4, 512))
    second = first + writer.rng.uniform(0, 2e-6, (4, 512))
    pairs: NDArray[np.float32] = np.stack([first, second], -1).astype(np.float32)
    return pairs.reshape(4, 32, 32, 1)


def test_a_sum_that_cancels_is_measured_by_its_terms(tmp_path: Path) -> None:
    images = cancelling(tmp_path / "sum.onnx")
    found = checked(tmp_path / "sum.onnx", images, calibrate=True)
    assert found.departs is None, found


def test_a_weight_that_is_wrong_is_seen_in_a_sum_that_cancels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = cancelling(tmp_path / "sum.onnx")

    def wrong(path: Path) -> tuple[Network | FloatNetwork, Any]:
        traced, values = trace_network(path)
        assert isinstance(traced, FloatNetwork)
        weights = {name: weight.copy() for name, weight in traced.weights.items()}
        next(iter(weights.values())).flat[0] *= 1.5
        return replace(traced, weights=weights), values

    monkeypatch.setattr(compare, "trace_network", wrong)
    assert checked(tmp_path / "sum.onnx", images, calibrate=True).departs is not None


def test_halves_that_single_precision_moves_are_seen_where_they_are_rounded(
    tmp_path: Path,
) -> None:
    """Padding around a tensor does not hide it: the layer behind is computed from the runtime's."""
    writer = OnnxWriter((1, 1, 1), 2)
    step = np.float32(0.005882353)
    fine, coarse, weight = (
        [writer.constant(np.float32(scale)), writer.constant(np.uint8(128))]
        for scale in (step, 2 * step, 0.009016225)
    )
    image = writer.add("QuantizeLinear", [INPUT, *fine], 1)
    pads = writer.constant(np.array([0, 0, 0, 0, 0, 0, 0, 1]))
    around = writer.add("Pad", [image, pads, writer.constant(np.uint8(128))], 1)
    real = writer.add("DequantizeLinear", [around, *fine], 1)
    halved = writer.add("QuantizeLinear", [real, *coarse], 1)
    again = writer.add("DequantizeLinear", [halved, *coarse], 1)
    kernel = writer.constant(np.uint8([[[[248]]]]))
    taps = writer.add("DequantizeLinear", [kernel, *weight], 1)
    writer.add("Conv", [again, taps], 1)
    onnx.save(writer.model(), tmp_path / "halves.onnx")
    images = np.linspace(-0.75, 0.75, 300, dtype=np.float32).reshape(300, 1, 1, 1)
    found = checked(tmp_path / "halves.onnx", images)
    assert found.departs is None, found
    moved = {layer.name: layer.differing for layer in found.layers if layer.differing}
    assert len(moved) == 1, moved


def test_a_sum_with_what_nothing_quantizes_is_as_fine_as_32_bits_let_it_be(tmp_path: Path) -> None:
    """One of its terms has steps that are 660 times the other's."""
    writer = QonnxWriter((1, 1, 4), 4)
    image = writer.quant(INPUT, 2**-7, 8, signed=1, channels=1)
    taps = [writer.quant(writer.reals(1, 1, 1, 3), 0.1938, 3, signed=1) for _ in range(2)]
    sums = [writer.add("Conv", [image, tap], 1, pads=[0, 1, 0, 1]) for tap in taps]
    coarse = writer.quant(sums[0], 1.0, 2, channels=1)
    both = writer.add("Add", [coarse, sums[1]], 1)
    saved(writer, writer.quant(both, 0.1349, 6, signed=1, channels=1), tmp_path / "sum.onnx")
    found = checked(tmp_path / "sum.onnx", writer.images(2000))
    assert found.departs is None, found
    assert found.layers[-1].differing < found.layers[-1].values / 1000, found.layers[-1]


def few_bits(path: Path, bias: float) -> NDArray[np.float32]:
    """Write sums of few bits, each fourth of which is a half; give images."""
    writer = QonnxWriter((3, 4, 4), 3)
    image = writer.quant(INPUT, 0.25, 4, signed=1, channels=3)
    taps = writer.constant(writer.rng.integers(-3, 4, (8, 3, 1, 1)).astype(np.float32) / 4)
    weight = writer.quant(taps, 0.25, 3, signed=1)
    sums = writer.add("Conv", [image, weight, writer.constant(np.full(8, bias, np.float32))], 8)
    output = writer.quant(sums, 0.25, 8, signed=1, channels=8)
    saved(writer, output, path)
    return 2 * writer.images(20)


@pytest.mark.parametrize("bias", [3 / 16, 0.26, -0.26])
def test_a_bias_that_is_rounded_may_move_every_half(tmp_path: Path, bias: float) -> None:
    found = checked(tmp_path / "few.onnx", few_bits(tmp_path / "few.onnx", bias))
    assert found.departs is None, found
    differing = sum(layer.differing for layer in found.layers)
    assert (differing > 0) == (bias != 3 / 16)


def test_another_rule_for_halves_departs_where_the_bias_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = few_bits(tmp_path / "few.onnx", 3 / 16)

    def wrong(path: Path) -> tuple[Network | FloatNetwork, Any]:
        traced, values = trace_network(path)
        assert isinstance(traced, Network)
        parameters = {
            name: replace(found, rounding=Rounding.ONCE)
            for name, found in traced.parameters.items()
        }
        return replace(traced, parameters=parameters), values

    monkeypatch.setattr(compare, "trace_network", wrong)
    assert checked(tmp_path / "few.onnx", images).departs is not None
