"""A machine: how each layer of a network maps onto its stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pilaster.base.arguments import LARGEST, as_choice, as_flag, as_whole, refusal
from pilaster.base.errors import InputError
from pilaster.base.notebook import html_table
from pilaster.sim.timing import COLUMN_BUFFERS

__all__ = ["Fold", "LoopOrder", "Machine", "Schedule", "StageSpec"]


class LoopOrder(StrEnum):
    """What a stage keeps in registers in its inner loop."""

    WEIGHTS_HELD = "weights_held"
    """One set of weights for each sweep of a column; partial sums are read and written."""
    PSUMS_HELD = "psums_held"
    """The partial sums of one row, in accumulators; the weights change every cycle."""


class Schedule(StrEnum):
    """When a stage processes its columns."""

    SCATTER = "scatter"
    """Use each column as soon as it arrives, the completing kernel column first."""
    GATHER = "gather"
    """Keep columns until a window is complete: the line-buffer baseline."""


def _set_whole(target: object, name: str, least: int, unit: str = "") -> None:
    """Hold a field to whole numbers of at least `least`."""
    value = getattr(target, name)
    if type(value) is not int or not least <= value <= LARGEST:
        object.__setattr__(target, name, as_whole(name, value, least, unit))


@dataclass(frozen=True)
class Fold:
    """How much of a layer a stage processes in parallel.

    Attributes
    ----------
    taps : rows of a kernel column
    in_channels : P_c, input channels (after a vertical stride folds rows into channels)
    out_channels : P_o, output channels
    kernel_columns : P_k, kernel columns
    requantizers : P_q, units that convert accumulators to activations
    loop_order : what stays in registers in the inner loop
    """

    taps: int = 1
    in_channels: int = 1
    out_channels: int = 1
    kernel_columns: int = 1
    requantizers: int = 1
    loop_order: LoopOrder = LoopOrder.WEIGHTS_HELD

    def __post_init__(self) -> None:
        for name in ("taps", "in_channels", "out_channels", "kernel_columns", "requantizers"):
            _set_whole(self, name, 1)
        if not isinstance(self.loop_order, LoopOrder):
            order = as_choice("loop_order", self.loop_order, LoopOrder)
            object.__setattr__(self, "loop_order", LoopOrder(order))
        if self.requantizers > self.out_channels:
            raise InputError(
                f"requantizers: {self.requantizers} are more than the "
                f"{self.out_channels} out_channels they serve"
            )
        if self.loop_order is LoopOrder.PSUMS_HELD and self.taps != 1:
            raise InputError(f"taps: must be 1 where partial sums are held, not {self.taps}")

    @property
    def entry(self) -> dict[str, int | str]:
        """What is not as by default, in the words of a machine file."""
        return {
            key: str(value) if isinstance(value, LoopOrder) else value
            for key, value in vars(self).items()
            if value != getattr(Fold(), key)
        }

    def __str__(self) -> str:
        return ", ".join(f"{key}: {value}" for key, value in self.entry.items())

    @property
    def lanes(self) -> int:
        """Multipliers."""
        return self.taps * self.in_channels * self.out_channels * self.kernel_columns


@dataclass(frozen=True)
class StageSpec:
    """One stage of a machine.

    `dram_bits_per_cycle` is the stage's share of the DRAM bandwidth; 0 keeps its weights on chip.
    `arm_columns` gives the number of column buffers of each arm of a join, in the order of its
    inputs; by default, each arm has the minimum that avoids stalls on a steady stream
    (`least_columns`). `row_sums` keeps the sums of one output tile of a column in a memory, with
    one word per output row, between consecutive passes. It applies to scatter with weights held;
    with partial sums held, or with gather, it has no effect.
    """

    fold: Fold = Fold()
    schedule: Schedule = Schedule.SCATTER
    dram_bits_per_cycle: int = 0
    arm_columns: tuple[int, ...] = ()
    row_sums: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.fold, Fold):
            raise refusal("fold", self.fold, "a Fold")
        if not isinstance(self.schedule, Schedule):
            schedule = as_choice("schedule", self.schedule, Schedule)
            object.__setattr__(self, "schedule", Schedule(schedule))
        _set_whole(self, "dram_bits_per_cycle", 0)
        if not isinstance(self.arm_columns, tuple):
            raise refusal("arm_columns", self.arm_columns, "a tuple of whole numbers")
        columns = tuple(as_whole("arm_columns", n, COLUMN_BUFFERS) for n in self.arm_columns)
        object.__setattr__(self, "arm_columns", columns)
        object.__setattr__(self, "row_sums", as_flag("row_sums", self.row_sums))


@dataclass(frozen=True)
class Machine:
    """One stage for each layer of a network, and the interval at which columns arrive.

    Attributes
    ----------
    network : name of the network that the machine runs
    column_interval : cycles between two input columns
    stages : by layer name
    weight_memory_bits : size of the on-chip weight memory; None for as much as the network needs
    """

    name: str
    network: str
    column_interval: int
    stages: Mapping[str, StageSpec]
    weight_memory_bits: int | None = None

    def __post_init__(self) -> None:
        for name in ("name", "network"):
            if not isinstance(getattr(self, name), str):
                raise refusal(name, getattr(self, name), "a name")
        _set_whole(self, "column_interval", 1, "cycle")
        if not isinstance(self.stages, Mapping):
            raise refusal("stages", self.stages, "a StageSpec for every layer, by its name")
        for layer, spec in self.stages.items():
            if not isinstance(layer, str):
                raise refusal("stages", layer, "by the names of layers")
            if not isinstance(spec, StageSpec):
                raise refusal(f"stages: {layer}", spec, "a StageSpec")
        if self.weight_memory_bits is not None:
            _set_whole(self, "weight_memory_bits", 1, "bit")

    def __repr__(self) -> str:
        return (
            f"<Machine {self.name} for {self.network}: {len(self.stages)} stages, "
            f"a column every {self.column_interval:,} cycles>"
        )

    def _repr_html_(self) -> str:
        rows = [
            (layer, str(spec.schedule), str(spec.fold), f"{spec.fold.lanes:,}")
            for layer, spec in self.stages.items()
        ]
        return html_table(repr(self), ("stage", "schedule", "fold", "in parallel"), rows)
