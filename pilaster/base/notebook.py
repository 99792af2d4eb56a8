"""Self-contained HTML tables for notebooks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

__all__ = ["html_table"]

MOST_ROWS = 60
"""Rows that are shown; of more, the last of these says how many more there are."""

NUMBER = re.compile(r"[<+-]?[\d,.]+( ?[%\w]{1,2})?|-|")


def html_table(caption: str, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table of text as HTML; columns of numbers are right-aligned.

    Parameters
    ----------
    rows : a cell for every title
    """
    shown = rows[:MOST_ROWS]
    numbers = [all(NUMBER.fullmatch(row[place]) for row in shown) for place in range(len(titles))]
    lines = [
        "<table>",
        f'<caption style="text-align:left">{escape(caption.strip("<>"))}</caption>',
        f"<thead>{_row('th', titles, numbers)}</thead>",
        "<tbody>",
        *(_row("td", row, numbers) for row in shown),
    ]
    if len(rows) > MOST_ROWS:
        more = f"and {len(rows) - MOST_ROWS:,} more"
        lines.append(f'<tr><td colspan="{len(titles)}">{more}</td></tr>')
    return "\n".join([*lines, "</tbody>", "</table>"])


def _row(tag: str, cells: Sequence[str], numbers: Sequence[bool]) -> str:
    written = (
        f'<{tag} style="text-align:{"right" if number else "left"}">{escape(cell)}</{tag}>'
        for cell, number in zip(cells, numbers, strict=True)
    )
    return f"<tr>{''.join(written)}</tr>"
