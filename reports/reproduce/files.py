"""Output files of the studies: tables and plots."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pilaster.reports.plots import png
from pilaster.reports.reproduce import eyeriss, figures
from pilaster.reports.reproduce.sensors2023 import Study
from pilaster.reports.reproduce.summary import summary

__all__ = ["EYERISS_FILES", "SENSORS_FILES", "eyeriss_files", "rounded", "sensors_files"]

SENSORS_FILES = ("summary.json", "reductions.csv", "stages.csv", "interval.png", "slack.png")
EYERISS_FILES = ("layers.json", "layers.csv", "layers.png")

DIGITS = 6
"""Significant digits of a number in a file."""


def rounded(value: Any) -> Any:
    """Round every real in plain values, so that a file is the same on every machine."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return value


def _table_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Give rows of the same keys as CSV."""
    plain = [rounded(row) for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(plain[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain)
    return text.getvalue()


def sensors_files(study: Study) -> dict[str, bytes]:
    """Give the files of `SENSORS_FILES`."""
    contents = (
        _json(summary(study)),
        _table_csv(row.as_dict() for row in study.reductions).encode(),
        _table_csv(row.as_dict() for row in study.stages).encode(),
        png(figures.interval_figure(study.reductions)),
        png(figures.slack_figure(study.stages)),
    )
    return dict(zip(SENSORS_FILES, contents, strict=True))


def eyeriss_files(rows: tuple[eyeriss.Row, ...]) -> dict[str, bytes]:
    """Give the files of `EYERISS_FILES`."""
    plain = [row.as_dict() for row in rows]
    contents = (
        _json({"source": eyeriss.chip().source, "layers": plain}),
        _table_csv(plain).encode(),
        png(figures.eyeriss_figure(rows)),
    )
    return dict(zip(EYERISS_FILES, contents, strict=True))


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(rounded(value), indent=1, allow_nan=False) + "\n").encode()
