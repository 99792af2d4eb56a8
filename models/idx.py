"""IDX, the file format of MNIST: a magic number, the extents, and the values, big-endian.

Source: Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError

__all__ = ["labels_beside", "read", "variant"]

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

_GZIP_MAGIC = b"\x1f\x8b"


def read(path: Path) -> NDArray[Any]:
    """Read an IDX file, gzipped or not, of any type and rank, in the machine's byte order.

    Raises
    ------
    InputError
        if the file cannot be read, is not IDX, or is longer or shorter than its header says
    """
    content = _content(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise InputError(
            f"{path}: magic number is 0x{content[:4].hex()}, not that of an IDX file "
            "(0x00000803 for images of bytes, 0x00000801 for labels)"
        )
    dtype, rank = np.dtype(_TYPES[content[2]]), content[3]
    start = 4 + 4 * rank
    if len(content) < start:
        raise InputError(f"{path}: is cut short after {len(content)} bytes, in the IDX header")
    shape = tuple(int(extent) for extent in np.frombuffer(content, ">u4", rank, 4))
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        what = "is cut short" if len(content) < expected else "has bytes too many"
        raise InputError(
            f"{path}: {what}: {len(content)} bytes, must be {expected} for the shape {shape}"
        )
    if rank == 0 or rank > 32:
        raise InputError(f"{path}: IDX header says {rank} axes, must be 1 for labels, 3 for images")
    values = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def variant(path: Path) -> Path | None:
    """Find the file `path`, gzipped or not, also with a dot for the last dash but one in its name.

    Copies of MNIST differ in this: t10k-images-idx3-ubyte, t10k-images.idx3-ubyte.
    """
    dotted = path.with_name(path.name.replace("-idx", ".idx"))
    candidates = [Path(f"{stem}{end}") for stem in (path, dotted) for end in ("", ".gz")]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def labels_beside(images: Path) -> Path | None:
    """Find the labels of an IDX file of images: "labels" for "images" in the name, any rank."""
    if "images" not in images.name:
        return None
    stem = images.name.removesuffix(".gz").replace("images", "labels")
    for name in (stem.replace("idx3", "idx1"), stem):
        found = variant(images.with_name(name))
        if found is not None:
            return found
    return None


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        if content[:2] == _GZIP_MAGIC or path.suffix == ".gz":
            content = gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: corrupt gzip ({error}); fetch the file again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return content
