"""Change one stage of a machine, and see the effect on cycles and energy.

    python change_the_machine.py

The second convolution of LeNet-5 has 6 input channels and 16 output channels. Its stage can process
several channels in parallel. All folds below give the same values, but differ in time and energy.
"""

from __future__ import annotations

from dataclasses import replace

import pilaster as pl
from pilaster.models.datasets import embedded_digits, fit
from pilaster.sim.machine import Machine

STAGE = "conv2"
FOLDS = ((1, 16), (2, 8), (2, 16), (3, 16), (6, 8), (6, 16))
"""Input channels and output channels that the stage processes in parallel."""

IMAGES = 50


def with_fold(machine: Machine, in_channels: int, out_channels: int) -> Machine:
    """Return a copy of the machine with another fold for one stage; machines are immutable."""
    stage = machine.stages[STAGE]
    fold = replace(stage.fold, in_channels=in_channels, out_channels=out_channels)
    stages = {**machine.stages, STAGE: replace(stage, fold=fold)}
    return replace(machine, name=f"{STAGE} {in_channels}x{out_channels}", stages=stages)


def main() -> None:
    """Print one line for each fold."""
    network = pl.load("lenet5")
    machine = pl.load_machine(None, network)
    images = fit(embedded_digits("test"), 32, 32, 1).images[:IMAGES]
    print(f"{STAGE} of {network.name}, a column every {machine.column_interval} cycles")
    print("channels  lanes of   busy   cycles an   after the last   energy of an")
    print("in x out  the stage  cycles     image  column (cycles)     image (nJ)")
    for in_channels, out_channels in FOLDS:
        changed = with_fold(machine, in_channels, out_channels)
        result = pl.simulate(network, changed, images)
        (stage,) = (stage for stage in result.stages if stage.name == STAGE)
        print(
            f"{in_channels:>3} x {out_channels:<2}"
            f"{stage.lanes:>12}"
            f"{stage.busy_cycles:>8,}"
            f"{result.cycles_per_image:>10,}"
            f"{result.latency_after_last_column_cycles:>17,}"
            f"{result.energy_per_image_pj / 1e3:>15,.1f}"
        )


if __name__ == "__main__":
    main()
