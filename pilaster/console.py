"""Where tables are printed."""

from __future__ import annotations

from rich.console import Console

__all__ = ["PlainConsole"]


class PlainConsole(Console):
    """Standard output, on which words of a user's files are words: no markup, no emoji.

    Where the reader has gone it raises BrokenPipeError; rich would leave with a code of its own.
    """

    def __init__(self) -> None:
        super().__init__(markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Let the command line say what a reader that has gone means."""
        raise BrokenPipeError
