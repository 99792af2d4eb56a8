"""The command line, called in this process: what it prints, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pilaster.cli import main
from pilaster.sim.machine_file import MACHINES


@dataclass(frozen=True)
class Outcome:
    code: object
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    """Run the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code: object
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as leave:
            code = leave.code
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def lenet5_text() -> str:
    """The machine file that a user would start from."""
    return (MACHINES / "lenet5.yaml").read_text(encoding="utf-8")
