"""`pilaster run`: simulate a network on a machine."""

from __future__ import annotations

import argparse
import json
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
Simulate NETWORK on a column-wise accelerator: integer values, cycles, and energy.

A machine has one stage per layer. Image columns enter at a fixed interval. With the scatter
schedule, a stage uses each column as soon as it arrives; with the gather schedule, it keeps columns
until a window is complete. The table shows for each stage:

  lanes         multipliers: taps x in_channels x out_channels x kernel_columns of its fold
  busy          cycles of work per image, not counting waits
  used          lane operations of the layer / (lanes x cycles per image)
  gated         share of lane operations that were gated because an operand was zero
  energy        exact action counts, priced with an energy table

The summary gives the latency: the number of cycles after the last column until the answer.
"""

EXAMPLES = """\
examples:
  pilaster run lenet5                          200 digits on LeNet-5's default machine
  pilaster run lenet5 --machine lenet5-gather  a line-buffer machine with the same lanes
  pilaster machines lenet5 > mine.yaml         write a machine to a file, edit it ...
  pilaster run lenet5 --machine mine.yaml --report out    ... and write a report on it
  pilaster run model.tflite                    your own network, on a machine made for it
  pilaster run vgg16 --images 0 --json         times and energy only, as JSON
"""


def add_command(commands: Any) -> None:
    """Add `run` to the command line."""
    command = commands.add_parser(
        "run",
        help="simulate a network on a machine",
        description=HELP,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_network(command)
    add_machine(command)
    command.add_argument(
        "--data",
        metavar="D",
        type=Path,
        help="images: a folder or file in MNIST's IDX format, or a .npy or .npz file "
        "(default: built-in test digits, not used in training)",
    )
    command.add_argument(
        "--images",
        metavar="N",
        type=whole_number(0),
        help="number of images; 0 computes times and energy without values (default: up to 200)",
    )
    command.add_argument(
        "--energy", metavar="TABLE", help="a name from `pilaster tables`, or a YAML file"
    )
    command.add_argument(
        "--clock-mhz",
        metavar="F",
        type=frequency,
        help="clock in MHz; adds leakage energy if the table includes leakage",
    )
    command.add_argument(
        "--report",
        metavar="DIR",
        type=Path,
        help="write report.html, energy.png, timeline.png, stages.csv, and trace.json to DIR",
    )
    command.add_argument("--json", action="store_true", help="print one JSON object and no table")
    command.set_defaults(handler=_run)


def _run(options: argparse.Namespace) -> int:
    import pilaster as pl
    from pilaster.commands.progress import Progress
    from pilaster.data import images_for
    from pilaster.models.energy import EnergyTable
    from pilaster.sim.simulate import DEFAULT_TABLE

    if options.report is not None:
        from pilaster.reports.write import check_writable

        check_writable(options.report)
    table = EnergyTable.load(options.energy or DEFAULT_TABLE)
    network = load_network(options)
    machine = pl.load_machine(options.machine, network)
    dataset = images_for(network, options.data, options.images)
    with Progress("images", len(dataset.images) if dataset else 0) as progress:
        result = pl.simulate(
            network,
            machine,
            dataset.images if dataset else None,
            dataset.labels if dataset else None,
            table=table,
            clock_mhz=options.clock_mhz,
            data=dataset.note if dataset else "none",
            progress=progress.show,
        )
    if options.json:
        print(json.dumps(result.as_dict(), allow_nan=False))
    else:
        from pilaster.commands.console import PlainConsole
        from pilaster.reports.terminal import print_result

        print_result(result, PlainConsole())
    if options.report is not None:
        for path in pl.write_report(result, options.report):
            progress.say(f"wrote {path}")
    return 0
