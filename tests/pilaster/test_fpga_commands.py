"""Laws: bad input to the FPGA commands is one line and code 2, a build that cannot be is code 1."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version

import pytest

import pilaster as pl
from pilaster.data import images_for
from pilaster.models.reference.network import classify, infer
from pilaster.rtl.boards.bitstream import build as build_bitstream
from pilaster.rtl.boards.catalog import BOARDS
from pilaster.rtl.boards.folder import DESCRIPTION, read_build, write_build
from pilaster.rtl.components.probes import ACTION_PROBES
from pilaster.rtl.host import actions as host_actions
from pilaster.rtl.host.protocol import PROTOCOL_VERSION
from pilaster.rtl.host.wire_format import WireFormat
from pilaster.sim.machine_file import machine_path
from pilaster.sim.pipeline import Pipeline
from tests.rtl.boards.networks import hidden


@pytest.fixture
def build(tmp_path):
    """A build's folder, without its bitstream."""
    return write_description(tmp_path, False)


@pytest.fixture
def counting(tmp_path):
    """A build's folder of a device that counts actions."""
    return write_description(tmp_path, True)


def write_description(tmp_path, counters):
    network = pl.load("digits")
    wire = WireFormat(Pipeline(network, pl.load_machine(None, network)), counts=counters)
    description = {
        "pilaster": version("pilaster"),
        "network": "digits",
        "board": "icebreaker",
        "clock_hz": 12_000_000,
        "baud": 1_000_000,
        "design": wire.design,
        "protocol": PROTOCOL_VERSION,
        "loaded": [],
        "counters": counters,
    }
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / DESCRIPTION).write_text(json.dumps(description))
    (folder / "machine.yaml").write_text(machine_path("digits").read_text())
    return folder


def change(build, **entries):
    path = build / DESCRIPTION
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def refused(outcome, *words, code=2):
    assert outcome.code == code, outcome
    assert outcome.out == ""
    last = outcome.err.splitlines()[-1]
    assert last.startswith("pilaster")
    for word in words:
        assert word in last
    assert "Traceback" not in outcome.err


def test_boards_are_listed(command):
    outcome = command("boards", "--json")
    assert outcome.code == 0
    found = json.loads(outcome.out)
    assert set(found) == set(BOARDS)
    assert found["icebreaker"]["multipliers"] == 8
    table = command("boards").out
    assert all(name in table for name in BOARDS)


def test_an_unknown_board(command, tmp_path):
    outcome = command("bitstream", "digits", "--board", "icebraker", "--out", tmp_path / "out")
    refused(outcome, "--board icebraker", "did you mean icebreaker?")
    assert not (tmp_path / "out").exists()


def test_a_network_that_cannot_fit(command, tmp_path):
    out = tmp_path / "out"
    outcome = command("bitstream", "lenet5", "--board", "icebreaker", "--out", out)
    refused(outcome, "does not fit", "block RAMs where there are 30", code=1)
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--clock-mhz", "0"), ("1 Hz to 1 THz",)),
        (("--clock-mhz", "2000"), ("no such clock from 12 MHz", "17 to 275 MHz")),
        (("--clock-mhz", "14"), ("--clock-mhz 14", "PLL")),
        (("--baud", "5000000"), ("baud", "12 MHz")),
        (("--machine", "lenet5"), ("is for the network lenet5",)),
    ],
)
def test_a_build_asked_for_wrongly(command, tmp_path, arguments, words):
    out = tmp_path / "out"
    outcome = command("bitstream", "digits", "--board", "icebreaker", "--out", out, *arguments)
    refused(outcome, *words)
    assert not out.exists()


