"""What a stage shows of itself to whoever counts: stamps and actions, as enables and counts."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from pilaster.models.energy.actions import Action

__all__ = ["ACTION_PROBES", "STAMP_PROBES", "StageProbes", "most_of", "probe_bits"]

STAMP_PROBES = ("accepted", "started", "finished")
"""One-bit events that make cycle stamps."""

ACTION_PROBES = (
    Action.MAC,
    Action.MAC_GATED,
    Action.POOL,
    Action.COLUMN_WRITE,
    Action.COLUMN_READ,
    Action.WINDOW_SHIFT,
    Action.WEIGHT_READ,
    Action.WEIGHT_LOAD,
    Action.PSUM_READ,
    Action.PSUM_WRITE,
    Action.ROW_SUM_READ,
    Action.ROW_SUM_WRITE,
    Action.ACCUMULATE,
    Action.ROW,
    Action.PROGRAM_READ,
    Action.REQUANTIZE,
    Action.STREAM,
)
"""How many of each action happen in this cycle."""


def most_of(found: Mapping[Action, int]) -> Mapping[Action, int]:
    """Complete the most of each action that a stage does in a cycle.

    Adds the beat that leaves, and omits what the stage never does.
    """
    return {action: most for action, most in {**found, Action.STREAM: 1}.items() if most}


def probe_bits(most: Mapping[Action, int]) -> Mapping[str, int]:
    """Width of every probe of a stage that does each action so often in a cycle at most."""
    counts = {action.value: max(1, most.get(action, 0).bit_length()) for action in ACTION_PROBES}
    return {**dict.fromkeys(STAMP_PROBES, 1), **counts}


class StageProbes(wiring.Signature):
    """Signals that are counted. A build without them has no such ports.

    most : of each action in a cycle
    """

    def __init__(self, most: Mapping[Action, int]) -> None:
        super().__init__({name: Out(bits) for name, bits in probe_bits(most).items()})
