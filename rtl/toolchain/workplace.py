"""A folder to build and run programs in, for as long as that takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pilaster.base.errors import InputError
from pilaster.rtl.toolchain.compiler import LoggedError
from pilaster.rtl.toolchain.user_cache import user_cache

__all__ = ["make_workplace", "workplace"]


@contextmanager
def workplace() -> Iterator[Path]:
    """Lend a folder whose programs may run; it goes afterwards, but not with a log to read.

    Raises
    ------
    InputError
        If there is no such folder.
    """
    folder = make_workplace()
    try:
        yield folder
    except LoggedError:
        raise  # it names a log in the folder
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        if error.filename is None or Path(os.fsdecode(error.filename)).is_relative_to(folder):
            reason = (error.strerror or str(error)).lower()
            raise InputError(
                f"{folder.parent}: cannot build there: {reason}; set TMPDIR"
            ) from error
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def make_workplace() -> Path:
    """Make a folder whose programs may run: a temporary one, or else one of the user's cache.

    Raises
    ------
    InputError
        If there is none.
    """
    reasons = []
    for find in PLACES:
        place = "a temporary folder"
        try:
            parent = find()
            place = str(parent)
            folder = Path(tempfile.mkdtemp(prefix="pilaster-", dir=parent))
            try:
                _try_program(folder)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            reasons.append(f"{place}: {reason.lower()}")
            continue
        return folder
    raise InputError(
        f"no folder to build in, where programs may run ({'; '.join(reasons)}): set TMPDIR to one"
    )


def _cache() -> Path:
    cache = user_cache()
    if cache is None:
        raise RuntimeError("there is no home")
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def _temporary() -> Path:
    return Path(tempfile.gettempdir())


PLACES: Sequence[Callable[[], Path]] = (_temporary, _cache, Path.cwd)
"""Folders to make one in, in the order in which they are tried."""


def _try_program(folder: Path) -> None:
    """Run a program of `folder`: a file system may forbid it (noexec), or be full."""
    program = folder / "try"
    program.write_text("#!/bin/sh\nexit 0\n", encoding="ascii")
    program.chmod(0o700)
    subprocess.run([program], check=False)
    program.unlink()
