"""`pilaster networks`, `machines` and `tables`: what there is to run."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add the listing commands to the command line."""
    networks = commands.add_parser("networks", help="list the networks")
    networks.set_defaults(handler=_networks)
    machines = commands.add_parser(
        "machines",
        help="list the machines, or print one as YAML to edit",
        description="List the machines; with NAME, print that one's YAML file.",
    )
    machines.add_argument("name", metavar="NAME", nargs="?")
    machines.set_defaults(handler=_machines)
    tables = commands.add_parser(
        "tables",
        help="list the energy tables, or the entries of one with their sources",
        description="List the energy tables; with NAME, print that one's entries and sources.",
    )
    tables.add_argument("name", metavar="NAME", nargs="?")
    tables.set_defaults(handler=_tables)


def _print_table(titles: list[str], rows: list[list[str]]) -> None:
    from rich.table import Table

    from pilaster.console import PlainConsole

    table = Table(box=None, pad_edge=False)
    for title in titles:
        number = all(row[titles.index(title)].replace(",", "").isdigit() for row in rows)
        table.add_column(title, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    PlainConsole().print(table)


def _networks(options: argparse.Namespace) -> int:
    from pilaster.models.zoo import ZOO

    rows = []
    for name, entry in ZOO.items():
        graph = entry.build()
        weights = "trained" if entry.trained else "synthetic"
        rows.append([name, entry.title, str(graph.input_shape), f"{graph.macs:,}", weights])
    _print_table(["network", "what", "input", "MACs", "weights"], rows)
    return 0


def _machines(options: argparse.Namespace) -> int:
    from pilaster.models.layers import Pool
    from pilaster.models.zoo import ZOO
    from pilaster.sim.machine_file import load_machine, machine_names, machine_path, read_machine

    if options.name is not None:
        path = machine_path(options.name)
        read_machine(path)
        print(path.read_text(encoding="utf-8"), end="")
        return 0
    rows = []
    for name in machine_names():
        machine = load_machine(name)
        graph = ZOO[machine.network].build()
        laned = [node.name for node in graph.nodes if not isinstance(node.layer, Pool)]
        lanes = sum(machine.stages[layer].fold.lanes for layer in laned)
        schedules = sorted({str(spec.schedule) for spec in machine.stages.values()})
        interval = f"{machine.column_interval:,}"
        rows.append([name, machine.network, "+".join(schedules), interval, f"{lanes:,}"])
    _print_table(["machine", "network", "schedule", "column interval", "lanes"], rows)
    return 0


def _tables(options: argparse.Namespace) -> int:
    from pilaster.models.energy import EnergyTable, table_names

    if options.name is not None:
        table = EnergyTable.load(options.name)
        rows = [
            [e.name, "; ".join(e.values), e.scaling, e.converted_from, e.source]
            for e in table.listing
        ]
        _print_table(["entry", "values", "scaling", "converted from", "source"], rows)
        return 0
    tables = [EnergyTable.load(name) for name in table_names()]
    rows = [
        [t.name, t.title, f"{t.node_nm:g} nm, {t.voltage_v:g} V", ", ".join(t.missing) or "-"]
        for t in tables
    ]
    _print_table(["table", "what", "technology", "leaves out"], rows)
    return 0
