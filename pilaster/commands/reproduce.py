"""`pilaster reproduce`: compare published results with the simulator."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pilaster.reports.reproduce.eyeriss import Row
    from pilaster.reports.reproduce.sensors2023 import Study

__all__ = ["add_command"]

HELP = """\
Compute published results with the simulator, and print them next to the published figures.

  sensors2023   power saved by the multi-cycle scheme: LeNet, AlexNet, VGG-16 (Liu, Cao, Duan)
  eyeriss       time, energy, and DRAM traffic of a machine with the chip's budget (JSSC 2017)

Each study takes several minutes. docs/reproduce.md lists the results and the assumptions.
"""

EXAMPLES = """\
examples:
  pilaster reproduce sensors2023 --report out
  pilaster reproduce eyeriss --json > eyeriss.json
"""


def add_command(commands: Any) -> None:
    """Add `reproduce` to the command line."""
    command = commands.add_parser(
        "reproduce",
        help="compare published results with the simulator",
        description=HELP,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    studies = command.add_subparsers(dest="study", metavar="STUDY", required=True)
    for name, handler in (("sensors2023", _sensors), ("eyeriss", _eyeriss)):
        study = studies.add_parser(name)
        study.add_argument(
            "--report", metavar="DIR", type=Path, help="write tables and figures to DIR"
        )
        study.add_argument("--json", action="store_true", help="print one JSON object and no table")
        study.set_defaults(handler=handler)


def _sensors(options: argparse.Namespace) -> int:
    from pilaster.commands.progress import Progress
    from pilaster.reports.reproduce.files import SENSORS_FILES, sensors_files
    from pilaster.reports.reproduce.sensors2023 import run_study, tasks

    _check(options.report, SENSORS_FILES)
    listed = tasks()
    with Progress("pairs of machines", len(listed)) as progress:
        study = run_study(listed, _cores(), progress.show)
    return _finish(options, lambda: sensors_files(study), lambda: _print_sensors(study))


def _eyeriss(options: argparse.Namespace) -> int:
    from pilaster.commands.progress import Progress
    from pilaster.reports.reproduce.eyeriss import NETWORKS, chip, compare
    from pilaster.reports.reproduce.files import EYERISS_FILES, eyeriss_files

    _check(options.report, EYERISS_FILES)
    total = sum(len(chip().layers[name]) + 1 for name in NETWORKS)
    with Progress("layers and pipelines", total) as progress:
        rows = compare(NETWORKS, _cores(), progress.show)
    return _finish(options, lambda: eyeriss_files(rows), lambda: _print_eyeriss(rows))


def _cores() -> int:
    return os.cpu_count() or 1


def _check(directory: Path | None, names: tuple[str, ...]) -> None:
    from pilaster.base.output_files import check_writable

    if directory is not None:
        check_writable(directory, names, "report")


def _finish(
    options: argparse.Namespace,
    files: Callable[[], dict[str, bytes]],
    show: Callable[[], None],
) -> int:
    from pilaster.base.output_files import write_files
    from pilaster.commands.progress import Progress

    contents = files()
    if options.report is not None:
        write_files(options.report, contents, "report")
    if options.json:
        found = next(text for name, text in contents.items() if name.endswith(".json"))
        print(json.dumps(json.loads(found)))
    else:
        show()
    if options.report is not None:
        with Progress("files", 0) as progress:
            progress.say(f"wrote {len(contents)} files into {options.report}")
    return 0


def _print_sensors(study: Study) -> None:
    from pilaster.reports.reproduce.sensors2023 import ASSUMPTIONS
    from pilaster.reports.reproduce.summary import network_rows, statement_rows
    from pilaster.reports.units import percent

    _print_table(
        ("network", "varies", "table"),
        ("power saved, least", "most", "published, up to"),
        [
            (
                row["network"],
                row["varies"],
                row["table"],
                percent(row["least_power_saved"]),
                percent(row["most_power_saved"]),
                percent(row["published_power_saved"], 2),
            )
            for row in network_rows(study.reductions)
        ],
    )
    print()
    _print_table(
        ("with", "measure", "interval", "saved, in order", "grows"),
        (),
        [
            (
                row["varies"],
                row["measure"],
                f"{row['column_interval_cycles']:,}" if "column_interval_cycles" in row else "any",
                ", ".join(percent(value) for value in row["saved"]),
                "yes" if row["grows"] else "ends higher" if row["ends_higher"] else "no",
            )
            for row in statement_rows(study.reductions)
        ],
    )
    print("\nassumed:")
    for line in ASSUMPTIONS:
        print(f"- {line}")


def _print_eyeriss(rows: tuple[Row, ...]) -> None:
    _print_table(
        ("network", "layer"),
        ("ms", "chip", "mJ", "clocked", "chip", "DRAM MB", "chip", "memory KB"),
        [
            (
                row.network,
                row.layer,
                *(
                    f"{value:,.3g}"
                    for value in (
                        *(row.ms, row.chip_ms, row.on_chip_mj, row.clocked_mj, row.chip_mj),
                        *(row.dram_mb, row.chip_dram_mb, row.memory_kb),
                    )
                ),
            )
            for row in rows
        ],
    )
    print("\nof one image; energies are on chip, without DRAM, with the chip's zeros (eyeriss65)")


def _print_table(
    words: tuple[str, ...], numbers: tuple[str, ...], rows: list[tuple[str, ...]]
) -> None:
    from pilaster.commands.console import number, print_table, word

    print_table([*map(word, words), *map(number, numbers)], rows)
