"""What a user is told when the RTL cannot be built; the next try is not spoilt by the last."""

import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

import pilaster as pl
from pilaster.cli import main
from pilaster.data import images_for
from pilaster.models.errors import InputError
from pilaster.rtl import runtime_cache
from pilaster.rtl.verify import verify
from pilaster.sim.machine_file import machine_yaml

VERIFY = ["verify", "digits", "--images", "1"]


def told(capsys):
    """The one line on standard error."""
    (line,) = capsys.readouterr().err.splitlines()
    return line


def path_without(program, folder):
    """A PATH on which all programs are found but one."""
    for place in map(Path, os.environ["PATH"].split(os.pathsep)):
        for found in place.iterdir() if place.is_dir() else ():
            link = folder / found.name
            if not found.name.startswith(program) and not link.exists():
                link.symlink_to(found)
    return str(folder)


@pytest.mark.parametrize("program", ["make", "g++"])
def test_a_missing_program_is_named(program, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", path_without(program, tmp_path))
    assert main(VERIFY) == 2
    assert told(capsys) == f"pilaster: {program} is missing: apt install make g++ perl"


def test_a_build_that_fails_is_quoted_and_its_log_kept(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    design = verify.__globals__["generate"]

    def broken(*arguments, **options):
        made = design(*arguments, **options)
        return type(made)(**{**vars(made), "verilog": made.verilog.replace("endmodule", "", 1)})

    monkeypatch.setitem(verify.__globals__, "generate", broken)
    assert main(VERIFY) == 2
    line = told(capsys)
    assert line.startswith("pilaster: the RTL could not be built or run: %Error")
    log = line.rsplit("all of it: ", 1)[1]
    assert "%Error" in Path(log).read_text()


def test_weights_that_do_not_fit_the_memory(capsys, tmp_path):
    network = pl.load("digits")
    machine = tmp_path / "small.yaml"
    text = machine_yaml(pl.load_machine(None, network))
    machine.write_text(text.replace("stages:", "weight_memory_bits: 1000\nstages:"))
    for command in (["rtl", "--out", str(tmp_path / "rtl")], ["verify"]):
        assert main([command[0], "digits", "--machine", str(machine), *command[1:]]) == 2
        line = told(capsys)
        assert "weight_memory_bits: 1000 bits do not hold the" in line
        assert str(machine) in line
    assert not (tmp_path / "rtl").exists()


def test_waves_into_a_folder_that_is_not_there(capsys, tmp_path):
    assert main([*VERIFY, "--waves", str(tmp_path / "no" / "waves.vcd")]) == 2
    assert "no/waves.vcd: its folder does not exist" in told(capsys)


def test_an_interrupted_build_leaves_nothing_and_the_next_one_works(tmp_path):
    places = {"TMPDIR": str(tmp_path / "tmp"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, **places}
    command = [sys.executable, "-m", "pilaster", *VERIFY]
    listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's job may ignore it
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=listen
    ) as process:
        while not list((tmp_path / "tmp").glob("pilaster-*/build/*.cpp")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=120)
    assert (process.returncode, complaint.splitlines()[-1]) == (130, "pilaster: interrupted")
    assert not list((tmp_path / "tmp").iterdir())
    done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0
    assert not list((tmp_path / "tmp").iterdir())


def test_a_folder_for_the_runtime_that_cannot_be_written_does_no_harm(monkeypatch, tmp_path):
    (tmp_path / "pilaster").write_text("a file where a folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build = tmp_path / "build"
    with runtime_cache.shared_runtime(build, "g++", ["one"]):
        (build / "verilated.o").write_text("object")
    assert (tmp_path / "pilaster").is_file()


def test_the_runtime_is_kept_for_the_same_options_only(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name, options in {"first": ["one"], "second": ["one"], "third": ["two"]}.items():
        build = tmp_path / name
        with runtime_cache.shared_runtime(build, "g++", options):
            assert (build / "verilated.o").exists() == (name == "second")
            assert not (build / "verilator.o").exists(), "it knows the design"
            (build / "verilated.o").write_text(name)
            (build / "verilator.o").write_text(name)


def test_no_images_are_refused():
    network = pl.load("digits")
    images = images_for(network, None, 1).images[:0]
    with pytest.raises(InputError, match="at least one image"):
        verify(network, pl.load_machine(None, network), images)


def test_a_verilator_that_is_too_old_is_passed_over(monkeypatch, tmp_path):
    old = tmp_path / "verilator"
    old.write_text("#!/bin/sh\necho Verilator 4.038 2020-07-11\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert shutil.which("verilator") == str(old)
    assert main(VERIFY) == 0
