"""`pilaster characterize`: an energy table measured at gates."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pilaster.options import add_libraries, whole_number

__all__ = ["add_command"]

HELP = """\
Measure an energy table: run machines at gates of a Liberty library, as `pilaster power` does, and
divide what every component takes by what the model counts of its actions. The first machine runs a
second time, with most pixels black, for the price of a lane at rest. Every entry says how it was
measured. Memories that are no gates keep the prices of --energy.
"""

DEFAULT_MACHINES = ("digits", "digits-gather")
DEFAULT_IMAGES = 10
DEFAULT_SKIP = 100
DEFAULT_MHZ = 25.0
DEFAULT_TABLE = "ihp130"
DEFAULT_NODE = 130


def add_command(commands: Any) -> None:
    """Add `characterize` to the command line."""
    command = commands.add_parser(
        "characterize",
        help="measure an energy table at gates",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_libraries(command, DEFAULT_MHZ)
    command.add_argument(
        "--out", metavar="TABLE.yaml", type=Path, required=True, help="file to write the table to"
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
        help=f"images a machine (default: {DEFAULT_IMAGES})",
    )
    command.add_argument(
        "--skip",
        metavar="N",
        type=whole_number(0),
        default=DEFAULT_SKIP,
        help=f"leave out the first N images, to judge the table by (default: {DEFAULT_SKIP})",
    )
    command.add_argument(
        "--energy",
        metavar="TABLE",
        default=DEFAULT_TABLE,
        help=f"table of memories that are no gates (default: {DEFAULT_TABLE})",
    )
    command.add_argument(
        "--node-nm",
        metavar="NM",
        type=whole_number(1),
        default=DEFAULT_NODE,
        help=f"technology node of the library (default: {DEFAULT_NODE})",
    )
    command.set_defaults(handler=_characterize)


def _characterize(options: argparse.Namespace) -> int:
    import re

    from pilaster.api import load, load_machine
    from pilaster.data import images_for
    from pilaster.models.energy import EnergyTable
    from pilaster.models.errors import InputError
    from pilaster.models.output_files import check_writable, write_files
    from pilaster.progress import Progress
    from pilaster.sim.machine_file import load_machine as machine_alone
    from pilaster.sim.simulate import simulate

    try:
        from pilaster.rtl.gates.characterize import Run, blackened, characterize, table_yaml
        from pilaster.rtl.gates.liberty import Library
        from pilaster.rtl.gates.measure import measure_power
        from pilaster.rtl.gates.sram import Macro
    except ImportError as error:
        raise InputError(
            f"characterize needs {error.name}: pip install 'pilaster[fpga]'"
        ) from error
    library = Library.read(options.liberty)
    macros = [Macro.read(path) for path in options.sram]
    base = EnergyTable.load(options.energy)
    folder, file = options.out.parent, options.out.name
    check_writable(folder, [file], "table")
    runs = []
    with Progress("machines", 0) as progress:
        first = options.machine[0]
        for name, black in [*((each, False) for each in options.machine), (first, True)]:
            network = load(machine_alone(name).network)
            machine = load_machine(name, network)
            dataset = images_for(network, None, options.skip + options.images)
            assert dataset is not None
            images: Any = dataset.images[options.skip :]
            if black:
                images = blackened(images)
            measured = measure_power(
                network,
                machine,
                library,
                images,
                options.clock_mhz,
                macros=macros,
                table=base,
                say=progress.say,
            )
            if not measured.answers_equal or not measured.cycles_equal:
                progress.say(f"pilaster: {name}: the netlist differs from the model")
                return 1
            model = simulate(network, machine, images, table=base, clock_mhz=options.clock_mhz)
            runs.append(Run(measured, model, black))
        stem = re.sub(r"[^A-Za-z0-9_.-]", "-", options.out.stem)
        title = f"{options.node_nm} nm, measured at gates of {library.name}"
        table = characterize(runs, base, stem, title, options.node_nm)
        write_files(folder, {file: table_yaml(table).encode()}, "table")
        progress.say(f"wrote {options.out}")
    EnergyTable.load(options.out)
    return 0
