"""Explore machines for LeNet-5, and see how a limit on lanes affects latency and energy.

    python explore.py [FOLDER]

The script draws 20,000 machines at four column intervals, and finds the Pareto front in lanes,
latency, interval, and energy. For each interval and each limit on lanes, it prints the minimum
latency and the minimum energy of the machines on the front that meet both. If you give a FOLDER,
the script writes the tables, the plot, and the machines to it, and resumes there after an
interruption.
"""

from __future__ import annotations

import sys

import numpy as np

import pilaster as pl

COLUMN_INTERVALS = (128, 1024, 4)
LANE_LIMITS = (64, 128, 256, 512)
AXES = ("lanes", "latency", "interval", "energy")


def main() -> None:
    """Print one line for each interval and limit."""
    folder = sys.argv[1] if len(sys.argv) > 1 else None
    found = pl.explore(
        pl.load("lenet5"),
        column_interval=COLUMN_INTERVALS,
        machines=20_000,
        energy="horowitz45",
        axes=AXES,
        folder=folder,
    )
    front = found.front_columns  # found.frame() gives the same as a pandas DataFrame
    latency = front["latency_after_last_column_cycles"]
    energy = front["energy_pj_horowitz45"]
    print(f"{len(found):,} machines keep up; none beats {len(found.front):,} of them")
    print(f"simulated by events as well: {len(found.differences)} differences")
    print()
    print("a column   lanes, at  least latency after the   least energy of")
    print("every      most       last column (cycles)        an image (nJ)")
    for interval in np.unique(front["column_interval_cycles"]):
        for limit in LANE_LIMITS:
            able = (front["column_interval_cycles"] <= interval) & (front["lanes"] <= limit)
            if able.any():
                soonest, least = latency[able].min(), energy[able].min() / 1e3
                print(f"{interval:>8,}{limit:>12}{soonest:>23,}{least:>18,.0f}")
    if folder is not None:
        print()
        print("wrote", ", ".join(str(path) for path in pl.write_exploration(found, folder)))


if __name__ == "__main__":
    main()
