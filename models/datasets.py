"""Labeled images: the embedded handwritten digits, a user's files, and their fit to a network."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models import idx

__all__ = [
    "EMBEDDED_TRAIN_COUNT",
    "Dataset",
    "Split",
    "checked_pixels",
    "embedded_digits",
    "fit",
    "load",
]

Split = Literal["train", "test", "all"]

EMBEDDED_TRAIN_COUNT = 1197
"""Embedded digits in the training split; the other 600 are the test split."""

_RANGES: dict[str, slice] = {
    "train": slice(None, EMBEDDED_TRAIN_COUNT),
    "test": slice(EMBEDDED_TRAIN_COUNT, None),
    "all": slice(None),
}

_MNIST_PREFIXES = {"train": ("train",), "test": ("t10k",), "all": ("train", "t10k")}

_NUMPY = (".npz", ".npy")

_UNREADABLE = (
    ValueError,
    OSError,
    EOFError,
    MemoryError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy raises at a file that is cut short, corrupt, or holds pickled objects."""


@dataclass(frozen=True)
class Dataset:
    """Images, with their classes where they are known.

    Attributes
    ----------
    name : what the images are, for tables and reports
    images : (N, H, W, C), uint8 pixels of 0 to 255, or float32 in the units of the file
    labels : (N,) int64 class of each image, or None
    split : "train", "test" or "all": the part of the source that this is
    note : where the images come from and what was done to them, for every output that uses them
    """

    name: str
    images: NDArray[np.uint8] | NDArray[np.float32]
    labels: NDArray[np.int64] | None
    split: str
    note: str

    def __repr__(self) -> str:
        count, *shape = self.images.shape
        size = "x".join(map(str, shape))
        labels = "no labels" if self.labels is None else "labels"
        return f"<Dataset {self.name}: {count:,} images of {size}, {self.images.dtype}, {labels}>"

    def __len__(self) -> int:
        return len(self.images)


