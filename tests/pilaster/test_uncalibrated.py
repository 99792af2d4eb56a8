"""A float network without images: shapes, times and costs, and a word about it in every output."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

import pilaster as pl
from pilaster.base.errors import InputError
from pilaster.cli import main
from pilaster.models.assumed_ranges import assumed_ranges
from pilaster.models.importers.onnx import build
from pilaster.models.importers.onnx_floats import float_network
from pilaster.models.quantizer import float_tensors
from tests.models.importers.onnx_writer import INPUT, OnnxWriter

SAID = "not calibrated: ranges of activations are assumed"


def network_file(folder: Path, seed: int = 1) -> Path:
    writer = OnnxWriter((3, 8, 7), seed)
    first = writer.relu(writer.conv(INPUT, 6, (3, 3), pads=[1, 1, 1, 1]))
    pooled = writer.add("MaxPool", [first], 6, kernel_shape=[2, 2], strides=[2, 2])
    writer.dense(writer.clip(writer.conv(pooled, 6, (3, 3)), 6.0), 6 * 2 * 1, 5)
    path = folder / "float.onnx"
    onnx.save(writer.model(), path)
    return path


def test_times_and_costs_are_those_of_the_calibrated_network(tmp_path: Path) -> None:
    path = network_file(tmp_path)
    images = np.random.default_rng(1).random((20, 8, 7, 3)).astype(np.float32)
    results = [
        pl.simulate(network, pl.load_machine(None, network))
        for network in (pl.load(path), pl.load(path, calibration=images))
    ]
    first, second = results
    assert first.latency_cycles == second.latency_cycles
    assert first.lanes == second.lanes
    assert SAID in " ".join(first.notes)
    assert first.energy.total_pj == pytest.approx(second.energy.total_pj, rel=0.2)


def test_assumed_ranges_hold_what_independent_inputs_give(tmp_path: Path) -> None:
    network = float_network(build(network_file(tmp_path)), "float").network
    ranges = assumed_ranges(network)
    images = np.random.default_rng(2).random((50, 8, 7, 3))
    for name, values in float_tensors(network, images).items():
        low, high = ranges[name]
        inside = ((values >= low) & (values <= high)).mean()
        assert inside > 0.99, name
        assert max(abs(low), high) < 40 * np.abs(values).max(), name


@pytest.mark.parametrize(
    "arguments", [["run", "--images", "0"], ["map", "--column-interval", "99"]]
)
def test_every_output_says_that_ranges_are_assumed(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [arguments[0], str(network_file(tmp_path)), *arguments[1:]]
    assert main(command) == 0
    assert SAID in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert SAID in " ".join([*found.get("notes", []), found.get("note", "")])


def test_an_exploration_says_that_ranges_are_assumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["explore", str(network_file(tmp_path)), "--column-interval", "99"]
    assert main([*command, "--machines", "50", "--out", str(tmp_path / "out")]) == 0
    assert SAID in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["run", "--images", "2"], ["verify"], ["rtl", "--out", "rtl"]]
)
def test_what_needs_values_asks_for_images(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [arguments[0], str(network_file(tmp_path)), *arguments[1:]]
    command = [
        str(tmp_path / "rtl") if word == "rtl" and i > 2 else word for i, word in enumerate(command)
    ]
    assert main(command) == 2
    assert "is a float network: give images to quantize it on" in capsys.readouterr().err
    assert not (tmp_path / "rtl").exists()


def test_values_are_refused_in_python(tmp_path: Path) -> None:
    network = pl.load(network_file(tmp_path))
    with pytest.raises(InputError, match="give images to quantize it on"):
        network.encode(np.zeros((1, 8, 7, 3)))
