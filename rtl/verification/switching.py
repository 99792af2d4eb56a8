"""Switching activity of a run: how often the registers of each component of a machine change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pilaster.rtl.parts import component_of
from pilaster.rtl.verilog import TOP

__all__ = ["Switching", "read_switching", "saif_nets"]

_MODULE = re.compile(r"module \\?(\S+?) ?\(")
_REGISTER = re.compile(r"\s+(?:\\(\S+)|([A-Za-z]\w*)) +<= ")
"""What a clock writes; memories, which are written by word, and what they read are not among it."""

_INSTANCE = re.compile(r"\s*\(INSTANCE (\S+)")
_NET = re.compile(r"\s*\((\S+) \(T0 \d+\) \(T1 \d+\) .*\(TC (\d+)\)\)")
_BIT = re.compile(r"\\\[\d+\\\]$")

_TOP_INSTANCE = "top"
"""Name of the machine in its testbench."""

Place = tuple[str, str]
"""A stage and a component of it."""


@dataclass(frozen=True)
class Switching:
    """Bits of a component's registers, and how often these change in a run."""

    bits: int
    toggles: int


def read_switching(saif: Path, verilog: str) -> dict[Place, Switching]:
    """Sum a run's activity by component.

    Parameters
    ----------
    saif : file that the simulator wrote (SAIF 2.0)
    verilog : of the machine; tells what is a register
    """
    registers = _registers(verilog)
    found: dict[Place, Switching] = {}
    for module, net, toggles in saif_nets(saif):
        if net in registers.get(".".join((TOP, *module)), ()):
            # Amaranth numbers the names of some modules.
            place = component_of([name.split("$")[0] for name in module])
            so_far = found.get(place, Switching(0, 0))
            found[place] = Switching(so_far.bits + 1, so_far.toggles + toggles)
    return found


def saif_nets(saif: Path) -> Iterator[tuple[tuple[str, ...], str, int]]:
    """Read modules from the machine down, name and toggles of every net (a bit) of the machine.

    A net that begins at one has changed once by then.
    """
    path: list[str] = []  # of all brackets that are open; those of no instance have no name
    with saif.open(encoding="ascii") as lines:
        for line in lines:
            if instance := _INSTANCE.match(line):
                path.append(instance[1])
            elif net := _NET.match(line):
                modules = tuple(filter(None, path))
                if modules[1:2] == (_TOP_INSTANCE,):
                    yield modules[2:], _BIT.sub("", net[1]), int(net[2])
            else:
                opened = line.count("(") - line.count(")")
                path += [""] * opened
                del path[len(path) + min(opened, 0) :]


def _registers(verilog: str) -> Mapping[str, set[str]]:
    """Names of the registers of each module."""
    found: dict[str, set[str]] = {}
    names: set[str] = set()
    for line in verilog.splitlines():
        if begun := _MODULE.match(line):
            names = found.setdefault(begun[1], set())
        elif written := _REGISTER.match(line):
            names.add(written[1] or written[2])
    return found
