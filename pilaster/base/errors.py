"""What can go wrong: the one error that a user's input causes, and checks that do not hold."""

from __future__ import annotations

__all__ = ["CheckError", "InputError"]


class InputError(ValueError):
    """Bad input: a file, option or request that cannot be used as it stands.

    The message is one line that names the file or option, the key or layer, what is wrong and
    what would be right. The command line prints it and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class CheckError(Exception):
    """A check that does not hold, where nothing can be had without it.

    The message is one line. The command line prints it and exits with code 1.
    """
