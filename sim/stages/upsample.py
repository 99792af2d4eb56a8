"""The stage of an upsampling layer: rows are held and sent again, columns are read again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from pilaster.base.errors import InputError
from pilaster.models.layers import Upsample
from pilaster.models.shape import Shape
from pilaster.sim.beats import Beats
from pilaster.sim.machine import Fold, StageSpec
from pilaster.sim.timing import COLUMN_BUFFERS, upsample_depth
from pilaster.sim.work import ColumnWork, RunWork

__all__ = ["UpsampleStage"]


@dataclass(frozen=True, eq=False)
class UpsampleStage:
    """Hardware of one upsampling layer; only `out_channels` of its fold means anything.

    A pass sweeps down a column for one tile of channels and sends a row in every cycle. Each output
    column takes a pass for every tile.
    """

    joins: ClassVar[bool] = False
    """Whether it has arms, with as many column buffers as the machine says."""

    name: str
    layer: Upsample
    shape: Shape
    spec: StageSpec
    bits: int

    def __post_init__(self) -> None:
        fold = self.fold
        if fold != Fold(out_channels=fold.out_channels):
            raise InputError(
                f"stage {self.name}: an upsampling's fold has out_channels only, not {fold}"
            )
        if fold.out_channels > self.shape.channels:
            raise InputError(
                f"stage {self.name}: out_channels: {fold.out_channels} is larger than the layer, "
                f"which has {self.shape.channels}"
            )
        if self.spec.dram_bits_per_cycle:
            raise InputError(f"stage {self.name}: an upsampling has no weights to keep in DRAM")
        if self.spec.arm_columns:
            raise InputError(f"stage {self.name}: arm_columns: an upsampling reads one tensor only")

    @property
    def kind(self) -> str:
        """Name of the layer kind in reports."""
        return self.layer.kind

    @property
    def fold(self) -> Fold:
        """How the layer is laid out."""
        return self.spec.fold

    @property
    def lanes(self) -> int:
        """Multipliers: none."""
        return 0

    @property
    def requantizers(self) -> int:
        """Lanes that requantize: none."""
        return 0

    @cached_property
    def output(self) -> Shape:
        """Shape of the output."""
        return self.layer.output_shape(self.shape)

    @property
    def columns_in(self) -> int:
        """Input columns of an image."""
        return self.shape.width

    @property
    def columns_out(self) -> int:
        """Output columns of an image."""
        return self.output.width

    @property
    def arm_columns(self) -> tuple[int]:
        """Column buffers of its one input."""
        return (COLUMN_BUFFERS,)

    def with_arm_columns(self, columns: tuple[int, ...]) -> UpsampleStage:
        """Give the stage with other column buffers of its arms: itself."""
        return self

    @cached_property
    def beats(self) -> Beats:
        """Beats of its output."""
        return Beats.of_groups(1, self.shape.channels, self.fold.out_channels)

    @property
    def tiles(self) -> int:
        """Tiles of channels."""
        return -(-self.shape.channels // self.fold.out_channels)

    @cached_property
    def work(self) -> tuple[ColumnWork, ...]:
        """Work on every input column of an image, in order."""
        rows = self.tiles * self.output.height
        run = RunWork(0, rows, tuple(row + upsample_depth() for row in range(rows)))
        return (ColumnWork((run,) * self.layer.factor[1], 0),) * self.columns_in

    @cached_property
    def busy_cycles(self) -> int:
        """Cycles of work on an image, without waiting."""
        return sum(work.cycles for work in self.work)

    @property
    def buffered_columns(self) -> int:
        """Input columns that the stage can hold."""
        return COLUMN_BUFFERS

    @property
    def pending_columns(self) -> int:
        """Output columns that wait for more input columns: none."""
        return 0
