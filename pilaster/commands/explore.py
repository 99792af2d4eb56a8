"""`pilaster explore`: many machines at once, and those that no other beats."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilaster.commands.options import (
    add_clock,
    add_network,
    add_schedule,
    load_network,
    whole_number,
)

if TYPE_CHECKING:
    from pilaster.sim.explore import Exploration

__all__ = ["add_command"]

HELP = """\
Draw random machines for NETWORK, time them with the closed-form model on all CPU cores, and find
the Pareto front: the machines for which no other machine is better on one axis and at least as good
on the others. A machine qualifies if it accepts every column as soon as it arrives, indefinitely,
and meets --max-latency if given. The event-driven simulator then checks each machine on the front.

The command writes front.csv, front.png, and one front/N.yaml per machine on the front to DIR, and
also front.parquet and machines.parquet if pyarrow is installed. DIR also stores progress: to resume
an interrupted exploration, run the same command again.
"""

EXAMPLES = """\
axes: lanes, latency (after the last column), interval, energy, power, area. Energy, power, and area
use the first table that provides them, or the table you name, as in energy:ihp130

examples:
  pilaster explore lenet5 --column-interval 128:1024 --out lenet5
  pilaster explore lenet5 --column-interval 256 --schedule both --axes lanes,energy --out two
  pilaster explore vgg16 --column-interval 8192:65536:4 --machines 10000 --out vgg16
  pilaster run lenet5 --machine lenet5/front/1234.yaml

exit code: 1 if no machine drawn meets the request, or if the event-driven simulator disagrees
"""

EXIT_FAILED = 1
MOST_ROWS = 20
MOST_DIFFERENCES = 10


def add_command(commands: Any) -> None:
    """Add `explore` to the command line."""
    command = commands.add_parser(
        "explore",
        help="draw random machines and find the Pareto front",
        description=HELP,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_network(command)
    command.add_argument(
        "--column-interval",
        metavar="A[:B[:N]]",
        type=_range,
        required=True,
        help="cycles between two columns: A, or N values from A to B, spaced geometrically "
        "(default N: 8)",
    )
    command.add_argument(
        "--max-latency",
        metavar="L",
        type=whole_number(1),
        help="maximum number of cycles from the last column to the answer (default: no limit)",
    )
    command.add_argument(
        "--energy",
        metavar="TABLE",
        nargs="+",
        help="names from `pilaster tables`, or YAML files (default: sg13g2 for the axes energy and "
        "power, ihp130 for area, otherwise eyeriss65)",
    )
    add_clock(command)
    add_schedule(command)
    command.add_argument(
        "--machines",
        metavar="N",
        type=whole_number(1),
        default=100_000,
        help="number of machines to draw (default: 100000)",
    )
    command.add_argument(
        "--seed", metavar="S", type=whole_number(0), default=0, help="random seed (default: 0)"
    )
    command.add_argument(
        "--axes",
        metavar="X,Y,…",
        help="quantities to minimize (default: lanes,latency, plus interval if it is a range)",
    )
    command.add_argument("--out", metavar="DIR", type=Path, required=True, help="output folder")
    command.add_argument("--json", action="store_true", help="print one JSON object and no table")
    command.set_defaults(handler=_explore)


def _range(text: str) -> tuple[int, ...]:
    parts = text.split(":")
    if not 1 <= len(parts) <= 3 or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"must be A, A:B or A:B:N in cycles, not {text!r}")
    return tuple(int(part) for part in parts)


def _explore(options: argparse.Namespace) -> int:
    import pilaster as pl
    from pilaster.reports.explore import MACHINES, check_writable, has_parquet

    network = load_network(options)
    check_writable(options.out)
    try:
        with _shown() as progress:
            found = pl.explore(
                network,
                column_interval=options.column_interval,
                max_latency=options.max_latency,
                energy=options.energy,
                clock_mhz=options.clock_mhz,
                schedule=options.schedule,
                machines=options.machines,
                seed=options.seed,
                axes=None if options.axes is None else options.axes.split(","),
                folder=options.out,
                progress=progress,
            )
    except pl.Infeasible as reason:
        print(f"pilaster: {reason}", file=sys.stderr)
        return EXIT_FAILED
    written = pl.write_exploration(found, options.out)
    if options.json:
        print(json.dumps({**found.as_dict(), "note": network.note}, allow_nan=False))
    else:
        _print(found)
        if network.uncalibrated:
            print(network.note)
    names = ", ".join(map(str, written))
    lines = [f"wrote {names} and {len(found.front)} machines in {options.out / MACHINES}"]
    if not has_parquet():
        lines.append("no Parquet files: give them pip install 'pilaster[explore]'")
    differences = found.differences
    lines += [f"pilaster: {line}" for line in differences[:MOST_DIFFERENCES]]
    if len(differences) > MOST_DIFFERENCES:
        lines.append(f"pilaster: and {len(differences) - MOST_DIFFERENCES} more differences")
    print("\n".join(lines), file=sys.stderr)
    return EXIT_FAILED if differences else 0


@contextmanager
def _shown() -> Iterator[Callable[[str, int, int], None]]:
    """Give what shows progress, a line for one kind of work after the other."""
    from pilaster.commands.progress import Progress

    lines: dict[str, Progress] = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in lines:
            lines[what] = Progress(what, total)
        lines[what].show(done)
        if done == total:
            lines[what].__exit__(None, None, None)

    try:
        yield show
    finally:
        for line in lines.values():
            line.__exit__(None, None, None)


def _print(found: Exploration) -> None:
    from pilaster.commands.console import number, print_table
    from pilaster.reports.explore import axis_title
    from pilaster.sim.explore import Axis

    columns, request = found.front_columns, found.request
    energies = (Axis("energy", table.name) for table in request.tables)
    axes = dict.fromkeys((*request.axes, *energies))
    count = len(found.front)
    some = sorted({place * (count - 1) // (MOST_ROWS - 1) for place in range(MOST_ROWS)})
    rows = [
        (str(columns["machine"][row]), *(f"{columns[axis.column][row]:,.0f}" for axis in axes))
        for row in some
    ]
    print_table([number("machine"), *(number(axis_title(axis)) for axis in axes)], rows)
    print()
    if len(some) < count:
        print(f"{len(some)} of {count:,} machines of the front; all of them are in front.csv")
    late = "" if request.max_latency is None else f", {len(found):,} the latency too"
    simulated = "disagree" if found.differences else "agree"
    print(
        f"{request.network.name}: {request.machines:,} machines drawn, {found.holding:,} keep "
        f"their interval{late}; none beats {count:,} in all of {', '.join(map(str, request.axes))}"
        f"; simulated by events, these {simulated}"
    )
