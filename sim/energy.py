"""The energy of a stage: its actions, the clock of its registers, the leakage of what it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.energy.table import EnergyTable
from pilaster.sim.actions import ActionCounts
from pilaster.sim.stages import Stage
from pilaster.sim.stages.kinds import kind_of

__all__ = ["stage_energy_pj", "written_memories"]

_READS = (Action.COLUMN_READ, Action.PSUM_READ, Action.ROW_SUM_READ, Action.WEIGHT_READ)
_WRITES = (Action.COLUMN_WRITE, Action.PSUM_WRITE, Action.ROW_SUM_WRITE)


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
    clock = table.clock_pj(kind_of(stage).register_bits(stage))
    memories = written_memories(stage, actions)
    clock += sum(map(table.memory_clock_pj, memories))
    energy[Action.CLOCK] = clock * cycles
    if clock_mhz is not None:
        memories = tuple(_memories(stage, actions, _READS))
        leakage_uw = table.leakage_uw(memories, stage.lanes) or 0.0
        energy["leakage"] = leakage_uw * cycles / clock_mhz
    return {str(action): value for action, value in energy.items() if value}


def written_memories(stage: Stage, actions: ActionCounts) -> tuple[Attributes, ...]:
    """Memories of a stage by the words that are written, each phase and bank by itself."""
    return tuple(_memories(stage, actions, _WRITES))


def _memories(
    stage: Stage, actions: ActionCounts, accesses: Sequence[Action]
) -> Iterator[Attributes]:
    """Memories of a stage by the words of some accesses; those of a join by what it reads."""
    found = [key for key in actions.counts if key[0] in accesses]
    yield from kind_of(stage).memories(stage, found)
