"""What of a machine each gate and memory belongs to: a stage, and a component of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["OUTPUT", "TOP_STAGE", "component_of"]

OUTPUT = "output"
"""Stage of the FIFO behind the last layer."""

FORKS = "forks"
"""Module that counts the column buffers behind tensors with several readers."""

TOP_STAGE = "top"
"""Stage of what stands outside of all."""

_COMPONENTS = {
    "intake": "intake",
    "fetcher": "sequencer",
    "sequencer": "sequencer",
    "weights": "weights",
    "lanes": "lanes",
    "sums": "partial sums",
    "emitter": "emitter",
    "fifo": "output FIFO",
    "accepted": "sequencer",
}


def component_of(path: Sequence[str]) -> tuple[str, str]:
    """Stage and component of a gate or a memory that stands in the modules of `path`.

    A stage's own module holds the tap window of a convolution and the registers that follow its
    steps; of a pooling, all but the intake; of a join, what selects, sums and sequences.
    """
    if not path:
        return TOP_STAGE, "joins"
    stage, *inner = path
    if stage == FORKS:
        return TOP_STAGE, "forks"
    if inner and re.fullmatch(r"arm\d+", inner[0]):
        inner[0] = "intake"
    if inner[:2] == ["intake", "columns"]:
        return stage, "column buffer"
    if any(name.startswith("requantizer") for name in inner[:2]):
        return stage, "requantizers"
    if inner:
        return stage, _COMPONENTS.get(inner[0], inner[0])
    return stage, "output FIFO" if stage == OUTPUT else "window"
