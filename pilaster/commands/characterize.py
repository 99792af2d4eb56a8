"""`pilaster characterize`: measure an energy table at gate level."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from pilaster.commands.options import add_libraries, whole_number

__all__ = ["add_command"]

HELP = """\
Measure an energy table at gate level: run machines in the cells of a Liberty library, as
`pilaster power` does, and divide the energy of each component by the number of its actions that the
model counts. The first machine runs a second time with mostly black pixels, to measure the energy
of an idle lane.

Every entry records how it was measured. Memories that are not built from gates keep their entries
from the --energy table.
"""

DEFAULT_MACHINES = ("digits", "digits-gather")
DEFAULT_IMAGES = 10
DEFAULT_SKIP = 100
DEFAULT_MHZ = 25.0
DEFAULT_TABLE = "ihp130"


def add_command(commands: Any) -> None:
    """Add `characterize` to the command line."""
    command = commands.add_parser(
        "characterize",
        help="measure an energy table at gate level",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_libraries(command, DEFAULT_MHZ)
    command.add_argument(
        "--out", metavar="TABLE.yaml", type=Path, required=True, help="output file for the table"
    )
    command.add_argument(
        "--machine",
        metavar="M",
        nargs="+",
        default=list(DEFAULT_MACHINES),
        help=f"machines to measure (default: {' '.join(DEFAULT_MACHINES)})",
    )
    command.add_argument(
        "--images",
        metavar="N",
        type=whole_number(1),
        default=DEFAULT_IMAGES,
        help=f"images per machine (default: {DEFAULT_IMAGES})",
    )
    command.add_argument(
        "--skip",
        metavar="N",
        type=whole_number(0),
        default=DEFAULT_SKIP,
        help=f"skip the first N images, to keep them for evaluation (default: {DEFAULT_SKIP})",
    )
    command.add_argument(
        "--energy",
        metavar="TABLE",
        default=DEFAULT_TABLE,
        help=f"energy table for memories not built from gates (default: {DEFAULT_TABLE})",
    )
    command.set_defaults(handler=_characterize)


def _characterize(options: argparse.Namespace) -> int:
    import pilaster as pl
    from pilaster.base.output_files import check_writable
    from pilaster.commands.progress import Progress

    check_writable(options.out.parent, [options.out.name], "table")
    with Progress("machines", 0) as progress:
        table = pl.characterize(
            options.liberty,
            machines=options.machine,
            images=options.images,
            skip=options.skip,
            sram=options.sram,
            clock_mhz=options.clock_mhz,
            table=options.energy,
            node_nm=options.node_nm,
            name=re.sub(r"[^A-Za-z0-9_.-]", "-", options.out.stem).lstrip("_.-") or "measured",
            progress=progress.say,
        )
        progress.say(f"wrote {pl.write_table(table, options.out)}")
    return 0
