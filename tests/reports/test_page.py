"""Laws: the page is well formed, stands alone, tells everything, and trusts no name."""

from __future__ import annotations

import base64
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pilaster.reports.page import report_html
from pilaster.sim.results import Result

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks that tags nest; collects tags and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.tags if found == tag]


@pytest.fixture(scope="module")
def text(result: Result) -> str:
    return report_html(result)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_it_needs_nothing_else(text: str, page: Page) -> None:
    assert text.startswith("<!DOCTYPE html>")
    references = [tag[key] or "" for _, tag in page.tags for key in ("src", "href") if key in tag]
    assert all(reference.startswith("data:") for reference in references)
    assert "http" not in text.lower()
    assert "url(" not in text
    assert "@import" not in text
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}


def test_pictures_are_inside_and_described(page: Page) -> None:
    pictures = page.all("img")
    assert len(pictures) == 2
    for picture in pictures:
        assert len(picture["alt"] or "") > 40
        head, content = (picture["src"] or "").split(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(content, validate=True).startswith(b"\x89PNG")


def test_it_tells_everything(page: Page, result: Result) -> None:
    told = "\n".join(page.words)
    for stage in result.stages:
        assert page.words.count(stage.name) == 2  # stages, storage
    for note in (*result.notes, result.machine, *result.energy.not_included):
        assert note in told
    for action in result.energy.by_action:
        assert action.replace("_", " ") in page.words
    assert f"{result.latency_after_last_column_cycles:,} cycles" in told


def test_tables_have_headers_and_captions(page: Page) -> None:
    assert len(page.all("table")) == len(page.all("caption")) == 3
    assert all(header.get("scope") in ("col", "row") for header in page.all("th"))


def test_names_are_escaped(result: Result) -> None:
    first = replace(result.stages[0], name="<script>alert(1)</script>")
    hostile = replace(
        result, network='<img src="http://x">', stages=(first, *result.stages[1:]), notes=("<b>",)
    )
    page = Page(report_html(hostile))
    assert not page.all("script")
    assert len(page.all("img")) == 2
    assert "<script>alert(1)</script>" in page.words


def test_a_free_run_without_images(free_result: Result) -> None:
    assert "Right answers" not in Page(report_html(free_result)).words
