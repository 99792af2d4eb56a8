"""Verilator's runtime, compiled once: it is the same for every design, and most of a build."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from pilaster.rtl.toolchain.user_cache import user_cache

__all__ = ["runtime_objects"]


def runtime_objects(
    folder: Path, decides: Sequence[str], compile_runtime: Callable[[], list[str]]
) -> list[str]:
    """Put the objects of the runtime in `folder`: those of an earlier build, or new ones.

    What is kept tells its own digest: a file that is not whole is as good as none, and is replaced.

    Parameters
    ----------
    decides : all that decides what the objects are: compiler, Verilator, flags, sources
    compile_runtime : compiles them in `folder`, and gives their names
    """
    key = hashlib.sha256("\0".join(decides).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    cache = user_cache()
    if cache is None:
        return compile_runtime()
    kept = cache / "pilaster" / "verilator" / key
    if names := _take(kept, folder):
        return names
    names = compile_runtime()
    with suppress(OSError):  # a folder that cannot be written keeps nothing
        _keep(kept, folder, names)
    return names


def _take(kept: Path, folder: Path) -> list[str]:
    """Unpack what is kept; gives the names, none if it is missing or not whole."""
    size = hashlib.sha256().digest_size
    try:
        told = kept.read_bytes()
    except OSError:
        return []
    digest, content = told[:size], told[size:]
    if hashlib.sha256(content).digest() != digest:
        return []
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)
        return archive.namelist()


def _keep(kept: Path, folder: Path, names: Sequence[str]) -> None:
    """Pack objects, in one step: others may build at the same time."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in names:
            archive.write(folder / name, name)
    content = packed.getvalue()
    kept.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=kept.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
        Path(draft).replace(kept)
    finally:
        with suppress(OSError):
            Path(draft).unlink(missing_ok=True)
