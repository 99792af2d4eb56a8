"""Law: what a page of the documentation shows is what comes out."""

from __future__ import annotations

from pathlib import Path

import pytest

import pilaster as pl
from tests.examples.inputs import DATA, bring_files
from tests.examples.pages import NOTES, PAGES, Reader, blocks_of

SLOW = [page for page in PAGES if any(block.note in ("slow", "data") for block in blocks_of(page))]


@pytest.mark.parametrize("page", PAGES)
def test_a_block_that_is_not_run_says_why(page: str) -> None:
    for block in blocks_of(page):
        assert block.language in ("", "console", "python", "text", "yaml"), str(block)
        if block.note:
            assert block.note.startswith(NOTES), f"{block}: {block.note}"
        if block.skipped:
            assert len(block.note.split()) > 3, f"{block}: says no reason"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_shows(page: str, tmp_path: Path) -> None:
    follow(page, tmp_path, ("slow", "data"))


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW)
def test_a_page_does_what_it_shows_at_length(page: str, tmp_path: Path) -> None:
    follow(page, tmp_path, () if DATA.is_dir() else ("data",))


def follow(page: str, folder: Path, left_out: tuple[str, ...]) -> None:
    blocks = [block for block in blocks_of(page) if not block.skipped and block.language]
    reader = Reader(folder)
    if any(block.note not in left_out for block in blocks):
        bring_files(folder)
    printed = True
    for block in blocks:
        printed = block.note not in left_out and (printed or block.note != "output")
        if printed:
            reader.follow(block)


def test_what_a_page_shows_is_compared(tmp_path: Path) -> None:
    """The reader notices what is not so: a value, a line, an exit code."""
    from tests.examples.pages import Block

    for language, text in (
        ("python", "print(1 + 1)  # 3\n"),
        ("python", "1 + 1  # 3\n"),
        ("console", "$ echo one\ntwo\n"),
        ("console", "$ echo one; false\none\n"),
        ("console", "pip install 'pilaster[nothing]'\n"),
        ("console", "make nothing\n"),
    ):
        with pytest.raises(AssertionError):
            Reader(tmp_path).follow(Block("page", 1, language, "", text))


def test_a_refusal_of_the_mapper_is_the_same_in_python() -> None:
    (block,) = (block for block in blocks_of("docs/mapping.md") if "max_lanes: 20" in block.text)
    with pytest.raises(pl.Infeasible) as caught:
        pl.map(pl.load("digits"), column_interval=200, max_latency=400, max_lanes=20)
    assert (
        f"pilaster: {caught.value}".split() == block.text[block.text.index("pilaster: ") :].split()
    )
