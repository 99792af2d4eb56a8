"""`pilaster verify`: compare the RTL with the model."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilaster.commands.options import (
    add_clock,
    add_images,
    add_load_weights,
    add_machine,
    add_network,
    load_network,
    whole_number,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilaster.rtl.verification.verified_power import StagePower
    from pilaster.rtl.verification.verify import Verdict

__all__ = ["add_command"]

HELP = """\
Generate the RTL of a machine, simulate it in Verilator on real images, and compare it with the
model: every value of every stage, the cycle stamps of every column (accepted, started, finished,
emitted), and every action count. If anything differs, the command prints the first difference and
the exit code is 1.
"""

DEFAULT_IMAGES = 2
STALL_SEED = 1


def add_command(commands: Any) -> None:
    """Add `verify` to the command line."""
    command = commands.add_parser(
        "verify",
        help="compare the RTL with the model: values, cycles, actions",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_network(command)
    add_machine(command)
    add_images(command, DEFAULT_IMAGES)
    command.add_argument(
        "--until", metavar="LAYER", help="leave out the layers after LAYER and their stages"
    )
    command.add_argument(
        "--stalls", action="store_true", help="stall the source and the sink at random"
    )
    command.add_argument(
        "--seed",
        metavar="S",
        type=whole_number(1),
        default=STALL_SEED,
        help=f"random seed of the stalls (default: {STALL_SEED})",
    )
    command.add_argument("--waves", metavar="FILE", type=Path, help="write waveforms to FILE (VCD)")
    add_load_weights(command)
    command.add_argument(
        "--power",
        action="store_true",
        help="compute energy from the RTL's action counts, and count register toggles",
    )
    command.add_argument(
        "--energy",
        metavar="TABLE",
        default=None,
        help="energy table for --power: a name from `pilaster tables`, or a YAML file",
    )
    add_clock(command)
    command.add_argument(
        "--saif",
        metavar="FILE",
        type=Path,
        help="write the switching activity of every net to FILE (SAIF, for power tools)",
    )
    command.add_argument("--json", action="store_true", help="print one JSON object and no table")
    command.set_defaults(handler=_verify)


def _verify(options: argparse.Namespace) -> int:
    import pilaster as pl
    from pilaster.base.errors import InputError
    from pilaster.data import images_for
    from pilaster.models.calibration import unlike
    from pilaster.models.energy import EnergyTable
    from pilaster.sim.pipeline import Pipeline
    from pilaster.sim.simulate import DEFAULT_TABLE

    network = load_network(options)
    machine = pl.load_machine(options.machine, network)
    dataset = images_for(network, options.data, options.images)
    assert dataset is not None
    for name in ("waves", "saif"):
        path = getattr(options, name)
        if path is not None and not path.absolute().parent.is_dir():
            raise InputError(f"--{name} {path}: its folder does not exist")
    if options.waves is not None and (options.power or options.saif is not None):
        raise InputError("--waves: a run with --power or --saif writes none; run it once more")
    for name, value in (("energy", options.energy), ("clock-mhz", options.clock_mhz)):
        if value is not None and not options.power:
            raise InputError(f"--{name} {value}: means something only with --power")
    table = EnergyTable.load(options.energy or DEFAULT_TABLE) if options.power else None
    verdict = pl.verify(
        network,
        machine,
        dataset.images,
        until=options.until,
        seed=options.seed if options.stalls else None,
        waves=options.waves,
        switching=options.power,
        saif=options.saif,
        load_weights=options.load_weights,
    )
    warning = unlike(network, dataset.images)
    stages = None
    if table is not None:
        from pilaster.rtl.verification.verified_power import power_dict, stage_powers

        stages = stage_powers(Pipeline(network, machine), verdict, table, options.clock_mhz)
    if options.json:
        power = {} if stages is None else power_dict(stages, verdict, options.clock_mhz)
        notes = [note for note in (network.note, network.checked, warning) if note]
        print(json.dumps({**verdict.as_dict(), **power, "notes": notes}, allow_nan=False))
    else:
        _print(verdict, options)
        for note in (network.checked, warning):
            if note:
                print(note)
        if stages is not None:
            _print_power(stages, verdict, options.clock_mhz)
    return 0 if verdict.equal else 1


def _print_power(stages: Sequence[StagePower], verdict: Verdict, clock_mhz: float | None) -> None:
    from pilaster.rtl.verification.verified_power import PartPower, by_part, power_mw

    of_parts = {name: part for name, part in by_part(stages).items() if part != PartPower()}
    of_stages = {stage.name: stage.total for stage in stages}
    for title, lines in (("stage", of_stages), ("part", of_parts)):
        print(f"\n{title:<18}{'RTL, nJ':>12}{'model, nJ':>12}{'register bits':>15}{'toggles':>12}")
        for name, line in {**lines, "total": sum(lines.values(), PartPower())}.items():
            print(
                f"{name:<18}{line.rtl_pj / 1e3:>12,.2f}{line.model_pj / 1e3:>12,.2f}"
                f"{line.register_bits:>15,}{line.toggles:>12,.0f}"
            )
    power = power_mw(stages, verdict, clock_mhz)
    told = "" if power is None else f"; {power:,.3g} mW at {clock_mhz:g} MHz"
    print(f"energies and toggles of registers are those of an image{told}")


def _print(verdict: Verdict, options: argparse.Namespace) -> None:
    from pilaster.commands.console import number, print_table, word

    rows = [
        (
            stage.name,
            f"{stage.values:,}",
            f"{stage.mismatches:,}",
            "equal" if stage.cycles_equal else "DIFFER",
            "equal" if stage.actions_equal else "DIFFER",
            f"{stage.utilization:.1%}" if stage.utilization else "-",
            "DIFFERENT" if stage.differences else "equal",
        )
        for stage in verdict.stages
    ]
    counts, laws = map(number, ("values", "wrong")), map(word, ("cycles", "actions"))
    columns = [word("stage"), *counts, *laws, number("lanes used"), word("verdict")]
    print_table(columns, rows)
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
    if not verdict.pace.holds:
        print(f"{verdict.machine} {verdict.pace.describe_waits()}")
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
