"""Packages that only some of Pilaster needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pilaster.base.errors import InputError

__all__ = ["needing"]


@contextmanager
def needing(what: str, extra: str) -> Iterator[None]:
    """Say, where an import fails, which extra brings the package.

    Parameters
    ----------
    what : what needs it

    Raises
    ------
    InputError
        If an import fails.
    """
    try:
        yield
    except ImportError as error:
        raise InputError(f"{what} needs {error.name}: pip install 'pilaster[{extra}]'") from error
