"""A measurement at gates beside the model's bill: the same parts, priced either way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pilaster.models.energy.actions import Action
from pilaster.rtl.gates.measure import ComponentPower, MemoryPower, PowerMeasurement
from pilaster.sim.results import Result

__all__ = ["PARTS", "BillLine", "compare_bill", "part_of"]

PARTS: Mapping[str, tuple[str, ...]] = {
    "lanes": (Action.MAC, Action.MAC_GATED, Action.WEIGHT_LOAD),
    "sums": (Action.ACCUMULATE, Action.PSUM_READ, Action.PSUM_WRITE),
    "requantisation": (Action.REQUANTIZE,),
    "window and steps": (Action.WINDOW_SHIFT, Action.ROW),
    "pooling": (Action.POOL,),
    "column buffers": (Action.COLUMN_READ, Action.COLUMN_WRITE),
    "weights": (Action.WEIGHT_READ, Action.DRAM_READ),
    "streams": (Action.STREAM,),
    "clock": (Action.CLOCK,),
    "programs": (),
    "leakage": ("leakage",),
}
"""Actions of the model by the part of a machine that they are the energy of.

The model does not count the reads of a program that is too large for gates.
"""

_BY_COMPONENT = {
    "lanes": "lanes",
    "partial sums": "sums",
    "requantizers": "requantisation",
    "column buffer": "column buffers",
    "weights": "weights",
    "emitter": "streams",
    "intake": "streams",
    "output FIFO": "streams",
    "window": "window and steps",
    "sequencer": "window and steps",
}


def part_of(part: ComponentPower | MemoryPower, pools: frozenset[str]) -> str:
    """Part that a component or memory counts for, but for what the clock takes in every cycle.

    pools : stages that pool
    """
    if isinstance(part, MemoryPower) and part.component == "sequencer":
        return "programs"
    if part.component == "window" and part.stage in pools:
        return "pooling"
    return _BY_COMPONENT.get(part.component, "streams")


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
    pools = frozenset(stage.name for stage in model.stages if not stage.lanes)
    gates = dict.fromkeys(PARTS, 0.0)
    for part in found.parts:
        clock = part.clock_pj if isinstance(part, ComponentPower) else 0.0
        gates["clock"] += clock
        gates["leakage"] += part.leakage_pj
        gates[part_of(part, pools)] += part.energy_pj - part.leakage_pj - clock
    by_action = dict.fromkeys((name for names in PARTS.values() for name in names), 0.0)
    pooling = 0.0
    for stage in model.stages:
        for name, energy in stage.energy_by_action.items():
            if stage.name in pools and name in _OF_POOLING:
                pooling += energy
            else:
                by_action[name] += energy
    by_part = {part: sum(by_action[name] for name in names) for part, names in PARTS.items()}
    by_part["pooling"] += pooling
    images = model.counted_images
    lines = [BillLine(part, gates[part], by_part[part] / images) for part in PARTS]
    total = BillLine("total", found.energy_pj, sum(line.model_pj for line in lines))
    return (*lines, total)


_OF_POOLING = (Action.WINDOW_SHIFT, Action.PSUM_READ, Action.PSUM_WRITE, Action.REQUANTIZE)
"""What a stage that pools does outside of its column buffers and streams."""
