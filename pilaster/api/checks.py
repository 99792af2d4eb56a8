"""Compare an imported network with the runtime of its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pilaster.api.arguments import as_images
from pilaster.api.networks import load
from pilaster.base.arguments import as_function, as_path, as_whole
from pilaster.base.errors import InputError
from pilaster.data import check_noise, images_for
from pilaster.models.check import Check, check_file, seeded_images
from pilaster.models.importers import SUFFIXES
from pilaster.models.network import Columns, Network

__all__ = ["DEFAULT_IMAGES", "check"]

DEFAULT_IMAGES = 4
"""Default number of images of a check."""


def check(
    file: str | Path,
    images: NDArray[np.generic] | str | Path | None = None,
    *,
    count: int | None = None,
    columns: Columns = "width",
    calibration: NDArray[np.generic] | None = None,
    bits: int | tuple[int, int] | None = None,
    progress: Callable[[int], None] = lambda images_done: None,
) -> Check:
    """Run a .tflite or .onnx file in its own runtime, and compare the imported network with it.

    LiteRT with its reference kernels runs .tflite files, and onnxruntime without optimizations runs
    .onnx files. Pilaster caches the result of a check that passes: the network that `load` returns
    for the same file and options then states that it was checked.

    Parameters
    ----------
    images : (N, H, W, C), as for `simulate`, or a path as for `load_images`; by default the first
        calibration images if given, otherwise seeded noise over the whole range of the input
    count : number of images; by default 4, or all images of an array
    columns, calibration, bits : as for `load`
    progress : called with the number of images done

    Returns
    -------
    Check
        The comparison, layer by layer. ``holds`` is True if all differences are within the limits
        in docs/importing.md; ``departs`` is the first layer that exceeds them

    Raises
    ------
    InputError
        If the file cannot be used, or its runtime is not installed or cannot run the file.

    Examples
    --------
    >>> import pilaster as pl
    >>> found = pl.check("model.tflite", count=2)
    >>> found.holds
    True
    """
    path = as_path("file", file)
    if path.suffix not in SUFFIXES:
        raise InputError(
            f"{file}: only {' and '.join(SUFFIXES)} files have a runtime to be checked against"
        )
    wanted = None if count is None else as_whole("count", count)
    network = load(path, columns=columns, calibration=calibration, bits=bits)
    found, data = _images(network, images, wanted, calibration)
    return check_file(
        path,
        network,
        found,
        data,
        quantized_here=calibration is not None or bits is not None,
        progress=as_function("progress", progress),
    )


def _images(
    network: Network, images: object, count: int | None, calibration: object
) -> tuple[NDArray[np.generic], str]:
    """Return the images to compare on, and a description of them."""
    if isinstance(images, str | Path):
        dataset = images_for(network, as_path("images", images), count)
        assert dataset is not None
        return dataset.images[: count or DEFAULT_IMAGES], dataset.note
    if images is not None:
        return as_images("images", images, network)[:count], "images given in Python"
    if calibration is not None:
        found = as_images("calibration", calibration, network)
        return found[: count or DEFAULT_IMAGES], "calibration images"
    count = count or DEFAULT_IMAGES
    check_noise(network, count)
    return seeded_images(network, count), "seeded noise"
