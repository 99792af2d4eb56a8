"""Law: the columns of every table add up to the result's own totals."""

from __future__ import annotations

import csv
import io

import pytest

from pilaster.models.energy.actions import Action
from pilaster.reports.tables import action_table, stages_csv, storage_table
from pilaster.sim.results import Result


def column(result: Result, name: str) -> list[float]:
    return [float(row[name]) for row in csv.DictReader(io.StringIO(stages_csv(result)))]


def test_csv_adds_up(result: Result) -> None:
    assert sum(column(result, "macs")) == result.macs
    assert sum(column(result, "lanes")) == result.lanes
    assert sum(column(result, "energy_pj")) == pytest.approx(result.energy.total_pj)
    for action, energy in result.energy.by_action.items():
        assert sum(column(result, f"{action}_pj")) == pytest.approx(energy)
    assert column(result, "mac_gated_count") == column(result, "gated_macs")
    assert sum(column(result, "mac_gated_count")) > 0


def test_csv_prices_every_count(result: Result) -> None:
    """The table asks the same for every action, so that energies are counts."""
    for action in Action:
        if action is not Action.CLOCK:
            counts = column(result, f"{action}_count")
            assert column(result, f"{action}_pj") == [2 * count for count in counts]


def test_csv_has_the_same_columns_for_every_run(result: Result, free_result: Result) -> None:
    first, second = (stages_csv(each).splitlines()[0] for each in (result, free_result))
    assert first == second


def test_actions_and_storage_are_all_told(result: Result) -> None:
    names = {row[0].replace(" ", "_") for row in action_table(result).rows}
    assert names == set(result.energy.by_action)
    weights = sum(stage.weight_bits for stage in result.stages)
    assert storage_table(result).total[3] == f"{weights:,}"
