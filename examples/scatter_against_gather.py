"""Compare column-wise machines with line-buffer machines: latency, memory, and energy.

    python scatter_against_gather.py > comparison.md

For each network, the script compares the column-wise machine (scatter: a stage uses each column as
soon as it arrives) with the line-buffer machine (gather: a stage starts an output column when its
window is complete). Both machines have the same lanes and the same column interval.
"""

from __future__ import annotations

import pilaster as pl
from pilaster.sim.results import Result

NETWORKS = ("lenet5", "alexnet", "vgg16")

TITLES = (
    "network",
    "schedule",
    "lanes",
    "latency after the last column (cycles)",
    "partial sums (kbit)",
    "column buffers (kbit)",
    "energy of an image (µJ)",
    "of this, DRAM (µJ)",
)


def simulate(network_name: str, machine_name: str) -> Result:
    """Compute times and energy of one image in which no activation is zero."""
    network = pl.load(network_name)
    return pl.simulate(network, pl.load_machine(machine_name, network))


def row(schedule: str, result: Result) -> list[str]:
    """Return one row of the table."""
    psum_bits = sum(stage.psum_bits for stage in result.stages)
    column_bits = sum(stage.column_buffer_bits for stage in result.stages)
    return [
        result.network,
        schedule,
        f"{result.lanes:,}",
        f"{result.latency_after_last_column_cycles:,}",
        f"{psum_bits / 1e3:,.1f}",
        f"{column_bits / 1e3:,.1f}",
        f"{result.energy_per_image_pj / 1e6:,.2f}",
        f"{result.energy.by_action.get('dram_read', 0.0) / 1e6:,.2f}",
    ]


def main() -> None:
    """Print the table as Markdown."""
    print(f"| {' | '.join(TITLES)} |")
    print("| --- | --- |" + " ---: |" * (len(TITLES) - 2))
    notes: dict[str, None] = {}
    for name in NETWORKS:
        for schedule, machine in (("scatter", name), ("gather", f"{name}-gather")):
            result = simulate(name, machine)
            print(f"| {' | '.join(row(schedule, result))} |")
            notes |= dict.fromkeys(note for note in result.notes if "energy" in note)
    print()
    for note in notes:
        print(f"- {note}")


if __name__ == "__main__":
    main()
