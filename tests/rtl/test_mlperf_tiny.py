"""The three laws on the MLPerf Tiny models, whole, one image each.

The files are the user's own: PILASTER_DATA says where they stand.
"""

import os
from pathlib import Path

import numpy as np
import pytest

import pilaster as pl
from pilaster.rtl.verification.verify import verify

MODELS = Path(os.environ.get("PILASTER_DATA", "no folder")) / "models"


@pytest.mark.slow
@pytest.mark.skipif(not MODELS.is_dir(), reason="PILASTER_DATA names no folder with models/")
@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("resnet8_cifar10_int8", "width"),
        ("dscnn_kws_int8", "height"),
        ("mobilenetv1_025_vww96_int8", "width"),
    ],
)
def test_every_stage_of_a_whole_model(name, columns):
    network = pl.load(MODELS / f"{name}.tflite", columns=columns)
    shape = network.image_shape
    size = (1, shape.height, shape.width, shape.channels)
    images = np.random.default_rng(0).integers(0, 256, size).astype(np.uint8)
    verdict = verify(network, pl.load_machine(None, network), images)
    assert verdict.equal, "\n".join(str(d) for s in verdict.stages for d in s.differences)
