"""The energy of a stage: its actions, the clock of its registers, the leakage of what it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.energy.table import EnergyTable
from pilaster.sim.actions import ActionCounts
from pilaster.sim.stages import ConvStage, JoinStage, PoolStage, Stage
from pilaster.sim.stages.conv_actions import psum_bits, register_bits
from pilaster.sim.stages.join_actions import arm_memories, join_register_bits
from pilaster.sim.stages.pool_actions import pool_psum_bits, pool_register_bits

__all__ = ["stage_energy_pj", "stage_psum_bits", "stage_register_bits", "written_memories"]


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
    memories = written_memories(actions, stage_psum_bits(stage))
    clock += sum(map(table.memory_clock_pj, memories))
    energy[Action.CLOCK] = clock * cycles
    if clock_mhz is not None:
        leakage_uw = table.leakage_uw(_memories(stage, actions), stage.lanes) or 0.0
        energy["leakage"] = leakage_uw * cycles / clock_mhz
    return {str(action): value for action, value in energy.items() if value}


def stage_psum_bits(stage: Stage) -> int:
    """Bits of the memories in which partial sums of a stage wait."""
    if isinstance(stage, ConvStage):
        return psum_bits(stage)
    return pool_psum_bits(stage) if isinstance(stage, PoolStage) else 0


def written_memories(actions: ActionCounts, all_psum_bits: int) -> Iterator[Attributes]:
    """Memories of a stage, each bank of partial sums by itself, by the words that are written.

    all_psum_bits : of all banks
    """
    for action, attributes in actions.counts:
        if action is Action.COLUMN_WRITE:
            yield attributes
        elif action is Action.PSUM_WRITE:
            yield from [attributes] * (all_psum_bits // (attributes.bits * attributes.depth))


def _memories(stage: Stage, actions: ActionCounts) -> Sequence[Attributes]:
    """Memories of a stage, which leak."""
    if isinstance(stage, JoinStage):
        return arm_memories(stage)
    return [
        attributes
        for action, attributes in actions.counts
        if action in (Action.COLUMN_READ, Action.PSUM_READ, Action.WEIGHT_READ)
    ]
