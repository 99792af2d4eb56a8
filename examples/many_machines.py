"""Time tens of thousands of machines at once, and keep the Pareto front.

    python many_machines.py [PICTURE.png]

The script draws random folds for each stage of LeNet-5's machine, times all machines with the
closed-form model at four column intervals, and drops the machines that do not keep up with the
columns. It then prints the minimum latency after the last column for several limits on lanes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import cycle, product
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import NDArray

import pilaster as pl
from pilaster.models.graph import Node
from pilaster.models.network import Network
from pilaster.sim.closed_form import MachineBatch, evaluate
from pilaster.sim.machine import StageSpec
from pilaster.sim.stages import Stage
from pilaster.sim.stages.kinds import build_stage

MACHINES = 50_000
COLUMN_INTERVALS = (128, 192, 256, 512)
LANE_LIMITS = (64, 96, 128, 192, 256, 512, 1024)
PARALLEL = (1, 2, 3, 4, 6, 8, 16, 32)
"""Numbers of channels to process in parallel, if the layer has as many."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Space:
    """Machines to time: the variants of each stage, and the variant that each machine uses.

    choice : (stages, machines), the variant of each stage
    """

    network: Network
    variants: tuple[tuple[Stage, ...], ...]
    choice: NDArray[np.intp]

    @property
    def lanes(self) -> Ints:
        """Number of multipliers of each machine."""
        by_stage = [np.array([stage.lanes for stage in stages]) for stages in self.variants]
        total = np.zeros(self.choice.shape[1], np.int64)
        for lanes, choice in zip(by_stage, self.choice, strict=True):
            total += lanes[choice]
        return total

    def batch(self, column_interval: int) -> MachineBatch:
        """Return the machines, with columns that arrive at this interval."""
        shape = self.network.graph.input_shape
        intervals = np.full(self.choice.shape[1], column_interval, np.int64)
        return MachineBatch(shape.height, intervals, self.variants, self.choice)


def variants(network: Network, node: Node, spec: StageSpec) -> Iterator[Stage]:
    """Yield the stage of a layer with each fold that fits the layer."""
    for ins, outs, columns in product(PARALLEL, PARALLEL, range(1, 6)):
        requantizers = max(1, outs // 2)
        fold = replace(
            spec.fold,
            in_channels=ins,
            out_channels=outs,
            kernel_columns=columns,
            requantizers=requantizers,
        )
        with suppress(pl.InputError):
            yield build_stage(network, node, replace(spec, fold=fold))


def random_machines(network: Network, count: int) -> Space:
    """Draw random machines, the same ones in every run."""
    machine = pl.load_machine(None, network)
    stages = tuple(
        tuple(variants(network, node, machine.stages[node.name])) for node in network.graph.nodes
    )
    rng = np.random.default_rng(2023)
    choice = np.stack([rng.integers(0, len(found), count) for found in stages])
    return Space(network, stages, choice)


def front(lanes: Ints, latency: Ints) -> NDArray[np.intp]:
    """Find the Pareto front in lanes and latency, sorted by lanes."""
    order = np.lexsort((latency, lanes))
    best = np.minimum.accumulate(latency[order])
    return order[np.diff(best, prepend=best[:1] + 1) < 0]


def picture(fronts: dict[int, tuple[Ints, Ints]]) -> Figure:
    """Plot latency over lanes, with one line for each column interval."""
    figure = Figure((8, 5), layout="constrained")
    axes = figure.subplots()
    for (interval, (lanes, latency)), marker in zip(fronts.items(), cycle("osD^"), strict=False):
        if len(lanes):
            axes.step(lanes, latency, where="post", marker=marker, label=f"{interval} cycles")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:,.0f}")
        axis.set_minor_locator(NullLocator())
    axes.set_xlabel("lanes (multipliers)")
    axes.set_ylabel("latency after the last column (cycles)")
    axes.set_title(f"LeNet-5: the best of {MACHINES:,} random machines", loc="left")
    axes.grid(alpha=0.3)
    axes.legend(title="a column every")
    return figure


def main() -> None:
    """Print the minimum latency by lanes and interval, and save a plot."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "many_machines.png")
    space = random_machines(pl.load("lenet5"), MACHINES)
    width = space.network.graph.input_shape.width
    fronts: dict[int, tuple[Ints, Ints]] = {}
    for interval in COLUMN_INTERVALS:
        times = evaluate(space.batch(interval))
        keep_up = np.flatnonzero(times.cycles_per_image <= interval * width)
        print(f"a column every {interval} cycles: {len(keep_up):,} of {MACHINES:,} keep up")
        lanes, latency = space.lanes[keep_up], times.latency_after_last_column[keep_up]
        best = front(lanes, latency)
        fronts[interval] = lanes[best], latency[best]
    print()
    print("least latency after the last column, in cycles, for a column every")
    print("at most    " + "".join(f"{f'{interval} cycles':>12}" for interval in fronts))
    for limit in LANE_LIMITS:
        least = [latency[lanes <= limit][-1:] for lanes, latency in fronts.values()]
        cells = [f"{found[0]:,}" if len(found) else "-" for found in least]
        print(f"{limit:>5} lanes" + "".join(f"{cell:>12}" for cell in cells))
    picture(fronts).savefig(path, dpi=150)
    print(f"\nwrote {path}")


if __name__ == "__main__":
    main()
