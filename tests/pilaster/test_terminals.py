"""Laws: a pipe gets whole lines, a terminal lines that fit, and neither a number that is cut."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pilaster.models.energy import EnergyTable, table_names
from pilaster.models.zoo import ZOO
from pilaster.rtl.boards.catalog import BOARDS
from pilaster.sim.machine_file import load_machine, machine_names, read_machine
from tests.pilaster.conftest import Command

pty = pytest.importorskip("pty", reason="terminals of POSIX")

COMMANDS = {
    "networks": ["networks"],
    "machines": ["machines"],
    "tables": ["tables"],
    "table": ["tables", "sg13g2"],
    "boards": ["boards"],
    "operators": ["operators"],
    "map": ["map", "digits", "--column-interval", "512"],
    "run": ["run", "digits", "--images", "3"],
    "explore": [
        *("explore", "digits", "--column-interval", "200:400", "--axes", "lanes,latency,energy"),
        *("--machines", "200", "--out", "out"),
    ],
}
NUMBER = re.compile(r"(?<![\w.,])\d[\d,.]*\d(?![\w.,])")
ESCAPE = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")


def environment(**changes: str) -> dict[str, str]:
    dropped = {"COLUMNS", "LINES", "TERM", "NO_COLOR", "LANG", "LC_ALL", "PYTHONIOENCODING"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return kept | {"TERM": "xterm", "PYTHONUTF8": "1", "PYTHONWARNINGS": "error"} | changes


def piped(arguments: list[str], folder: Path, **changes: str) -> str:
    found = subprocess.run(
        [sys.executable, "-m", "pilaster", *arguments],
        cwd=folder,
        env=environment(**changes),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.decode()


def on_terminal(arguments: list[str], folder: Path, width: int, **changes: str) -> str:
    """Run a command on a terminal of so many columns."""
    import fcntl
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "pilaster", *arguments],
        cwd=folder,
        env=environment(**changes),
        stdin=slave,
        stdout=slave,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                part = os.read(master, 1 << 16)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        os.close(master)
        assert process.stderr is not None
        process.stderr.read()
        assert process.wait(60) == 0
    return shown.decode().replace("\r\n", "\n")


def table_of(text: str) -> list[str]:
    """Lines of the first table."""
    return text.strip("\n").split("\n\n")[0].splitlines()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_pipe_gets_whole_plain_lines_whatever_columns_says(
    name: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = command(*COMMANDS[name]).out
    assert "…" not in text
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("NO_COLOR", "1")
    assert command(*COMMANDS[name]).out == text


@pytest.mark.parametrize("name", ["table", "map", "run", "boards", "explore"])
def test_a_narrow_terminal_cuts_no_number(name: str, command: Command, tmp_path: Path) -> None:
    whole = words("\n".join(table_of(command(*COMMANDS[name]).out)))
    shown = ESCAPE.sub("", on_terminal(COMMANDS[name], tmp_path, 30))
    assert whole
    assert set(whole) <= set(words(shown))


def words(text: str) -> list[str]:
    return NUMBER.findall(text)


@pytest.mark.parametrize("name", ["networks", "tables", "boards", "map", "run"])
def test_a_table_fits_a_terminal_of_80_columns(name: str, command: Command, tmp_path: Path) -> None:
    shown = ESCAPE.sub("", on_terminal(COMMANDS[name], tmp_path, 80))
    assert max(map(len, table_of(shown))) <= 80
    whole = words("\n".join(table_of(command(*COMMANDS[name]).out)))
    assert set(whole) <= set(words(shown))


def test_columns_set_the_width_of_a_terminal(tmp_path: Path) -> None:
    wide = ESCAPE.sub("", on_terminal(COMMANDS["tables"], tmp_path, 40, COLUMNS="200"))
    lines = [line.rstrip() for line in wide.splitlines()]
    assert lines == piped(COMMANDS["tables"], tmp_path).splitlines()


def test_no_color_is_heeded(tmp_path: Path) -> None:
    shown = on_terminal(COMMANDS["map"], tmp_path, 80, NO_COLOR="1")
    colored = re.findall(r"\x1b\[(?:[\d;]*;)?[349][0-7]m", shown)
    assert colored == []


@pytest.mark.parametrize("name", ["tables", "map", "run", "explore"])
def test_a_stream_of_ascii_gets_what_is_nearest(name: str, tmp_path: Path) -> None:
    text = piped(COMMANDS[name], tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LANG="C")
    assert text.isascii()
    assert "?" not in text


def test_help_and_errors_are_written_in_ascii(tmp_path: Path) -> None:
    text = piped(["explore", "--help"], tmp_path, PYTHONIOENCODING="ascii")
    assert "X,Y,..." in text
    command = [sys.executable, "-m", "pilaster", "run", "größe"]
    changed = environment(PYTHONIOENCODING="ascii")
    found = subprocess.run(command, env=changed, capture_output=True, timeout=60, check=False)
    assert found.returncode == 2
    assert found.stderr.startswith(b"pilaster: network gro?e: not known")


# lists as JSON


def test_lists_are_one_json_object_by_name(command: Command) -> None:
    names = {"networks": ZOO, "machines": machine_names(), "tables": table_names()}
    for what, known in {**names, "boards": BOARDS}.items():
        outcome = command(what, "--json")
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.count("\n") == 1
        assert list(json.loads(outcome.out)) == list(known)


@pytest.mark.parametrize("name", machine_names())
def test_a_machine_as_json_is_a_machine_file(name: str, command: Command, tmp_path: Path) -> None:
    outcome = command("machines", name, "--json")
    assert json.loads(outcome.out)["name"] == name
    (tmp_path / "mine.yaml").write_text(outcome.out)
    assert read_machine(tmp_path / "mine.yaml") == load_machine(name)


@pytest.mark.parametrize("name", table_names())
def test_a_table_as_json_has_every_value_with_its_source(name: str, command: Command) -> None:
    table, found = EnergyTable.load(name), json.loads(command("tables", name, "--json").out)
    assert found["missing"] == list(table.missing)
    assert [entry["name"] for entry in found["entries"]] == list(table.entries)
    for entry in found["entries"]:
        published = table.entries[entry["name"]].published
        assert [value["value"] for value in entry["values"]] == [p.value for p in published]
        assert all(value["source"] for value in entry["values"])


def test_a_table_tells_every_source_once(command: Command) -> None:
    text = command("tables", "sg13g2").out
    entries = EnergyTable.load("sg13g2").entries.values()
    for source in {point.source or e.source for e in entries for point in e.published}:
        assert len(re.findall(rf"^ *\d+  {re.escape(source)}$", text, re.MULTILINE)) == 1
