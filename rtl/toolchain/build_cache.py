"""Builds, kept by all that decides what they are: the same is never built twice.

What decides goes into the name of what is kept, text by text, so that no build can be out of date.
The folder is bounded: of builds that are kept, those used longest ago go first.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pilaster.rtl.toolchain.user_cache import user_cache

__all__ = ["MOST_BYTES", "Kept", "build_once", "clear_builds", "kept_builds"]

MOST_BYTES = 1_000_000_000
"""Bytes of builds that are kept at most."""


@dataclass(frozen=True)
class Kept:
    """Builds that are kept.

    Attributes
    ----------
    folder : where; None for a user who has no home
    builds : how many
    bytes : of all
    """

    folder: Path | None
    builds: int
    bytes: int


def build_once(
    folder: Path, decides: Sequence[str | bytes], build: Callable[[], list[str]]
) -> list[str]:
    """Put what is built in `folder`: files of an earlier build, or new ones.

    What is kept tells its own digest: a file that is not whole is as good as none, and is replaced.

    Parameters
    ----------
    decides : all that decides what is built: programs and their versions, flags, sources
    build : builds in `folder`, and gives the names of the files to keep

    Returns
    -------
    list of str
        Their names.
    """
    place = _folder()
    if place is None:
        return build()
    key = hashlib.sha256()
    for part in decides:
        text = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        key.update(len(text).to_bytes(8, "little") + text)
    kept = place / key.hexdigest()
    if names := _take(kept, folder):
        return names
    names = build()
    with suppress(OSError):  # a folder that cannot be written keeps nothing
        _keep(kept, folder, names)
        _forget_oldest(place)
    return names


def kept_builds() -> Kept:
    """Tell what is kept."""
    place = _folder()
    sizes = [size for _, size, _ in _entries(place)] if place else []
    return Kept(place, len(sizes), sum(sizes))


def clear_builds() -> Kept:
    """Remove all that is kept; tells what it was.

    Raises
    ------
    OSError
        If a file cannot be removed.
    """
    found = kept_builds()
    for _, _, path in _entries(found.folder) if found.folder else ():
        path.unlink(missing_ok=True)
    return found


def _folder() -> Path | None:
    cache = user_cache()
    return None if cache is None else cache / "pilaster" / "builds"


def _entries(place: Path) -> list[tuple[float, int, Path]]:
    """Give time of last use, size and path of all files, the oldest first."""
    found = []
    with suppress(OSError):
        for entry in os.scandir(place):
            with suppress(OSError):  # another process has removed it
                if entry.is_file(follow_symlinks=False):
                    told = entry.stat(follow_symlinks=False)
                    found.append((told.st_mtime, told.st_size, Path(entry.path)))
    return sorted(found)


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
    with suppress(OSError):
        os.utime(kept)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)
        return archive.namelist()


def _keep(kept: Path, folder: Path, names: Sequence[str]) -> None:
    """Pack files, in one step: others may build at the same time."""
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


def _forget_oldest(place: Path) -> None:
    entries = _entries(place)
    total = sum(size for _, size, _ in entries)
    for _, size, path in entries:
        if total <= MOST_BYTES:
            break
        path.unlink(missing_ok=True)
        total -= size
