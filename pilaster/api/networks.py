"""Load networks and images."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pilaster.base.arguments import LARGEST, as_array, as_path, as_whole, refusal
from pilaster.base.errors import InputError
from pilaster.data import images_for
from pilaster.models.check.record import recall
from pilaster.models.columns import read_along
from pilaster.models.datasets import Dataset, checked_pixels
from pilaster.models.importers import SUFFIXES, import_network
from pilaster.models.network import Columns, Network
from pilaster.models.quantizer import QuantizerSettings
from pilaster.models.zoo import ZOO

__all__ = ["load", "load_images"]


def load(
    network: str | Path,
    *,
    columns: Columns = "width",
    calibration: NDArray[np.generic] | None = None,
    bits: int | tuple[int, int] | None = None,
) -> Network:
    """Load a network from the zoo by name, or import one from a .tflite or .onnx file.

    Parameters
    ----------
    columns : image axis along which columns arrive, one at a time: ``"width"`` or ``"height"``
    calibration : images (N, H, W, C), as for `simulate`, on which to quantize a float network, or a
        network from a file with `bits`. Without calibration, the ranges of a float network are
        assumed, and only its shapes, times, and costs are meaningful
    bits : width of weights and activations, or a pair of widths (weights, activations), 1 to 16;
        None keeps the network's own widths

    Raises
    ------
    InputError
        If the network does not exist, or the file cannot be used.

    Examples
    --------
    >>> import pilaster as pl
    >>> network = pl.load("lenet5")
    >>> network.graph.macs
    416520
    """
    path = as_path("network", network)
    name = str(network)
    if not isinstance(columns, str) or columns not in ("width", "height"):
        raise refusal("columns", columns, "width or height")
    settings = None if bits is None else _widths(bits)
    if calibration is not None:
        calibration = _calibration(calibration)
    if path.suffix in SUFFIXES:
        found = read_along(import_network(path, calibration, settings), columns)
        return replace(found, checked=recall(path, found))
    if name not in ZOO:
        close = difflib.get_close_matches(name, ZOO, 1)
        names = f"there are {', '.join(ZOO)}, and {' and '.join(SUFFIXES)} files"
        hint = f"did you mean {close[0]}?" if close else names
        raise InputError(f"network {name}: not known; {hint}")
    if calibration is not None:
        raise InputError(f"network {name}: is quantized already; leave the calibration images out")
    return read_along(ZOO[name].load(settings), columns)


def _widths(bits: object) -> QuantizerSettings:
    pair = bits if isinstance(bits, tuple) else (bits, bits)
    if len(pair) != 2:
        raise refusal("bits", bits, "a width, or those of weights and activations")
    # The settings tell the range of widths.
    weight_bits, activation_bits = (as_whole("bits", width, least=-LARGEST) for width in pair)
    return QuantizerSettings(weight_bits, activation_bits)


def _calibration(calibration: object) -> NDArray[np.generic]:
    right = "an array (N, H, W, C) of images"
    images = as_array("calibration", calibration, right)
    if images.ndim != 4 or not images.size:
        raise refusal("calibration", images, right)
    return checked_pixels("calibration", images)


def load_images(
    network: Network | str | Path, data: str | Path | None = None, *, count: int | None = None
) -> Dataset:
    """Load images for a network, resized to its input shape, and their labels if available.

    Parameters
    ----------
    network : network, or its name or file
    data : a folder or file in MNIST's IDX format, or a .npy or .npz file. None loads built-in test
        digits, not used in training, for a network trained on digits, and seeded noise for any
        other network
    count : number of images; None for up to 200 images from data, or 1 image of noise

    Returns
    -------
    Dataset
        ``images`` (count, H, W, C), and ``labels`` (count,) or None

    Raises
    ------
    InputError
        If the images cannot be read, are too few, or do not fit the network.

    Examples
    --------
    >>> import pilaster as pl
    >>> digits = pl.load_images("lenet5", count=20)
    >>> digits.images.shape, digits.labels.shape
    ((20, 32, 32, 1), (20,))
    """
    from pilaster.api.arguments import as_network

    network = as_network(network)
    path = None if data is None else as_path("data", data)
    wanted = None if count is None else as_whole("count", count)
    found = images_for(network, path, wanted) or images_for(network, path, 1)
    assert found is not None
    return found
