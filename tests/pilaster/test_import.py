"""Files of other tools wherever a network is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

import pilaster as pl
from pilaster.models.quantization import Rounding
from tests.models.importers.onnx_writer import INPUT as IMAGE
from tests.models.importers.onnx_writer import OnnxWriter
from tests.models.importers.tflite_writer import INPUT, RELU, RELU6, TfliteWriter
from tests.pilaster.conftest import Command


def separable(path: Path, seed: int = 1) -> Path:
    """Write a depthwise-separable network of a map that is no square."""
    file = TfliteWriter((9, 6, 2), seed)
    first = file.conv(INPUT, 4, (3, 2), (2, 1), fused=RELU)
    second = file.conv(file.depthwise(first, 1, (3, 3), fused=RELU6), 5, fused=RELU)
    pooled = file.pool("average", second, (5, 6), (5, 6), same=False)
    file.softmax(file.fully_connected(file.flatten(pooled), 3))
    path.write_bytes(file.written())
    return path


def test_a_tflite_file_runs_with_no_machine_given(command: Command, tmp_path: Path) -> None:
    path = separable(tmp_path / "mine.tflite")
    outcome = command("run", path, "--images", 3, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    found = json.loads(outcome.out)
    assert found["network"] == "mine"
    assert [stage["name"] for stage in found["stages"]] == [
        *("conv_0", "depthwise_1", "conv_2", "average_pool_3", "fc_5")
    ]
    assert "weights of mine.tflite; softmax left to the host" in found["notes"]
    assert found["data"].startswith("seeded noise")


def test_a_users_own_images_and_either_axis(command: Command, tmp_path: Path) -> None:
    path = separable(tmp_path / "mine.tflite")
    images = np.random.default_rng(1).integers(0, 256, (4, 9, 6, 2)).astype(np.uint8)
    np.save(tmp_path / "images.npy", images)
    answers = []
    for columns in ("width", "height"):
        arguments = ("run", path, "--data", "images.npy", "--images", 4, "--columns", columns)
        found = json.loads(command(*arguments, "--json").out)
        network = pl.load(path, columns=columns)
        result = pl.simulate(network, pl.load_machine(None, network), images)
        assert found["latency_cycles"] == result.latency_cycles
        answers.append(result.predictions)
    assert answers[0] == answers[1]


def test_a_float_onnx_file_is_quantized_on_calibration_images(
    command: Command, tmp_path: Path
) -> None:
    writer = OnnxWriter((3, 8, 6), 1)
    writer.dense(writer.relu(writer.conv(IMAGE, 4, (3, 3))), 4 * 6 * 4, 5)
    onnx.save(writer.model(), tmp_path / "mine.onnx")
    np.save(tmp_path / "images.npy", writer.images(10))
    refused = command("run", "mine.onnx", "--images", 2)
    assert refused.code == 2
    assert refused.err == (
        "pilaster: mine.onnx: is a float network: give images to quantize it on (--calibration D, "
        "or calibration= in Python); without them only its shapes, times and costs are known "
        "(--images 0)\n"
    )
    arguments = ("run", "mine.onnx", "--calibration", "images.npy", "--data", "images.npy")
    found = json.loads(command(*arguments, "--images", 10, "--json").out)
    assert "weights of mine.onnx, quantized on 10 images" in found["notes"]


def test_a_file_that_forks_and_joins_runs(command: Command, tmp_path: Path) -> None:
    file = TfliteWriter((5, 5, 2), 1)
    file.add(INPUT, file.conv(INPUT, 2))
    (tmp_path / "mine.tflite").write_bytes(file.written())
    outcome = command("run", "mine.tflite", "--json")
    assert outcome.code == 0
    stage = json.loads(outcome.out)["stages"][-1]
    assert (stage["name"], stage["kind"], stage["lanes"]) == ("add_1", "add", 0)
    assert stage["actions"]["requantize"] == 3 * 5 * 5 * 2, "figures are those of an image"


def test_the_rtl_of_a_tflite_file_is_the_model(command: Command, tmp_path: Path) -> None:
    path = separable(tmp_path / "mine.tflite")
    assert pl.load(path).parameters["fc_5"].rounding is Rounding.ONCE
    outcome = command("verify", path, "--images", 2, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    found = json.loads(outcome.out)
    assert found["values_equal"]
    assert pl.load(path).checked in found["notes"], "verify says whether the file was checked"


@pytest.mark.parametrize("name", ["mine.pb", "mine"])
def test_other_files_are_refused(command: Command, name: str) -> None:
    outcome = command("run", name)
    assert outcome.code == 2
    assert "and .tflite and .onnx files" in outcome.err


def test_the_axis_is_one_of_two() -> None:
    with pytest.raises(pl.InputError, match="columns: must be width or height, not 'rows'"):
        pl.load("digits", columns="rows")  # type: ignore[arg-type]


def test_a_quantized_file_at_other_widths(command: Command, tmp_path: Path) -> None:
    path = separable(tmp_path / "mine.tflite")
    np.save(tmp_path / "few.npy", np.random.default_rng(1).integers(0, 256, (9, 9, 6, 2), np.uint8))
    refused = command("run", path, "--bits", "4")
    assert (refused.code, refused.out) == (2, "")
    assert "other widths need images to quantize it on (--calibration D" in refused.err
    arguments = ("run", path, "--bits", "4:6", "--calibration", "few.npy", "--columns", "height")
    found = json.loads(command(*arguments, "--json").out)
    assert any("quantized anew to 4-bit weights and 6-bit" in note for note in found["notes"])
    verdict = command(*("verify", *arguments[1:]), "--images", 1, "--json")
    assert json.loads(verdict.out)["values_equal"], verdict


@pytest.mark.parametrize("bits", ["0", "17", "4:", "x", "4:8:2"])
def test_widths_that_are_none(command: Command, bits: str) -> None:
    refused = command("run", "digits", "--bits", bits)
    assert (refused.code, refused.out) == (2, "")
    assert "--bits: must be W or W:A, each from 1 to 16" in refused.err


@pytest.mark.slow
@pytest.mark.parametrize("columns", ["width", "height"])
def test_the_rtl_of_an_imported_file_equals_the_model(
    command: Command, tmp_path: Path, columns: str
) -> None:
    path = separable(tmp_path / "mine.tflite")
    outcome = command("verify", path, "--images", 2, "--columns", columns)
    assert outcome.code == 0, outcome.out + outcome.err
    assert "the RTL equals the model" in outcome.out
