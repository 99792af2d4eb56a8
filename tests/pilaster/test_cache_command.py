"""`pilaster cache`: what is kept is told, and cleared."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilaster.rtl.toolchain.build_cache import build_once
from tests.pilaster.conftest import Command


def keep(folder: Path, *decides: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "run").write_bytes(bytes(100))
    build_once(folder, decides, lambda: ["run"])


def test_builds_are_counted_and_cleared(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "pilaster" / "builds"
    assert command("cache").out == f"0 builds, 0.0 MB of at most 1,000 MB, in {folder}\n"
    keep(tmp_path / "build", "one")
    assert command("cache").out.startswith("1 build, 0.0 MB of ")
    keep(tmp_path / "build", "two")
    assert command("cache", "--clear").out == f"removed 2 builds, 0.0 MB, from {folder}\n"
    assert not list(folder.iterdir())


def test_who_has_no_home_is_told(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    outcome = command("cache")
    assert outcome.code == 0
    assert outcome.out == "nothing is kept: no home directory; set XDG_CACHE_HOME\n"


def test_what_cannot_be_removed_is_one_line(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    keep(tmp_path / "build", "one")
    monkeypatch.setattr(Path, "unlink", refuse)
    outcome = command("cache", "--clear")
    assert outcome.code == 2
    assert outcome.err.endswith("cannot be removed: Permission denied\n")
