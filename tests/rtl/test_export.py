"""Laws: `pilaster rtl` writes all its files or none, and its page tells what the Verilog has."""

import os
import re
import sys
from dataclasses import replace

import pytest

import pilaster as pl
from pilaster.cli import main
from pilaster.rtl.export import FILES, LOAD_FILE
from pilaster.rtl.stages.loading import load_beats, loadable
from pilaster.rtl.verilog import TOP, generate
from pilaster.sim.machine_file import read_machine
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.stages import ConvStage
from tests.rtl.conftest import MACHINES

PORT = re.compile(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", re.MULTILINE)


def refused(capsys, *arguments):
    """Hold the command to exit code 2; gives the last line it said."""
    capsys.readouterr()
    assert main(["rtl", *map(str, arguments)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    return told.err.splitlines()[-1]


def conv_stages(pipeline):
    return [stage for stage in pipeline.stages if isinstance(stage, ConvStage)]


def test_everything_is_there(folder):
    text = (folder / f"{TOP}.v").read_text()
    images = {path.name for path in folder.glob("*.hex")}
    assert {*FILES, *images} <= {path.name for path in folder.iterdir()}
    named = set(re.findall(r'\.FILE\("(.*?)"\)', text))
    assert images - {LOAD_FILE} == named
    assert (folder / "files.f").read_text().split() == [f"{TOP}.v"]
    assert not list(folder.glob(".*"))


def test_the_page_tells_the_ports(folder):
    text = (folder / f"{TOP}.v").read_text()
    start = text.index(f"\nmodule {TOP}(")
    module = text[start : text.index("\nendmodule", start)]
    ports = {name: (way, int(high or 0) + 1) for way, high, name in PORT.findall(module)}
    page = (folder / "README.md").read_text()
    rows = re.findall(r"^\| (\w+) \| (input|output) \| (\d+) \|", page, re.MULTILINE)
    assert {name: (way, int(width)) for name, way, width in rows} == ports


@pytest.mark.parametrize("machine", MACHINES)
def test_machine_and_memories_are_those_asked_for(machine, exported):
    folder = exported(machine)
    name, *loads = machine.split("+")
    network = pl.load(name.removesuffix("-gather"))
    asked = pl.load_machine(name, network)
    assert read_machine(folder / "machine.yaml") == asked
    design = generate(Pipeline(network, asked), loaded=bool(loads))
    assert (folder / f"{TOP}.v").read_text() == design.verilog
    for name, words in design.memories.items():
        assert (folder / name).read_text() == words


def test_the_page_tells_numbers_cycles_and_origin(exported):
    network = pl.load("lenet5")
    result = pl.simulate(network, pl.load_machine("lenet5", network))
    page = (exported("lenet5") / "README.md").read_text()
    assert f"| {result.latency_cycles:,} |" in page
    assert f"| {result.latency_after_last_column_cycles:,} |" in page
    assert "does not hold" not in page
    assert network.note[1:] in page
    for tensor in (network.tensors["input"], network.tensors["fc5"]):
        low, high = tensor.stream_range
        assert f"| {low} | {high} | {tensor.scale} | {tensor.zero_point} |" in page


def test_the_page_of_a_machine_that_is_late_says_so(tmp_path):
    network = pl.load("digits")
    machine = replace(pl.load_machine("digits", network), column_interval=32)
    pl.write_rtl(network, machine, tmp_path)
    result = pl.simulate(network, machine)
    assert not result.pace.holds
    page = (tmp_path / "README.md").read_text()
    assert f"**The machine {result.pace.describe_waits()}.**" in page
    assert f"| {result.latency_after_last_column_cycles:,} |" in page


def test_loaded_weights_are_not_in_the_verilog(exported):
    folder = exported("digits+load")
    pipeline = Pipeline(pl.load("digits"), read_machine(folder / "machine.yaml"))
    beats = [int(line, 16) for line in (folder / LOAD_FILE).read_text().split()]
    assert beats == load_beats(pipeline, loadable(pipeline))
    bits = sum(8 * pipeline.network.parameters[s.name].weight.size for s in conv_stages(pipeline))
    assert 32 * len(beats) >= bits
    assert f"{len(beats):,} beats" in (folder / "README.md").read_text()
    parameters = {
        name: replace(found, weight=-found.weight, bias=found.bias + 1)
        for name, found in pipeline.network.parameters.items()
    }
    other = Pipeline(replace(pipeline.network, parameters=parameters), pipeline.machine)
    design = generate(other, loaded=True)
    assert design.verilog == (folder / f"{TOP}.v").read_text()
    assert list(design.load) != beats


def test_messages_go_to_standard_error(capsys, tmp_path):
    assert main(["rtl", "digits", "--out", str(tmp_path / "new" / "folder")]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert all(name in told.err for name in FILES)


def test_python(tmp_path):
    network = pl.load("digits")
    written = pl.write_rtl(network, pl.load_machine(None, network), tmp_path)
    assert sorted(written) == sorted(tmp_path.iterdir())


def test_weights_in_dram_are_refused(capsys, tmp_path, exported):
    text = (exported("lenet5") / "machine.yaml").read_text()
    for name in ("conv3", "fc4"):
        text = text.replace(f"{name}: {{", f"{name}: {{dram_bits_per_cycle: 8, ")
    (tmp_path / "mine.yaml").write_text(text)
    out = tmp_path / "out"
    told = refused(capsys, "lenet5", "--machine", tmp_path / "mine.yaml", "--out", out)
    assert "DRAM" in told
    assert "conv3, fc4" in told
    assert not out.exists()


def test_a_file_for_a_folder_is_refused(capsys, tmp_path):
    (tmp_path / "out").write_text("mine")
    assert "is a file" in refused(capsys, "digits", "--out", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_folder_for_a_file_is_refused(capsys, tmp_path):
    (tmp_path / f"{TOP}.v").mkdir()
    assert f"{TOP}.v is a directory" in refused(capsys, "digits", "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f"{TOP}.v"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_folder_that_may_not_be_written_is_refused(capsys, tmp_path):
    tmp_path.chmod(0o555)
    assert "permission denied" in refused(capsys, "digits", "--out", tmp_path / "out")


def test_a_full_disk_leaves_nothing(capsys, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    assert "no space left" in refused(capsys, "digits", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_amaranth_one_line_tells_what_to_install(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "amaranth.back.verilog", None)
    monkeypatch.delitem(sys.modules, "pilaster.rtl.export", raising=False)
    told = refused(capsys, "digits", "--out", tmp_path / "out")
    assert told == "pilaster: RTL needs amaranth.back.verilog: pip install 'pilaster[rtl]'"
    assert not (tmp_path / "out").exists()
