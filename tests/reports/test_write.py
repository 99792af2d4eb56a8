"""Laws: a report is there whole or not at all, and an error names the directory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pilaster.base.errors import InputError
from pilaster.reports import trace
from pilaster.reports.write import FILES, check_writable, write_report
from pilaster.sim.results import Result

Act = Callable[[Result, Path], object]
ACTS: list[Act] = [write_report, lambda _, directory: check_writable(directory)]

NOT_ROOT = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)


def everything(directory: Path) -> dict[Path, bytes | None]:
    return {p: p.read_bytes() if p.is_file() else None for p in directory.rglob("*")}


def test_files_are_written(result: Result, tmp_path: Path) -> None:
    written = write_report(result, tmp_path / "new" / "report")
    assert written == tuple(tmp_path / "new" / "report" / name for name in FILES)
    assert set(written) == {p for p in tmp_path.rglob("*") if p.is_file()}
    assert all(path.stat().st_size > 100 for path in written)
    before = everything(tmp_path)
    write_report(result, tmp_path / "new" / "report")
    assert everything(tmp_path) == before


def test_other_files_stay(result: Result, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "trace.json").write_text("old")
    write_report(result, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert (tmp_path / "trace.json").read_text().startswith("{")


def test_a_content_that_fails_leaves_the_old_report(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in FILES:
        (tmp_path / name).write_text("old")
    before = everything(tmp_path)

    def fail(_: Result) -> str:
        raise RuntimeError("no trace")

    monkeypatch.setattr(trace, "trace_json", fail)
    with pytest.raises(RuntimeError, match="no trace"):
        write_report(result, tmp_path)
    assert everything(tmp_path) == before


def test_a_full_disk_leaves_the_old_report(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, real = tmp_path / "report", Path.open
    target.mkdir()
    for name in FILES:
        (target / name).write_text("old")
    before = everything(tmp_path)

    def fill(path: Path, *args: Any, **options: Any) -> object:
        if "stages.csv" in path.name:
            raise OSError(28, "No space left on device")
        return real(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", fill)
        with pytest.raises(InputError, match="no space left on device"):
            write_report(result, target)
        with pytest.raises(InputError, match="no space left on device"):
            write_report(result, tmp_path / "new" / "one")
    assert everything(tmp_path) == before


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("name", ["file", "file/report", "file/a/report"])
def test_a_file_in_the_way(act: Act, name: str, result: Result, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is a file") as caught:
        act(result, tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)
    assert everything(tmp_path) == {tmp_path / "file": b"mine"}


@pytest.mark.parametrize("act", ACTS)
def test_a_directory_in_the_way(act: Act, result: Result, tmp_path: Path) -> None:
    (tmp_path / "energy.png").mkdir()
    with pytest.raises(InputError, match=r"energy\.png is a directory"):
        act(result, tmp_path)
    assert everything(tmp_path) == {tmp_path / "energy.png": None}


@NOT_ROOT
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("name", [".", "new"])
def test_no_permission(act: Act, name: str, result: Result, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    with pytest.raises(InputError, match="permission denied"):
        act(result, locked / name)
    assert everything(tmp_path) == {locked: None}


def test_a_check_leaves_no_trace(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "report")
    check_writable(tmp_path)
    assert everything(tmp_path) == {}
