"""A machine: how every layer of a network is laid on its stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pilaster.models.errors import InputError
from pilaster.sim.timing import COLUMN_BUFFERS

__all__ = ["Fold", "LoopOrder", "Machine", "Schedule", "StageSpec"]


class LoopOrder(StrEnum):
    """What a stage holds still while it loops."""

    WEIGHTS_HELD = "weights_held"
    """One set of weights for a sweep down the column; partial sums are read and written."""
    PSUMS_HELD = "psums_held"
    """One row's partial sums in accumulators; the weights change every cycle."""


class Schedule(StrEnum):
    """When a stage does its work."""

    SCATTER = "scatter"
    """A column is used the moment it arrives, the completing kernel column first."""
    GATHER = "gather"
    """Columns are kept until a window is whole: the line-buffer baseline."""


@dataclass(frozen=True)
class Fold:
    """How much of a layer is done in parallel.

    Attributes
    ----------
    taps : rows of a kernel column
    in_channels : P_c, input channels (after a vertical stride has folded rows into channels)
    out_channels : P_o, output channels
    kernel_columns : P_k
    requantizers : P_q, lanes that turn accumulators into activations
    loop_order : what is held still
    """

    taps: int = 1
    in_channels: int = 1
    out_channels: int = 1
    kernel_columns: int = 1
    requantizers: int = 1
    loop_order: LoopOrder = LoopOrder.WEIGHTS_HELD

    def __post_init__(self) -> None:
        for name in ("taps", "in_channels", "out_channels", "kernel_columns", "requantizers"):
            value = getattr(self, name)
            if value < 1:
                raise InputError(f"{name}: must be at least 1, not {value}")
        if self.requantizers > self.out_channels:
            raise InputError(
                f"requantizers: {self.requantizers} are more than the "
                f"{self.out_channels} out_channels they serve"
            )
        if self.loop_order is LoopOrder.PSUMS_HELD and self.taps != 1:
            raise InputError(f"taps: must be 1 where partial sums are held, not {self.taps}")

    @property
    def lanes(self) -> int:
        """Multipliers."""
        return self.taps * self.in_channels * self.out_channels * self.kernel_columns


@dataclass(frozen=True)
class StageSpec:
    """One stage of a machine.

    `dram_bits_per_cycle` is the stage's share of DRAM bandwidth; 0 keeps its weights on chip.
    `arm_columns` are the column buffers of every arm of a join, in the order of its inputs; none
    given, there are as many as keep a steady stream from waiting for them (`least_columns`).
    """

    fold: Fold = Fold()
    schedule: Schedule = Schedule.SCATTER
    dram_bits_per_cycle: int = 0
    arm_columns: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for columns in self.arm_columns:
            if columns < COLUMN_BUFFERS:
                raise InputError(f"arm_columns: must be at least {COLUMN_BUFFERS}, not {columns}")


@dataclass(frozen=True)
class Machine:
    """A stage for every layer of one network, and the interval at which columns arrive.

    Attributes
    ----------
    network : name of the network it is laid out for
    column_interval : cycles between two columns at the input
    stages : by layer name
    weight_memory_bits : on-chip memory for weights; None for as much as is needed
    """

    name: str
    network: str
    column_interval: int
    stages: Mapping[str, StageSpec]
    weight_memory_bits: int | None = None

    def __post_init__(self) -> None:
        if self.column_interval < 1:
            raise InputError(
                f"column_interval: must be at least 1 cycle, not {self.column_interval}"
            )
