"""Images for a check: as reals, as the file's input takes them, and seeded ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.models.graph import INPUT
from pilaster.models.network import ByteScale, Network

__all__ = ["as_reals", "as_stated", "reals_of", "seeded_images"]

SEED = 2023


def as_reals(images: NDArray[np.generic], byte_scale: ByteScale) -> NDArray[np.float64]:
    """Give the reals that images stand for, as `Network.encode` takes them."""
    reals: NDArray[np.float64] = images.astype(np.float64)
    if images.dtype == np.uint8:
        reals = reals * byte_scale.scale + byte_scale.offset
    return reals


def reals_of(network: Network, images: NDArray[np.generic]) -> NDArray[np.float64]:
    """Give the reals that a network quantizes, its columns along the width."""
    reals = as_reals(images, network.byte_scale)
    return reals if network.columns == "width" else reals.transpose(0, 2, 1, 3)


def as_stated(network: Network, image: NDArray[np.generic], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Give an image (1, H, W, C) as a file's input of the type `dtype` takes it, (1, H, W, C).

    network : with the integers of the file, its columns along the width
    """
    tensor = network.tensors[INPUT]
    stated: NDArray[Any] = as_reals(image, network.byte_scale)
    if np.issubdtype(dtype, np.integer):
        stated = network.encode(image) + tensor.zero_point
    return stated.astype(dtype)


def seeded_images(network: Network, count: int) -> NDArray[np.float32]:
    """Give images (N, H, W, C) of seeded noise over all that a network's input can be."""
    tensor, shape = network.tensors[INPUT], network.image_shape
    low, high = tensor.stream_range
    size = (count, shape.height, shape.width, shape.channels)
    steps = np.random.default_rng(SEED).uniform(low - 0.5, high + 0.5, size)
    return (steps * tensor.scale).astype(np.float32)
