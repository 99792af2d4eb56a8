"""Laws: the public names are those shown; each explains itself, by examples that run; what they
give reads in a line."""

from __future__ import annotations

import doctest
import html.parser
import importlib.metadata
import inspect
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import pilaster as pl
from pilaster.base.notebook import html_table
from pilaster.rtl.verification.verify import Difference, StageVerdict, Verdict
from pilaster.sim.actions import ActionCounts
from tests.pilaster.test_power_command import measurement
from tests.pilaster.test_wrong_arguments import small_network

TINY = Path(__file__).parents[1] / "rtl" / "gates" / "tiny.lib"
FUNCTIONS = sorted(name for name in pl.__all__ if inspect.isfunction(getattr(pl, name)))


def test_dir_and_completion_show_the_public_names_and_nothing_else() -> None:
    import rlcompleter

    assert dir(pl) == sorted(pl.__all__)
    completer, shown = rlcompleter.Completer({"pl": pl}), []
    while (found := completer.complete("pl.", len(shown))) is not None:
        shown.append(found.removeprefix("pl.").rstrip("()"))
    assert shown == sorted(pl.__all__)


def test_every_public_name_is_there_and_no_other() -> None:
    for name in pl.__all__:
        assert getattr(pl, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        _ = pl.simulat


def test_the_version_is_that_of_the_package() -> None:
    assert pl.__version__ == importlib.metadata.version("pilaster")


def test_importing_loads_nothing_else_and_no_name_needs_an_extra() -> None:
    code = (
        "import sys, pilaster as pl\n"
        "assert not {'numpy', 'pydantic', 'pilaster.sim', 'pilaster.models'} & set(sys.modules)\n"
        "for extra in ('amaranth', 'cocotb', 'tflite', 'onnx', 'pandas', 'serial', 'torch'):\n"
        "    sys.modules[extra] = None\n"
        "print(*(getattr(pl, name).__name__ for name in dir(pl)))\n"
    )
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.split() == dir(pl)


def test_help_tells_every_function() -> None:
    import pydoc

    text = pydoc.plain(pydoc.render_doc(pl))
    for name in FUNCTIONS:
        assert f"\n    {name}(" in text


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_tells_its_parameters_and_has_an_example(name: str) -> None:
    function = getattr(pl, name)
    text = inspect.getdoc(function) or ""
    parameters = set(inspect.signature(function).parameters)
    assert "Examples\n--------\n>>> import pilaster as pl" in text
    if parameters:
        assert "Raises\n------\nInputError" in text
        untold = {p for p in parameters if p not in text}
        assert untold <= {"directory", "path"}


SLOW = {"bitstream", "write_bitstream", "power", "compare_bill", "write_power", "characterize"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in FUNCTIONS],
)
def test_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cells.lib").symlink_to(TINY)
    (tmp_path / "model.tflite").write_bytes(small_network())
    finder = doctest.DocTestFinder(recurse=False)
    (found,) = finder.find(getattr(pl, name), name, globs={})
    runner = doctest.DocTestRunner(verbose=False)
    assert runner.run(found).attempted > 1
    assert runner.failures == 0


def test_the_example_of_the_package_runs() -> None:
    (found,) = doctest.DocTestFinder(recurse=False).find(pl, "pilaster", globs={})
    runner = doctest.DocTestRunner(verbose=False)
    assert runner.run(found).failed == 0


# what they give, in a line and in a notebook


class Reader(html.parser.HTMLParser):
    """Reads a page: its tags, all of which must be closed, and its words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def shown() -> Iterator[tuple[str, object]]:
    """Everything that the functions give."""
    network = pl.load("lenet5")
    yield "<Network lenet5: 7 layers", network
    yield "<Machine lenet5 for lenet5: 7 stages", pl.load_machine("lenet5", network)
    yield "<Machine googlenet every", pl.load_machine(None, "googlenet")
    yield "<Network googlenet: 81 layers", pl.load("googlenet")
    yield "<Result lenet5 on lenet5: ", pl.simulate(network)
    yield "<Mapping digits every 200 cycles: 16 lanes", pl.map("digits", column_interval=200)
    found = pl.explore("digits", column_interval=(300, 400), machines=200)
    yield "<Exploration digits: 200 machines", found
    yield "<EnergyTable ihp130: 130 nm, 1.2 V", pl.tables()["ihp130"]
    yield "<PowerMeasurement digits on digits in tiny: ", measurement()
    yield "<Verdict lenet5 on lenet5, 2 images: equal", verdict()
    yield "<Verdict lenet5 on lenet5, 2 images: DIFFERENT: conv1: value", verdict(difference())


def difference() -> Difference:
    return Difference("conv1", "value", "image 0", 1, 2)


def verdict(*differences: Difference) -> Verdict:
    none = ActionCounts.of([])
    stage = StageVerdict(
        "conv1", 100, len(differences), True, True, 0.5, tuple(differences), none, none
    )
    kept = pl.simulate("digits").pace
    return Verdict("lenet5", "lenet5", 2, (stage,), kept, 99, 99, True, 1.0)


def test_results_read_in_a_line_and_as_a_table_in_a_notebook() -> None:
    for begins, thing in shown():
        text = repr(thing)
        assert text.startswith(begins)
        assert len(text) <= 200
        assert "\n" not in text
        page = thing._repr_html_()
        assert len(page) < 40_000
        assert {"table", "caption", "th", "td"} <= Reader(page).tags


def test_what_results_hold_reads_in_a_line() -> None:
    network = pl.load("googlenet")
    result = pl.simulate(network)
    things = (network.graph, result.stages[0], result.energy, result.stamps)
    for thing in (*things, pl.load_images("digits", count=2), *verdict().stages):
        assert len(repr(thing)) <= 200


def test_a_page_holds_words_not_tags() -> None:
    network = pl.load("digits")
    graph = replace(network.graph, name="<script>alert(1)</script>&")
    page = Reader(replace(network, graph=graph)._repr_html_())
    assert "script" not in page.tags
    assert "<script>alert(1)</script>&" in "".join(page.words)


def test_a_long_table_says_how_many_more() -> None:
    rows = [[str(number), "a"] for number in range(1_000)]
    page = Reader(html_table("many", ["n", "what"], rows))
    assert "and 940 more" in page.words


def test_a_frame_holds_every_stage_with_its_figures() -> None:
    pytest.importorskip("pandas")
    result = pl.simulate("lenet5", images=pl.load_images("lenet5", count=2).images)
    frame = result.frame()
    assert list(frame["name"]) == [stage.name for stage in result.stages]
    assert list(frame["energy_pj"]) == [stage.energy_pj for stage in result.stages]
    assert frame["energy_pj"].sum() == pytest.approx(result.energy.total_pj)
    for action, energy in result.energy.by_action.items():
        assert frame[f"{action}_pj"].sum() == pytest.approx(energy)
    assert frame["mac_count"].iloc[0] == result.stages[0].as_dict()["actions"]["mac"]


def test_a_frame_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    for thing in (pl.simulate("digits"), pl.explore("digits", column_interval=400, machines=20)):
        with pytest.raises(pl.InputError, match=r"needs pandas: pip install 'pilaster\[explore\]'"):
            thing.frame()
