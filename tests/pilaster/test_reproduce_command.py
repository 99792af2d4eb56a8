"""The command line of the studies: one line for what is wrong, and files whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pilaster.cli import main
from pilaster.commands import reproduce as reproduce_command
from pilaster.reports.reproduce import sensors2023
from pilaster.reports.reproduce.sensors2023 import Task


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the study as few machines as its tables and pictures need."""
    listed = [
        Task("interval", "lenet5", None, 512, share=0.25),
        Task("interval", "lenet5", None, 512, "eyeriss65-clocked"),
    ]
    monkeypatch.setattr(sensors2023, "tasks", lambda: listed)
    monkeypatch.setattr(reproduce_command, "_cores", lambda: 1)


@pytest.mark.usefixtures("short")
def test_a_report_is_tables_and_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["reproduce", "sensors2023", "--report", str(out)]) == 0
    names = {"summary.json", "reductions.csv", "stages.csv", "interval.png", "slack.png"}
    assert {path.name for path in out.iterdir()} == names
    printed = capsys.readouterr()
    assert "lenet5" in printed.out
    assert "8.45 %" in printed.out
    assert "assumed:" in printed.out
    assert "wrote 5 files" in printed.err


@pytest.mark.usefixtures("short")
def test_json_is_one_object_with_the_assumptions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "sensors2023", "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["published"]["power_saved"]["vgg16"] == 0.5064
    assert len(found["assumptions"]) > 5
    assert printed.err == ""


def test_a_report_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for study in ("sensors2023", "eyeriss"):
        assert main(["reproduce", study, "--report", str(file)]) == 2
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1
        assert str(file) in error
    assert file.read_text() == "mine"


@pytest.mark.parametrize("arguments", [["reproduce"], ["reproduce", "sensors2024"]])
def test_a_study_must_be_known(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
