"""What a stage shows of itself to a testbench: stamps and actions, as enables and counts."""

from __future__ import annotations

from amaranth.lib import wiring
from amaranth.lib.wiring import Out

__all__ = ["ACTION_PROBES", "STAMP_PROBES", "StageProbes"]

STAMP_PROBES = ("accepted", "started", "finished")
"""One-bit events that make cycle stamps."""

ACTION_PROBES = (
    "mac",
    "mac_gated",
    "pool",
    "column_write",
    "column_read",
    "window_shift",
    "weight_read",
    "weight_load",
    "psum_read",
    "psum_write",
    "accumulate",
    "row",
    "requantize",
    "stream",
)
"""How many of each action happen in this cycle; the names are those of the model's actions."""

COUNT_BITS = 20


class StageProbes(wiring.Signature):
    """Signals that a testbench counts. A build without them has no such ports."""

    def __init__(self) -> None:
        super().__init__(
            {
                **dict.fromkeys(STAMP_PROBES, Out(1)),
                **dict.fromkeys(ACTION_PROBES, Out(COUNT_BITS)),
            }
        )
