"""Law: what a page of the documentation shows is what comes out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pilaster as pl
from tests.pilaster.conftest import Command, command

__all__ = ["command"]

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_mapping_in_python(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks("mapping.md", "python")
    exec(block, {})
    shown = re.findall(r"print\(.*?\)\s+# (.*)", block)
    printed = capsys.readouterr().out.splitlines()
    assert printed[: len(shown)] == shown
    assert len(printed) == len(shown) + len(pl.load("digits").graph.nodes)


def test_mapping_on_the_command_line(command: Command) -> None:
    (block,) = blocks("mapping.md", "console")
    for line in block.splitlines():
        program, *words = line.split()
        assert program == "pilaster"
        assert command(*words).code == 0


def test_a_refusal_reads_as_shown() -> None:
    (block,) = blocks("mapping.md", "text")
    with pytest.raises(pl.Infeasible) as caught:
        pl.map(pl.load("digits"), column_interval=200, max_latency=400, max_lanes=20)
    assert f"pilaster: {caught.value}" == " ".join(block.split())


def test_exploring_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("exploring.md", "python")
    exec(block, names := {})  # type: ignore[var-annotated]
    found = names["found"]
    assert found.differences == ()
    assert (tmp_path / "digits" / "front.csv").exists()


def test_exploring_on_the_command_line(command: Command) -> None:
    (block,) = blocks("exploring.md", "console")
    program, *words = block.splitlines()[0].split()
    assert program == "pilaster"
    assert command(*words, "--machines", 800).code == 0
