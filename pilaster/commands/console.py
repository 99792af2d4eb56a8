"""Printing of tables: fitted to the width of a terminal, full width in a pipe or a file."""

from __future__ import annotations

import codecs
import shutil
import sys
import unicodedata
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table

__all__ = ["PlainConsole", "number", "print_table", "replace_unprintable", "word"]

WIDEST = 1_000_000
"""Columns of a pipe or a file: no line is so long."""

LONGEST_WORD = 24
"""Columns of text are folded between words, or within longer ones than this, before a table is
wider than its terminal."""

GAP = 2

ASCII = {"µ": "u", "→": "->", "×": "x", "±": "+-"}
"""Letters that Unicode itself does not decompose into ASCII."""


class PlainConsole(Console):
    """Standard output that prints text from user files verbatim: no markup, no emoji.

    Where the reader has gone it raises BrokenPipeError; rich would leave with a code of its own.

    Parameters
    ----------
    at_least : columns that it has even where the terminal has fewer, whose lines then wrap
    """

    def __init__(self, at_least: int = 1) -> None:
        width, height = shutil.get_terminal_size()
        if sys.stdout is None or not sys.stdout.isatty():
            width = WIDEST
        super().__init__(markup=False, emoji=False, width=max(at_least, width), height=height)

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, which the command line handles."""
        raise BrokenPipeError


def word(title: str) -> Column:
    """Return a column of text, which wraps if the terminal is too narrow."""
    return Column(title, overflow="fold")


def number(title: str) -> Column:
    """Return a column of numbers, which never wrap or truncate; the title may wrap."""
    return Column(title, justify="right", overflow="fold")


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of `word` and `number` columns to standard output.

    Parameters
    ----------
    rows : a cell for every column
    """
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    widths, least = _widths(columns, rows)
    gaps = GAP * (len(columns) - 1)
    console = PlainConsole(at_least=sum(least) + gaps)
    while sum(widths) + gaps > console.width:
        spare = [
            width if width > needed else 0 for width, needed in zip(widths, least, strict=True)
        ]
        widths[spare.index(max(spare))] -= 1
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    with console.capture() as printed:
        console.print(table, crop=False)
    print("\n".join(line.rstrip() for line in printed.get().splitlines()))


def _widths(
    columns: Sequence[Column], rows: Sequence[Sequence[str]]
) -> tuple[list[int], list[int]]:
    """Give the width of every column where there is room, and the least that it can have."""
    widths, least = [], []
    for place, column in enumerate(columns):
        title = str(column.header)
        cells = [row[place] for row in rows]
        widest = max(map(cell_len, cells), default=0)
        widths.append(max(widest, cell_len(title)))
        if column.justify == "right":
            least.append(max(widest, *map(cell_len, title.split()), 1))
        else:
            words = [cell_len(word) for cell in (title, *cells) for word in cell.split()]
            least.append(min(max(words, default=1), LONGEST_WORD))
    return widths, least


def replace_unprintable() -> None:
    """Replace characters that standard output or error cannot encode with similar ones."""
    codecs.register_error("pilaster", _nearest)
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="pilaster")


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(map(_in_ascii, letters)), error.end


def _in_ascii(letter: str) -> str:
    plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return ASCII.get(letter) or plain or "?"
