"""`pilaster verify`: hold the RTL to the model."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilaster.options import (
    add_images,
    add_load_weights,
    add_machine,
    add_network,
    load_network,
    whole_number,
)

if TYPE_CHECKING:
    from pilaster.models.energy import EnergyTable
    from pilaster.models.network import Network
    from pilaster.rtl.verify import Verdict
    from pilaster.sim.machine import Machine

__all__ = ["add_command"]

HELP = """\
Generate the RTL of a machine, run it in Verilator on real images, and compare it with the model:
every value of every stage, the cycle stamps of every column (accepted, started, finished, emitted),
and the count of every action. Exit code 1 where anything differs, with the first difference.
"""

DEFAULT_IMAGES = 2
STALL_SEED = 1


def add_command(commands: Any) -> None:
    """Add `verify` to the command line."""
    command = commands.add_parser(
        "verify",
        help="hold the RTL to the model: values, cycles, actions",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_network(command)
    add_machine(command)
    add_images(command, DEFAULT_IMAGES)
    command.add_argument(
        "--until", metavar="LAYER", help="leave out the layers after LAYER, and their stages"
    )
    command.add_argument(
        "--stalls", action="store_true", help="let source and sink hesitate at random"
    )
    command.add_argument(
        "--seed",
        metavar="S",
        type=whole_number(1),
        default=STALL_SEED,
        help=f"seed of the stalls (default: {STALL_SEED})",
    )
    command.add_argument("--waves", metavar="FILE", type=Path, help="write the waves there (VCD)")
    add_load_weights(command)
    command.add_argument(
        "--power", action="store_true", help="price the actions that the RTL counts, by stage"
    )
    command.add_argument(
        "--energy",
        metavar="TABLE",
        default=None,
        help="table of --power: a name that `pilaster tables` lists, or a YAML file",
    )
    command.add_argument("--json", action="store_true", help="print one JSON object and no table")
    command.set_defaults(handler=_verify)


def _verify(options: argparse.Namespace) -> int:
    from pilaster.api import load_machine, verify
    from pilaster.data import images_for
    from pilaster.models.energy import EnergyTable
    from pilaster.models.errors import InputError
    from pilaster.sim.simulate import DEFAULT_TABLE

    network = load_network(options)
    machine = load_machine(options.machine, network)
    dataset = images_for(network, options.data, options.images)
    assert dataset is not None
    if options.waves is not None and not options.waves.absolute().parent.is_dir():
        raise InputError(f"--waves {options.waves}: its folder does not exist")
    table = EnergyTable.load(options.energy or DEFAULT_TABLE) if options.power else None
    verdict = verify(
        network,
        machine,
        dataset.images,
        until=options.until,
        seed=options.seed if options.stalls else None,
        waves=options.waves,
        load_weights=options.load_weights,
    )
    energies = None if table is None else _energies(network, machine, verdict, table)
    if options.json:
        energy = {} if energies is None else {"energy_pj": energies}
        print(json.dumps({**verdict.as_dict(), **energy}, allow_nan=False))
    else:
        _print(verdict, options)
        if energies is not None:
            _print_energies(energies)
    return 0 if verdict.equal else 1


def _energies(
    network: Network, machine: Machine, verdict: Verdict, table: EnergyTable
) -> dict[str, dict[str, dict[str, float]]]:
    """Energies in pJ an image by stage and action: of the RTL's counts, and of the model's."""
    from pilaster.sim.energy import stage_energy_pj
    from pilaster.sim.pipeline import Pipeline

    stages = {stage.name: stage for stage in Pipeline(network, machine).stages}
    found = {}
    for stage in verdict.stages:
        sides = {
            "rtl": (stage.counted, verdict.rtl_cycles),
            "model": (stage.expected, verdict.model_cycles),
        }
        found[stage.name] = {
            side: {
                action: energy / verdict.images
                for action, energy in stage_energy_pj(
                    stages[stage.name], actions, cycles, table, None
                ).items()
            }
            for side, (actions, cycles) in sides.items()
        }
    return found


def _print_energies(energies: dict[str, dict[str, dict[str, float]]]) -> None:
    print(f"\n{'stage':<12}{'RTL, nJ':>12}{'model, nJ':>12}   an image")
    totals = {"rtl": 0.0, "model": 0.0}
    for stage, sides in energies.items():
        sums = {side: sum(actions.values()) for side, actions in sides.items()}
        totals = {side: totals[side] + sums[side] for side in totals}
        print(f"{stage:<12}{sums['rtl'] / 1e3:>12,.2f}{sums['model'] / 1e3:>12,.2f}")
    print(f"{'total':<12}{totals['rtl'] / 1e3:>12,.2f}{totals['model'] / 1e3:>12,.2f}")


def _print(verdict: Verdict, options: argparse.Namespace) -> None:
    rows = [("stage", "values", "wrong", "cycles", "actions", "lanes used", "verdict")]
    for stage in verdict.stages:
        equal = not stage.differences
        rows.append(
            (
                stage.name,
                f"{stage.values:,}",
                f"{stage.mismatches:,}",
                "equal" if stage.cycles_equal else "DIFFER",
                "equal" if stage.actions_equal else "DIFFER",
                f"{stage.utilisation:.1%}" if stage.utilisation else "-",
                "equal" if equal else "DIFFERENT",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if i in (1, 2, 5) else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    print()
    for stage in verdict.stages:
        for difference in stage.differences:
            print(difference)
    what = "equals" if verdict.equal else "DIFFERS from"
    values = sum(stage.values for stage in verdict.stages)
    print(
        f"{verdict.network} on {verdict.machine}: the RTL {what} the model on {values:,} values "
        f"of {verdict.images} image(s); {verdict.rtl_cycles:,} cycles, "
        f"model {verdict.model_cycles:,}; {verdict.simulator_seconds:.1f} s in the simulator"
    )
    if not verdict.equal:
        print(f"run just that again: {_again(verdict, options)}")


def _again(verdict: Verdict, options: argparse.Namespace) -> str:
    """Command that reproduces the first difference, up to the stage that shows it."""
    stage = next(stage.name for stage in verdict.stages if stage.differences)
    words = ["pilaster", "verify", options.network, "--images", str(options.images)]
    if options.columns != "width":
        words += ["--columns", options.columns]
    if options.bits is not None:
        words += ["--bits", "{}:{}".format(*options.bits)]
    for name in ("machine", "data", "calibration"):
        if getattr(options, name) is not None:
            words += [f"--{name}", str(getattr(options, name))]
    if options.load_weights:
        words.append("--load-weights")
    if options.stalls:
        words += ["--stalls", "--seed", str(options.seed)]
    return shlex.join([*words, "--until", stage, "--waves", f"{stage}.vcd"])
