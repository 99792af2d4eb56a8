"""Law: an example that a user copies runs anywhere, in seconds, and shows what it promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py"))


def output_of(name: str, folder: Path, *arguments: str, seconds: int = 60) -> str:
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *arguments]
    found = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")
    return found.stdout


def number(text: str) -> float:
    return float(text.replace(",", ""))


def test_every_example_is_tested() -> None:
    assert SCRIPTS == [
        "change_the_machine",
        "explore",
        "many_machines",
        "multi_cycle",
        "scatter_against_gather",
        "spoken_digits",
        "zero_gating",
    ]


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_says_what_it_does_and_how_it_is_run(name: str) -> None:
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert text.startswith('"""')
    assert f"python {name}.py" in text


def test_scatter_against_gather(tmp_path: Path) -> None:
    lines = output_of("scatter_against_gather", tmp_path).splitlines()
    table = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    titles, _, *rows = table
    assert all(len(row) == len(titles) for row in table)
    assert [row[:2] for row in rows] == [
        [network, schedule]
        for network in ("lenet5", "alexnet", "vgg16")
        for schedule in ("scatter", "gather")
    ]
    for scatter, gather in zip(rows[::2], rows[1::2], strict=True):
        assert scatter[2] == gather[2], "equal lanes"
        assert number(scatter[3]) < number(gather[3]), "scatter is sooner"
        assert number(scatter[4]) > number(gather[4]), "and keeps more partial sums"
        assert number(scatter[5]) < number(gather[5]), "but fewer columns"
    assert "- energy by table eyeriss65" in lines
    assert list(tmp_path.iterdir()) == []


def test_change_the_machine(tmp_path: Path) -> None:
    _, _, _, *lines = output_of("change_the_machine", tmp_path).splitlines()
    rows = [[number(word) for word in line.replace(" x ", " ").split()] for line in lines]
    assert len(rows) >= 4
    for ins, outs, lanes, busy, interval, latency, energy in rows:
        assert lanes == ins * outs
        assert busy <= interval
        assert latency > 0
        assert energy > 0


@pytest.mark.slow
def test_zero_gating(tmp_path: Path) -> None:
    library = Path(__file__).parents[1] / "rtl" / "gates" / "tiny.lib"
    arguments = (str(library), "zeros.png", "--images", "1")
    _, _, *lines = output_of("zero_gating", tmp_path, *arguments, seconds=1200).splitlines()
    assert (tmp_path / "zeros.png").read_bytes().startswith(b"\x89PNG")
    rows = [
        [number(cell) for cell in line.strip("| ").replace("%", "").split("|")] for line in lines
    ]
    zeros, gates, model, *_ = map(list, zip(*rows, strict=True))
    assert zeros == sorted(zeros)
    assert len(set(zeros)) == len(zeros)
    for energies in (gates, model):
        assert energies == sorted(energies, reverse=True), "a lane at rest takes less"


def test_many_machines(tmp_path: Path) -> None:
    lines = output_of("many_machines", tmp_path, "front.png").splitlines()
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["front.png"]
    rows = [line.split()[2:] for line in lines if line.split()[1:2] == ["lanes"]]
    assert len(rows) >= 4
    for column in zip(*rows, strict=True):
        latencies = [number(cell) for cell in column if cell != "-"]
        assert latencies == sorted(latencies, reverse=True)
        assert latencies
    for row in rows:
        latencies = [number(cell) for cell in row if cell != "-"]
        assert latencies == sorted(latencies, reverse=True), "slower columns need fewer lanes"


def test_multi_cycle(tmp_path: Path) -> None:
    titles, _, *rows = output_of("multi_cycle", tmp_path, "digits").splitlines()
    assert len(rows) == 10
    cells = [line.strip("| ").split(" | ") for line in rows]
    assert all(len(row) == len(titles.strip("| ").split(" | ")) for row in cells)
    for name, _, _, immediate, deferred, _ in cells:
        assert name == "digits"
        assert number(deferred) < number(immediate), "proven, and fewer"
    for relaxed, tight in zip(cells[::2], cells[1::2], strict=True):
        assert number(tight[2]) == number(relaxed[2]) // 4
        assert number(tight[3]) >= number(relaxed[3]), "less time needs no fewer lanes"
        assert number(tight[4]) >= number(relaxed[4])
    assert list(tmp_path.iterdir()) == []


def test_explore(tmp_path: Path) -> None:
    lines = output_of("explore", tmp_path, "found").splitlines()
    assert "simulated by events as well: 0 differences" in lines
    rows = [[number(w) for w in line.split()] for line in lines if line[:1] == " "]
    assert len(rows) >= 8
    for interval, limit, latency, energy in rows:
        for other, lanes, later, dearer in rows:
            if other <= interval and lanes <= limit:
                assert later >= latency, "less time and fewer lanes answer no sooner"
                assert dearer >= energy
    assert {path.name for path in tmp_path.iterdir()} == {"found"}
    assert (tmp_path / "found" / "front.png").read_bytes().startswith(b"\x89PNG")
