"""The area of a stage's hardware: lanes, requantizers, adders, registers and memories.

Counted is what the action counts and the storage of a stage tell of: not the control, the wiring
and the output buffer.
"""

from __future__ import annotations

from pilaster.models.energy.table import EnergyTable
from pilaster.sim.stages import Stage
from pilaster.sim.stages.kinds import kind_of

__all__ = ["stage_area_um2"]


def stage_area_um2(stage: Stage, table: EnergyTable) -> float:
    """Area of a stage in µm².

    Raises
    ------
    InputError
        If the table has no area.
    """
    parts = kind_of(stage).area_parts(stage)
    return sum(count * table.area_um2(name, attributes) for name, attributes, count in parts)
