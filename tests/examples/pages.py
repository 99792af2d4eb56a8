"""Test support: the code blocks of the documentation, run as a reader would run them.

Every fenced block of a page is run, in order, in one empty folder. An HTML comment right before a
block says otherwise::

    <!-- block: skip: REASON -->   cannot be run by a test, and why
    <!-- block: slow -->           takes long: runs with the slow tests
    <!-- block: data -->           needs public files: runs where PILASTER_DATA names them
    <!-- block: file NAME -->      is the content of a file
    <!-- block: output -->         is what the block before it has printed

In a console block that shows what is printed, commands begin with ``$ ``; ``...`` stands for any
words, and times in seconds are not compared. A command may fail only where the block shows
the line of its error. In Python, a comment behind an expression, or behind a print, is its value.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

__all__ = ["PAGES", "Block", "Reader", "blocks_of"]

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))

BLOCK = re.compile(
    r"(?:<!-- block: (?P<note>.*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
SECONDS = re.compile(r"\b\d+(\.\d+)? s\b")
NOTES = ("skip: ", "slow", "data", "file ", "output")


@dataclass(frozen=True)
class Block:
    """A fenced block, with what its page says of it."""

    page: str
    line: int
    language: str
    note: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def skipped(self) -> bool:
        return self.note.startswith("skip: ")


def blocks_of(page: str) -> Iterator[Block]:
    """Find the blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("language")) + 1
        note = match["note"] or ""
        yield Block(page, line, match["language"], note, match["text"])


@dataclass
class Reader:
    """Someone who follows a page in a folder, block by block."""

    folder: Path
    names: dict[str, Any] = field(default_factory=dict)
    printed: str = ""

    def follow(self, block: Block) -> None:
        """Run a block, and hold what it shows to what comes out."""
        if block.note.startswith("file "):
            (self.folder / block.note.removeprefix("file ")).write_text(block.text)
        elif block.note == "output":
            _same(block, block.text, self.printed)
        elif block.language == "python":
            self._python(block)
        elif block.language == "console":
            self._console(block)
        else:
            pytest.fail(f"{block}: a block of {block.language or 'text'} that nothing runs")

    def _console(self, block: Block) -> None:
        if block.text.startswith("$ "):
            for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
                command, _, shown = part.partition("\n")
                self._command(block, command, shown)
        else:
            for command in block.text.replace("\\\n", "").splitlines():
                self._command(block, command, "")

    def _command(self, block: Block, command: str, shown: str) -> None:
        words = shlex.split(command, comments=True)
        if words[:2] == ["pip", "install"]:
            _is_extra(block, words[2:])
            return
        if words[:1] == ["make"]:
            for line in _recipe(block, words[1]):
                self._command(block, line, "")
            return
        found = subprocess.run(
            ["sh", "-ec", command.replace(".venv/bin/", "")],
            cwd=self.folder,
            env=os.environ
            | {
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "PYTHONWARNINGS": "error",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.printed = found.stdout
        if not shown.startswith("pilaster: "):
            assert found.returncode == 0, f"{block}: {command}\n{found.stdout}"
        if shown:
            _same(block, shown, found.stdout)

    def _python(self, block: Block) -> None:
        lines = block.text.splitlines()
        for statement in ast.parse(block.text).body:
            comment = lines[(statement.end_lineno or 1) - 1].rpartition("# ")[2].strip()
            code = compile(ast.Module([statement], []), str(block), "exec")
            output = io.StringIO()
            with contextlib.chdir(self.folder), contextlib.redirect_stdout(output):
                if isinstance(statement, ast.Expr) and not _prints(statement):
                    value = eval(ast.unparse(statement), self.names)
                    with contextlib.suppress(ValueError, SyntaxError):
                        assert value == pytest.approx(ast.literal_eval(comment)), str(block)
                else:
                    exec(code, self.names)
            if _prints(statement) and "# " in lines[(statement.end_lineno or 1) - 1]:
                _same(block, comment, output.getvalue())


def _prints(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and ast.unparse(statement.value.func) == "print"
    )


def _same(block: Block, shown: str, printed: str) -> None:
    """Hold what a page shows to what is printed, word by word: lines may be folded elsewhere."""
    words = SECONDS.sub("# s", shown).split()
    pattern = " ".join(".*?" if word == "..." else re.escape(word) for word in words)
    text = " ".join(SECONDS.sub("# s", printed).split())
    assert re.fullmatch(pattern, text), f"{block}: shown and printed differ; printed:\n{printed}"


def _is_extra(block: Block, words: list[str]) -> None:
    """A page's `pip install` names a package with extras that there are."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = re.fullmatch(r"(?P<name>\w+|\.)(\[(?P<extras>[\w,]+)\])?", words[-1])
    assert found, f"{block}: pip install {words[-1]}"
    assert found["name"] in (project["name"], "."), str(block)
    extras = set((found["extras"] or "").split(",")) - {""}
    assert extras <= set(project["optional-dependencies"]), str(block)


def _recipe(block: Block, target: str) -> list[str]:
    """Find what `make TARGET` does with Pilaster; what it sets up is left to fresh machines."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.search(rf"^{re.escape(target)}:.*\n((?:\t.*\n)*)", makefile, re.MULTILINE)
    assert found, f"{block}: make {target}"
    lines = [line.strip() for line in found[1].splitlines()]
    return [line.replace("$(BIN)/", "") for line in lines if line.startswith("$(BIN)/pilaster")]