def embedded_digits(split: Split) -> Dataset:
    """Give the handwritten digits that come with the package (UCI, E. Alpaydin and C. Kaynak).

    Parameters
    ----------
    split : "train" for the first 1197 images, "test" for the last 600, "all" for both; one
        writer's images follow another's, so nearly all of the test split is by writers that the
        training split does not hold (data/README.md)

    Returns
    -------
    Dataset
        8x8x1 uint8 images; a count of 0 to 16 dots is a pixel of 0 to 255, round(count * 255 / 16)

    Raises
    ------
    InputError
        if `split` is none of the three
    """
    _check_split(split)
    with resources.as_file(resources.files("pilaster.models") / "data" / "digits.npz") as path:
        images, labels = _read_arrays(path)
    assert labels is not None
    counts = images[_RANGES[split], :, :, np.newaxis].astype(np.uint16)
    return Dataset(
        "digits",
        ((counts * 255 + 8) // 16).astype(np.uint8),
        labels[_RANGES[split]].astype(np.int64),
        split,
        f"embedded handwritten digits (UCI, doi 10.24432/C50P49), {split} split",
    )


def load(path: Path, split: Split = "test") -> Dataset:
    """Read images, and their labels where there are any, from a user's folder or file.

    Parameters
    ----------
    path : one of
        a folder with MNIST's IDX files (t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte,
        train-images-idx3-ubyte, train-labels-idx1-ubyte), each gzipped or not;
        an IDX file of images, gzipped or not, whose labels, if any, are in the file beside it
        with "labels" for "images" in its name;
        a .npz with `images` and, if known, `labels`;
        a .npy of images.
        Images are (N, H, W) or (N, H, W, C), integers of 0 to 255 or floats
    split : the part of a folder that is read; a single file is always read whole

    Returns
    -------
    Dataset
        (N, H, W, C) images, uint8 for integers and float32 for floats

    Raises
    ------
    InputError
        if a file is missing, cut short, corrupt or pickled; if the images are of a wrong rank or
        type, empty or not finite; if there is not one whole-numbered label an image
    """
    _check_split(split)
    path = Path(path)
    if path.is_dir():
        return _load_folder(path, split)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; give IDX, .npz or .npy images")
    images, labels = _read_arrays(path) if path.suffix in _NUMPY else _read_idx_pair(path)
    part = next((s for s in ("train", "test") if path.name.startswith(_MNIST_PREFIXES[s])), "all")
    return Dataset(
        path.name.split(".")[0],
        _checked_images(path, images),
        None if labels is None else _checked_labels(path, labels, len(images)),
        part,
        f"images of {path.name}",
    )


def checked_pixels(where: str, images: NDArray[Any]) -> NDArray[Any]:
    """Take pixels that are integers of 0 to 255, as bytes, or finite reals, as they are.

    Raises
    ------
    InputError
        if they are anything else; the message begins with `where`
    """
    if images.dtype == np.uint8 or not images.size:
        return images
    if np.issubdtype(images.dtype, np.integer):
        low, high = images.min(), images.max()
        if low < 0 or high > 255:
            raise InputError(f"{where}: pixels are {low} to {high}; integers must be 0 to 255")
        return images.astype(np.uint8)
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError(
            f"{where}: images are {images.dtype}; must be integers of 0 to 255 or floats"
        )
    if not np.isfinite(images).all():
        raise InputError(
            f"{where}: images hold NaN or infinity, values not finite; every pixel must be finite"
        )
    return images


def fit(dataset: Dataset, height: int, width: int, channels: int) -> Dataset:
    """Bring images to a network's input of `height` x `width` x `channels`.

    Images of the network's size are unchanged. Others are put in the center of zeros: images
    of more than half the network's height or width as they are (28x28 in 32x32 gets a border of
    2), smaller ones enlarged by the largest whole factor with which they fill at most three
    quarters of the height and width, but at least 2 (8x8 in 32x32 becomes 24x24, with a border
    of 4). Enlargement is bilinear with pixel centers at halves and zeros around the image, exact
    before it is rounded, halves up, to uint8.

    Parameters
    ----------
    dataset : images of any size up to the network's, with the network's channels
    height, width, channels : shape of the network's input

    Returns
    -------
    Dataset
        (N, height, width, channels) images; labels, name and split are those of `dataset`

    Raises
    ------
    InputError
        if the images are larger than the network's input or differ from it in channels
    """
    _, rows, cols, depth = dataset.images.shape
    if (rows, cols, depth) == (height, width, channels):
        return dataset
    if rows > height or cols > width or depth != channels:
        raise InputError(
            f"{dataset.name}: images are {rows}x{cols}x{depth} and the network's input is "
            f"{height}x{width}x{channels}; give images of up to {height}x{width} "
            f"with {channels} channels"
        )
    factor = _enlargement(rows, cols, height, width)
    if factor == 1:
        top, left = (height - rows) // 2, (width - cols) // 2
        images = np.zeros((len(dataset), height, width, depth), dataset.images.dtype)
        images[:, top : top + rows, left : left + cols] = dataset.images
    else:
        images = _enlarge(dataset.images, factor, height, width)
    change = f"{rows}x{cols} " + (f"times {factor}, " if factor > 1 else "")
    return replace(
        dataset, images=images, note=f"{dataset.note}; {change}centered in {height}x{width}"
    )


def _enlargement(rows: int, cols: int, height: int, width: int) -> int:
    if 2 * rows > height or 2 * cols > width:
        return 1
    return max(2, min(3 * height // (4 * rows), 3 * width // (4 * cols)))


def _enlarge(images: NDArray[Any], factor: int, height: int, width: int) -> NDArray[Any]:
    vertical = _hat_weights(images.shape[1], factor, height)
    horizontal = _hat_weights(images.shape[2], factor, width)
    # (N, H, W, C) to (N, C, H, W), where both products are matrix products; sums of whole
    # numbers in float64 are exact, so that every machine rounds alike.
    sums = vertical @ images.transpose(0, 3, 1, 2).astype(np.float64) @ horizontal.T
    scaled = sums.transpose(0, 2, 3, 1) / (2 * factor) ** 2
    if images.dtype == np.uint8:
        scaled = np.floor(scaled + 0.5)
    return np.ascontiguousarray(scaled, dtype=images.dtype)


def _hat_weights(source: int, factor: int, target: int) -> NDArray[np.float64]:
    """(target, source) weights of linear interpolation, in units of 1 / (2 * factor)."""
    border = (target - factor * source) // 2
    position = 2 * (np.arange(target) - border) + 1 - factor
    distance = np.abs(position[:, np.newaxis] - 2 * factor * np.arange(source))
    weights: NDArray[np.float64] = np.maximum(0.0, 2.0 * factor - distance)
    return weights


def _load_folder(folder: Path, split: Split) -> Dataset:
    parts = [_load_mnist_part(folder, prefix) for prefix in _MNIST_PREFIXES[split]]
    images = np.concatenate([images for images, _ in parts])
    known = [labels for _, labels in parts if labels is not None]
    labels = np.concatenate(known) if len(known) == len(parts) else None
    return Dataset(folder.resolve().name, images, labels, split, f"{split} split of {folder.name}")


def _load_mnist_part(
    folder: Path, prefix: str
) -> tuple[NDArray[np.uint8] | NDArray[np.float32], NDArray[np.int64] | None]:
    expected = f"{prefix}-images-idx3-ubyte"
    path = idx.variant(folder / expected)
    if path is None:
        raise InputError(
            f"{folder}: has no {expected} or {expected}.gz; give a folder with MNIST's"
        )
    found, labels = _read_idx_pair(path)
    images = _checked_images(path, found)
    return images, None if labels is None else _checked_labels(path, labels, len(images))


def _read_idx_pair(path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    labels = idx.labels_beside(path)
    return idx.read(path), None if labels is None else idx.read(labels)


def _read_arrays(path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Images and labels of a .npz, or the images that a .npy is."""
    try:
        with path.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                return content, None
            if "images" in content:
                return content["images"], content.get("labels")
            held = ", ".join(sorted(content.files)) or "no array"
    except _UNREADABLE as error:
        raise InputError(
            f"{path}: not a readable {path.suffix} of plain arrays ({error}); save it anew"
        ) from error
    raise InputError(f"{path}: holds {held}; must hold `images` and may hold `labels`")


def _checked_images(path: Path, images: NDArray[Any]) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Images as (N, H, W, C), uint8 or float32."""
    if images.ndim not in (3, 4):
        raise InputError(
            f"{path}: images have the shape {images.shape}, must be (N, H, W) or (N, H, W, C)"
        )
    if images.size == 0:
        raise InputError(f"{path}: images have the shape {images.shape}; must hold an image")
    if images.ndim == 3:
        images = images[..., np.newaxis]
    pixels = checked_pixels(str(path), images)
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    with np.errstate(over="ignore"):
        return checked_pixels(str(path), pixels.astype(np.float32, copy=False))


def _checked_labels(path: Path, labels: NDArray[Any], count: int) -> NDArray[np.int64]:
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"{path}: labels are {labels.dtype} of the shape {labels.shape}, "
            f"must be {count} whole numbers, one an image"
        )
    if len(labels) != count:
        raise InputError(f"{path}: {len(labels)} labels for {count} images; give one an image")
    if labels.min() < 0 or labels.max() > np.iinfo(np.int64).max:
        raise InputError(f"{path}: labels are {labels.min()} to {labels.max()}; must be 0 or more")
    return labels.astype(np.int64, copy=False)


def _check_split(split: str) -> None:
    if split not in _RANGES:
        raise InputError(f"split {split!r}: must be train, test or all")
