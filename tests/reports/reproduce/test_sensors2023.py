"""Laws of the study: equal requests, nothing lost to the superset, statements judged as defined."""

from __future__ import annotations

import dataclasses

import pytest

from pilaster.reports.reproduce.sensors2023 import (
    CLOCKED,
    INTERVALS,
    POWER_TABLE,
    Study,
    Task,
    run_study,
    tasks,
)
from pilaster.reports.reproduce.summary import statement_rows

SMALL = [
    Task("interval", "lenet5", None, 512),
    Task("interval", "lenet5", None, 512, share=0.25),
    *(Task("interval", "lenet5", None, 512, table) for table in CLOCKED),
    Task("free idling", "lenet5", None, 512, "eyeriss65"),
]


@pytest.fixture(scope="module")
def study() -> Study:
    return run_study(SMALL)


def test_the_multi_cycle_machine_never_needs_more_of_what_is_least(study: Study) -> None:
    for row in study.reductions:
        assert row.proven
        if row.objective == "lanes":
            assert row.multi_cycle_lanes <= row.immediate_lanes
        else:
            assert row.power_saved >= -1e-9


def test_hardware_that_waits_for_nothing_leaves_nothing_to_save(study: Study) -> None:
    free = [row for row in study.reductions if row.study == "free idling"]
    assert len(free) == 1
    assert free[0].power_saved == pytest.approx(0, abs=1e-9)
    priced = [r for r in study.reductions if r.objective == "power" and r.table in CLOCKED]
    assert all(row.power_saved > 0.1 for row in priced)


def test_fewest_lanes_are_priced_by_every_table_and_power_by_its_own(study: Study) -> None:
    lanes = [row for row in study.reductions if row.objective == "lanes"]
    assert len(lanes) == 2 * 6
    power = [row.table for row in study.reductions if row.objective == "power"]
    assert power == [*CLOCKED, "eyeriss65"]


def test_slack_is_of_both_machines_stage_by_stage(study: Study) -> None:
    assert len(study.stages) == 2 * 7
    assert all(row.slack_cycles >= 0 for row in study.stages)


def test_workers_change_nothing(study: Study) -> None:
    assert run_study(SMALL[:2], workers=2).reductions == run_study(SMALL[:2]).reductions


def test_at_least_five_intervals_of_every_network() -> None:
    listed = tasks()
    for name, intervals in INTERVALS.items():
        found = {task.interval for task in listed if task.name == name}
        assert found == set(intervals)
        assert len(found) >= 5


def test_a_statement_holds_only_where_no_step_falls() -> None:
    listed = [task for task in tasks(["depth"]) if task.interval == 2048]
    first = run_study([task for task in listed if task.size == 1]).reductions
    power = {r.objective: r for r in first if r.table == POWER_TABLE}
    for savings, grows, higher in (
        ((0.1, 0.2, 0.2, 0.3, 0.3, 0.4), True, True),
        ((0.1, 0.2, 0.1, 0.3, 0.3, 0.4), False, True),
        ((0.1, 0.1, 0.1, 0.1, 0.1, 0.1), False, False),
        ((0.4, 0.2, 0.2, 0.3, 0.3, 0.1), False, False),
    ):
        rows = [
            dataclasses.replace(
                power[objective],
                network=str(size),
                immediate_mw=1.0,
                multi_cycle_mw=1.0 - saved,
            )
            for objective in ("lanes", "power")
            for size, saved in zip((1, 2, 3, 4, 6, 8), savings, strict=True)
        ]
        by_power, by_lanes = statement_rows(rows)
        assert (by_power["grows"], by_power["ends_higher"]) == (grows, higher)
        assert by_lanes["grows"] is False
