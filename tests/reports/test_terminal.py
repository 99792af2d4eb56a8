"""Laws: columns align, no number is cut, and a pipe gets plain text with a whole sentence last."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

import pilaster as pl
from pilaster.models.energy import EnergyTable
from pilaster.reports.summary import key_figures, summary_sentence
from pilaster.reports.tables import stage_table
from pilaster.reports.terminal import print_result
from pilaster.reports.units import area_text, power_text, time_text
from pilaster.sim.area import stage_area_um2
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.results import Result
from pilaster.sim.simulate import simulate


def printed(result: Result, width: int, terminal: bool = False) -> str:
    file = io.StringIO()
    print_result(result, Console(file=file, width=width, force_terminal=terminal))
    return file.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_every_number_is_whole_and_every_column_ends_in_line(result: Result, width: int) -> None:
    table, text = stage_table(result), printed(result, width)
    lines = text.split("\n\n", maxsplit=1)[0].splitlines()
    assert "\x1b" not in text
    assert len(lines) == len(result.stages) + 5
    bodies = [lines[3 + index] for index in range(len(result.stages))] + [lines[-1]]
    ends = set()
    for cells, line in zip((*table.rows, table.total), bodies, strict=True):
        numbers = " +".join(re.escape(cell) for cell in cells[table.labels :] if cell)
        assert re.search(f"(^| ){numbers}$", line)
        ends.add(len(line))
    assert len(ends) == 1


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits(result: Result, width: int) -> None:
    large = replace(
        result,
        stages=tuple(
            replace(stage, name=f"a/very/long/layer/name/{stage.name}", busy_cycles=12_845_056)
            for stage in result.stages
        ),
    )
    lines = printed(large, width).split("\n\n", maxsplit=1)[0].splitlines()
    assert max(map(len, lines)) <= width
    assert all("12,845,056" in line for line in lines[3 : 3 + len(result.stages)])


def test_the_last_line_is_the_sentence(result: Result) -> None:
    lines = printed(result, 80).splitlines()
    assert lines[-1] == summary_sentence(result)
    for note in result.notes:
        assert note in lines


def test_sentence(result: Result) -> None:
    named = replace(result, network="lenet5", machine="mine", accuracy=0.985, images=200)
    latency = f"{result.stamps.answers[0] - result.stamps.due[0, -1]:,}"
    sentence = summary_sentence(named)
    assert sentence.startswith("lenet5 on mine: 98.5 % of 200 images right; the answer comes ")
    assert f"the answer comes {latency} cycles after the last column" in sentence
    assert f"; {sum(stage.lanes for stage in result.stages)} lanes, " in sentence
    assert f" an image (flat); {power_text(result.power_mw)}" in sentence
    unclocked = summary_sentence(replace(named, clock_mhz=None))
    assert unclocked.endswith(" an image (flat)")
    assert " at 100 MHz" in sentence
    assert "MHz" not in unclocked


def test_area_and_power_are_told_where_they_are_known() -> None:
    network = pl.load("digits")
    machine = pl.load_machine(None, network)
    ihp130 = EnergyTable.load("ihp130")
    result = simulate(network, machine, table=ihp130, clock_mhz=25.0)
    area = sum(stage_area_um2(stage, ihp130) for stage in Pipeline(network, machine).stages)
    assert result.area_um2 == pytest.approx(area)
    assert result.power_mw == pytest.approx(
        result.energy_per_image_pj * 1e-12 / (result.cycles_per_image / 25e6) * 1e3
    )
    cycles = result.latency_after_last_column_cycles
    assert result.as_dict()["latency_after_last_column_us"] == pytest.approx(cycles / 25)
    told, sentence = dict(key_figures(result)), summary_sentence(result)
    assert told["Area"] == area_text(area)
    assert told["Power"] == power_text(result.power_mw)
    assert f"{time_text(cycles / 25)} at 25 MHz" in sentence
    assert sentence.endswith(f"; {power_text(result.power_mw)}; {area_text(area)}")
    assert "an image in which no activation is zero (ihp130)" in sentence
    bare = simulate(network, machine)
    assert (bare.area_um2, bare.power_mw, bare.as_dict()["latency_us"]) == (None, None, None)
    assert not {"Area", "Power"} & set(dict(key_figures(bare)))


def test_without_images_or_labels(result: Result, free_result: Result) -> None:
    assert "right" not in printed(free_result, 80)
    assert "3 images without labels" in summary_sentence(replace(result, accuracy=None))


def test_a_name_is_not_markup(result: Result) -> None:
    assert "[red]net[/]" in printed(replace(result, network="[red]net[/]"), 80)


def test_a_terminal_gets_bold(result: Result) -> None:
    assert "\x1b[1m" in printed(result, 80, terminal=True)
