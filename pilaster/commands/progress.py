"""Progress of long operations, on standard error and only on a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType

__all__ = ["Progress"]

INTERVAL_SECONDS = 0.1


class Progress:
    """A line that counts up to `total` and disappears at the end."""

    def __init__(self, unit: str, total: int) -> None:
        self._unit = unit
        self._total = total
        self._shown = 0.0
        self._live = sys.stderr is not None and sys.stderr.isatty() and total > 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live and self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def show(self, done: int) -> None:
        """Show that `done` of the total are done."""
        now = time.monotonic()
        if self._live and now - self._shown >= INTERVAL_SECONDS:
            self._shown = now
            sys.stderr.write(f"\r{done} of {self._total} {self._unit}")
            sys.stderr.flush()

    def say(self, message: str) -> None:
        """Print a message to standard error."""
        print(message, file=sys.stderr)
