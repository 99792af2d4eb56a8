"""The one error a user's input can cause."""

from __future__ import annotations

__all__ = ["InputError"]


class InputError(ValueError):
    """Bad input: a file, option or request that cannot be used as it stands.

    The message is one line that names the file or option, the key or layer, what is wrong and
    what would be right. The command line prints it and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
