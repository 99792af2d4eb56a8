"""The committed results are what the code gives today."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from pilaster.reports.reproduce.eyeriss import compare
from pilaster.reports.reproduce.files import (
    EYERISS_FILES,
    SENSORS_FILES,
    eyeriss_files,
    rounded,
    sensors_files,
)
from pilaster.reports.reproduce.sensors2023 import run_study, tasks

PUBLISHED = Path(__file__).parents[3] / "reports" / "published"
# The last of six digits may differ where libraries add in another order.
CLOSE = 2e-5


def rows(text: str) -> list[dict[str, Any]]:
    return [
        {key: _value(cell) for key, cell in row.items()}
        for row in csv.DictReader(io.StringIO(text))
    ]


def _value(cell: str) -> Any:
    try:
        return float(cell)
    except ValueError:
        return cell


def committed(study: str, name: str) -> str:
    return (PUBLISHED / study / name).read_text()


def same(found: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            same(found[key], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for mine, theirs in zip(found, expected, strict=True):
            same(mine, theirs)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=CLOSE, abs=1e-5)
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("study", "names"), [("sensors2023", SENSORS_FILES), ("eyeriss", EYERISS_FILES)]
)
def test_every_file_is_there_and_no_other(study: str, names: tuple[str, ...]) -> None:
    assert {path.name for path in (PUBLISHED / study).iterdir()} == set(names)


def test_some_of_the_small_networks_are_as_committed() -> None:
    listed = tasks()
    some = [task for task in listed if task.name == "lenet5" and task.interval == 2048]
    some += [task for task in listed if task.name == "kernel" and task.size in (3, 5)]
    table = rows(committed("sensors2023", "reductions.csv"))
    found = [rounded(row.as_dict()) for row in run_study(some).reductions]
    keys = ("study", "network", "objective", "column_interval_cycles", "latency_share", "table")
    by_key = {tuple(row[key] for key in keys): row for row in table if row["bits"] == 8}
    assert len(found) == 2 * 6 + 3 + 4 * (6 + 1)
    for row in found:
        key = tuple(str(row[k]) if k == "network" else row[k] for k in keys)
        match = by_key.get(key) or by_key[tuple(_value(str(part)) for part in key)]
        for name, value in row.items():
            if isinstance(value, bool | str):
                assert str(match[name]) in (str(value), f"{_value(str(value))}")
            else:
                assert match[name] == pytest.approx(value, rel=CLOSE, abs=1e-5)


@pytest.mark.slow
def test_the_multi_cycle_scheme_is_as_committed() -> None:
    made = sensors_files(run_study(tasks(), workers=2))
    for name in ("reductions.csv", "stages.csv"):
        same(rows(made[name].decode()), rows(committed("sensors2023", name)))
    same(json.loads(made["summary.json"]), json.loads(committed("sensors2023", "summary.json")))


@pytest.mark.slow
def test_eyeriss_is_as_committed() -> None:
    made = eyeriss_files(compare(workers=2))
    same(rows(made["layers.csv"].decode()), rows(committed("eyeriss", "layers.csv")))
    same(json.loads(made["layers.json"]), json.loads(committed("eyeriss", "layers.json")))
