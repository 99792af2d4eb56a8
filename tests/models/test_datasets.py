"""Images come in whole, at the network's size, or with one line that says what is wrong."""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models import idx
from pilaster.models.datasets import Dataset, Split, embedded_digits, fit, load

Array = NDArray[Any]

IDX_CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(values: Array) -> bytes:
    code = IDX_CODES[values.dtype.str[1:]]
    header = struct.pack(f">HBB{values.ndim}I", 0, code, values.ndim, *values.shape)
    return header + values.astype(values.dtype.newbyteorder(">")).tobytes()


def pixels(count: int = 5, height: int = 28, width: int = 28, seed: int = 1) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width), np.uint8)


def classes(count: int = 5) -> Array:
    return (np.arange(count) % 10).astype(np.uint8)


def dataset(images: Array) -> Dataset:
    return Dataset("made", images, np.arange(len(images)), "test", "made by the test")


def message_of(action: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    return message


def load_message(path: Path) -> str:
    message = message_of(lambda: load(path))
    assert str(path.name) in message
    return message


# Embedded digits


def test_embedded_splits_part_the_images() -> None:
    train, test, whole = (embedded_digits(split) for split in ("train", "test", "all"))
    assert (len(train), len(test), len(whole)) == (1197, 600, 1797)
    np.testing.assert_array_equal(np.concatenate([train.images, test.images]), whole.images)
    assert train.labels is not None
    assert test.labels is not None
    np.testing.assert_array_equal(np.concatenate([train.labels, test.labels]), whole.labels)
    assert [part.split for part in (train, test, whole)] == ["train", "test", "all"]


def test_embedded_digits_are_bytes_of_the_full_range() -> None:
    digits = embedded_digits("all")
    assert digits.images.shape == (1797, 8, 8, 1)
    assert digits.images.dtype == np.uint8
    levels = {int(np.floor(count * 255 / 16 + 0.5)) for count in range(17)}
    assert set(np.unique(digits.images).tolist()) == levels
    assert digits.labels is not None
    assert digits.labels.dtype == np.int64
    assert np.bincount(digits.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_embedded_digits_do_not_change() -> None:
    digits = embedded_digits("all")
    found = hashlib.sha256(digits.images.tobytes() + digits.labels.tobytes()).hexdigest()
    assert found == "0b7e9c3202d7bcd255d6a19a238d3743bf5e320ba74812a6679958a017c55382"


def test_embedded_digits_reject_an_unknown_split() -> None:
    assert "validation" in message_of(lambda: embedded_digits("validation"))  # type: ignore[arg-type]


# IDX


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 3, 4), (2, 3, 4, 2)])
def test_idx_round_trip(tmp_path: Path, kind: str, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(3).integers(-100, 100, shape).astype(kind)
    path = tmp_path / "values"
    path.write_bytes(idx_bytes(values))
    found = idx.read(path)
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("joint", ["-", "."])
def test_folder_of_mnist_files(tmp_path: Path, end: str, joint: str) -> None:
    pack = gzip.compress if end else bytes
    for prefix, count in (("train", 7), ("t10k", 3)):
        images, labels = idx_bytes(pixels(count)), idx_bytes(classes(count))
        (tmp_path / f"{prefix}-images{joint}idx3-ubyte{end}").write_bytes(pack(images))
        (tmp_path / f"{prefix}-labels{joint}idx1-ubyte{end}").write_bytes(pack(labels))
    splits: dict[Split, int] = {"train": 7, "test": 3, "all": 10}
    for split, count in splits.items():
        found = load(tmp_path, split)
        assert found.images.shape == (count, 28, 28, 1)
        assert found.images.dtype == np.uint8
        assert found.labels is not None
        assert (found.labels.shape, found.labels.dtype) == ((count,), np.int64)
        assert found.split == split
    np.testing.assert_array_equal(load(tmp_path).images[..., 0], pixels(3))
    np.testing.assert_array_equal(load(tmp_path).labels, classes(3))


def test_folder_without_labels(tmp_path: Path) -> None:
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(pixels()))
    assert load(tmp_path).labels is None


