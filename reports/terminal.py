"""Results as text for a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from pilaster.reports.summary import all_notes, summary_sentence
from pilaster.reports.tables import Table, stage_table
from pilaster.sim.results import Result

__all__ = ["print_result"]

SHORTEST_LABEL = 8
"""Words are cut to this length before a table is wider than its console."""

GAPS = (2, 1)
"""Spaces between two columns: the first that lets the table fit."""


def print_result(result: Result, console: Console) -> None:
    """Print the stages, the notes and, last, the sentence that sums the result up.

    Where it is too narrow the gaps shrink, and then the words; a number is never cut or wrapped.
    """
    for line in _lines(stage_table(result), console.width):
        console.print(line, soft_wrap=True)
    console.print()
    if not result.pace.holds:
        warning = f"{result.machine} {result.pace.describe_waits()}"
        console.print(Text(warning, style="bold red"), soft_wrap=not console.is_terminal)
    # A line of a file is a line; a terminal breaks lines between words.
    whole = not console.is_terminal
    for note in all_notes(result):
        console.print(Text(note, style="dim"), soft_wrap=whole)
    console.print(Text(summary_sentence(result), style="bold"), soft_wrap=whole)


def _lines(table: Table, width: int) -> Iterator[Text]:
    titles, units = zip(*table.headers, strict=True)
    columns = zip(titles, units, *table.rows, table.total, strict=True)
    widths = [max(map(cell_len, column)) for column in columns]
    gap = next((gap for gap in GAPS if _width(widths, gap) <= width), GAPS[-1])
    for label in reversed(range(table.labels)):
        excess = max(0, _width(widths, gap) - width)
        widths[label] = max(min(SHORTEST_LABEL, widths[label]), widths[label] - excess)

    def line(cells: Sequence[str], style: str = "") -> Text:
        laid = [
            _left(cell, room) if index < table.labels else cell.rjust(room)
            for index, (cell, room) in enumerate(zip(cells, widths, strict=True))
        ]
        return Text((" " * gap).join(laid).rstrip(), style=style)

    rule = Text("-" * _width(widths, gap), style="dim")
    yield line(titles, "bold")
    yield line(units, "dim")
    yield rule
    yield from map(line, table.rows)
    yield rule
    yield line(table.total, "bold")


def _width(widths: Sequence[int], gap: int) -> int:
    return sum(widths) + gap * (len(widths) - 1)


def _left(word: str, room: int) -> str:
    cut = word if cell_len(word) <= room else set_cell_size(word, room - 1) + "…"
    return set_cell_size(cut, room)