def test_missing_tools(command, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    outcome = command("bitstream", "digits", "--board", "icebreaker", "--out", tmp_path / "out")
    refused(outcome, "yosys is missing", "pip install 'pilaster[fpga]'")


FAILING = """\
#!/bin/sh
case "$*" in -V|--version) echo "Yosys 0.99 (nextpnr-0.99)"; exit 0;; esac
echo chatter
echo ERROR: no such cell
echo end
exit 1
"""
"""A tool that is new enough, and fails."""


def test_a_tool_that_fails_is_told_with_its_error(command, tmp_path, monkeypatch):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("yosys", "nextpnr-ice40", "icepack"):
        program = tools / name
        program.write_text(FAILING)
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")  # native tools on PATH win
    outcome = command("bitstream", "digits", "--board", "icebreaker", "--out", tmp_path / "out")
    refused(outcome, "yosys failed", "ERROR: no such cell", code=1)
    assert not (tmp_path / "out").exists()


def test_without_amaranth_boards(command, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "amaranth_boards.icebreaker", None)
    outcome = command("bitstream", "digits", "--board", "icebreaker", "--out", tmp_path / "out")
    refused(outcome, "amaranth-boards is missing", "pip install")


def test_a_port_that_is_not_there(command, build):
    outcome = command("host", build, "--port", "/dev/ttyNONE")
    refused(outcome, "--port /dev/ttyNONE", "cannot be opened", "serial ports here")


def test_a_port_and_a_simulation(command, build):
    refused(command("host", build, "--port", "x", "--simulate"), "--simulate", "--port")
    refused(command("host", build), "--port", "--simulate")


def test_a_folder_of_no_build(command, tmp_path):
    refused(command("host", tmp_path, "--simulate"), DESCRIPTION, "pilaster bitstream")


@pytest.mark.parametrize("made_by", ["0.0.1", 7, None])
def test_a_build_of_another_version(command, build, made_by):
    change(build, pilaster=made_by)
    refused(command("host", build, "--simulate"), "build the bitstream anew", str(made_by))


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00", '"pilaster"'])
def test_a_build_file_that_is_none(command, build, text):
    (build / DESCRIPTION).write_text(text)
    refused(command("host", build, "--simulate"), "build the bitstream anew")


@pytest.mark.parametrize(("key", "value"), [("baud", 0), ("network", 5), ("clock_hz", "fast")])
def test_a_build_file_with_a_wrong_entry(command, build, key, value):
    change(build, **{key: value})
    refused(command("host", build, "--simulate"), f"{key}: must be")


@pytest.mark.parametrize("names", [None, "conv2_weights", [1]])
def test_a_build_file_without_its_memories(command, build, names):
    change(build, loaded=names)
    refused(command("host", build, "--simulate"), "loaded: must be a list of names")


def test_a_build_of_an_older_link(command, build):
    change(build, protocol=1)
    words = "version 1 of the host link", f"version {PROTOCOL_VERSION}", "build the bitstream anew"
    refused(command("host", build, "--simulate"), *words)


def test_other_memories_than_were_built(command, build):
    change(build, loaded=["conv2_weights"])
    refused(command("host", build, "--simulate"), "is another than when it was built")


def test_another_machine_than_was_built(command, build):
    change(build, design=1)
    refused(command("host", build, "--simulate"), "is another than when it was built")


def test_another_network_than_was_built(command, build):
    refused(
        command("host", build, "--simulate", "--bits", "4"), "is another than when it was built"
    )


def test_the_simulated_board_answers(command, build):
    outcome = command("host", build, "--simulate", "--images", "2", "--json")
    assert outcome.code == 0, outcome
    report = json.loads(outcome.out)
    network = pl.load("digits")
    machine = pl.load_machine(None, network)
    assert report["wrong_images"] == []
    assert report["images"] == len(report["classes"]) == 2
    # Columns come slowly over the line; the output buffer adds a cycle.
    slow = pl.simulate(network, replace(machine, column_interval=100_000))
    assert report["latency_after_last_column_cycles"] == slow.latency_after_last_column_cycles + 1


def test_the_simulated_board_is_given_its_weights(command, build):
    network, names = pl.load("digits"), ["conv2_weights", "fc3_weights"]
    wire = WireFormat(Pipeline(network, pl.load_machine(None, network)), frozenset(names))
    change(build, loaded=names, design=wire.design)
    outcome = command("host", build, "--simulate", "--images", "2", "--json")
    assert outcome.code == 0, outcome
    assert outcome.err == ""
    report = json.loads(outcome.out)
    assert report["wrong_images"] == []
    assert report["retries"] == 0


@pytest.mark.parametrize("names", [[], ["conv2_weights", "fc3_weights"]], ids=["filled", "loaded"])
def test_the_simulated_board_counts_what_the_model_counts(command, counting, names):
    network = pl.load("digits")
    pipeline = Pipeline(network, pl.load_machine(None, network))
    design = WireFormat(pipeline, frozenset(names), counts=True).design
    change(counting, loaded=names, design=design)
    outcome = command("host", counting, "--simulate", "--images", "3", "--actions", "--json")
    assert outcome.code == 0, outcome
    report = json.loads(outcome.out)
    assert report["wrong_images"] == []
    found = report["actions"]
    assert found["images"] == 3
    result = pl.simulate(network, pipeline.machine, images_for(network, None, 3).images)
    told = {(each["stage"], each["action"]): each["device"] for each in found["counts"]}
    for stage in result.stages:
        for action in ACTION_PROBES:
            assert told.get((stage.name, action), 0) == stage.actions.of_action(action)


def test_a_count_that_differs_is_told(command, counting, monkeypatch):
    right = host_actions.machine_actions
    monkeypatch.setattr(host_actions, "machine_actions", lambda p, n, z: right(p, n + 1, z))
    outcome = command("host", counting, "--simulate", "--images", "1", "--actions")
    assert outcome.code == 1, outcome
    assert "DIFFERS" in outcome.out
    assert "counts DIFFER from the model's" in outcome.out
    assert "all values are the reference's" in outcome.out


def test_actions_of_a_build_that_counts_none(command, build):
    outcome = command("host", build, "--simulate", "--actions")
    refused(outcome, "--actions", "counts none", "pilaster bitstream --counters")


def test_a_build_that_only_says_it_counts(command, build):
    change(build, counters=True)
    refused(command("host", build, "--simulate"), "is another than when it was built")
    change(build, counters="yes")
    refused(command("host", build, "--simulate"), "counters: must be true or false")


def live(build, content, *options):
    """Run `pilaster host --live` with these bytes on standard input."""
    command = [sys.executable, "-m", "pilaster", "host", str(build), "--simulate", "--live"]
    return subprocess.run(
        [*command, *options], input=content, capture_output=True, check=False, timeout=300
    )


def test_columns_from_standard_input(build):
    network = pl.load("digits")
    images = images_for(network, None, 3).images
    columns = images.transpose(0, 2, 1, 3).tobytes()
    found = live(build, columns)
    assert (found.returncode, found.stderr) == (0, b""), found
    right = classify(infer(network, network.encode(images))).tolist()
    *lines, answers, summary = found.stdout.decode().splitlines()
    for number, (line, expected) in enumerate(zip(lines, right, strict=True)):
        assert line.startswith(f"image {number}: class {expected}, ")
    assert answers == "answers: " + " ".join(map(str, right))
    assert "3 image(s), all values are the reference's" in summary


def test_a_column_that_is_cut_short(build):
    found = live(build, bytes(64 + 3), "--json")
    assert (found.returncode, found.stdout) == (2, b"")
    message = "standard input ends in the middle of a column: 3 of 8 bytes"
    assert found.stderr.decode() == f"pilaster: {message}\n"


def play_tools(tmp_path, monkeypatch, cells, fmax_mhz):
    """Put tools on PATH that leave a netlist of these cells, and a report of this clock."""
    tools, left = tmp_path / "bin", tmp_path / "left"
    tools.mkdir()
    left.mkdir()
    netlist = {f"c{index}": {"type": kind} for index, kind in enumerate(cells)}
    (left / "top.json").write_text(json.dumps({"modules": {"top": {"cells": netlist}}}))
    net = "host.device.machine.conv2.total"
    step = {"type": "routing", "delay": 50.0, "net": net, "from": {"cell": net}, "to": {"cell": ""}}
    report = {
        "utilization": {"ICESTORM_LC": {"used": 9, "available": 5280}},
        "fmax": {"clk": {"achieved": fmax_mhz, "constraint": 12.0}},
        "critical_paths": [{"from": "posedge clk", "to": "posedge clk", "path": [step]}],
    }
    (left / "report.json").write_text(json.dumps(report))
    for name, does in (
        ("yosys", f"cp {left}/top.json ."),
        ("nextpnr-ice40", f"cp {left}/report.json ."),
        ("icepack", "echo bits > top.bin"),
    ):
        program = tools / name
        program.write_text(f"#!/bin/sh\n[ $1 = --version ] && echo {name} version 1.2 || {does}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")


def test_a_build_is_written_whole(command, tmp_path, monkeypatch):
    play_tools(tmp_path, monkeypatch, ["SB_LUT4", "SB_MAC16"], 20.0)
    out = tmp_path / "out"
    outcome = command("bitstream", "digits", "--board", "icebreaker", "--out", out, "--json")
    assert outcome.code == 0, outcome
    report = json.loads(outcome.out)
    assert report["fmax_mhz"] == 20.0
    assert report["used"]["multipliers"] == 1
    assert report["tools"]["nextpnr-ice40"] == "1.2"
    names = {path.name for path in out.iterdir()}
    assert names == {"digits.bin", "README.md", "build.json", "machine.yaml", "report.json"}
    assert (out / "digits.bin").read_bytes() == b"bits\n"
    page = (out / "README.md").read_text()
    assert "| 9 | uart_0__tx |" in page
    assert "iceprog digits.bin" in page


def test_a_build_tells_what_the_host_loads(tmp_path, monkeypatch):
    play_tools(tmp_path, monkeypatch, ["SB_SPRAM256KA"], 20.0)
    found = build_bitstream(hidden(8, 8, 3, 128), BOARDS["icebreaker"])
    assert found.as_dict()["loaded_over_the_link"] == ["fc2_weights"]
    out = tmp_path / "out"
    write_build(found, out)
    description = read_build(out)
    assert description.loaded == {"fc2_weights"}
    network = hidden(8, 8, 3, 128)
    pipeline = Pipeline(network, pl.load_machine(description.machine, network))
    wire = WireFormat(pipeline, description.loaded)
    assert wire.design == description.design
    kilobytes = sum(map(len, wire.load_pieces)) / 1000
    page = " ".join((out / "README.md").read_text().split())
    assert f"loads {kilobytes:,.1f} kB of weights" in page


def test_timing_that_does_not_close_is_told_by_stage(command, tmp_path, monkeypatch):
    play_tools(tmp_path, monkeypatch, ["SB_LUT4"], 11.9)
    out = tmp_path / "out"
    outcome = command("bitstream", "digits", "--board", "icebreaker", "--out", out)
    refused(outcome, "does not close at 12 MHz", "11.9 MHz", "50.0 ns in conv2", code=1)
    assert not out.exists()


def test_a_netlist_that_is_too_large_is_told_by_resource(command, tmp_path, monkeypatch):
    play_tools(tmp_path, monkeypatch, ["SB_MAC16"] * 11 + ["SB_RAM40_4K"] * 31, 20.0)
    out = tmp_path / "out"
    outcome = command("bitstream", "digits", "--board", "icebreaker", "--out", out)
    words = ("11 DSP blocks where there are 8 (3 too many)", "31 block RAMs", "(1 too many)")
    refused(outcome, *words, code=1)
    assert not out.exists()
