"""A result as a folder of files, each written whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pilaster.models.errors import InputError
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
    created: list[Path] = []
    with _explained(directory):
        try:
            _prepare(directory, created)
            with _temporaries(directory, {FILES[0]: b""}):
                pass
        finally:
            _remove(created)


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
    contents = _contents(result)
    created: list[Path] = []
    with _explained(directory):
        try:
            _prepare(directory, created)
            with _temporaries(directory, contents) as temporaries:
                for name, temporary in temporaries.items():
                    temporary.replace(directory / name)
        except BaseException:
            _remove(created)
            raise
    return tuple(directory / name for name in contents)


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


@contextmanager
def _explained(directory: Path) -> Iterator[None]:
    """Turn an error of the file system into one line about the report's directory."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(
            f"{directory}: the report cannot be written: {reason}; name another directory"
        ) from error


def _prepare(directory: Path, created: list[Path]) -> None:
    """Make the directory; add to `created` what had to be made, outermost first."""
    missing = []
    place = directory
    while not place.exists() and place != place.parent:
        missing.append(place)
        place = place.parent
    if not place.is_dir():
        raise InputError(
            f"{directory}: the report cannot be written: {place} is a file; name a directory"
        )
    for path in reversed(missing):
        path.mkdir()
        created.append(path)
    for name in FILES:
        if (directory / name).is_dir():
            raise InputError(
                f"{directory}: the report cannot be written: {directory / name} is a directory, "
                f"where a file would be; remove it or name another directory"
            )


@contextmanager
def _temporaries(directory: Path, contents: dict[str, bytes]) -> Iterator[dict[str, Path]]:
    """Write contents to new files beside their places; those still there at the end go."""
    token = secrets.token_hex(4)
    temporaries = {name: directory / f".{name}.{token}.tmp" for name in contents}
    try:
        for name, content in contents.items():
            with temporaries[name].open("xb") as file:
                file.write(content)
        yield temporaries
    finally:
        for temporary in temporaries.values():
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _remove(created: list[Path]) -> None:
    """Remove directories that are empty, innermost first."""
    for path in reversed(created):
        with suppress(OSError):
            path.rmdir()
