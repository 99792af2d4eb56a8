"""Resize and Upsample are upsampling where each value is taken equally often; else refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import pilaster as pl
from pilaster.base.errors import InputError
from pilaster.models.importers import import_network
from pilaster.models.layers import Upsample
from pilaster.rtl.verification.verify import verify
from pilaster.sim.default import default_machine
from tests.models.check.judged import OUTCOMES, judge_onnx
from tests.models.importers.onnx_writer import INPUT, OnnxWriter

ASYMMETRIC = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


def enlarged(factors: tuple[int, int], opset: int = 17, **attributes: Any) -> tuple[Any, Any]:
    """Write a convolution, an upsampling and another convolution; give images too."""
    writer = OnnxWriter((2, 4, 3), 5)
    first = writer.conv(INPUT, 3, (3, 3), pads=[1, 1, 1, 1])
    scales = np.float32([1, 1, *factors])
    if opset < 9:
        inputs, attributes = [first], {"scales": scales.tolist()}
    elif opset < 11:
        inputs = [first, writer.constant(scales)]
    else:
        inputs = [first, "", writer.constant(scales)]
    larger = writer.add("Resize" if opset >= 10 else "Upsample", inputs, 3, **attributes)
    writer.conv(writer.relu(larger), 2, (3, 3), pads=[1, 1, 1, 1])
    model = writer.model()
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", opset))
    model.ir_version = 8
    return model, writer.images(4)


@pytest.mark.parametrize(
    ("factors", "opset", "attributes"),
    [
        ((2, 2), 8, {}),
        ((3, 2), 9, {}),
        ((1, 4), 10, {}),
        ((2, 3), 13, ASYMMETRIC),
        ((2, 3), 19, ASYMMETRIC),
        ((4, 3), 13, {}),  # half pixels, the nearest
        ((2, 2), 13, {"coordinate_transformation_mode": "pytorch_half_pixel"}),
        ((2, 1), 13, {**ASYMMETRIC, "nearest_mode": "round_prefer_floor"}),
    ],
)
def test_what_takes_every_value_equally_often_is_upsampling(
    factors: tuple[int, int], opset: int, attributes: dict[str, Any]
) -> None:
    OUTCOMES.clear()
    judge_onnx(*enlarged(factors, opset, **attributes), calibrate=True)
    assert OUTCOMES["accepted"] == 1, OUTCOMES


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"mode": "linear"}, "mode: linear is not supported, must be nearest"),
        ({**ASYMMETRIC, "nearest_mode": "ceil"}, "export nearest-neighbor upsampling with asym"),
        ({"coordinate_transformation_mode": "tf_crop_and_resize"}, "is not supported"),
    ],
)
def test_other_ways_to_resize_are_refused(
    attributes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    model, images = enlarged((2, 2), **attributes)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(InputError, match=message):
        import_network(tmp_path / "other.onnx", images)


@pytest.mark.parametrize("columns", ["width", "height"])
def test_the_rtl_is_the_model(columns: Any, tmp_path: Path) -> None:
    model, images = enlarged((2, 3), **ASYMMETRIC)
    onnx.save(model, tmp_path / "larger.onnx")
    network = pl.load(tmp_path / "larger.onnx", calibration=images, columns=columns)
    (layer,) = (n.layer for n in network.graph.nodes if isinstance(n.layer, Upsample))
    assert layer.factor == ((2, 3) if columns == "width" else (3, 2))
    verdict = verify(network, default_machine(network, 400), images[:2], optimize=False)
    assert verdict.equal, verdict
