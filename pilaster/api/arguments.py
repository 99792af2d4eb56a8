"""Arguments of the public interface: networks, energy tables, images, labels, and paths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pilaster.api.networks import load
from pilaster.base.arguments import as_array, as_path, refusal
from pilaster.base.errors import InputError
from pilaster.models.datasets import checked_pixels
from pilaster.models.energy import EnergyTable
from pilaster.models.network import Network
from pilaster.sim.simulate import DEFAULT_TABLE

__all__ = [
    "NetworkLike",
    "TableLike",
    "as_images",
    "as_labels",
    "as_network",
    "as_paths",
    "as_table",
]

NetworkLike = str | Path | Network
"""A network, the name of a zoo network, or the path of a .tflite or .onnx file."""

TableLike = str | Path | EnergyTable
"""An energy table, the name of a built-in table, or the path of a YAML file."""


def as_network(network: object) -> Network:
    """Return a network, or load it by name or path."""
    if isinstance(network, Network):
        return network
    if not isinstance(network, str | Path):
        raise refusal("network", network, "a network, its name, or a file's path")
    return load(network)


def as_table(name: str, table: object, default: str = DEFAULT_TABLE) -> EnergyTable:
    """Return an energy table, or load it by name or path; None loads the default table."""
    if table is None:
        table = default
    if isinstance(table, EnergyTable):
        return table
    if not isinstance(table, str | Path):
        raise refusal(name, table, "an energy table, its name, or a file's path")
    as_path(name, table)
    return EnergyTable.load(table)


def as_images(name: str, images: object, network: Network) -> NDArray[np.generic]:
    """Return images (N, H, W, C) for a network: bytes, or finite real numbers.

    Integers of other types are converted to bytes.
    """
    shape = network.image_shape
    right = f"(N, {shape.height}, {shape.width}, {shape.channels})"
    found = as_array(name, images, f"an array {right}")
    if found.ndim != 4 or found.shape[1:] != (shape.height, shape.width, shape.channels):
        raise InputError(f"{name}: must be {right} for {network.name}, not {found.shape}")
    return checked_pixels(name, found)


def as_labels(labels: object, images: int) -> NDArray[np.int64]:
    """Return the classes of images, (N,)."""
    right = "an array (N,) of whole numbers"
    known = as_array("labels", labels, right)
    if known.ndim != 1 or not np.issubdtype(known.dtype, np.integer):
        raise refusal("labels", known, right)
    if len(known) != images:
        raise InputError(f"labels: {len(known)} labels for {images} images; give one an image")
    return known.astype(np.int64)


def as_paths(name: str, paths: object, least: int = 0) -> tuple[Path, ...]:
    """Return one or several paths, at least `least`."""
    if not isinstance(paths, list | tuple):
        return (as_path(name, paths),)
    if len(paths) < least:
        raise InputError(f"{name}: name at least {least}")
    return tuple(as_path(name, path) for path in paths)
