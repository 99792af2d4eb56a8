"""Laws: `pilaster characterize` writes a table that loads; bad input is one line and code 2."""

from dataclasses import replace
from pathlib import Path

import pytest

import pilaster as pl
from pilaster.data import images_for
from pilaster.models.energy import EnergyTable
from pilaster.rtl.gates import measure
from tests.rtl.gates.test_characterize import IMAGES, run_of

TINY = Path(__file__).parents[1] / "rtl" / "gates" / "tiny.lib"


@pytest.fixture
def asked(monkeypatch):
    """What is measured, without a measurement."""
    calls = []

    def measured(network, machine, library, images, clock_mhz, **options):
        calls.append((machine.name, images, clock_mhz))
        return run_of(machine.name).measured

    monkeypatch.setattr(measure, "measure_power", measured)
    return calls


def test_a_table_is_written_that_runs(command, asked):
    arguments = ("--liberty", TINY, "--out", "my table.yaml", "--node-nm", 130)
    outcome = command("characterize", *arguments, "--images", IMAGES)
    assert outcome.code == 0
    table = EnergyTable.load("my table.yaml")
    assert table.name == "my-table"
    assert [name for name, *_ in asked] == ["digits", "digits-gather", "digits"]
    plain, black = asked[0][1], asked[2][1]
    assert (black == 0).mean() > (plain == 0).mean()
    assert (black[black != 0] == plain[black != 0]).all()
    first = images_for(pl.load("digits"), None, 100 + IMAGES).images[100:]
    assert all((images == first).all() for _, images, _ in asked[:2])
    assert command("run", "digits", "--images", 2, "--energy", "my table.yaml").code == 0


def test_a_netlist_that_differs_makes_no_table(command, monkeypatch, tmp_path):
    wrong = replace(run_of("digits").measured, answers_equal=False)
    monkeypatch.setattr(measure, "measure_power", lambda *_, **__: wrong)
    arguments = ("--liberty", TINY, "--out", "t.yaml", "--node-nm", 130)
    outcome = command("characterize", *arguments, "--images", IMAGES)
    assert outcome.code == 1
    assert not (tmp_path / "t.yaml").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--liberty", "no.lib", "--out", "t.yaml"), "no.lib: no such file"),
        (("--liberty", TINY, "--out", "t.yaml", "--machine", "none"), "none"),
        (("--liberty", TINY, "--out", "t.yaml", "--skip", 1_000_000), "digits has 600 images"),
        (("--liberty", TINY, "--out", "file/t.yaml"), "file is a file"),
        (("--liberty", TINY), "--out"),
        (("--liberty", TINY, "--out", "t.yaml"), "node of library tiny is not known; give it"),
    ],
)
def test_bad_input_is_one_line_and_code_2(options, words, command, tmp_path):
    (tmp_path / "file").write_text("")
    outcome = command(
        "characterize", *(("--node-nm", 130) if "known" not in words else ()), *options
    )
    assert outcome.code == 2
    assert words in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "t.yaml").exists()
