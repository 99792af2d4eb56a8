"""What a verified run takes by an energy table, for the RTL's counts of actions and the model's.

Beside it stands what the registers did, which no table prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pilaster.models.energy.table import EnergyTable
from pilaster.rtl.names import reported_names
from pilaster.rtl.parts import PARTS, energy_by_part, part_of
from pilaster.rtl.verification.verify import StageVerdict, Verdict
from pilaster.sim.energy import stage_energy_pj
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.stages import Stage

__all__ = ["PartPower", "StagePower", "by_part", "power_dict", "power_mw", "stage_powers"]


@dataclass(frozen=True)
class PartPower:
    """A part of a stage, energies in pJ an image.

    Attributes
    ----------
    rtl_pj, model_pj : of the actions that the RTL counted, and of the model's
    register_bits : of the part
    toggles : an image, of these bits
    """

    rtl_pj: float = 0.0
    model_pj: float = 0.0
    register_bits: int = 0
    toggles: float = 0.0

    def __add__(self, other: PartPower) -> PartPower:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return PartPower(*(mine + theirs for mine, theirs in pairs))


@dataclass(frozen=True)
class StagePower:
    """A stage by its parts; the output FIFO, and what stands outside of all, are stages, too.

    Attributes
    ----------
    rtl_pj, model_pj : energies of an image by action
    parts : by name, see `PARTS`
    """

    name: str
    rtl_pj: dict[str, float]
    model_pj: dict[str, float]
    parts: dict[str, PartPower]

    @property
    def total(self) -> PartPower:
        """All parts together."""
        return sum(self.parts.values(), PartPower())


def stage_powers(
    pipeline: Pipeline, verdict: Verdict, table: EnergyTable, clock_mhz: float | None
) -> tuple[StagePower, ...]:
    """Price a run by stage and part.

    Parameters
    ----------
    pipeline : that was verified, or one of which it is the beginning
    clock_mhz : None leaves leakage out
    """
    stages = {stage.name: stage for stage in pipeline.stages}
    named = reported_names([each.name for each in verdict.stages])
    modules = dict(zip((each.name for each in verdict.stages), named, strict=True))
    kinds = {modules[each.name]: stages[each.name].kind for each in verdict.stages}
    switched: dict[str, dict[str, PartPower]] = {}
    for (name, component), found in (verdict.switching or {}).items():
        part = part_of(component, kinds.get(name, ""))
        parts = switched.setdefault(name, {})
        did = PartPower(register_bits=found.bits, toggles=found.toggles / verdict.images)
        parts[part] = parts.get(part, PartPower()) + did
    priced = [
        _of_stage(
            named[modules[each.name]],
            stages[each.name],
            *(each, verdict, table, clock_mhz),
            switched.pop(modules[each.name], {}),
        )
        for each in verdict.stages
    ]
    return (*priced, *(StagePower(name, {}, {}, parts) for name, parts in switched.items()))


def _of_stage(
    name: str,
    stage: Stage,
    verdict: StageVerdict,
    run: Verdict,
    table: EnergyTable,
    clock_mhz: float | None,
    parts: dict[str, PartPower],
) -> StagePower:
    rtl, model = (
        {
            action: energy / run.images
            for action, energy in stage_energy_pj(stage, actions, cycles, table, clock_mhz).items()
        }
        for actions, cycles in (
            (verdict.counted, run.rtl_cycles),
            (verdict.expected, run.model_cycles),
        )
    )
    for part, energy in energy_by_part(rtl, stage.kind).items():
        parts[part] = parts.get(part, PartPower()) + PartPower(rtl_pj=energy)
    for part, energy in energy_by_part(model, stage.kind).items():
        parts[part] = parts.get(part, PartPower()) + PartPower(model_pj=energy)
    return StagePower(name, rtl, model, parts)


def by_part(stages: Sequence[StagePower]) -> dict[str, PartPower]:
    """Add up the stages' parts of a name."""
    return {
        part: sum((stage.parts.get(part, PartPower()) for stage in stages), PartPower())
        for part in PARTS
    }


def power_mw(
    stages: Sequence[StagePower], verdict: Verdict, clock_mhz: float | None
) -> float | None:
    """Mean power over the run, of the RTL; None where no clock is known."""
    if clock_mhz is None:
        return None
    energy = sum(stage.total.rtl_pj for stage in stages) * verdict.images
    return energy / (verdict.rtl_cycles / clock_mhz) / 1e3


def power_dict(
    stages: Sequence[StagePower], verdict: Verdict, clock_mhz: float | None
) -> dict[str, Any]:
    """Give plain values, for JSON.

    Energies in pJ an image by stage and action, and by part with what registers did.
    """
    return {
        "energy_pj": {
            stage.name: {"rtl": stage.rtl_pj, "model": stage.model_pj}
            for stage in stages
            if stage.rtl_pj
        },
        "parts": [
            {"stage": stage.name, "part": name, **vars(part)}
            for stage in stages
            for name, part in stage.parts.items()
        ],
        "power_mw": power_mw(stages, verdict, clock_mhz),
    }
