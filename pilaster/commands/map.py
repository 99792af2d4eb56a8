"""`pilaster map`: find the cheapest machine that meets its deadlines."""

from __future__ import annotations

import argparse
import json
import sys
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
    from pilaster.sim.mapper import Mapping

__all__ = ["add_command"]

HELP = """\
Find the cheapest machine for NETWORK that accepts a column every column interval, indefinitely, and
gives each answer within the maximum latency after the last column of its image. The mapper either
proves that no machine made from the folds it considers is cheaper, or prints a proven lower bound.

The table shows for each stage:

  lanes         number of multipliers
  used          lane operations of the layer / (lanes x cycles per image)
  busy          cycles of work per image, not counting waits
  last column   minimum cycles from the last input column to the last output column
  slack         cycles by which the work on each column could grow if all other stages stay the same
"""

EXAMPLES = """\
examples:
  pilaster map lenet5 --column-interval 256 --max-latency 2000
  pilaster map lenet5 --column-interval 256 --max-latency 2000 --out mine.yaml
  pilaster run lenet5 --machine mine.yaml
  pilaster map lenet5 --column-interval 256 --objective energy --out frugal.yaml
  pilaster map lenet5 --column-interval 256 --objective area --energy ihp130 --out small.yaml

exit code: 1 if no machine meets the limits; the message names the nearest feasible request
"""

EXIT_INFEASIBLE = 1


def add_command(commands: Any) -> None:
    """Add `map` to the command line."""
    command = commands.add_parser(
        "map",
        help="find the cheapest machine for a column interval and a latency",
        description=HELP,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_network(command)
    count = whole_number(1)
    command.add_argument(
        "--column-interval",
        metavar="I",
        type=count,
        required=True,
        help="cycles between two input columns",
    )
    command.add_argument(
        "--max-latency",
        metavar="L",
        type=count,
        help="maximum number of cycles from the last column to the answer (default: no limit)",
    )
    command.add_argument(
        "--max-lanes",
        metavar="N",
        type=count,
        help="maximum number of multipliers (default: no limit)",
    )
    command.add_argument(
        "--objective",
        metavar="WHAT",
        default="lanes",
        help="quantity to minimize: lanes, energy, power, or area (default: lanes)",
    )
    command.add_argument(
        "--energy",
        metavar="TABLE",
        help="a name from `pilaster tables`, or a YAML file (default: sg13g2 for energy and power, "
        "ihp130 for area, eyeriss65 for lanes)",
    )
    add_clock(command)
    command.add_argument(
        "--policy",
        metavar="HOW",
        default="multi-cycle",
        help="multi-cycle, or immediate to process all open kernel columns at once (default: "
        "multi-cycle)",
    )
    add_schedule(command)
    command.add_argument(
        "--on-chip-weight-bits",
        metavar="N",
        type=count,
        help="keep a layer's weights in DRAM if they have more than N bits (default: keep all "
        "weights on chip)",
    )
    command.add_argument(
        "--row-sums",
        action="store_true",
        help="keep the sums of an output tile in a small memory between the passes of a column",
    )
    command.add_argument(
        "--out", metavar="M.yaml", type=Path, help="output file for the machine (default: none)"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object and no table")
    command.set_defaults(handler=_map)


def _map(options: argparse.Namespace) -> int:
    import pilaster as pl
    from pilaster.base.output_files import check_writable
    from pilaster.commands.progress import Progress

    network = load_network(options)
    if options.out is not None:
        check_writable(options.out.parent, [options.out.name], "machine")
    try:
        found = pl.map(
            network,
            column_interval=options.column_interval,
            max_latency=options.max_latency,
            max_lanes=options.max_lanes,
            objective=options.objective,
            table=options.energy,
            clock_mhz=options.clock_mhz,
            policy=options.policy,
            schedule=options.schedule,
            on_chip_weight_bits=options.on_chip_weight_bits,
            row_sums=options.row_sums,
        )
    except pl.Infeasible as reason:
        print(f"pilaster: {reason}", file=sys.stderr)
        return EXIT_INFEASIBLE
    with Progress("files", 0) as progress:
        written = options.out and pl.write_machine(found.machine, options.out)
        if options.json:
            print(json.dumps({**found.as_dict(), "note": network.note}, allow_nan=False))
        else:
            _print(found)
            if network.uncalibrated:
                print(network.note)
        if written:
            progress.say(f"wrote {written}")
    return 0


def _print(found: Mapping) -> None:
    from pilaster.commands.console import number, print_table, word
    from pilaster.reports.units import percent

    counts = map(number, ("lanes", "used", "busy", "last column", "slack"))
    rows = [
        (
            stage.name,
            f"{stage.lanes:,}" if stage.lanes else "-",
            percent(stage.utilization) if stage.lanes else "-",
            f"{stage.busy_cycles:,}",
            f"{stage.last_column_cycles:,}",
            f"{stage.slack_cycles:,}",
            str(found.machine.stages[stage.name].fold),
        )
        for stage in found.stages
    ]
    print_table([word("stage"), *counts, word("fold")], rows)
    print()
    if found.dram is not None:
        print(found.dram.describe(found.clock_mhz))
    print(f"{_summary(found)}; {_proof(found)}")


def _summary(found: Mapping) -> str:
    from pilaster.reports.units import area_text, energy_text, percent, power_text, time_text

    time = found.microseconds(found.latency_cycles)
    told = "" if time is None else f" ({time_text(time)})"
    parts = [
        f"a column every {found.column_interval_cycles:,} cycles",
        f"the answer {found.latency_cycles:,} cycles{told} after the last",
        f"{found.lanes:,} lanes, {percent(found.utilization, 0)} used",
        f"{energy_text(found.energy_pj)} an image in which no activation is zero",
    ]
    if found.power_uw is not None:
        parts.append(f"{power_text(found.power_uw / 1e3)} at {found.clock_mhz:g} MHz")
    if found.area_um2 is not None:
        parts.append(area_text(found.area_um2))
    return f"{found.network}: {', '.join(parts)} ({found.table})"


def _proof(found: Mapping) -> str:
    folds = f"of {found.candidates:,} folds"
    if found.proven:
        return f"least {found.objective}, proven: none {folds} makes a cheaper machine"
    return (
        f"least {found.objective} found: no machine {folds} has less than {found.bound:,.6g} "
        f"{found.unit}, {found.gap:.2%} below"
    )
