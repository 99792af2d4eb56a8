"""`pilaster power`: measure a machine at gate level."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilaster.commands.options import (
    add_images,
    add_libraries,
    add_machine,
    add_network,
    load_network,
)

if TYPE_CHECKING:
    from pilaster.rtl.gates.bill import BillLine
    from pilaster.rtl.gates.measure import PowerMeasurement

__all__ = ["add_command"]

HELP = """\
Measure the power, area, and timing of a machine at gate level. The command synthesizes the machine
to a standard-cell library with Yosys and simulates the netlist on real images in Verilator. From
the library's tables it computes the leakage, internal, and switching energy and the area of each
component, and the worst setup slack. It compares the netlist's answers with the integer reference
and its cycles with the model.

Memories of up to 1,024 bits become registers, and read-only memories of up to 16,384 bits become
gates. Larger memories use SRAM macros from --sram if one fits, and otherwise an energy table.

The exit code is 1 if an answer or a cycle differs, or if the netlist does not meet the clock.
"""

DEFAULT_IMAGES = 20
DEFAULT_MHZ = 25.0
DEFAULT_TABLE = "ihp130"


def add_command(commands: Any) -> None:
    """Add `power` to the command line."""
    command = commands.add_parser(
        "power",
        help="measure power, area, and timing at gate level",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_network(command)
    add_machine(command)
    add_libraries(command, DEFAULT_MHZ)
    command.add_argument(
        "--energy",
        metavar="TABLE",
        default=DEFAULT_TABLE,
        help=f"energy table for memories without a matching SRAM macro (default: {DEFAULT_TABLE})",
    )
    command.add_argument(
        "--bill",
        metavar="TABLE",
        help="compare the measurement with the model's energy, computed from this energy table",
    )
    add_images(command, DEFAULT_IMAGES)
    command.add_argument(
        "--no-clock-gates",
        action="store_true",
        help="insert no clock gates: clock every register in every cycle",
    )
    command.add_argument(
        "--report", metavar="DIR", type=Path, help="write power.json and power.csv to DIR"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object and no table")
    command.set_defaults(handler=_power)


def _power(options: argparse.Namespace) -> int:
    import pilaster as pl
    from pilaster.base.extras import needing
    from pilaster.base.output_files import check_writable
    from pilaster.commands.progress import Progress
    from pilaster.data import images_for
    from pilaster.models.energy import EnergyTable

    network = load_network(options)
    machine = pl.load_machine(options.machine, network)
    with needing("power", "fpga"):
        from pilaster.rtl.gates.files import FILES, power_dict
    table = EnergyTable.load(options.energy)
    priced = None if options.bill is None else EnergyTable.load(options.bill)
    if options.report is not None:
        check_writable(options.report, FILES, "report")
    dataset = images_for(network, options.data, options.images)
    assert dataset is not None
    with Progress("steps", 0) as progress:
        found = pl.power(
            network,
            machine,
            dataset.images,
            liberty=options.liberty,
            sram=options.sram,
            clock_mhz=options.clock_mhz,
            table=table,
            clock_gates=not options.no_clock_gates,
            node_nm=options.node_nm,
            progress=progress.say,
        )
        bill: tuple[BillLine, ...] = ()
        if priced is not None:
            clock = options.clock_mhz
            model = pl.simulate(network, machine, dataset.images, table=priced, clock_mhz=clock)
            bill = pl.compare_bill(found, model)
        if options.report is not None:
            for path in pl.write_power(found, options.report, bill):
                progress.say(f"wrote {path}")
    if options.json:
        print(json.dumps(power_dict(found, bill), allow_nan=False))
    else:
        _print(found)
        if priced is not None:
            _print_bill(bill, priced.name)
    return 0 if found.holds else 1


def _print(found: PowerMeasurement) -> None:
    from pilaster.commands.console import number, print_table, word
    from pilaster.rtl.gates.measure import MemoryPower

    rows = []
    for part in found.parts:
        name, clock = part.component, ""
        if isinstance(part, MemoryPower):
            name = part.name
        else:
            clock = f"{part.clock_pj / 1e3:,.2f}"
        rows.append(
            (
                part.stage,
                name,
                f"{part.internal_pj / 1e3:,.2f}",
                f"{part.switching_pj / 1e3:,.2f}",
                clock,
                f"{part.leakage_pj / 1e3:,.2f}",
                f"{part.energy_pj / 1e3:,.2f}",
                f"{part.energy_pj / found.energy_pj:.1%}",
                f"{part.area_um2:,.0f}",
            )
        )
    titles = ("internal", "switching", "clock", "leakage", "all", "share", "um2")
    print_table([word("stage"), word("component"), *map(number, titles)], rows)
    print("\nenergies in nJ an image; clock is part of internal and switching")
    for memory in found.memories:
        print(
            f"{memory.stage}: {memory.name}, {memory.width} bits x {memory.depth}: {memory.what}; "
            f"{memory.reads:,.0f} reads and {memory.writes:,.0f} writes an image"
        )
    print()
    _print_summary(found)


def _print_summary(found: PowerMeasurement) -> None:
    answers = "equal" if found.answers_equal else "DIFFER from"
    cycles = "equal" if found.cycles_equal else "DIFFER from"
    print(
        f"{found.network} on {found.machine} in {found.library}: {found.energy_pj / 1e3:,.1f} nJ "
        f"an image{_priced(found)}, {found.power_mw:.3g} mW at {found.clock_mhz:g} MHz and "
        f"{found.voltage:g} V, {found.area_um2 / 1e6:.3g} mm2, {found.clock_gates:,} clock gates"
    )
    print(
        f"answers of {found.images} image(s) {answers} the reference, cycles {cycles} the model's; "
        f"{sum(found.seconds.values()):.0f} s"
    )
    met = "met" if found.slack_ns >= 0 else "NOT MET"
    print(
        f"clock {met}: worst setup slack {found.slack_ns:+.2f} ns; at most {found.fastest_mhz:.1f} "
        f"MHz, by {found.path[0]} -> {found.path[-1]}"
    )
    if found.opensta is not None:
        print(
            f"OpenSTA: slack {found.opensta.slack_ns:+.2f} ns and leakage "
            f"{found.opensta.leakage_uw:.3g} uW without memories; here leakage of gates is "
            f"{found.gates_leakage_uw:.3g} uW"
        )


def _priced(found: PowerMeasurement) -> str:
    """Say how much of the energy are memories that a table prices, and at which technology."""
    prices = found.prices
    if prices is None:
        return ""
    share = f"{prices.energy_pj / found.energy_pj:.1%} of it memories priced by {prices.table}"
    if not found.priced_elsewhere:
        return f" ({share})"
    at = f"at {prices.node_nm:g} nm and {prices.voltage:g} V"
    gates = "node, which is not known (--node-nm),"
    if found.node_nm is not None:
        gates = f"{found.node_nm:g} nm"
    return f" ({share} {at}, NOT the gates' {gates} and {found.voltage:g} V)"


def _print_bill(lines: tuple[BillLine, ...], table: str) -> None:
    print(f"\n{'nJ an image':<20}{'gates':>10}{'model':>10}{'error':>9}   by {table}")
    for line in lines:
        if not line.gates_pj and not line.model_pj:
            continue
        gates, model = line.gates_pj / 1e3, line.model_pj / 1e3
        error = f"{line.error:+.1%}" if line.gates_pj else "-"
        print(f"{line.part:<20}{gates:>10,.2f}{model:>10,.2f}{error:>9}")
