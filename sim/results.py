"""Result of a simulation: times, counts, and energy of a network on a machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pilaster.base.notebook import html_table
from pilaster.models.energy.actions import Action, Attributes
from pilaster.sim.actions import ActionCounts
from pilaster.sim.dram import DramTraffic
from pilaster.sim.frame import data_frame
from pilaster.sim.pace import Pace
from pilaster.sim.stamps import Stamps
from pilaster.sim.utilization import utilization

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NO_ZEROS", "EnergyBill", "Result", "StageResult"]

NO_ZEROS = "none is zero"
"""What an energy takes activations to be where there are no images."""


@dataclass(frozen=True)
class EnergyBill:
    """Energy per image in pJ: the mean over the images of a run.

    Attributes
    ----------
    table : name of the energy table
    by_action : energy by action name, including leakage if the table has it
    by_stage : energy by stage name
    not_included : what the table has no energy for
    remark : node and supply voltage of the memory energies, if they differ from the rest
    """

    table: str
    by_action: Mapping[str, float]
    by_stage: Mapping[str, float]
    not_included: tuple[str, ...]
    remark: str = ""

    def __repr__(self) -> str:
        return f"<EnergyBill by {self.table}: {self.total_pj:,.4g} pJ, {len(self.by_stage)} stages>"

    @property
    def total_pj(self) -> float:
        """Energy per image in pJ, over all stages."""
        return sum(self.by_stage.values())


@dataclass(frozen=True)
class StageResult:
    """One stage of a run. All figures are per image: the mean over the images of the run.

    Attributes
    ----------
    busy_cycles : cycles of work, not counting waits
    macs : multiply-accumulates of the layer, including products with padding
    gated_macs : lane operations that were gated because an operand was zero
    skipped_macs : multiply-accumulates that are not scheduled, because they belong to padding
        columns or to tiles whose weights are all zero
    utilization : see `pilaster.sim.utilization`; 0 for a stage without lanes
    column_buffer_bits, psum_bits, weight_bits, register_bits : storage of the stage
    weights_in_dram : whether the weights are in DRAM; such a stage is a model without RTL
    written_memories : widths and depths of the column buffers and partial-sum memories
    area_um2 : area of the stage, see `pilaster.sim.area`; None if the table has no areas
    counted_images, actions : number of images, and exact action counts over them
    energy_by_action : pJ by action name
    """

    name: str
    kind: str
    lanes: int
    busy_cycles: int
    macs: int
    gated_macs: float
    skipped_macs: int
    utilization: float
    column_buffer_bits: int
    psum_bits: int
    weight_bits: int
    weights_in_dram: bool
    register_bits: int
    written_memories: tuple[Attributes, ...]
    area_um2: float | None
    counted_images: int
    actions: ActionCounts
    energy_by_action: Mapping[str, float]

    def __repr__(self) -> str:
        return (
            f"<StageResult {self.name}, {self.kind}: {self.lanes:,} lanes, "
            f"{self.busy_cycles:,} busy cycles>"
        )

    @property
    def energy_pj(self) -> float:
        """Energy of the stage in pJ."""
        return sum(self.energy_by_action.values())

    def count(self, action: Action) -> float:
        """Count of an action per image; an integer if all images have the same count."""
        return per_image(self.actions.of_action(action), self.counted_images)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; figures are per image."""
        left_out = ("written_memories", "counted_images", "actions", "energy_by_action")
        plain = {name: value for name, value in vars(self).items() if name not in left_out}
        counts = {str(action): self.count(action) for action in Action}
        return {
            **plain,
            "energy_pj": self.energy_pj,
            "actions": {action: count for action, count in counts.items() if count},
        }


