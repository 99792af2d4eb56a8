"""Laws: events are the stamps, and a stage works on one column at a time."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from pilaster.reports.trace import trace_json
from pilaster.sim.results import Result


@pytest.fixture(scope="module")
def trace(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(trace_json(result))
    return found


def work(trace: dict[str, Any], thread: int) -> list[dict[str, Any]]:
    return [e for e in trace["traceEvents"] if e["ph"] == "X" and e["tid"] == thread]


def test_events_are_the_stamps(trace: dict[str, Any], result: Result) -> None:
    for thread, stage in enumerate(result.stamps.stages, 1):
        events = work(trace, thread)
        assert len(events) == stage.started.size
        for event in events:
            at = event["args"]["image"], event["args"]["column"]
            assert event["ts"] == stage.started[at]
            assert event["ts"] + event["dur"] == stage.finished[at]
            assert event["args"]["accepted"] == stage.accepted[at]
            assert event["args"]["waiting_cycles"] == stage.started[at] - stage.accepted[at]


def test_events_of_a_stage_do_not_overlap(trace: dict[str, Any], result: Result) -> None:
    for thread in range(1, len(result.stages) + 1):
        events = work(trace, thread)
        starts = np.array([event["ts"] for event in events])
        ends = starts + [event["dur"] for event in events]
        assert (starts[1:] >= ends[:-1]).all()


def test_threads_are_the_stages_in_order(trace: dict[str, Any], result: Result) -> None:
    names = {e["tid"]: e["args"] for e in trace["traceEvents"] if e["name"] == "thread_name"}
    order = {e["tid"]: e["args"] for e in trace["traceEvents"] if e["name"] == "thread_sort_index"}
    by_index = sorted(names, key=lambda thread: order[thread]["sort_index"])
    stages = [stage.name for stage in result.stages]
    assert [names[thread]["name"] for thread in by_index] == ["input", *stages]


def test_answers_are_instants(trace: dict[str, Any], result: Result) -> None:
    instants = [event["ts"] for event in trace["traceEvents"] if event["ph"] == "i"]
    assert instants == result.stamps.answers.tolist()
    assert result.stamps.images == 2


def test_the_unit_is_told(trace: dict[str, Any]) -> None:
    assert trace["otherData"]["time"] == "1 us = 1 cycle"