def test_folder_without_images(tmp_path: Path) -> None:
    message = load_message(tmp_path)
    assert "t10k-images-idx3-ubyte" in message


@pytest.mark.parametrize(
    ("images_name", "labels_name"),
    [
        ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
        ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz"),
        ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte"),
        ("mine-images", "mine-labels"),
        ("images.idx3.gz", "labels.idx1.gz"),
        ("images.idx", "labels.idx"),
    ],
)
def test_idx_file_takes_the_labels_beside_it(
    tmp_path: Path, images_name: str, labels_name: str
) -> None:
    for name, values in ((images_name, pixels()), (labels_name, classes())):
        content = idx_bytes(values)
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found = load(tmp_path / images_name)
    np.testing.assert_array_equal(found.images[..., 0], pixels())
    np.testing.assert_array_equal(found.labels, classes())
    assert found.split == ("test" if images_name.startswith("t10k") else "all")


@pytest.mark.parametrize("name", ["frames", "frames.idx", "t10k-images-idx3-ubyte.gz"])
def test_idx_file_alone(tmp_path: Path, name: str) -> None:
    content = idx_bytes(pixels())
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert load(tmp_path / name).labels is None


@pytest.mark.parametrize("kept", [0, 3, 9, 15, 16, 100])
def test_truncated_idx(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "images"
    path.write_bytes(idx_bytes(pixels())[:kept])
    expected = "magic" if kept < 4 else "cut short"
    assert expected in load_message(path)


def test_idx_that_promises_more_than_fits_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1))
    assert "cut short" in load_message(path)


