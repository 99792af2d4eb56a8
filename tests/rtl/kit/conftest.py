"""Kits, each written once by the command line, and simulators to run them in."""

import os
import shutil
import subprocess

import pytest

from pilaster.cli import main
from pilaster.rtl.toolchain.verilator import find_verilator

KITS = {
    "stream": ["digits"],
    "gather": ["digits", "--machine", "digits-gather"],
    "axi": ["digits", "--bus", "axi4-stream"],
    "loaded": ["digits", "--load-weights"],
    "files": ["lenet5"],
}
"""What `pilaster rtl` is asked for, by the name of the kit, which is that of its modules."""

need_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="iverilog is not installed"
)


@pytest.fixture(scope="session")
def kit(tmp_path_factory):
    """Give the folder of a kit, whose name has a space."""
    folders = {}

    def write(name):
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp(name) / "a kit"
            asked = [*KITS[name], "--name", name, "--testbench", "--out", str(folders[name])]
            assert main(["rtl", *asked]) == 0
        return folders[name]

    return write


def run(command, folder, **variables):
    """Run a command in a folder, with Verilator at hand; gives status and what it said."""
    verilator = find_verilator()
    environment = {**os.environ, **verilator.environment, **variables}
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        environment.pop(name, None)
    told = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return told.returncode, told.stdout


def make(folder, build, *arguments):
    """Run make on a kit from another folder."""
    program = find_verilator().program
    return run(["make", "-s", "-C", folder, f"BUILD={build}", *arguments], build, VERILATOR=program)
