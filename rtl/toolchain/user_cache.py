"""The folder of what a user's programs keep to be quicker."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["cache_variables", "user_cache"]


def user_cache() -> Path | None:
    """Folder that the XDG Base Directory Specification (0.8) names; None for who has no home."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():
        return named
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        return None


def cache_variables() -> dict[str, str]:
    """Variables for programs that fail where they cannot keep anything.

    None where the user's folder can be written; or else a folder for as long as this process lasts.
    """
    cache = user_cache()
    if cache is not None and _can_be_written(cache):
        return {}
    return {"XDG_CACHE_HOME": _own_cache()}


def _can_be_written(cache: Path) -> bool:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            return True
    except OSError:
        return False


@functools.cache
def _own_cache() -> str:
    folder = tempfile.mkdtemp(prefix="pilaster-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
