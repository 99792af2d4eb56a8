"""`pilaster networks`, `machines`, `tables`, `boards`, and `operators`: list what is available."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pilaster.models.energy import EnergyTable

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add the listing commands to the command line."""
    networks = commands.add_parser("networks", help="list the built-in networks")
    networks.set_defaults(handler=_networks)
    machines = commands.add_parser(
        "machines",
        help="list the built-in machines, or print one as YAML",
        description="List the built-in machines. With NAME, print the YAML file of that machine.",
    )
    machines.add_argument("name", metavar="NAME", nargs="?")
    machines.set_defaults(handler=_machines)
    tables = commands.add_parser(
        "tables",
        help="list the energy tables, or print the entries of one with their sources",
        description="List the energy tables. With NAME, print the entries and sources of one.",
    )
    tables.add_argument("name", metavar="NAME", nargs="?")
    tables.set_defaults(handler=_tables)
    boards = commands.add_parser("boards", help="list the FPGA boards and their resources")
    boards.set_defaults(handler=_boards)
    operators = commands.add_parser(
        "operators",
        help="list the supported .onnx and .tflite operators",
        description="List the supported operators of each format: imported into the network, left "
        "to the host at its end, or computed from constants only.",
    )
    operators.set_defaults(handler=_operators)
    for command in (networks, machines, tables, boards, operators):
        command.add_argument(
            "--json", action="store_true", help="print one JSON object and no table"
        )


def _networks(options: argparse.Namespace) -> int:
    from pilaster.api.listings import networks
    from pilaster.commands.console import number, print_table, word

    listed = networks()
    if options.json:
        print(json.dumps({name: asdict(network) for name, network in listed.items()}))
        return 0
    rows = [
        (
            *(name, network.title, str(network.input_shape), f"{network.macs:,}"),
            "trained" if network.trained else "synthetic",
        )
        for name, network in listed.items()
    ]
    words = [word(title) for title in ("network", "what", "input")]
    print_table([*words, number("MACs"), word("weights")], rows)
    return 0


def _machines(options: argparse.Namespace) -> int:
    from pilaster.api.listings import machines
    from pilaster.base.user_files import read_text
    from pilaster.commands.console import number, print_table, word
    from pilaster.sim.machine_file import machine_entry, machine_path, read_machine

    if options.name is not None:
        path = machine_path(options.name)
        machine = read_machine(path)
        if options.json:
            print(json.dumps(machine_entry(machine)))
        else:
            print(read_text(path, str(path)), end="")
        return 0
    listed = machines()
    if options.json:
        print(json.dumps({name: asdict(machine) for name, machine in listed.items()}))
        return 0
    rows = [
        (
            *(name, machine.network, "+".join(machine.schedules)),
            *(f"{machine.column_interval_cycles:,}", f"{machine.lanes:,}"),
        )
        for name, machine in listed.items()
    ]
    words = [word(title) for title in ("machine", "network", "schedule")]
    print_table([*words, number("column interval"), number("lanes")], rows)
    return 0


def _tables(options: argparse.Namespace) -> int:
    from pilaster.api.listings import tables
    from pilaster.commands.console import print_table, word
    from pilaster.models.energy import EnergyTable

    if options.name is not None:
        table = EnergyTable.load(options.name)
        if options.json:
            print(json.dumps(table.as_dict()))
        else:
            _print_entries(table)
        return 0
    listed = tables()
    if options.json:
        print(json.dumps({name: _told(table) for name, table in listed.items()}))
        return 0
    titles = ("table", "technology", "area", "clock", "leakage", "what")
    rows = [
        (
            *(name, _technology(table)),
            *map(_yes, (table.has_area, table.has_clock, table.has_leakage)),
            table.title,
        )
        for name, table in listed.items()
    ]
    print_table([word(title) for title in titles], rows)
    return 0


def _told(table: EnergyTable) -> dict[str, Any]:
    """Give all of a table but its entries."""
    return {key: value for key, value in table.as_dict().items() if key != "entries"}


def _technology(table: EnergyTable) -> str:
    return f"{table.node_nm:g} nm, {table.voltage_v:g} V"


def _yes(known: bool) -> str:
    return "yes" if known else "-"


def _print_entries(table: EnergyTable) -> None:
    """Print a value a line, and the sources below, each once."""
    from pilaster.commands.console import number, print_table, word

    print(f"{table.name}: {table.title}; {_technology(table)}")
    print(f"leaves out: {', '.join(table.missing) or 'nothing'}\n")
    sources: dict[str, int] = {}
    rows: list[Sequence[str]] = []
    for entry in table.entries.values():
        name, scaling = entry.name, entry.scaling
        if origin := entry.converted_from:
            scaling += f", from {origin.node_nm:g} nm, {origin.voltage_v:g} V by {origin.rule}"
        for point in entry.published:
            place = sources.setdefault(point.source or entry.source, len(sources) + 1)
            at = ", ".join(f"{key} {value}" for key, value in point.named.items())
            rows.append((name, f"{point.value:g}", entry.unit, at, scaling, str(place)))
            name = scaling = ""
    columns = [word("entry"), number("value"), *map(word, ("unit", "at", "scaling"))]
    print_table([*columns, number("source")], rows)
    print("\nsources")
    for source, place in sources.items():
        print(f"{place:>3}  {source}")


def _boards(options: argparse.Namespace) -> int:
    from pilaster.api.listings import boards
    from pilaster.commands.console import number, print_table, word

    listed = boards()
    if options.json:
        print(json.dumps({name: board.as_dict() for name, board in listed.items()}))
        return 0
    rows = []
    for name, board in listed.items():
        device = board.device
        counts = (device.luts, device.multipliers, device.block_rams, device.sprams)
        cells = [f"{count:,}" if count else "-" for count in counts]
        rows.append((name, board.title, device.name, *cells, f"{board.clock[1] / 1e6:g}"))
    titles = ("LUTs", "DSPs", "RAMs", "SPRAMs", "MHz")
    print_table([*map(word, ("board", "what", "FPGA")), *map(number, titles)], rows)
    return 0


def _operators(options: argparse.Namespace) -> int:
    from pilaster.api.listings import operators
    from pilaster.commands.console import print_table, word

    listed = operators()
    if options.json:
        print(json.dumps([asdict(operator) for operator in listed]))
        return 0
    rows = [(operator.name, operator.format, operator.support) for operator in listed]
    print_table([word(title) for title in ("operator", "format", "support")], rows)
    return 0
