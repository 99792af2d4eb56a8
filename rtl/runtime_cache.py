"""Verilator's runtime, compiled once: it is the same for every design, and most of a build."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["shared_runtime"]

PATTERN = "verilated*.o"
"""Objects of the runtime in a build folder; all others know the design."""

LATER_SECONDS = 3600
"""Age in advance: make compiles again what is older than the design's own makefile."""


@contextlib.contextmanager
def shared_runtime(build: Path, compiler: str, options: Sequence[str]) -> Iterator[None]:
    """Put the objects of an earlier build in the folder `build`; keep those of a first build.

    Parameters
    ----------
    compiler : program that compiles
    options : all else that decides how the runtime is compiled: Verilator's version, flags
    """
    kept = _cache_folder() / _key(compiler, options)
    build.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        later = time.time() + LATER_SECONDS
        for path in kept.glob(PATTERN):
            os.utime(shutil.copy(path, build), (later, later))
    yield
    if not kept.is_dir():
        with contextlib.suppress(OSError):  # a folder that cannot be written keeps nothing
            _keep(build, kept)


def _cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "pilaster" / "verilator"


def _key(compiler: str, options: Sequence[str]) -> str:
    told = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    return hashlib.sha256("\n".join([compiler, told.stdout, *options]).encode()).hexdigest()[:16]


def _keep(build: Path, kept: Path) -> None:
    """Copy the objects in one step, for others may build at the same time."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=kept.parent))
    try:
        for path in build.glob(PATTERN):
            shutil.copy(path, draft)
        draft.rename(kept)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
