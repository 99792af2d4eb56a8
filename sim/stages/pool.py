"""The stage of a pooling layer: reduced down the column, then across columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from pilaster.base.errors import InputError
from pilaster.models.layers import Pool
from pilaster.models.shape import Shape
from pilaster.sim.beats import Beats
from pilaster.sim.machine import Fold, StageSpec
from pilaster.sim.timing import COLUMN_BUFFERS, IDLE_COLUMN, pool_depth
from pilaster.sim.work import ColumnWork, RunWork

__all__ = ["PoolStage"]


@dataclass(frozen=True, eq=False)
class PoolStage:
    """Hardware of one pooling layer; only `out_channels` of its fold means anything.

    A pass sweeps down the column once for one tile of channels. The first run of a column serves
    every output column that the column contributes to.
    """

    joins: ClassVar[bool] = False
    """Whether it has arms, with as many column buffers as the machine says."""

    name: str
    layer: Pool
    shape: Shape
    spec: StageSpec
    bits: int

    def __post_init__(self) -> None:
        fold = self.fold
        if fold != Fold(out_channels=fold.out_channels):
            raise InputError(f"stage {self.name}: a pool's fold has out_channels only, not {fold}")
        if fold.out_channels > self.shape.channels:
            raise InputError(
                f"stage {self.name}: out_channels: {fold.out_channels} is larger than the layer, "
                f"which has {self.shape.channels}"
            )
        if self.spec.dram_bits_per_cycle:
            raise InputError(f"stage {self.name}: a pool has no weights to keep in DRAM")
        if self.spec.arm_columns:
            raise InputError(f"stage {self.name}: arm_columns: a pool reads one tensor only")

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
        """Lanes that requantize: none, an average divides."""
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

    def with_arm_columns(self, columns: tuple[int, ...]) -> PoolStage:
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
    def touched(self) -> tuple[tuple[int, ...], ...]:
        """Output columns that each input column contributes to, by input column."""
        window, width = self.layer.window, self.shape.width
        touched: list[list[int]] = [[] for _ in range(width)]
        for q in range(self.columns_out):
            start = q * window.stride[1] - window.padding.left
            for w in range(max(0, start), min(width, start + window.kernel[1])):
                touched[w].append(q)
        return tuple(map(tuple, touched))

    def completed(self, column: int) -> tuple[int, ...]:
        """Output columns that input column `column` completes."""
        window, width = self.layer.window, self.shape.width
        return tuple(
            q for q in self.touched[column] if window.completing_column(q, width) == column
        )

    @property
    def lead(self) -> int:
        """Rows read before the first output row of a sweep."""
        return self.layer.window.kernel[0] - 1 - self.layer.window.padding.top

    @cached_property
    def rows_read(self) -> int:
        """Input rows that any output row uses."""
        window = self.layer.window
        end = (self.output.height - 1) * window.stride[0] + window.kernel[0] - window.padding.top
        return min(self.shape.height, end)

    @cached_property
    def sweep_cycles(self) -> int:
        """Cycles of a pass: rows read, or those from the first output row to the last."""
        spread = (self.output.height - 1) * self.layer.window.stride[0] + 1
        return max(self.rows_read, spread)

    @cached_property
    def work(self) -> tuple[ColumnWork, ...]:
        """Work on every input column of an image, in order."""
        total = self.tiles * self.sweep_cycles
        depth = pool_depth(self.layer.mode == "average")
        beats = tuple(
            tile * self.sweep_cycles + self.lead + row * self.layer.window.stride[0] + depth
            for tile in range(self.tiles)
            for row in range(self.output.height)
        )
        run = RunWork(0, total, beats)
        works = []
        for column, touched in enumerate(self.touched):
            done = len(self.completed(column))
            deferred = 0 if done else total if touched else IDLE_COLUMN
            works.append(ColumnWork((run,) * done, deferred))
        return tuple(works)

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
        """Output columns that wait for more input columns at the same time."""
        window = self.layer.window
        return -(-(window.kernel[1] - 1) // window.stride[1])
