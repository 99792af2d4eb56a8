"""What a simulation found: times, counts and energy of a network on a machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.notebook import html_table
from pilaster.sim.actions import ActionCounts
from pilaster.sim.frame import data_frame
from pilaster.sim.stamps import Stamps

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EnergyBill", "Result", "StageResult"]


@dataclass(frozen=True)
class EnergyBill:
    """Energy of a run, in pJ.

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
        """Energy of the whole run in pJ."""
        return sum(self.by_stage.values())


@dataclass(frozen=True)
class StageResult:
    """One stage of a run. Counts and energies are over all images of the run.

    Attributes
    ----------
    busy_cycles : cycles of work per image, without waiting
    macs : multiply-accumulates of the layer, products with padding included
    gated_macs : lane operations that were held because their operand was zero
    skipped_macs : not scheduled: columns of padding, and tiles whose weights are all zero
    utilisation : lane operations of the layer's, over lanes times cycles per image; 0 without lanes
    column_buffer_bits, psum_bits, weight_bits, register_bits : storage
    written_memories : widths and depths of the column buffers and memories of partial sums
    energy_by_action : pJ by the action's name
    """

    name: str
    kind: str
    lanes: int
    busy_cycles: int
    macs: int
    gated_macs: int
    skipped_macs: int
    utilisation: float
    column_buffer_bits: int
    psum_bits: int
    weight_bits: int
    weights_in_dram: bool
    register_bits: int
    written_memories: tuple[Attributes, ...]
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

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, for JSON."""
        plain = {
            name: value
            for name, value in vars(self).items()
            if name not in ("written_memories", "actions", "energy_by_action")
        }
        counts = {action: self.actions.of_action(action) for action in Action}
        return {
            **plain,
            "energy_pj": self.energy_pj,
            "actions": {str(action): count for action, count in counts.items() if count},
        }


@dataclass(frozen=True)
class Result:
    """A network on a machine: what `simulate` returns.

    Attributes
    ----------
    images : images with values; 0 where only time and energy were asked for
    counted_images : images that counts and energy are for: `images`, at least 1
    accuracy : share of images classified right; None without labels
    predictions : class of each image
    stamps : cycle stamps of the first images
    cycles_per_image : between two answers, once the pipeline is full
    notes : what a reader has to know about these numbers
    """

    network: str
    machine: str
    data: str
    images: int
    counted_images: int
    accuracy: float | None
    predictions: tuple[int, ...]
    column_interval_cycles: int
    stamps: Stamps
    cycles_per_image: int
    stages: tuple[StageResult, ...]
    energy: EnergyBill
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
                f"{stage.utilisation:.1%}" if stage.lanes else "-",
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
        """Multiply-accumulates of the counted images, products with padding included."""
        return sum(stage.macs for stage in self.stages)

    @property
    def utilisation(self) -> float:
        """Lane operations of the layers', over lanes times cycles."""
        if not self.lanes:
            return 0.0
        used = sum(stage.utilisation * stage.lanes for stage in self.stages)
        return used / self.lanes

    @property
    def latency_cycles(self) -> int:
        """Cycles from the first column due to the answer, for the first image."""
        return int(self.stamps.latency[0])

    @property
    def latency_after_last_column_cycles(self) -> int:
        """Cycles from the first image's last column standing in a buffer to its answer."""
        return int(self.stamps.latency_after_last_column[0])

    @property
    def energy_per_image_pj(self) -> float:
        """Energy of one image in pJ."""
        return self.energy.total_pj / self.counted_images

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, for JSON. Units are in the names."""
        return {
            "network": self.network,
            "machine": self.machine,
            "data": self.data,
            "images": self.images,
            "counted_images": self.counted_images,
            "accuracy": self.accuracy,
            "macs": self.macs,
            "lanes": self.lanes,
            "utilisation": self.utilisation,
            "latency_cycles": self.latency_cycles,
            "latency_after_last_column_cycles": self.latency_after_last_column_cycles,
            "column_interval_cycles": self.column_interval_cycles,
            "cycles_per_image": self.cycles_per_image,
            "energy": {
                "table": self.energy.table,
                "remark": self.energy.remark,
                "total_pj": self.energy.total_pj,
                "per_image_pj": self.energy_per_image_pj,
                "by_action": dict(self.energy.by_action),
                "by_stage": dict(self.energy.by_stage),
                "not_included": list(self.energy.not_included),
            },
            "stages": [stage.as_dict() for stage in self.stages],
            "notes": list(self.notes),
        }
