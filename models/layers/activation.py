"""The ReLU that a layer may have fused to it, and its ceiling."""

from __future__ import annotations

from pilaster.base.errors import InputError

__all__ = ["check_activation"]


def check_activation(relu: bool, ceiling: float | None) -> None:
    """Check that a ceiling is over a ReLU, and positive.

    Raises
    ------
    InputError
        If it is not.
    """
    if ceiling is not None and not (relu and 0 < ceiling < float("inf")):
        raise InputError(f"a ceiling is positive and over a ReLU, not {ceiling}")
