"""Calibration unlike the data is told of, with the ranges seen, and data alike is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import pilaster as pl
from pilaster.models.calibration import unlike
from tests.models.importers.onnx_writer import INPUT, OnnxWriter

RNG = np.random.default_rng(1)
ONE = RNG.random((20, 8, 6, 3))
BYTES = RNG.integers(0, 256, (20, 8, 6, 3), np.uint8)


def network(folder: Path, calibration: NDArray[np.generic]) -> pl.Network:
    writer = OnnxWriter((3, 8, 6), 1)
    path = folder / "float.onnx"
    onnx.save(writer.model(writer.relu(writer.conv(INPUT, 4, (3, 3)))), path)
    return pl.load(path, calibration=calibration)


UNLIKE = {
    "0 to 1, then 0 to 255": (ONE, ONE * 255, "takes 0 to 0.99"),
    "0 to 255, then 0 to 1": (ONE * 255, ONE, "most of that is not used"),
    "bytes, then 0 to 255": (BYTES, BYTES.astype(float), "the images hold 0 to 255"),
    "0 to 1, then -2 to 2": (ONE, ONE * 4 - 2, "lie far outside"),
    "0 to 1, then zeros": (ONE, ONE * 0, "all their values are the same"),
}


@pytest.mark.parametrize("case", UNLIKE)
def test_images_unlike_those_of_calibration_are_told_of(case: str, tmp_path: Path) -> None:
    calibration, images, message = UNLIKE[case]
    found = network(tmp_path, calibration)
    warning = unlike(found, images)
    assert message in warning
    result = pl.simulate(found, pl.load_machine(None, found), images)
    assert warning in result.notes


@pytest.mark.parametrize(
    ("calibration", "images"), [(ONE, ONE[:3]), (BYTES, BYTES), (BYTES, ONE), (ONE, BYTES[:2])]
)
def test_images_alike_are_not(
    calibration: NDArray[np.generic], images: NDArray[np.generic], tmp_path: Path
) -> None:
    assert unlike(network(tmp_path, calibration), images) == ""


@pytest.mark.parametrize("value", [0.0, 0.5, 255.0])
def test_calibration_images_of_one_value_are_told_of(value: float, tmp_path: Path) -> None:
    found = network(tmp_path, np.full((4, 8, 6, 3), value))
    assert f"all values of the calibration images are {value:.4g}" in found.note


def test_shipped_networks_take_their_own_digits() -> None:
    for name in ("digits", "lenet5"):
        found = pl.load(name)
        images = pl.load_images(found, count=50).images
        assert unlike(found, images) == ""
