"""Law: the documentation site builds without a warning, and refers every public name."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

import pilaster as pl
from pilaster.cli import command_parser

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx")
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", DOCS, folder]
    found = subprocess.run(build, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    return folder


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    text = (site / "python-reference.html").read_text(encoding="utf-8")
    missing = [name for name in pl.__all__ if f'id="pilaster.{name}"' not in text]
    assert not missing


def test_every_command_is_in_the_reference(site: Path) -> None:
    text = (site / "commands.html").read_text(encoding="utf-8")
    (commands,) = (
        action
        for action in command_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    for name, command in commands.choices.items():
        options = {option for action in command._actions for option in action.option_strings}
        for option in options - {"-h", "--help"}:
            assert option in text, f"pilaster {name}: {option}"


def test_the_site_asks_nobody_for_anything(site: Path) -> None:
    for page in site.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert 'src="http' not in text
        assert 'rel="stylesheet" href="http' not in text
