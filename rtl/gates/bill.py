"""Gate-level energy compared with the modeled energy, part by part."""

from __future__ import annotations

from dataclasses import dataclass

from pilaster.rtl.gates.measure import ComponentPower, PowerMeasurement
from pilaster.rtl.parts import PARTS, energy_by_part, part_of
from pilaster.sim.results import Result

__all__ = ["BillLine", "compare_bill"]


@dataclass(frozen=True)
class BillLine:
    """One part: energies in pJ an image, at gates and by the model."""

    part: str
    gates_pj: float
    model_pj: float

    @property
    def error(self) -> float:
        """Of the model, relative to the gates."""
        return self.model_pj / self.gates_pj - 1 if self.gates_pj else 0.0


def compare_bill(found: PowerMeasurement, model: Result) -> tuple[BillLine, ...]:
    """Set the model's bill beside what was measured; the last line is the total.

    In the memories of a stage that pools, columns wait: they are part of pooling.
    """
    kinds = {stage.name: stage.kind for stage in model.stages}
    gates = dict.fromkeys(PARTS, 0.0)
    for measured in found.parts:
        clock = measured.clock_pj if isinstance(measured, ComponentPower) else 0.0
        gates["clock"] += clock
        gates["leakage"] += measured.leakage_pj
        part = part_of(measured.component, kinds.get(measured.stage, ""))
        gates[part] += measured.energy_pj - measured.leakage_pj - clock
    bill = dict.fromkeys(PARTS, 0.0)
    for stage in model.stages:
        for part, energy in energy_by_part(stage.energy_by_action, stage.kind).items():
            bill[part] += energy
    lines = [BillLine(part, gates[part], bill[part]) for part in PARTS]
    total = BillLine("total", found.energy_pj, sum(line.model_pj for line in lines))
    return (*lines, total)
