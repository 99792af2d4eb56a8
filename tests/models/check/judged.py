"""Test support: a drawn file is imported, and what is accepted is what its runtime computes."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.check import Check, check_file, seeded_images
from pilaster.models.importers import import_network

__all__ = ["OUTCOMES", "judge_onnx", "judge_tflite"]

OUTCOMES: Counter[str] = Counter()
"""How many files were accepted, refused, or not run by the runtime."""


def judge_onnx(model: Any, images: NDArray[np.generic], *, calibrate: bool) -> None:
    """Assert that a model is refused, or computes what onnxruntime does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.onnx"
        onnx.save(model, path)
        _judge(path, images, calibrate, onnx.printer.to_text(model))


def judge_tflite(content: bytes, shown: str) -> None:
    """Assert that a file is refused, or computes what LiteRT does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.tflite"
        path.write_bytes(content)
        _judge(path, None, False, shown)


def _judge(path: Path, images: NDArray[np.generic] | None, calibrate: bool, shown: str) -> None:
    try:
        network = import_network(path, images if calibrate else None)
    except InputError as error:
        OUTCOMES["refused"] += 1
        OUTCOMES[_reason(path, error)] += 1
        return
    try:
        given = seeded_images(network, 3) if images is None else images
        check = check_file(path, network, given, "drawn", quantized_here=calibrate)
    except InputError as error:
        OUTCOMES["not run"] += 1
        OUTCOMES[_reason(path, error)] += 1
        return
    OUTCOMES["accepted"] += 1
    assert check.departs is None, f"{_told(check)}\n{shown}"


def _reason(path: Path, error: InputError) -> str:
    return "".join(c for c in str(error).replace(str(path), "") if not c.isdigit())[:90]


def _told(check: Check) -> str:
    layers = "\n".join(str(layer) for layer in check.layers if layer.differing)
    return f"{check}\n{layers}"
