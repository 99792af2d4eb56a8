"""Parts of a machine: what its gates, nets, memories and actions belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pilaster.models.energy.actions import Action
from pilaster.models.layers import Add, Concat

__all__ = [
    "OUTPUT",
    "PARTS",
    "PROGRAM",
    "PROGRAMS",
    "TOP_STAGE",
    "component_of",
    "energy_by_part",
    "part_of",
]

OUTPUT = "output"
"""Stage of the FIFO behind the last layer."""

FORKS = "forks"
"""Module that counts the column buffers behind tensors with several readers."""

TOP_STAGE = "top"
"""Stage of what stands outside of all."""

PROGRAM = "program"
"""Component of a sequencer's tables, and of what walks through them."""

_COMPONENTS = {
    "intake": "intake",
    "fetcher": PROGRAM,
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


PROGRAMS = "programs"
"""Part of the tables that sequencers walk through, and of what walks through them."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "lanes": (Action.MAC, Action.MAC_GATED, Action.WEIGHT_LOAD),
    "sums": (
        Action.ACCUMULATE,
        Action.PSUM_READ,
        Action.PSUM_WRITE,
        Action.ROW_SUM_READ,
        Action.ROW_SUM_WRITE,
    ),
    "requantization": (Action.REQUANTIZE,),
    "window and steps": (Action.WINDOW_SHIFT, Action.ROW),
    "pooling": (Action.POOL,),
    "joins": (),
    "column buffers": (Action.COLUMN_READ, Action.COLUMN_WRITE),
    "weights": (Action.WEIGHT_READ, Action.DRAM_READ),
    "streams": (Action.STREAM,),
    "clock": (Action.CLOCK,),
    PROGRAMS: (Action.PROGRAM_READ,),
    "leakage": ("leakage",),
}
"""Actions of the model by the part of a machine that they are the energy of.

What a pooling or a join does by itself is a part of its own, whatever the action: see `_own`.
"""

_BY_COMPONENT = {
    "lanes": "lanes",
    "partial sums": "sums",
    "requantizers": "requantization",
    "column buffer": "column buffers",
    "weights": "weights",
    "emitter": "streams",
    "intake": "streams",
    "output FIFO": "streams",
    "window": "window and steps",
    "sequencer": "window and steps",
    PROGRAM: PROGRAMS,
}


_OF_POOLING = (
    Action.WINDOW_SHIFT,
    Action.PSUM_READ,
    Action.PSUM_WRITE,
    Action.REQUANTIZE,
    Action.PROGRAM_READ,
)
_OF_JOINS = (Action.ACCUMULATE,)


def _own(kind: str) -> tuple[str, tuple[str, ...]]:
    """Part of what a stage does in its own module, and the model's actions of that.

    A pooling reduces there, keeps what waits, and divides; a join selects, sums and sequences, but
    has its requantizers apart; of a convolution it holds the window.
    """
    if kind.endswith("_pool"):
        return "pooling", _OF_POOLING
    if kind in (Add().kind, Concat().kind):
        return "joins", _OF_JOINS
    return "window and steps", ()


def part_of(component: str, kind: str) -> str:
    """Part that a component of a stage counts for.

    kind : of the stage's layer; "" for what is no layer's
    """
    own, _ = _own(kind)
    if component == "window" or (component == "sequencer" and own == "joins"):
        return own
    return _BY_COMPONENT.get(component, "streams")


_BY_ACTION = {str(action): part for part, actions in PARTS.items() for action in actions}


def energy_by_part(energy_by_action: Mapping[str, float], kind: str) -> dict[str, float]:
    """Sum the model's energies of a stage by part; parts that it has none of are left out.

    kind : of the stage's layer
    """
    own, actions = _own(kind)
    found: dict[str, float] = {}
    for action, energy in energy_by_action.items():
        part = own if action in actions else _BY_ACTION[action]
        found[part] = found.get(part, 0.0) + energy
    return found
