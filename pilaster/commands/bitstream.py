"""`pilaster bitstream`: a network as a bitstream for a board."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pilaster.commands.options import (
    add_machine,
    add_network,
    frequency,
    load_network,
    whole_number,
)

__all__ = ["add_command"]

HELP = """\
Build a bitstream: the machine behind a serial line, synthesized, placed and routed for a board with
open tools. Native tools on PATH are used where they are there, those that pip installs otherwise.

Writes the bitstream, README.md (resources by stage, pins, how to flash), report.json, machine.yaml,
and build.json, which `pilaster host` reads. Exit code 1, and no file, where the machine does not
fit the FPGA or does not close timing; the message tells of what there is too little, or the path.

On iCE40 UP5K, weights that find no block RAM stand in SPRAM, and `pilaster host` loads them first.
"""


def add_command(commands: Any) -> None:
    """Add `bitstream` to the command line."""
    command = commands.add_parser(
        "bitstream",
        help="build a bitstream for a board",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_network(command)
    add_machine(command)
    command.add_argument(
        "--board", metavar="BOARD", required=True, help="a name that `pilaster boards` lists"
    )
    command.add_argument(
        "--clock-mhz",
        metavar="F",
        type=frequency,
        help="clock of the machine, made by a PLL (default: 40 on ECP5, 12 on iCE40)",
    )
    command.add_argument(
        "--baud", metavar="B", type=whole_number(300), help="of the serial line (default: board's)"
    )
    command.add_argument(
        "--counters",
        action="store_true",
        help="count the machine's actions on the board, for `pilaster host --actions`",
    )
    command.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="folder to write to; made if needed"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object and no table")
    command.set_defaults(handler=_bitstream)


def _bitstream(options: argparse.Namespace) -> int:
    import pilaster as pl
    from pilaster.base.extras import needing
    from pilaster.base.output_files import check_own, check_writable
    from pilaster.commands.progress import Progress
    from pilaster.rtl.boards.catalog import board_named

    board = board_named(options.board)
    network = load_network(options)
    machine = None if options.machine is None else pl.load_machine(options.machine, network)
    with needing("bitstreams", "fpga"):
        from pilaster.rtl.boards.folder import DESCRIPTION, FILES, resource_table
    check_writable(options.out, FILES, "bitstream")
    check_own(options.out, DESCRIPTION, "bitstream")
    with Progress("steps", 0) as progress:
        try:
            found = pl.bitstream(
                network,
                machine,
                board=board,
                clock_mhz=options.clock_mhz,
                baud=options.baud,
                counters=options.counters,
                progress=progress.say,
            )
        except pl.BuildError as error:
            print(f"pilaster: {' '.join(str(error).split())}", file=sys.stderr)
            return 1
        for path in pl.write_bitstream(found, options.out):
            progress.say(f"wrote {path}")
    if options.json:
        print(json.dumps(found.as_dict(), allow_nan=False))
        return 0
    print(resource_table(found))
    print(
        f"\n{network.name} on {board.name}: closes at {found.timing.fmax_mhz:.1f} MHz, "
        f"runs at {found.clock_hz / 1e6:g} MHz; {sum(found.seconds.values()):.0f} s"
    )
    print(f"flash it: {board.flash.format(bitstream=options.out / found.file)}")
    return 0
