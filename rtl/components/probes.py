"""What a stage shows of itself to whoever counts: stamps and actions, as enables and counts."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from pilaster.models.energy.actions import Action
from pilaster.sim.machine import Schedule
from pilaster.sim.stages import ConvStage, JoinStage, PoolStage, Stage
from pilaster.sim.stages.conv_actions import program_reads
from pilaster.sim.stages.pool_actions import pool_program

__all__ = ["ACTION_PROBES", "STAMP_PROBES", "StageProbes", "most_actions", "probe_bits"]

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
    Action.ACCUMULATE,
    Action.ROW,
    Action.PROGRAM_READ,
    Action.REQUANTIZE,
    Action.STREAM,
)
"""How many of each action happen in this cycle."""


def most_actions(stage: Stage) -> Mapping[Action, int]:
    """Most of each action that a stage does in a cycle; what it never does is left out."""
    outputs = stage.fold.out_channels
    if isinstance(stage, JoinStage):
        arms = len(stage.shapes)
        found = {Action.COLUMN_WRITE: arms, Action.COLUMN_READ: arms}
        if stage.adds:
            found |= {Action.ACCUMULATE: outputs, Action.REQUANTIZE: outputs * (arms + 1)}
        elif stage.rescales:
            found[Action.REQUANTIZE] = outputs
    elif isinstance(stage, PoolStage):
        slots = max(map(len, stage.touched))
        found = dict.fromkeys((Action.COLUMN_WRITE, Action.COLUMN_READ, Action.WINDOW_SHIFT), 1)
        found |= dict.fromkeys((Action.PSUM_READ, Action.PSUM_WRITE), slots)
        found[Action.POOL] = (stage.layer.window.kernel[0] - 1 + slots) * outputs
        if stage.layer.mode == "average":
            found[Action.REQUANTIZE] = outputs
        found[Action.PROGRAM_READ] = int(pool_program(stage).depth > 1)
    else:
        found = _most_of_conv(stage)
    found[Action.STREAM] = 1
    return {action: most for action, most in found.items() if most}


def _most_of_conv(stage: ConvStage) -> dict[Action, int]:
    fold, columns = stage.fold, stage.fold.kernel_columns
    scatter = stage.spec.schedule is Schedule.SCATTER
    ports, slots = (1, columns) if scatter else (columns, 1)
    found = dict.fromkeys((Action.MAC, Action.MAC_GATED), stage.lanes)
    found |= dict.fromkeys((Action.COLUMN_WRITE, Action.ROW), 1)
    found |= {Action.COLUMN_READ: ports * stage.geometry.row_fold, Action.WINDOW_SHIFT: ports}
    found |= {Action.ACCUMULATE: slots * fold.out_channels, Action.REQUANTIZE: fold.requantizers}
    found[Action.PROGRAM_READ] = len(program_reads(stage))
    if stage.weight_sets > 1:
        found |= dict.fromkeys((Action.WEIGHT_READ, Action.WEIGHT_LOAD), 1)
    if stage.pending_columns:
        found |= dict.fromkeys((Action.PSUM_READ, Action.PSUM_WRITE), slots)
    return found


def probe_bits(stage: Stage) -> Mapping[str, int]:
    """Width of every probe of a stage."""
    most = most_actions(stage)
    counts = {action.value: max(1, most.get(action, 0).bit_length()) for action in ACTION_PROBES}
    return {**dict.fromkeys(STAMP_PROBES, 1), **counts}


class StageProbes(wiring.Signature):
    """Signals that are counted. A build without them has no such ports."""

    def __init__(self, stage: Stage) -> None:
        super().__init__({name: Out(bits) for name, bits in probe_bits(stage).items()})
