"""`pilaster rtl`: write a machine as Verilog."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pilaster.commands.options import add_load_weights, add_machine, add_network, load_network

__all__ = ["add_command"]

HELP = """\
Write a machine as Verilog: pilaster_top.v, the contents of its larger memories (NAME.hex), files.f,
machine.yaml, and README.md, which describes the ports, data order, number formats, and cycles.

With --testbench, the command adds a Makefile and a self-checking testbench, which compares the
answers for two images with the model's. `make sim` runs it in Icarus Verilog, and
`make sim SIM=verilator` runs it in Verilator.
"""


def add_command(commands: Any) -> None:
    """Add `rtl` to the command line."""
    command = commands.add_parser(
        "rtl",
        help="write a machine as Verilog",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_network(command)
    add_machine(command)
    command.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="output folder; created if needed"
    )
    add_load_weights(command)
    command.add_argument(
        "--bus",
        choices=("stream", "axi4-stream"),
        default="stream",
        help="type of the ports: valid/ready streams or AXI4-Stream (default: %(default)s)",
    )
    command.add_argument(
        "--name",
        metavar="NAME",
        help="name of the top module and prefix of all other modules (default: pilaster_top)",
    )
    command.add_argument(
        "--testbench",
        action="store_true",
        help="add a testbench and files for simulators, FuseSoC, and Vivado",
    )
    command.set_defaults(handler=_rtl)


def _rtl(options: argparse.Namespace) -> int:
    import pilaster as pl
    from pilaster.commands.progress import Progress

    network = load_network(options)
    machine = pl.load_machine(options.machine, network)
    with Progress("files", 0) as progress:
        progress.say(f"writing the RTL of {network.name} on {machine.name}")
        paths = pl.write_rtl(
            network,
            machine,
            options.out,
            bus=options.bus,
            load_weights=options.load_weights,
            name=options.name,
            testbench=options.testbench,
        )
        for path in paths:
            progress.say(f"wrote {path}")
    return 0
