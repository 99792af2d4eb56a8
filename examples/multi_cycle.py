"""Compute how many lanes the multi-cycle scheme saves at equal latency and interval.

    python multi_cycle.py [NETWORK ...]

The immediate machine processes all open kernel columns at once. The multi-cycle machine defers the
kernel columns that complete no output until their results are needed. For each network and column
interval, the script maps both machines to the fewest lanes at two latency limits: the latency of
the immediate machine with the fewest lanes, and a quarter of that latency. If a number is not
proven to be the minimum, the lower bound follows in parentheses.
"""

from __future__ import annotations

import sys

import pilaster as pl
from pilaster.models.network import Network

COLUMN_INTERVALS = {
    "digits": (100, 200, 400, 800, 1600),
    "lenet5": (128, 256, 512, 1024, 2048),
    "alexnet": (2048, 4096, 8192, 16384, 32768),
    "vgg16": (8192, 16384, 32768, 65536, 131072),
}

TITLES = (
    *("network", "column interval (cycles)", "latency after the last column (cycles)"),
    *("lanes, immediate", "lanes, multi-cycle", "saved"),
)


def lanes(network: Network, interval: int, latency: int | None, policy: str) -> tuple[int, str]:
    """Map a network; return the lanes, and their text in the table."""
    found = pl.map(network, column_interval=interval, max_latency=latency, policy=policy)
    text = f"{found.lanes:,}"
    return found.lanes, text if found.proven else f"{text} ({found.bound:,.0f})"


def rows(name: str, interval: int) -> list[list[str]]:
    """Map a network with both policies and both latency limits."""
    network, table = pl.load(name), []
    longest = pl.map(network, column_interval=interval, policy="immediate").latency_cycles
    for latency in (longest, longest // 4):
        immediate, before = lanes(network, interval, latency, "immediate")
        deferred, after = lanes(network, interval, latency, "multi-cycle")
        saved = f"{1 - deferred / immediate:.0%}"
        table.append([name, f"{interval:,}", f"{latency:,}", before, after, saved])
    return table


def main() -> None:
    """Print the table as Markdown."""
    names = sys.argv[1:] or ["lenet5", "alexnet", "vgg16"]
    print(f"| {' | '.join(TITLES)} |")
    print("| --- |" + " ---: |" * (len(TITLES) - 1))
    for name in names:
        for interval in COLUMN_INTERVALS[name]:
            for row in rows(name, interval):
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
