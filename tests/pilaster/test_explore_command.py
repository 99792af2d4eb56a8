"""Law: `pilaster explore` writes a front that runs, or says in one line why there is none."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

import pilaster as pl
from pilaster.reports import explore as report
from pilaster.sim.explore import explore
from tests.pilaster.conftest import Command

REQUEST = ("explore", "digits", "--column-interval", "100:400:2", "--machines", 400)


def test_the_front_is_written_and_its_machines_run(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    outcome = command(*REQUEST, "--out", "out")
    assert outcome.code == 0
    assert "400 machines drawn" in outcome.out
    assert "simulated by events, these agree" in outcome.out
    assert "wrote out/front.csv, out/front.png, out/front.parquet" in outcome.err
    names = {"chunks", "front", "request.json", "front.csv", "front.png", *report.FILES}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    with (tmp_path / "out" / "front.csv").open() as file:
        rows = list(csv.DictReader(file))
    machines = {path.stem for path in (tmp_path / "out" / "front").iterdir()}
    assert {row["machine"] for row in rows} == machines
    row = rows[len(rows) // 2]
    machine = f"out/front/{row['machine']}.yaml"
    outcome = command("run", "digits", "--machine", machine, "--images", 0, "--json")
    result = json.loads(outcome.out)
    assert result["lanes"] == int(row["lanes"])
    assert result["cycles_per_image"] == int(row["cycles_per_image"])
    energy = result["energy"]["per_image_pj"]
    assert energy == pytest.approx(float(row["energy_pj_eyeriss65"]), rel=1e-9)


def test_json_is_one_object_and_the_same_as_in_python(command: Command) -> None:
    outcome = command(
        *REQUEST,
        *("--energy", "eyeriss65", "ihp130", "--clock-mhz", 10, "--schedule", "both"),
        *("--axes", "lanes,power:ihp130,area", "--seed", 3, "--out", "out", "--json"),
    )
    assert outcome.code == 0
    found = pl.explore(
        pl.load("digits"),
        column_interval=(100, 400, 2),
        machines=400,
        energy=["eyeriss65", "ihp130"],
        clock_mhz=10,
        schedule="both",
        axes=["lanes", "power:ihp130", "area"],
        seed=3,
    )
    printed = json.loads(outcome.out)
    assert printed == {**found.as_dict(), "note": pl.load("digits").note}
    assert printed["axes"] == ["lanes", "power:ihp130", "area:ihp130"]
    assert printed["differences"] == []
    assert {"energy_pj_eyeriss65", "area_um2_ihp130", "conv1"} <= set(printed["front"][0])


def test_the_same_again_gives_the_same_files(command: Command, tmp_path: Path) -> None:
    def files() -> dict[Path, bytes]:
        return {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    assert command(*REQUEST, "--out", "out").code == 0
    before = files()
    assert command(*REQUEST, "--out", "out").code == 0
    assert files() == before


def test_without_pyarrow_there_is_no_parquet(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    outcome = command(*REQUEST, "--out", "out")
    assert outcome.code == 0
    assert "no Parquet files" in outcome.err
    assert not list((tmp_path / "out").glob("*.parquet"))
    assert (tmp_path / "out" / "front.csv").exists()


def test_a_simulation_that_disagrees_is_code_1(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = explore.figures

    def wrong(*arguments):  # type: ignore[no-untyped-def]
        columns = real(*arguments)
        return columns | {"lanes": columns["lanes"] + 1}

    monkeypatch.setattr(explore, "figures", wrong)
    outcome = command(*REQUEST, "--out", "out")
    assert outcome.code == 1
    assert "simulated by events, these disagree" in outcome.out
    assert "explored, " in outcome.err
    assert "more differences" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--column-interval", 8), "begin at 9 or more"),
        (("--column-interval", 100, "--max-latency", 60), "none of the"),
    ],
)
def test_what_no_machine_keeps_is_code_1(
    arguments: tuple[object, ...], says: str, command: Command, tmp_path: Path
) -> None:
    outcome = command("explore", "digits", *arguments, "--machines", 50, "--out", "out")
    assert (outcome.code, outcome.out) == (1, "")
    assert says in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "out" / "front.csv").exists()


def test_an_interrupt_is_one_line_and_the_same_command_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pilaster", "explore", "digits", "--column-interval", "200"]
    command += ["--machines", "300000", "--out", "out"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a job may ignore it
    )
    chunks = tmp_path / "out" / "chunks"
    while process.poll() is None and len(list(chunks.glob("*.npz"))) < 2:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "pilaster: interrupted\n")
    done = {path: path.stat().st_mtime_ns for path in chunks.glob("*.npz")}
    assert 2 <= len(done) < 293
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    assert again.returncode == 0
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert len(list(chunks.iterdir())) == 293
