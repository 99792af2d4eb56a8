"""The bitstream of a network for a board, and the resources it uses."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilaster.base.notebook import html_table
from pilaster.models.network import Network
from pilaster.rtl.boards.build import Sources, clock_of, place_and_route, prepare, synthesize
from pilaster.rtl.boards.catalog import Board, Device, Family
from pilaster.rtl.boards.errors import DoesNotFitError, TimingError, ToolError
from pilaster.rtl.boards.fit import choose_machine, estimate
from pilaster.rtl.boards.multipliers import Multipliers, share_blocks
from pilaster.rtl.boards.report import (
    RESOURCE_NAMES,
    Resources,
    Timing,
    read_resources,
    read_timing,
)
from pilaster.rtl.boards.tools import find_tools, tool_version
from pilaster.rtl.host.uart import divisor_for
from pilaster.rtl.host.wire_format import WireFormat
from pilaster.rtl.names import in_hardware, reported_names
from pilaster.sim.machine import Machine
from pilaster.sim.pipeline import Pipeline

__all__ = ["DEFAULT_CLOCK_HZ", "Bitstream", "build"]

DEFAULT_CLOCK_HZ = {Family.ECP5: 40e6, Family.ICE40: 12e6}
"""Clock where none is asked for."""


@dataclass(frozen=True)
class Bitstream:
    """A bitstream, with its resources, timing, and pins.

    Attributes
    ----------
    clock_hz : clock of the machine
    design : identifier of the design that the device reports to its host
    counters : whether the device counts the machine's actions
    resources : resources by stage, and in "total"
    logic_cells : logic cells used after packing, and logic cells of the device
    made : implementation of the multipliers, by part of the machine
    loaded : weight memories in SPRAM, which the host loads
    load_bytes : number of bytes that the host sends to load them
    pins : signal by pad
    seconds : run time of each tool
    versions : version of each tool that reports one
    """

    network: Network
    board: Board
    machine: Machine
    clock_hz: float
    baud: int
    design: int
    counters: bool
    content: bytes
    resources: Mapping[str, Resources]
    logic_cells: tuple[int, int]
    timing: Timing
    made: Multipliers
    loaded: frozenset[str]
    load_bytes: int
    pins: Mapping[str, str]
    seconds: Mapping[str, float]
    versions: Mapping[str, str]

    def __repr__(self) -> str:
        return (
            f"<Bitstream {self.network.name} on {self.board.name}: {self.clock_hz / 1e6:g} MHz, "
            f"closes at {self.timing.fmax_mhz:.1f} MHz, {self.logic_cells[0]:,} of "
            f"{self.logic_cells[1]:,} logic cells>"
        )

    def _repr_html_(self) -> str:
        kinds = list(vars(next(iter(self.resources.values()))))
        rows = [
            (name, *(f"{getattr(used, kind):,}" for kind in kinds))
            for name, used in self.resources.items()
        ]
        return html_table(repr(self), ["stage", *(kind.replace("_", " ") for kind in kinds)], rows)

    @property
    def file(self) -> str:
        """Name of the bitstream's file."""
        suffix = "bit" if self.board.device.family is Family.ECP5 else "bin"
        return f"{self.network.name}.{suffix}"

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, for JSON."""
        device = self.board.device
        return {
            "network": self.network.name,
            "board": self.board.name,
            "device": device.name,
            "machine": self.machine.name,
            "counters": self.counters,
            "clock_mhz": self.clock_hz / 1e6,
            "fmax_mhz": self.timing.fmax_mhz,
            "critical_path": list(self.timing.stages),
            "used": vars(self.resources["total"]),
            "logic_cells": self.logic_cells[0],
            "there": {
                "logic_cells": self.logic_cells[1],
                "multipliers": device.multipliers,
                "block_rams": device.block_rams,
                "sprams": device.sprams,
            },
            "stages": {
                name: vars(found) for name, found in self.resources.items() if name != "total"
            },
            "multipliers_of_luts": sorted(self.made.soft),
            "multipliers_in_pairs": sorted(self.made.paired),
            "loaded_over_the_link": sorted(self.loaded),
            "load_bytes": self.load_bytes,
            "pins": dict(self.pins),
            "tools": dict(self.versions),
            "seconds": dict(self.seconds),
        }


def build(
    network: Network,
    board: Board,
    machine: Machine | None = None,
    *,
    clock_hz: float | None = None,
    baud: int | None = None,
    counters: bool = False,
    say: Callable[[str], None] = lambda message: None,
) -> Bitstream:
    """Build a bitstream.

    Parameters
    ----------
    machine : None for the fastest that fits the board, by estimate
    clock_hz : None for 40 MHz on ECP5 and 12 MHz on iCE40
    baud : of the serial line; None for the board's
    counters : have the device count the machine's actions

    Raises
    ------
    InputError
        If a tool is missing, the clock cannot be made, or the machine is not one for the network.
    DoesNotFitError, TimingError, ToolError
        If there is no such bitstream: the machine is too large or too slow, or a tool fails.
    """
    device = board.device
    wanted = clock_hz or DEFAULT_CLOCK_HZ[device.family]
    _, exact = clock_of(board, wanted)
    baud = baud or board.baud
    divisor_for(exact, baud)
    tools = find_tools(device.family)
    if machine is None:
        machine = choose_machine(network, device, counters)
        say(f"chose the machine {machine.name}, a column every {machine.column_interval} cycles")
    pipeline = in_hardware(Pipeline(network, machine))
    need = estimate(pipeline, device.family, counters)
    made, loaded = share_blocks(need.parts, device.multipliers), need.loaded(device)
    wire = WireFormat(pipeline, loaded, counters)
    sources = prepare(pipeline, board, wanted, baud, made, loaded, counters)
    stages = reported_names([node.name for node in network.graph.nodes])
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="pilaster-") as name:
        folder = Path(name)
        say(f"synthesis of {network.name} for {board.title}")
        start = time.perf_counter()
        synthesize(sources, folder, tools)
        seconds["synthesis"] = time.perf_counter() - start
        resources = read_resources(folder, device.family, stages)
        _check(resources["total"].missing(device), machine, device)
        say(f"place and route at {sources.clock_hz / 1e6:g} MHz")
        start = time.perf_counter()
        content = _placed(sources, folder, tools, machine)
        seconds["place and route"] = time.perf_counter() - start
        timing, cells = read_timing(folder, stages)
    if timing.fmax_mhz * 1e6 < sources.clock_hz:
        raise TimingError(
            f"{network.name} on {board.name} does not close at {sources.clock_hz / 1e6:g} MHz, "
            f"but at {timing.fmax_mhz:.1f} MHz: {timing.describe()}; ask for less with "
            f"--clock-mhz, or give those stages a smaller fold"
        )
    known = {name: tool_version(tool) for name, tool in tools.items()}
    versions = {name: found for name, found in known.items() if found}
    return Bitstream(
        network=network,
        board=board,
        machine=machine,
        clock_hz=sources.clock_hz,
        baud=baud,
        design=wire.design,
        counters=counters,
        content=content,
        resources=resources,
        logic_cells=cells,
        timing=timing,
        made=made,
        loaded=loaded,
        load_bytes=len(b"".join(wire.load_pieces)),
        pins=sources.pins,
        seconds=seconds,
        versions=versions,
    )


def _check(missing: Mapping[str, tuple[int, int]], machine: Machine, device: Device) -> None:
    if missing:
        told = ", ".join(
            f"{used:,} {RESOURCE_NAMES.get(name, name)} where there are {there:,} "
            f"({used - there:,} too many)"
            for name, (used, there) in missing.items()
        )
        raise DoesNotFitError(f"machine {machine.name} does not fit the {device.name}: {told}")


def _placed(sources: Sources, folder: Path, tools: Mapping[str, Any], machine: Machine) -> bytes:
    try:
        return place_and_route(sources, folder, tools)
    except ToolError as error:
        # nextpnr counts what it has packed before it finds that there is no room.
        found = re.findall(r"(\w+): +(\d+)/ *(\d+) +\d+%", error.said)
        over = {name: (int(used), int(there)) for name, used, there in found}
        missing = {name: pair for name, pair in over.items() if pair[0] > pair[1]}
        _check(missing, machine, sources.board.device)
        raise
