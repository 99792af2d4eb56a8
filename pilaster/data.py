"""Images for a run: the built-in digits, the user's files, or seeded noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pilaster.base.errors import InputError
from pilaster.models.datasets import Dataset, embedded_digits, fit, load
from pilaster.models.network import Network
from pilaster.models.zoo import zoo_entry

__all__ = ["DEFAULT_IMAGES", "check_noise", "images_for"]

DEFAULT_IMAGES = 200
"""Images of a run that does not say how many."""

NOISE_SEED = 2023

MOST_NOISE = 1000
"""Images of noise: no more is learnt from more, and all are in memory."""


def images_for(network: Network, path: Path | None, count: int | None) -> Dataset | None:
    """Return images for `network`, resized to its input shape.

    Parameters
    ----------
    path : a folder or file of images; None takes the embedded digits never trained on for a
        network trained on digits, and seeded noise for any other
    count : images wanted; None for 200, but none of noise; 0 gives None

    Raises
    ------
    InputError
        If the images cannot be read, are too few, or do not fit the network.
    """
    entry = zoo_entry(network)
    synthetic = entry is None or not entry.trained
    exact = count is not None
    if count is None:
        count = 0 if synthetic and path is None else DEFAULT_IMAGES
    if count == 0:
        return None
    shape = network.image_shape
    if path is not None:
        found = load(path)
    elif synthetic:
        check_noise(network, count)
        rng = np.random.default_rng(NOISE_SEED)
        size = (count, shape.height, shape.width, shape.channels)
        noise = rng.integers(0, 256, size, np.uint8)
        return Dataset("noise", noise, None, "all", f"seeded noise (seed {NOISE_SEED})")
    else:
        found = embedded_digits("test")
    if exact and count > len(found.images):
        raise InputError(
            f"--images {count}: {found.name} has {len(found.images)} images; ask for at most that"
        )
    labels = None if found.labels is None else found.labels[:count]
    part = Dataset(found.name, found.images[:count], labels, found.split, found.note)
    return fit(part, shape.height, shape.width, shape.channels)


def check_noise(network: Network, count: int) -> None:
    """Check that `count` is within the limit on images of noise.

    Raises
    ------
    InputError
        If it exceeds the limit.
    """
    if count > MOST_NOISE:
        raise InputError(
            f"--images {count}: {network.name} runs on noise; ask for at most {MOST_NOISE}"
        )
