"""What a user is told when the RTL cannot be built; the next try is not spoilt by the last."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

import pilaster as pl
from pilaster.base.errors import InputError
from pilaster.cli import main
from pilaster.data import images_for
from pilaster.rtl.toolchain.compiler import COMPILERS
from pilaster.rtl.verification.verify import verify
from pilaster.sim.machine_file import machine_yaml
from tests.rtl.surroundings import path_without

VERIFY = ["verify", "digits", "--images", "1"]


def told(capsys):
    """The one line on standard error."""
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_missing_compiler_is_named_with_its_package(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", path_without(tmp_path, *COMPILERS))
    assert main(VERIFY) == 2
    assert told(capsys) == "pilaster: a C++ compiler is missing: apt install g++"


def test_a_build_that_fails_is_quoted_and_its_log_kept(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    design = verify.__globals__["generate"]

    def broken(*arguments, **options):
        made = design(*arguments, **options)
        return type(made)(**{**vars(made), "verilog": made.verilog.replace("endmodule", "", 1)})

    monkeypatch.setitem(verify.__globals__, "generate", broken)
    assert main(VERIFY) == 2
    line = told(capsys)
    assert line.startswith("pilaster: the RTL could not be built: %Error")
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
        while not list((tmp_path / "tmp").glob("pilaster-*/build/build*.log")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=120)
    assert (process.returncode, complaint.splitlines()[-1]) == (130, "pilaster: interrupted")
    assert not list((tmp_path / "tmp").iterdir())
    done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0
    assert not list((tmp_path / "tmp").iterdir())


def test_no_images_are_refused():
    network = pl.load("digits")
    images = images_for(network, None, 1).images[:0]
    with pytest.raises(InputError, match="at least one image"):
        verify(network, pl.load_machine(None, network), images)
