"""Test support: the files that a reader of a page would bring."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np

from pilaster.models.datasets import embedded_digits

__all__ = ["DATA", "bring_files"]

DATA = Path(os.environ.get("PILASTER_DATA", "no folder"))
"""Public files: networks under ``models``, Liberty files under ``liberty``."""

LIBRARY = "sg13g2_stdcell_typ_1p20V_25C.lib"


def bring_files(folder: Path) -> None:
    """Put what the pages name in a folder: images, networks, a library, the examples."""
    _images(folder)
    _networks(folder)
    root = Path(__file__).parents[2]
    (folder / "examples").symlink_to(root / "examples")
    for path in sorted(DATA.glob("models/*.tflite")):
        (folder / path.name).symlink_to(path)
    library = DATA / "liberty" / LIBRARY
    tiny = root / "tests" / "rtl" / "gates"
    (folder / LIBRARY).symlink_to(library if library.exists() else tiny / "tiny.lib")
    macros = sorted(DATA.glob("liberty/ihp_sram/*.lib")) or [tiny / "tiny_sram.lib"]
    for path in macros:
        name = path.name if path.name.startswith("RM_") else f"RM_IHPSG13_1P_{path.name}"
        (folder / name).symlink_to(path)


def _images(folder: Path) -> None:
    """Write embedded digits in each of the forms that images come in."""
    digits = embedded_digits("test")
    np.savez(folder / "mine.npz", images=digits.images[:20], labels=digits.labels[:20])
    (folder / "mnist").mkdir()
    for name, kind, values in (
        ("t10k-images-idx3-ubyte", 3, digits.images[..., 0]),
        ("t10k-labels-idx1-ubyte", 1, digits.labels),
    ):
        header = struct.pack(f">HBB{kind}I", 0, 8, kind, *values.shape)
        (folder / "mnist" / name).write_bytes(header + values.astype(np.uint8).tobytes())


def _networks(folder: Path) -> None:
    """Write a small network as a .tflite and as an .onnx file, and images for the latter."""
    try:
        from tests.models.importers.onnx_writer import OnnxWriter
        from tests.models.importers.tflite_writer import TfliteWriter
    except ImportError:  # the pages that need them are skipped where the runtimes are not there
        return
    small = TfliteWriter((12, 12, 3), 1)
    small.fully_connected(small.flatten(small.conv("image", 4, (3, 3))), 5)
    (folder / "model.tflite").write_bytes(small.written())
    reals = OnnxWriter((3, 12, 12), 1)
    reals.relu(reals.conv("image", 4, (3, 3)))
    (folder / "model.onnx").write_bytes(reals.model().SerializeToString())
    np.save(folder / "images.npy", reals.images(4))