def test_idx_with_bytes_too_many(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(idx_bytes(pixels()) + b"\0")
    assert "too many" in load_message(path)


@pytest.mark.parametrize("start", [b"\x89PNG", b"\0\0\x07\x03", b"\1\0\x08\x03"])
def test_wrong_magic(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "images"
    path.write_bytes(start + idx_bytes(pixels())[4:])
    message = load_message(path)
    assert start.hex() in message
    assert "0x00000803" in message


@pytest.mark.parametrize("damage", ["cut", "flipped", "not gzip"])
def test_corrupt_gzip(tmp_path: Path, damage: str) -> None:
    packed = bytearray(gzip.compress(idx_bytes(pixels())))
    if damage == "cut":
        del packed[len(packed) // 2 :]
    elif damage == "flipped":
        packed[len(packed) // 2] ^= 0xFF
    else:
        packed[:2] = b"no"
    path = tmp_path / "images.gz"
    path.write_bytes(packed)
    assert "corrupt gzip" in load_message(path)


@pytest.mark.parametrize("rank", [0, 200])
def test_idx_of_a_rank_no_array_has(tmp_path: Path, rank: int) -> None:
    path = tmp_path / "images"
    path.write_bytes(struct.pack(f">HBB{rank}I", 0, 8, rank, *[1] * rank) + b"\0")
    assert f"{rank} axes" in load_message(path)


def test_idx_labels_of_another_count(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(idx_bytes(pixels(5)))
    (tmp_path / "labels").write_bytes(idx_bytes(classes(4)))
    message = load_message(tmp_path / "images")
    assert "4 labels" in message
    assert "5 images" in message


def test_message_names_the_labels_file_that_is_cut_short(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(idx_bytes(pixels()))
    (tmp_path / "labels").write_bytes(idx_bytes(classes())[:-1])
    assert f"{tmp_path / 'labels'}:" in message_of(lambda: load(tmp_path / "images"))


# NumPy files


@pytest.mark.parametrize("channels", [None, 1, 3])
@pytest.mark.parametrize("kind", ["u1", "i8", "f4", "f8"])
def test_npz_and_npy(tmp_path: Path, channels: int | None, kind: str) -> None:
    images = pixels() if channels is None else np.stack([pixels()] * channels, axis=-1)
    images = images.astype(kind)
    np.savez(tmp_path / "both.npz", images=images, labels=classes(), other=np.zeros(2))
    np.save(tmp_path / "alone.npy", images)
    both, alone = load(tmp_path / "both.npz"), load(tmp_path / "alone.npy")
    assert both.images.dtype == (np.float32 if kind.startswith("f") else np.uint8)
    assert both.images.shape == (5, 28, 28, channels or 1)
    np.testing.assert_array_equal(both.images.reshape(images.shape), images)
    np.testing.assert_array_equal(both.labels, classes())
    np.testing.assert_array_equal(alone.images, both.images)
    assert alone.labels is None
    assert (both.name, both.split) == ("both", "all")


def test_npz_without_labels(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", images=pixels())
    assert load(tmp_path / "x.npz").labels is None


def test_npz_without_images(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", pictures=pixels())
    message = load_message(tmp_path / "x.npz")
    assert "pictures" in message
    assert "`images`" in message


def test_pickled_arrays_are_not_loaded(tmp_path: Path) -> None:
    objects = np.array([{"a": 1}, None], dtype=object)
    np.save(tmp_path / "x.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "x.npz", images=objects)
    for name in ("x.npy", "x.npz"):
        assert "plain array" in load_message(tmp_path / name)


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
@pytest.mark.parametrize("content", [b"", b"\0" * 40, b"text", b"PK\3\4text", b"\x93NUMPY\1\0"])
def test_corrupt_numpy_files(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert "not a readable" in load_message(tmp_path / name)


@pytest.mark.parametrize("save", [np.save, np.savez, np.savez_compressed])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_truncated_numpy_files(tmp_path: Path, save: Callable[..., None], part: float) -> None:
    path = tmp_path / ("x.npy" if save is np.save else "x.npz")
    save(path, pixels()) if save is np.save else save(path, images=pixels())
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    assert "not a readable" in load_message(path)


def test_npz_with_a_damaged_value(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, images=pixels())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert "not a readable" in load_message(path)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (np.zeros((28, 28), np.uint8), "(28, 28)"),
        (np.zeros((1, 2, 3, 4, 5), np.uint8), "(N, H, W)"),
        (np.zeros((), np.uint8), "()"),
        (np.zeros((0, 28, 28), np.uint8), "(0, 28, 28)"),
        (np.zeros((3, 0, 28, 1), np.float32), "must hold an image"),
        (np.full((1, 2, 2), np.nan), "NaN"),
        (np.full((1, 2, 2), np.inf, np.float32), "finite"),
        (np.full((1, 2, 2), 1e300), "finite"),
        (np.full((1, 2, 2), 256), "256"),
        (np.full((1, 2, 2), -1), "-1"),
        (np.zeros((1, 2, 2), np.bool_), "bool"),
        (np.zeros((1, 2, 2), np.complex64), "complex64"),
        (np.full((1, 2, 2), "a"), "<U1"),
    ],
)
def test_images_that_are_none(tmp_path: Path, images: Array, expected: str) -> None:
    np.save(tmp_path / "x.npy", images)
    np.savez(tmp_path / "x.npz", images=images)
    for name in ("x.npy", "x.npz"):
        assert expected in load_message(tmp_path / name)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.zeros(4, np.int64), "4 labels for 5 images"),
        (np.zeros(5), "float64"),
        (np.zeros((5, 10), np.uint8), "(5, 10)"),
        (np.array(3), "()"),
        (np.full(5, -1), "-1"),
        (np.full(5, 2**63, np.uint64), "9223372036854775808"),
    ],
)
def test_labels_that_are_none(tmp_path: Path, labels: Array, expected: str) -> None:
    np.savez(tmp_path / "x.npz", images=pixels(), labels=labels)
    assert expected in load_message(tmp_path / "x.npz")


@pytest.mark.parametrize("name", ["absent", "absent.npz", "absent.npy", "absent.gz"])
def test_missing_file(tmp_path: Path, name: str) -> None:
    assert "no such file" in load_message(tmp_path / name)


def test_load_rejects_an_unknown_split(tmp_path: Path) -> None:
    assert "'dev'" in message_of(lambda: load(tmp_path, "dev"))  # type: ignore[arg-type]


# Fit to a network


def test_equal_sizes_are_unchanged() -> None:
    source = dataset(pixels(height=32, width=32)[..., np.newaxis])
    assert fit(source, 32, 32, 1) is source


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_mnist_is_centered_in_zeros(kind: type[np.generic]) -> None:
    source = dataset(pixels()[..., np.newaxis].astype(kind))
    found = fit(source, 32, 32, 1)
    assert found.images.dtype == kind
    np.testing.assert_array_equal(
        found.images, np.pad(source.images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    )
    assert found.labels is source.labels
    assert (found.name, found.split) == (source.name, source.split)
    assert source.note in found.note


def test_border_is_wider_below_and_right_where_it_cannot_be_even() -> None:
    found = fit(dataset(np.full((1, 3, 4, 2), 9, np.uint8)), 4, 7, 2).images
    np.testing.assert_array_equal(np.nonzero(found[0].any((1, 2)))[0], [0, 1, 2])
    np.testing.assert_array_equal(np.nonzero(found[0].any((0, 2)))[0], [1, 2, 3, 4])


def interpolated(image: Array, factor: int, height: int, width: int) -> Array:
    """Bilinear enlargement, pixel by pixel, as fit's docstring says it."""
    rows, cols = image.shape
    top, left = (height - factor * rows) // 2, (width - factor * cols) // 2
    result = np.zeros((height, width))
    for r in range(height):
        for c in range(width):
            y, x = (r - top + 0.5) / factor - 0.5, (c - left + 0.5) / factor - 0.5
            for i in range(rows):
                for j in range(cols):
                    share = max(0.0, 1 - abs(y - i)) * max(0.0, 1 - abs(x - j))
                    result[r, c] += share * float(image[i, j])
    return result


@pytest.mark.parametrize(
    ("size", "target", "factor"),
    [((8, 8), (32, 32), 3), ((14, 14), (28, 28), 2), ((4, 6), (20, 17), 2), ((1, 1), (8, 8), 6)],
)
def test_small_images_are_enlarged(
    size: tuple[int, int], target: tuple[int, int], factor: int
) -> None:
    images = pixels(2, *size)[..., np.newaxis]
    exact = np.stack([interpolated(image[..., 0], factor, *target) for image in images])
    found = fit(dataset(images), *target, 1).images
    assert found.dtype == np.uint8
    assert np.abs(found[..., 0] - exact).max() <= 0.5 + 1e-9
    reals = fit(dataset(images.astype(np.float32)), *target, 1).images
    assert reals.dtype == np.float32
    np.testing.assert_allclose(reals[..., 0], exact, rtol=1e-6)


def test_enlargement_keeps_channels_apart() -> None:
    gray = pixels(3, 8, 8)[..., np.newaxis]
    other = pixels(3, 8, 8, seed=2)[..., np.newaxis]
    both = fit(dataset(np.concatenate([gray, other], axis=-1)), 32, 32, 2).images
    np.testing.assert_array_equal(both[..., :1], fit(dataset(gray), 32, 32, 1).images)
    np.testing.assert_array_equal(both[..., 1:], fit(dataset(other), 32, 32, 1).images)


def test_enlarged_digits_do_not_change() -> None:
    images = fit(embedded_digits("test"), 32, 32, 1).images
    assert images.shape == (600, 32, 32, 1)
    assert (
        hashlib.sha256(images.tobytes()).hexdigest()
        == "0bb34bc551e5468cf364d416b7a441f1511bdddd270ec4070c38ec6f2e618ac0"
    )


@pytest.mark.parametrize("size", [(33, 32, 1), (32, 33, 1), (8, 40, 1), (32, 32, 3), (8, 8, 3)])
def test_images_that_do_not_fit(size: tuple[int, int, int]) -> None:
    message = message_of(lambda: fit(dataset(np.zeros((1, *size), np.uint8)), 32, 32, 1))
    assert "x".join(map(str, size)) in message
    assert "32x32x1" in message
