"""Optional dependencies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pilaster.base.errors import InputError

__all__ = ["needing"]


@contextmanager
def needing(what: str, extra: str) -> Iterator[None]:
    """Name the extra that installs a package if its import fails.

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
