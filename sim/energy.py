"""The energy of a stage: its actions, the clock of its registers, the leakage of what it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.energy.table import EnergyTable
from pilaster.sim.actions import ActionCounts
from pilaster.sim.stages import ConvStage, JoinStage, Stage
from pilaster.sim.stages.conv_actions import psum_banks, register_bits
from pilaster.sim.stages.join_actions import arm_memories, join_register_bits
from pilaster.sim.stages.pool_actions import pool_register_bits

__all__ = ["stage_energy_pj", "stage_register_bits"]


def stage_register_bits(stage: Stage) -> int:
    """Bits of a stage's pipeline registers."""
    if isinstance(stage, ConvStage):
        return register_bits(stage)
    if isinstance(stage, JoinStage):
        return join_register_bits(stage)
    return pool_register_bits(stage)


def stage_energy_pj(
    stage: Stage,
    actions: ActionCounts,
    cycles: int,
    table: EnergyTable,
    clock_mhz: float | None,
) -> dict[str, float]:
    """Energy by action in pJ, with those of the clock and of leakage; zeros are left out.

    Parameters
    ----------
    cycles : time over which the stage is clocked and leaks
    clock_mhz : None leaves leakage out
    """
    energy: dict[Action | str, float] = {}
    for (action, attributes), count in actions.counts.items():
        energy[action] = energy.get(action, 0.0) + count * table.energy_pj(action, attributes)
    clock = table.clock_pj(stage_register_bits(stage))
    clock += sum(table.memory_clock_pj(memory) for memory in _written(stage, actions))
    energy[Action.CLOCK] = clock * cycles
    if clock_mhz is not None:
        memories = _memories(stage, actions)
        leakage_uw = table.leakage_uw(memories, stage.lanes) or 0.0
        energy["leakage"] = leakage_uw * cycles / clock_mhz
    return {str(action): value for action, value in energy.items() if value}


def _written(stage: Stage, actions: ActionCounts) -> Iterator[Attributes]:
    """Memories of a stage, by the words that are written."""
    for action, attributes in actions.counts:
        if action is Action.COLUMN_WRITE:
            yield attributes
        elif action is Action.PSUM_WRITE:
            yield from [attributes] * (psum_banks(stage) if isinstance(stage, ConvStage) else 1)


def _memories(stage: Stage, actions: ActionCounts) -> Sequence[Attributes]:
    """Memories of a stage, which leak."""
    if isinstance(stage, JoinStage):
        return arm_memories(stage)
    return [
        attributes
        for action, attributes in actions.counts
        if action in (Action.COLUMN_READ, Action.PSUM_READ, Action.WEIGHT_READ)
    ]