@dataclass(frozen=True)
class Result:
    """Result of `simulate` for a network on a machine. Counts and energies are per image.

    Attributes
    ----------
    images : number of images with values; 0 if only times and energy were computed
    counted_images : number of images over which counts and energies are averaged: `images`, or 1
    accuracy : share of images classified correctly; None without labels
    predictions : class of each image
    stamps : cycle stamps of the first images
    pace : how the machine keeps up with columns at its column interval
    clock_mhz : clock frequency; None if not given
    dram : DRAM traffic; None if all weights are on chip
    notes : limitations and assumptions of these figures
    """

    network: str
    machine: str
    data: str
    images: int
    counted_images: int
    accuracy: float | None
    predictions: tuple[int, ...]
    stamps: Stamps
    pace: Pace
    clock_mhz: float | None
    stages: tuple[StageResult, ...]
    energy: EnergyBill
    dram: DramTraffic | None
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        right = "" if self.accuracy is None else f"{self.accuracy:.1%} right, "
        return (
            f"<Result {self.network} on {self.machine}: {right}the answer "
            f"{self.latency_after_last_column_cycles:,} cycles after the last column, "
            f"{self.lanes:,} lanes, {self.energy_per_image_pj / 1e3:,.4g} nJ an image "
            f"({self.energy.table})>"
        )

    def _repr_html_(self) -> str:
        total = self.energy.total_pj or 1.0
        rows = [
            (
                stage.name,
                stage.kind.replace("_", " "),
                f"{stage.lanes:,}" if stage.lanes else "-",
                f"{stage.busy_cycles:,}",
                f"{stage.utilization:.1%}" if stage.lanes else "-",
                f"{stage.energy_pj / total:.1%}",
            )
            for stage in self.stages
        ]
        titles = ("stage", "kind", "lanes", "busy cycles", "used", "of the energy")
        return html_table(repr(self), titles, rows)

    def frame(self) -> pd.DataFrame:
        """Return the stages as a DataFrame, one row per stage; column names include the units.

        The columns are the values of `StageResult.as_dict`, followed by ``<action>_count`` and
        ``<action>_pj`` for every action.

        Raises
        ------
        InputError
            If pandas is not installed.
        """
        told = [stage.as_dict() for stage in self.stages]
        actions = [stage.pop("actions") for stage in told]
        columns = {name: [stage[name] for stage in told] for name in told[0]}
        for action in Action:
            counts = [counted.get(str(action), 0) for counted in actions]
            if any(counts):
                columns[f"{action}_count"] = counts
        for name in self.energy.by_action:
            energies = [stage.energy_by_action.get(name, 0.0) for stage in self.stages]
            columns[f"{name}_pj"] = energies
        return data_frame(columns)

    @property
    def lanes(self) -> int:
        """Number of multipliers in all stages."""
        return sum(stage.lanes for stage in self.stages)

    @property
    def macs(self) -> int:
        """Multiply-accumulates per image, including products with padding."""
        return sum(stage.macs for stage in self.stages)

    @property
    def utilization(self) -> float:
        """Share of lane cycles that do work, see `pilaster.sim.utilization`."""
        operations = sum(s.macs - s.skipped_macs for s in self.stages if s.lanes)
        return utilization(operations, self.lanes, self.cycles_per_image)

    @property
    def column_interval_cycles(self) -> int:
        """Cycles between two input columns."""
        return self.pace.column_interval

    @property
    def cycles_per_image(self) -> int:
        """Cycles between two answers, once the pipeline is full."""
        return self.pace.cycles_per_image

    @property
    def latency_cycles(self) -> int:
        """Cycles from when an image's first column is offered to its answer, see `Pace`."""
        return self.pace.latency

    @property
    def latency_after_last_column_cycles(self) -> int:
        """Cycles from when an image's last column is due to its answer, see `Pace`."""
        return self.pace.latency_after_last_column

    @property
    def energy_per_image_pj(self) -> float:
        """Energy per image in pJ."""
        return self.energy.total_pj

    @property
    def activations(self) -> str:
        """What the energy figures assume about the activations."""
        return f"of {self.images} images" if self.images else NO_ZEROS

    @property
    def power_mw(self) -> float | None:
        """Power with back-to-back images; None without a clock."""
        if self.clock_mhz is None:
            return None
        return self.energy_per_image_pj * self.clock_mhz / self.cycles_per_image * 1e-3

    @property
    def area_um2(self) -> float | None:
        """Area of all stages; None if the table has no areas."""
        areas = [stage.area_um2 for stage in self.stages if stage.area_um2 is not None]
        return sum(areas) if len(areas) == len(self.stages) else None

    def microseconds(self, cycles: float) -> float | None:
        """Convert cycles to microseconds; None without a clock."""
        return None if self.clock_mhz is None else cycles / self.clock_mhz

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; names include the units, and figures are per image."""
        return {
            "network": self.network,
            "machine": self.machine,
            "data": self.data,
            "images": self.images,
            "counted_images": self.counted_images,
            "accuracy": self.accuracy,
            "macs": self.macs,
            "lanes": self.lanes,
            "utilization": self.utilization,
            "latency_cycles": self.latency_cycles,
            "latency_us": self.microseconds(self.latency_cycles),
            "latency_after_last_column_cycles": self.latency_after_last_column_cycles,
            "latency_after_last_column_us": self.microseconds(
                self.latency_after_last_column_cycles
            ),
            **self.pace.as_dict(),
            "cycles_per_image": self.cycles_per_image,
            "time_per_image_us": self.microseconds(self.cycles_per_image),
            "clock_mhz": self.clock_mhz,
            "power_mw": self.power_mw,
            "area_um2": self.area_um2,
            "activations": self.activations,
            "energy": {
                "table": self.energy.table,
                "remark": self.energy.remark,
                "total_pj": self.energy.total_pj,
                "per_image_pj": self.energy_per_image_pj,
                "by_action": dict(self.energy.by_action),
                "by_stage": dict(self.energy.by_stage),
                "not_included": list(self.energy.not_included),
            },
            "dram": None if self.dram is None else self.dram.as_dict(self.clock_mhz),
            "stages": [stage.as_dict() for stage in self.stages],
            "notes": list(self.notes),
        }


def per_image(count: int, images: int) -> float:
    """Return a count per image: an integer if all images have the same count."""
    whole, rest = divmod(count, images)
    return count / images if rest else whole
