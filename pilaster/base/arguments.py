"""Validation of the arguments of public functions, with one-line error messages."""

from __future__ import annotations

import difflib
import os
import reprlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError

__all__ = [
    "LARGEST",
    "as_array",
    "as_choice",
    "as_flag",
    "as_function",
    "as_path",
    "as_real",
    "as_whole",
    "refusal",
    "shown",
]

Function = TypeVar("Function", bound=Callable[..., object])

LARGEST = 10**12
"""Whole number that a user may ask for: sums of cycles must fit 64 bits."""

PLAIN = (bool, int, float, complex, str, bytes, type(None))
"""Types whose values are shown as they are."""


def shown(value: object) -> str:
    """Describe a value briefly."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of the shape {value.shape}"
    if isinstance(value, np.generic):
        return f"{value} of NumPy's type {value.dtype}"
    if type(value) in PLAIN:
        return reprlib.repr(value)
    name = type(value).__name__
    return f"an object of type {name}" if isinstance(value, type) else _a(name)


def _a(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def refusal(name: str, value: object, right: str) -> InputError:
    """Return the error for an invalid argument: its name, what is valid, and its value."""
    return InputError(f"{name}: must be {right}, not {shown(value)}")


def as_whole(name: str, value: object, least: int = 1, unit: str = "", most: int = LARGEST) -> int:
    """Validate an integer from `least` to `most`, of Python or NumPy, but not a bool.

    Raises
    ------
    InputError
        If it is none.
    """
    if isinstance(value, bool | np.bool) or not isinstance(value, int | np.integer):
        raise refusal(name, value, "a whole number")
    if value < least:
        raise InputError(f"{name}: must be at least {least}{unit and f' {unit}'}, not {value}")
    if value > most:
        raise InputError(f"{name}: must be at most {most:,}, not {shown(int(value))}")
    return int(value)


def as_real(name: str, value: object) -> float:
    """Validate a number greater than 0.

    Raises
    ------
    InputError
        If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise refusal(name, value, "a number above 0")
    if value <= 0:
        raise InputError(f"{name}: must be above 0, not {shown(value)}")
    if not value <= LARGEST:
        raise InputError(f"{name}: must be at most {LARGEST:g}, not {shown(value)}")
    return float(value)


def as_flag(name: str, value: object) -> bool:
    """Validate a bool.

    Raises
    ------
    InputError
        If it is none.
    """
    if not isinstance(value, bool | np.bool):
        raise refusal(name, value, "True or False")
    return bool(value)


def as_choice(name: str, value: object, known: Iterable[str]) -> str:
    """Validate one of several strings.

    Raises
    ------
    InputError
        If it is none of them; the message lists them, and tells the nearest.
    """
    words = [str(word) for word in known]
    if not isinstance(value, str):
        raise refusal(name, value, " or ".join(words))
    if value not in words:
        close = difflib.get_close_matches(value, words, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"{name}: {value!r} is not known; use {', '.join(words)}{hint}")
    return str(value)


def as_path(name: str, value: object) -> Path:
    """Validate the path of a file or folder, a str or a Path.

    Raises
    ------
    InputError
        If it is none, or one that no file can have.
    """
    if not isinstance(value, str | Path) or not str(value):
        raise refusal(name, value, "a path")
    try:
        possible = b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise InputError(f"{name}: {str(value)!r} is a path that no file can have")
    return Path(value)


def as_array(name: str, value: object, right: str) -> NDArray[Any]:
    """Validate a NumPy array without masked values.

    right : what it must be, for the message

    Raises
    ------
    InputError
        If it is none.
    """
    if not isinstance(value, np.ndarray) or isinstance(value, np.ma.MaskedArray):
        raise refusal(name, value, right)
    return np.asarray(value)


def as_function(name: str, value: Function) -> Function:
    """Validate a callable.

    Raises
    ------
    InputError
        If it cannot be called.
    """
    if not callable(value):
        raise refusal(name, value, "a function")
    return value
