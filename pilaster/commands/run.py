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
Simulate NETWORK on a column-wise accelerator: integers, cycles and energy.

A machine has one stage for every layer. Columns of an image enter at a steady interval; each
stage uses a column the moment it arrives (schedule scatter), or keeps columns until a window is
whole (gather). The table shows, for every stage,

  lanes         multipliers: taps x in_channels x out_channels x kernel_columns of its fold
  busy          cycles of work on an image, without waiting
  used          lane operations of the layer, over lanes times cycles per image
  gated         share of the lane operations that were held since their operand was zero
  energy        actions counted exactly, priced by an energy table

and the summary tells how many cycles after the last column the answer comes.
"""

EXAMPLES = """\
examples:
  pilaster run lenet5                          200 digits on LeNet-5's default machine
  pilaster run lenet5 --machine lenet5-gather  the same lanes as a line-buffer machine
  pilaster machines lenet5 > mine.yaml         a machine to edit ...
  pilaster run lenet5 --machine mine.yaml --report out    ... and to look at
  pilaster run model.tflite                    your own network, on a machine for it
  pilaster run vgg16 --images 0 --json         times and energy only, for a script
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
        "(default: embedded digits that were never trained on)",
    )
    command.add_argument(
        "--images",
        metavar="N",
        type=whole_number(0),
        help="how many images; 0 for times and energy without values (default: up to 200)",
    )
    command.add_argument(
        "--energy", metavar="TABLE", help="a name that `pilaster tables` lists, or a YAML file"
    )
    command.add_argument(
        "--clock-mhz",
        metavar="F",
        type=frequency,
        help="clock in MHz: makes an energy of the leakage, where the table has it",
    )
    command.add_argument(
        "--report",
        metavar="DIR",
        type=Path,
        help="write report.html, energy.png, timeline.png, stages.csv and trace.json there",
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
