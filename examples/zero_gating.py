"""Measure the energy that zero operands save, at gate level and in the model.

    python zero_gating.py LIBERTY [PICTURE.png] [--images N] [--energy TABLE]

LIBERTY is a Liberty file of standard cells. The script runs the machine `digits` on noise with an
increasing share of zero pixels, at gate level (as `pilaster power` does) and in the model, with an
energy table measured on the same cells (as `pilaster characterize` does). It prints the energy of
the lanes of the first stage and of the whole machine.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import pilaster as pl
from pilaster.models.energy import EnergyTable
from pilaster.models.energy.actions import Action
from pilaster.rtl.gates.liberty import Library
from pilaster.rtl.gates.measure import measure_power
from pilaster.rtl.parts import PARTS

NETWORK = "digits"
STAGE = "conv1"
ZEROS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the pixels."""
CLOCK_MHZ = 25.0
MEMORIES = "ihp130"
"""Energy table for memories that are not built from gates."""
SEED = 2023


@dataclass(frozen=True)
class Point:
    """Energies per image in nJ, of the lanes of a stage and in total; `zeros` is a share."""

    zeros: float
    lanes: float
    lanes_by_model: float
    total: float
    total_by_model: float


def measure(library: Library, table: EnergyTable, images: int, zeros: float) -> Point:
    """Measure noise images with a given share of zero pixels."""
    network = pl.load(NETWORK)
    machine = pl.load_machine(NETWORK, network)
    shape, rng = network.graph.input_shape, np.random.default_rng(SEED)
    size = (images, shape.height, shape.width, shape.channels)
    seen = np.where(rng.random(size) < zeros, 0, rng.integers(1, 256, size)).astype(np.uint8)
    base = EnergyTable.load(MEMORIES)
    measured = measure_power(network, machine, library, seen, CLOCK_MHZ, table=base)
    model = pl.simulate(network, machine, seen, table=table, clock_mhz=CLOCK_MHZ)
    stage = next(stage for stage in model.stages if stage.name == STAGE)
    (lanes,) = (p for p in measured.components if (p.stage, p.component) == (STAGE, "lanes"))
    by_model = sum(stage.energy_by_action.get(action, 0.0) for action in PARTS["lanes"])
    energies = (
        lanes.energy_pj - lanes.leakage_pj - lanes.clock_pj,
        by_model,
        measured.energy_pj,
        model.energy_per_image_pj,
    )
    macs, gated = map(stage.actions.of_action, (Action.MAC, Action.MAC_GATED))
    share = gated / (macs + gated)
    return Point(share, *(energy / 1e3 for energy in energies))


def draw(points: list[Point], path: Path) -> None:
    """Plot the lanes next to the whole machine."""
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    zeros = [100 * point.zeros for point in points]
    panels = zip(
        figure.subplots(1, 2),
        ("lanes", "total"),
        (f"lanes of {STAGE}", "whole machine"),
        strict=True,
    )
    for axes, name, title in panels:
        axes.plot(zeros, [getattr(p, name) for p in points], "o-", label="gates")
        axes.plot(zeros, [getattr(p, f"{name}_by_model") for p in points], "s--", label="model")
        axes.set(title=title, xlabel="zero operands (%)", ylabel="energy of an image (nJ)")
        axes.set_ylim(bottom=0)
        axes.legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print a table, and plot it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("liberty", type=Path)
    parser.add_argument("picture", type=Path, nargs="?")
    parser.add_argument("--images", type=int, default=5)
    parser.add_argument("--energy", default="sg13g2")
    options = parser.parse_args()
    library, table = Library.read(options.liberty), EnergyTable.load(options.energy)
    print("| zero operands | lanes, gates (nJ) | model | machine, gates (nJ) | model |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    points = []
    for zeros in ZEROS:
        point = measure(library, table, options.images, zeros)
        points.append(point)
        energies = (point.lanes, point.lanes_by_model, point.total, point.total_by_model)
        row = " | ".join(f"{energy:,.2f}" for energy in energies)
        print(f"| {point.zeros:.0%} | {row} |", flush=True)
    if options.picture is not None:
        draw(points, options.picture)


if __name__ == "__main__":
    main()
