"""Errors: invalid user input, and failed checks."""

from __future__ import annotations

__all__ = ["CheckError", "InputError"]


class InputError(ValueError):
    """Invalid input: a file, option, or request that cannot be used.

    The message is one line that names the file or option, the key or layer, what is wrong, and
    what is valid. The command line prints it and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class CheckError(Exception):
    """A check failed, so there is no result.

    The message is one line. The command line prints it and exits with code 1.
    """
