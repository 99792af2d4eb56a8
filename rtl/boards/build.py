"""From a machine to a bitstream: synthesis, place and route, packing."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.build import Attrs, Resource

from pilaster.base.errors import InputError
from pilaster.rtl.amaranth_settings import own_settings
from pilaster.rtl.boards.catalog import Board, Family
from pilaster.rtl.boards.multipliers import Multipliers
from pilaster.rtl.boards.pll import Ecp5Pll, Ice40Pll, choose_pll
from pilaster.rtl.boards.soft import SOFT_FILE, SOFT_MULTIPLIER, soft_script
from pilaster.rtl.boards.tools import Tool, run_tool
from pilaster.rtl.boards.top import BoardTop
from pilaster.rtl.components.memory import ROM_VERILOG, RomFiles
from pilaster.rtl.host.top import HostTop
from pilaster.rtl.host.wire_format import LINK_LOAD_BITS
from pilaster.sim.pipeline import Pipeline

__all__ = ["SEED", "Sources", "clock_of", "place_and_route", "prepare", "synthesize"]

SEED = 1
"""Seed of the placement: a build is the same whenever it is made."""

PLAIN_NAMES = "rename -unescape w:*[[]*"
"""ABC9 takes bit 1 of a wire `x` and a wire `x[1]` for one, and Yosys then fails."""

NAME = "top"
"""Stem of the files that the tools read and write."""

_DEVICES = {
    "LFE5U-12F": "--12k",
    "LFE5U-25F": "--25k",
    "LFE5U-45F": "--45k",
    "LFE5U-85F": "--85k",
    "LFE5UM5G-45F": "--um5g-45k",
    "LFE5UM5G-85F": "--um5g-85k",
    "iCE40UP5K": "--up5k",
}

_COLUMNS_IN_BLOCK_RAM = 'setattr -set ram_style "block" *.intake.columns/m:*'
"""For Yosys, which makes short column buffers of flip-flops: on iCE40, of a logic cell a bit."""

_PACKAGES = {"BG256": "CABGA256", "BG381": "CABGA381", "BG554": "CABGA554", "MG285": "CSFBGA285"}
"""nextpnr's name of a package."""


@dataclass(frozen=True)
class Sources:
    """What the tools read.

    Attributes
    ----------
    files : contents, by file name
    clock_hz : clock that the PLL makes
    pins : by pad of the FPGA, the signal it carries
    """

    board: Board
    platform: Any
    files: Mapping[str, bytes]
    clock_hz: float
    pins: Mapping[str, str]


def clock_of(board: Board, clock_hz: float) -> tuple[Ecp5Pll | Ice40Pll | None, float]:
    """Choose the PLL for a clock; gives it, or None, and the clock that comes of it."""
    pll = choose_pll(board.device.family, board.clock[1], clock_hz)
    return pll, pll.output_hz if pll else float(board.clock[1])


def prepare(
    pipeline: Pipeline,
    board: Board,
    clock_hz: float,
    baud: int,
    made: Multipliers,
    loaded: frozenset[str] = frozenset(),
    counts: bool = False,
) -> Sources:
    """Write what the tools read.

    Parameters
    ----------
    made : what the multipliers of the machine's parts are made of
    loaded : memories in SPRAM, such as ``conv1_weights``
    counts : whether the device counts the machine's actions

    Raises
    ------
    InputError
        If the board has no such clock, or amaranth-boards is missing.
    """
    pipeline.network.check_values()
    pll, clock_hz = clock_of(board, clock_hz)
    platform = _platform(board)
    roms = RomFiles(loaded, LINK_LOAD_BITS)
    host = HostTop(pipeline, roms, round(clock_hz), baud, counts, made.paired_stages)
    script = f"{soft_script(made.soft)}\n{PLAIN_NAMES}"
    options: dict[str, str] = {}
    if board.device.family is Family.ICE40:
        script, options["synth_opts"] = f"{script}\n{_COLUMNS_IN_BLOCK_RAM}", "-dsp"
    options["script_after_read"] = script
    platform.add_file("pilaster_rom.v", f"`define PILASTER_SPRAM\n{ROM_VERILOG}")
    with own_settings():
        plan = platform.prepare(BoardTop(board, pll, host), NAME, **options)
    files = {
        name: content.encode() if isinstance(content, str) else content
        for name, content in plan.files.items()
        if not name.endswith((".sh", ".bat", ".debug.v"))
    }
    files[SOFT_FILE] = SOFT_MULTIPLIER.encode()
    files |= {name: text.encode() for name, text in roms.contents.items()}
    return Sources(board, platform, files, clock_hz, _pins(files))


