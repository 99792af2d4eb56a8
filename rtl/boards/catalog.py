"""The supported boards, and the resources of their FPGAs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pilaster.base.errors import InputError

__all__ = ["BOARDS", "Board", "Device", "Family", "board_named"]


class Family(StrEnum):
    """A family of FPGAs: one toolchain, one kind of every resource."""

    ECP5 = "ecp5"
    ICE40 = "ice40"


@dataclass(frozen=True)
class Device:
    """What an FPGA holds, as nextpnr counts it.

    Attributes
    ----------
    luts : four-input LUTs, each with a flip-flop beside it
    multipliers : MULT18X18D, or SB_MAC16
    block_rams : DP16KD of 16 kbit and parity, or SB_RAM40_4K of 4 kbit
    sprams : SB_SPRAM256KA of 256 kbit; empty at power-up, the host fills them
    """

    name: str
    family: Family
    luts: int
    multipliers: int
    block_rams: int
    sprams: int = 0


@dataclass(frozen=True)
class Board:
    """A board.

    Attributes
    ----------
    title : as its maker calls it
    platform : module and class in `amaranth_boards`
    clock : name and frequency in Hz of its oscillator
    uart_pins : where a serial line to the host comes in: how the builder connects it
    uart_connector : (rx, tx, connector) where the board definition has no UART
    flash : command that loads the file {bitstream}; `keep` writes it to the flash memory
    baud : rate that its USB bridge, or a cheap adapter, is known to do
    """

    name: str
    title: str
    device: Device
    platform: tuple[str, str]
    clock: tuple[str, int]
    uart_pins: str
    flash: str
    keep: str
    uart_connector: tuple[str, str, str] | None = None
    baud: int = 1_000_000

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, for JSON: what the board is, and what it holds."""
        return {
            "title": self.title,
            "device": self.device.name,
            "luts": self.device.luts,
            "multipliers": self.device.multipliers,
            "block_rams": self.device.block_rams,
            "sprams": self.device.sprams,
            "oscillator_mhz": self.clock[1] / 1e6,
            "baud": self.baud,
        }


# Capacities: nextpnr 0.11's own count of each device (`Device utilization`).
_ECP5_25 = Device("LFE5U-25F", Family.ECP5, 24_288, 28, 56)
_ECP5_12 = Device("LFE5U-12F", Family.ECP5, 24_288, 28, 56)
_ECP5_45 = Device("LFE5U-45F", Family.ECP5, 43_848, 72, 108)
_ECP5_85 = Device("LFE5U-85F", Family.ECP5, 83_640, 156, 208)
_ECP5_45_5G = Device("LFE5UM5G-45F", Family.ECP5, 43_848, 72, 108)
_ECP5_85_5G = Device("LFE5UM5G-85F", Family.ECP5, 83_640, 156, 208)
_UP5K = Device("iCE40UP5K", Family.ICE40, 5_280, 8, 30, 4)

_LOADER = "openFPGALoader -b {board} {{bitstream}}"
_KEEPER = "openFPGALoader -b {board} -f {{bitstream}}"
_USB = "the board's USB connector"


def _ulx3s(size: str, device: Device) -> Board:
    return Board(
        name=f"ulx3s_{size.lower()}",
        title=f"Radiona ULX3S {size}",
        device=device,
        platform=("ulx3s", f"ULX3S_{size}_Platform"),
        clock=("clk25", 25_000_000),
        uart_pins=_USB,
        flash=_LOADER.format(board="ulx3s"),
        keep=_KEEPER.format(board="ulx3s"),
    )


def _orangecrab(size: str, device: Device) -> Board:
    return Board(
        name=f"orangecrab_{size.lower()}",
        title=f"OrangeCrab r0.2 {size}",
        device=device,
        platform=("orangecrab_r0_2", f"OrangeCrabR0_2_{size}Platform"),
        clock=("clk", 48_000_000),
        uart_pins="a 3.3 V USB-serial adapter: its TX on IO0, its RX on IO1",
        uart_connector=("0", "1", "io"),
        flash="dfu-util -a 0 -D {bitstream}",
        keep="dfu-util -a 0 -D {bitstream}",
    )


def _ecpix5(size: str, device: Device) -> Board:
    return Board(
        name=f"ecpix5_{size.lower()}",
        title=f"LambdaConcept ECPIX-5 {size}",
        device=device,
        platform=("ecpix5", f"ECPIX5{size[:-1]}Platform"),
        clock=("clk100", 100_000_000),
        uart_pins=_USB,
        flash="openFPGALoader -b ecpix5 {bitstream}",
        keep="openFPGALoader -b ecpix5 -f {bitstream}",
    )


_ALL = (
    Board(
        name="icebreaker",
        title="1BitSquared iCEBreaker",
        device=_UP5K,
        platform=("icebreaker", "ICEBreakerPlatform"),
        clock=("clk12", 12_000_000),
        uart_pins=_USB,
        flash="iceprog -S {bitstream}",
        keep="iceprog {bitstream}",
    ),
    Board(
        name="icesugar",
        title="MuseLab iCESugar v1.5",
        device=_UP5K,
        platform=("icesugar", "ICESugarPlatform"),
        clock=("clk12", 12_000_000),
        uart_pins=_USB,
        flash="icesprog {bitstream}",
        keep="icesprog {bitstream}",
        baud=115_200,
    ),
    _ulx3s("12F", _ECP5_12),
    _ulx3s("25F", _ECP5_25),
    _ulx3s("45F", _ECP5_45),
    _ulx3s("85F", _ECP5_85),
    _orangecrab("25F", _ECP5_25),
    _orangecrab("85F", _ECP5_85),
    _ecpix5("45F", _ECP5_45_5G),
    _ecpix5("85F", _ECP5_85_5G),
    Board(
        name="colorlight_5a75b",
        title="Colorlight 5A-75B v7.0",
        device=_ECP5_25,
        platform=("colorlight_5a75b_r7_0", "Colorlight_5A75B_R70Platform"),
        clock=("clk25", 25_000_000),
        uart_pins="a 3.3 V USB-serial adapter on J19: its TX on KEY+, its RX on DATA_LED-",
        flash="openFPGALoader -b colorlight {bitstream}",
        keep="openFPGALoader -b colorlight -f {bitstream}",
        baud=115_200,
    ),
    Board(
        name="icesugar_pro",
        title="MuseLab iCESugar-pro",
        device=_ECP5_25,
        platform=("icesugar_pro", "ICESugarProPlatform"),
        clock=("clk25", 25_000_000),
        uart_pins=_USB,
        flash="icesprog {bitstream}",
        keep="icesprog {bitstream}",
        baud=115_200,
    ),
)

BOARDS: Mapping[str, Board] = {board.name: board for board in _ALL}
"""The boards, by name."""


def board_named(name: str) -> Board:
    """Give a board.

    Raises
    ------
    InputError
        If there is no such board.
    """
    if name not in BOARDS:
        close = difflib.get_close_matches(name, BOARDS, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(BOARDS)}"
        raise InputError(f"--board {name}: not known; {hint}")
    return BOARDS[name]
