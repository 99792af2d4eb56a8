"""Law: a machine that does not hold its column interval says so wherever its figures are told."""

from __future__ import annotations

import csv
import io
import json

import matplotlib.text
import pytest
from matplotlib.colors import to_rgba
from rich.console import Console

from pilaster.reports.page import report_html
from pilaster.reports.plots import WAITING, timeline_figure
from pilaster.reports.summary import key_figures, summary_sentence
from pilaster.reports.tables import stages_csv
from pilaster.reports.terminal import print_result
from pilaster.reports.trace import INPUT, trace_json
from pilaster.sim.results import Result

MARK = "does not hold its column interval of 64 cycles"


def told_by(result: Result) -> dict[str, str]:
    file = io.StringIO()
    print_result(result, Console(file=file, width=80))
    found = timeline_figure(result).findobj(matplotlib.text.Text)
    picture = " ".join(text.get_text() for text in found)
    return {
        "terminal": file.getvalue(),
        "sentence": summary_sentence(result),
        "page": report_html(result),
        "picture": picture,
        "figures": str(key_figures(result)),
    }


def test_it_is_told_everywhere(late_result: Result, result: Result) -> None:
    late, held = told_by(late_result), told_by(result)
    pace = late_result.pace
    for where in ("terminal", "page"):
        assert f"{late_result.machine} {pace.describe_waits()}" in late[where]
        assert MARK in late[where]
    assert "DOES NOT HOLD its column interval of 64" in late["sentence"]
    assert "DOES NOT HOLD its interval of 64" in late["picture"]
    assert f"{pace.held_interval:,} cycles" in late["figures"]
    for text in held.values():
        assert "not hold" not in text.lower()
        assert "wait up to" not in text


def test_waits_are_in_every_file(late_result: Result, result: Result) -> None:
    for found, holds in ((late_result, False), (result, True)):
        plain = found.as_dict()
        assert plain["holds_column_interval"] is holds
        assert (plain["longest_column_wait_cycles"] == 0) is holds
        assert (plain["sustained_column_interval_cycles"] == found.column_interval_cycles) is holds
        for row in csv.DictReader(io.StringIO(stages_csv(found))):
            assert row["holds_column_interval"] == str(holds)
            assert float(row["sustained_column_interval_cycles"]) == pytest.approx(
                plain["sustained_column_interval_cycles"]
            )
        trace = json.loads(trace_json(found))
        assert trace["otherData"]["holds_column_interval"] is holds
        waits = [e for e in trace["traceEvents"] if e["ph"] == "X" and e["tid"] == INPUT]
        late = found.stamps.waits
        assert [event["dur"] for event in waits] == late[late > 0].tolist()
        assert [e["ts"] for e in waits] == found.stamps.due[late > 0].tolist()


def test_waiting_columns_are_drawn(late_result: Result, result: Result) -> None:
    for found in (late_result, result):
        axes = timeline_figure(found).axes[0]
        drawn = [
            (round(box.x0), round(box.x1))
            for bars in axes.collections
            if len(bars.get_facecolor()) and tuple(bars.get_facecolor()[0]) == to_rgba(WAITING)
            for box in (path.get_extents() for path in bars.get_paths())
        ]
        due, waits = found.stamps.due[0], found.stamps.waits[0]
        late = waits > 0
        assert drawn == list(zip(due[late], (due + waits)[late], strict=True))