def _platform(board: Board) -> Any:
    module, name = board.platform
    try:
        found = importlib.import_module(f"amaranth_boards.{module}")
    except ImportError as error:
        raise InputError("amaranth-boards is missing: pip install 'pilaster[fpga]'") from error
    platform = getattr(found, name)(toolchain="Trellis" if _is_ecp5(board) else "IceStorm")
    if board.uart_connector is not None:
        from amaranth_boards.resources import UARTResource

        rx, tx, connector = board.uart_connector
        # The pads' standard is that of the connector's bank: 3.3 V on all boards here.
        attributes = Attrs(IO_TYPE="LVCMOS33")
        uart: Resource = UARTResource(0, rx=rx, tx=tx, conn=(connector, 0), attrs=attributes)
        platform.add_resources([uart])
    return platform


def _is_ecp5(board: Board) -> bool:
    return board.device.family is Family.ECP5


def _pins(files: Mapping[str, bytes]) -> dict[str, str]:
    """Signal of every pad, from the constraints that the tools read."""
    found = {}
    for name, content in files.items():
        for line in content.decode().splitlines() if name.endswith((".lpf", ".pcf")) else ():
            words = line.replace('"', " ").replace(";", " ").split()
            if words[:2] == ["LOCATE", "COMP"]:
                found[words[4]] = words[2].removesuffix("__io")
            elif words[:1] == ["set_io"]:
                found[words[2]] = words[1].removesuffix("__io")
    return found


def synthesize(sources: Sources, folder: Path, tools: Mapping[str, Tool]) -> None:
    """Write the sources to `folder`, and make a netlist of them there."""
    for name, content in sources.files.items():
        (folder / name).write_bytes(content)
    run_tool(tools["yosys"], ["-q", "-l", f"{NAME}.rpt", f"{NAME}.ys"], folder)


def place_and_route(sources: Sources, folder: Path, tools: Mapping[str, Tool]) -> bytes:
    """Place, route and pack the netlist in `folder`; gives the bitstream.

    Timing that is not met is no error here: `report.json` in `folder` tells.
    """
    board, platform = sources.board, sources.platform
    ecp5 = _is_ecp5(board)
    constraints = ("--lpf", f"{NAME}.lpf") if ecp5 else ("--pcf", f"{NAME}.pcf")
    routed = f"{NAME}.config" if ecp5 else f"{NAME}.asc"
    package = _PACKAGES.get(platform.package, platform.package.lower())
    arguments = [
        _DEVICES[board.device.name],
        *("--package", package),
        *(("--speed", platform.speed) if ecp5 else ()),
        *("--json", f"{NAME}.json"),
        *constraints,
        *("--textcfg" if ecp5 else "--asc", routed),
        *("--seed", str(SEED)),
        *("--freq", f"{sources.clock_hz / 1e6:.6f}"),
        *("--report", "report.json", "--detailed-timing-report"),
        "--timing-allow-fail",
    ]
    router = "nextpnr-ecp5" if ecp5 else "nextpnr-ice40"
    run_tool(tools[router], arguments, folder)
    if ecp5:
        packing = ["--compress", "--input", routed, "--bit", f"{NAME}.bit"]
        run_tool(tools["ecppack"], packing, folder)
        return (folder / f"{NAME}.bit").read_bytes()
    run_tool(tools["icepack"], [routed, f"{NAME}.bin"], folder)
    return (folder / f"{NAME}.bin").read_bytes()
