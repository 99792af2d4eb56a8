"""Law: `pilaster map` writes a machine that runs, or says in one line why there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pilaster as pl
from tests.pilaster.conftest import Command

REQUEST = ("map", "digits", "--column-interval", 200, "--max-latency", 400)


def test_the_machine_that_is_written_runs_and_keeps_the_request(
    command: Command, tmp_path: Path
) -> None:
    outcome = command(*REQUEST, "--out", "m.yaml")
    assert outcome.code == 0
    assert "least lanes, proven: none of 2,516 folds makes a cheaper machine" in outcome.out
    assert "conv2" in outcome.out
    outcome = command("run", "digits", "--machine", "m.yaml", "--images", 0, "--json")
    result = json.loads(outcome.out)
    assert outcome.code == 0
    assert result["latency_after_last_column_cycles"] <= 400
    assert result["cycles_per_image"] == 200 * 8
    found = pl.map(pl.load("digits"), column_interval=200, max_latency=400)
    assert found.machine == pl.load_machine("m.yaml", pl.load("digits"))
    assert [path.name for path in tmp_path.iterdir()] == ["m.yaml"]


def test_without_a_file_there_is_the_table_alone(command: Command, tmp_path: Path) -> None:
    shown = command(*REQUEST)
    written = command(*REQUEST, "--out", "m.yaml")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out == written.out
    assert [path.name for path in tmp_path.iterdir()] == ["m.yaml"]


def test_json_is_one_object_and_the_same_as_in_python(command: Command) -> None:
    outcome = command(
        *(*REQUEST, "--objective", "power", "--energy", "sky130", "--clock-mhz", 10),
        *("--schedule", "both", "--policy", "immediate", "--out", "m.yaml", "--json"),
    )
    assert outcome.code == 0
    found = pl.map(
        pl.load("digits"),
        column_interval=200,
        max_latency=400,
        objective="power",
        table="sky130",
        clock_mhz=10,
        schedule="both",
        policy="immediate",
    )
    note = {"note": pl.load("digits").note}
    assert json.loads(outcome.out) == {**found.as_dict(), **note}
    assert found.as_dict()["unit"] == "uW"


def test_a_file_that_was_there_is_replaced_and_a_folder_is_made(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "m.yaml").write_text("old")
    assert command(*REQUEST, "--out", "m.yaml").code == 0
    assert command(*REQUEST, "--out", "new/m.yaml").code == 0
    text = (tmp_path / "m.yaml").read_text()
    assert text.startswith("name: digits every 200 within 400\n")
    assert (tmp_path / "new" / "m.yaml").read_text() == text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--column-interval", 8), "column_interval: 8 cycles: no machine keeps the request"),
        (("--column-interval", 14, "--max-latency", 78), "a machine was found for a latency of"),
        (("--column-interval", 200, "--max-lanes", 12), "a machine was found with 16 lanes"),
    ],
)
def test_what_no_machine_keeps_is_code_1_and_writes_nothing(
    arguments: tuple[object, ...], says: str, command: Command, tmp_path: Path
) -> None:
    outcome = command("map", "digits", *arguments, "--out", "m.yaml")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("pilaster: ")
    assert says in outcome.err
    assert outcome.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_energies_assume_and_what_dram_gives_is_told(command: Command) -> None:
    """A machine for AlexNet with weights in DRAM: a model, and more bits a cycle than one gives."""
    arguments = ("map", "alexnet", "--column-interval", 4096, "--on-chip-weight-bits", 1_000_000)
    printed = command(*arguments, "--clock-mhz", 200).out
    found = json.loads(command(*arguments, "--clock-mhz", 200, "--json").out)
    assert "an image in which no activation is zero" in printed
    assert found["activations"] == "none is zero"
    dram = found["dram"]
    assert f"{dram['peak_bits_per_cycle']:,} bits a cycle at the peak" in printed
    assert f"{dram['mean_bits_per_cycle']:,.1f} in the mean" in printed
    assert dram["peak_gb_per_s"] == pytest.approx(dram["peak_bits_per_cycle"] * 200e6 / 8 / 1e9)
    assert "no RTL is generated" in printed
