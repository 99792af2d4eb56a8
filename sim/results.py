"""What a simulation found: times, counts and energy of a network on a machine."""

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
    """Energy of an image, in pJ: the mean of a run's images.

    Attributes
    ----------
    table : name of the energy table
    by_action : by the action's name; leakage is one of them where the table has it
    by_stage : by the stage's name
    not_included : what the table does not price
    remark : where its memories are priced, if at another node or supply than the rest
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
        """Energy of an image in pJ, of all stages."""
        return sum(self.by_stage.values())


@dataclass(frozen=True)
class StageResult:
    """One stage of a run. Figures are those of an image: the mean of the run's images.

    Attributes
    ----------
    busy_cycles : cycles of work, without waiting
    macs : multiply-accumulates of the layer, products with padding included
    gated_macs : lane operations that were held because their operand was zero
    skipped_macs : not scheduled: columns of padding, and tiles whose weights are all zero
    utilization : see `pilaster.sim.utilization`; 0 without lanes
    column_buffer_bits, psum_bits, weight_bits, register_bits : storage
    weights_in_dram : such a stage is a model: no RTL is generated for it
    written_memories : widths and depths of the column buffers and memories of partial sums
    area_um2 : of the stage's hardware, see `pilaster.sim.area`; None where the table has no area
    counted_images, actions : exact counts, over so many images
    energy_by_action : pJ by the action's name
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
        """How often an action happens in an image; whole where it is the same in all images."""
        return per_image(self.actions.of_action(action), self.counted_images)

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, for JSON: figures of an image."""
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
    """A network on a machine: what `simulate` returns. Counts and energies are of an image.

    Attributes
    ----------
    images : images with values; 0 where only time and energy were asked for
    counted_images : images that counts and energies are the mean of: `images`, at least 1
    accuracy : share of images classified right; None without labels
    predictions : class of each image
    stamps : cycle stamps of the first images
    pace : how the machine takes columns that come at its column interval
    clock_mhz : None where it is not known
    dram : None where all weights are on chip
    notes : what a reader has to know about these numbers
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
        """Give the stages as a DataFrame, a stage a row; units are in the columns' names.

        Columns are the plain values of `StageResult.as_dict`, then ``<action>_count`` and
        ``<action>_pj`` for every action of a stage.

        Raises
        ------
        InputError
            If pandas is not there.
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
        """Multipliers of all stages."""
        return sum(stage.lanes for stage in self.stages)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of an image, products with padding included."""
        return sum(stage.macs for stage in self.stages)

    @property
    def utilization(self) -> float:
        """Share of the lanes' cycles in which they work, see `pilaster.sim.utilization`."""
        operations = sum(s.macs - s.skipped_macs for s in self.stages if s.lanes)
        return utilization(operations, self.lanes, self.cycles_per_image)

    @property
    def column_interval_cycles(self) -> int:
        """Cycles between two columns that are due."""
        return self.pace.column_interval

    @property
    def cycles_per_image(self) -> int:
        """Cycles between two answers, once the pipeline is full."""
        return self.pace.cycles_per_image

    @property
    def latency_cycles(self) -> int:
        """Cycles from an image's first column offered to its answer, see `Pace`."""
        return self.pace.latency

    @property
    def latency_after_last_column_cycles(self) -> int:
        """Cycles from when an image's last column is due to its answer, see `Pace`."""
        return self.pace.latency_after_last_column

    @property
    def energy_per_image_pj(self) -> float:
        """Energy of one image in pJ."""
        return self.energy.total_pj

    @property
    def activations(self) -> str:
        """What the energy takes activations to be."""
        return f"of {self.images} images" if self.images else NO_ZEROS

    @property
    def power_mw(self) -> float | None:
        """Power with images back to back; None where no clock is known."""
        if self.clock_mhz is None:
            return None
        return self.energy_per_image_pj * self.clock_mhz / self.cycles_per_image * 1e-3

    @property
    def area_um2(self) -> float | None:
        """Area of all stages; None where the table has no area."""
        areas = [stage.area_um2 for stage in self.stages if stage.area_um2 is not None]
        return sum(areas) if len(areas) == len(self.stages) else None

    def microseconds(self, cycles: float) -> float | None:
        """Time of some cycles; None where no clock is known."""
        return None if self.clock_mhz is None else cycles / self.clock_mhz

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, for JSON. Units are in the names; figures are those of an image."""
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
    """Give a count an image: whole where every image has the same."""
    whole, rest = divmod(count, images)
    return count / images if rest else whole
