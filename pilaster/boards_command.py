"""`pilaster boards`: list the boards and what they hold."""

from __future__ import annotations

import argparse
import json
from typing import Any

__all__ = ["add_command"]


def add_command(commands: Any) -> None:
    """Add `boards` to the command line."""
    command = commands.add_parser("boards", help="list the boards and what they hold")
    command.add_argument("--json", action="store_true", help="print one JSON object and no table")
    command.set_defaults(handler=_boards)


def _boards(options: argparse.Namespace) -> int:
    from pilaster.rtl.boards.catalogue import BOARDS

    if options.json:
        plain = {
            name: {
                "title": board.title,
                "device": board.device.name,
                "luts": board.device.luts,
                "multipliers": board.device.multipliers,
                "block_rams": board.device.block_rams,
                "sprams": board.device.sprams,
                "oscillator_mhz": board.clock[1] / 1e6,
                "baud": board.baud,
            }
            for name, board in BOARDS.items()
        }
        print(json.dumps(plain))
        return 0
    from rich.table import Table

    from pilaster.console import PlainConsole

    table = Table(box=None, pad_edge=False)
    for title in ("board", "what", "FPGA"):
        table.add_column(title, no_wrap=title != "what")
    for title in ("LUTs", "DSPs", "RAMs", "SPRAMs", "clock"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, board in BOARDS.items():
        device = board.device
        numbers = (device.luts, device.multipliers, device.block_rams, device.sprams)
        cells = [f"{number:,}" if number else "-" for number in numbers]
        clock = f"{board.clock[1] / 1e6:g} MHz"
        table.add_row(name, board.title, device.name, *cells, clock)
    PlainConsole().print(table)
    return 0
