"""Output files of a result, each written completely or not at all."""

from __future__ import annotations

from pathlib import Path

from pilaster.base import output_files
from pilaster.sim.results import Result

__all__ = ["FILES", "check_writable", "write_report"]

FILES = ("report.html", "energy.png", "timeline.png", "stages.csv", "trace.json")


def check_writable(directory: Path) -> None:
    """Check that a report can be written into `directory`, and leave no trace.

    Raises
    ------
    InputError
        If it is no directory and cannot become one, or cannot be written.
    """
    output_files.check_writable(directory, FILES, "report")


def write_report(result: Result, directory: Path) -> tuple[Path, ...]:
    """Write ``report.html``, ``energy.png``, ``timeline.png``, ``stages.csv`` and ``trace.json``.

    All contents are made first, and put in place once all of them are on the disk. A file that
    was there is replaced.

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    InputError
        If the directory cannot be made or written; nothing is left behind.
    """
    check_writable(directory)
    return output_files.write_files(directory, _contents(result), "report")


def _contents(result: Result) -> dict[str, bytes]:
    from pilaster.reports.page import report_html
    from pilaster.reports.plots import energy_figure, png, timeline_figure
    from pilaster.reports.tables import stages_csv
    from pilaster.reports.trace import trace_json

    made = (
        report_html(result).encode(),
        png(energy_figure(result)),
        png(timeline_figure(result)),
        stages_csv(result).encode(),
        trace_json(result).encode(),
    )
    return dict(zip(FILES, made, strict=True))
