"""The stage of a convolution or a fully connected layer: tiles, passes and cycles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.shape import Shape
from pilaster.sim.beats import Beats
from pilaster.sim.geometry import ConvGeometry
from pilaster.sim.machine import Fold, LoopOrder, Schedule, StageSpec
from pilaster.sim.schedule import Run, column_runs, kernel_groups
from pilaster.sim.timing import COLUMN_BUFFERS, IDLE_COLUMN, conv_depth
from pilaster.sim.work import ColumnWork, RunWork

__all__ = ["ConvStage", "Pass", "Widths"]


@dataclass(frozen=True)
class Widths:
    """Operand widths of a stage, in bits."""

    activation: int
    weight: int
    accumulator: int
    scale: int
    output: int


@dataclass(frozen=True)
class Pass:
    """One set of weights at work on a column.

    Where weights are held it lasts a sweep; where partial sums are held it takes its turn on
    every output row.

    Attributes
    ----------
    use : index of the run's group use
    out_tile, in_tile, tap_group : the tile of weights
    emits : whether the run's output tile leaves in this pass
    """

    use: int
    out_tile: int
    in_tile: int
    tap_group: int
    emits: bool


@dataclass(frozen=True, eq=False)
class ConvStage:
    """Hardware of one convolution. Counts and cycles are exact, and per image.

    Attributes
    ----------
    present : (kernel groups, out tiles, in tiles, tap groups), the tiles with a weight that is not
        zero: only these are in the schedule. None where every tile is there.
    """

    joins: ClassVar[bool] = False
    """Whether it has arms, with as many column buffers as the machine says."""

    name: str
    kind: str
    geometry: ConvGeometry
    spec: StageSpec
    widths: Widths
    present: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.spec.arm_columns:
            raise InputError(f"stage {self.name}: arm_columns: {self.kind} reads one tensor only")
        geometry, fold = self.geometry, self.fold
        columns = geometry.kernel_columns
        if self.spec.schedule is Schedule.SCATTER:
            columns = geometry.open_columns
        limits = {
            "taps": geometry.taps,
            "in_channels": geometry.channels,
            "out_channels": geometry.out_channels,
            "kernel_columns": columns,
        }
        for key, limit in limits.items():
            if getattr(fold, key) > limit:
                raise InputError(
                    f"stage {self.name}: {key}: {getattr(fold, key)} is larger than the layer, "
                    f"which has {limit} ({self.kind} {geometry.shape} to {geometry.output}, "
                    f"kernel {'x'.join(map(str, geometry.layer.window.kernel))}, "
                    f"rows folded into channels by {geometry.row_fold}, {self.spec.schedule})"
                )
        if self.present is not None and self.present.shape != self.tile_shape:
            raise InputError(
                f"stage {self.name}: tiles need the shape {self.tile_shape}, "
                f"not {self.present.shape}"
            )

    @property
    def fold(self) -> Fold:
        """How the layer is laid out."""
        return self.spec.fold

    @property
    def lanes(self) -> int:
        """Multipliers."""
        return self.fold.lanes

    @property
    def requantizers(self) -> int:
        """Lanes that requantize."""
        return self.fold.requantizers

    @property
    def columns_in(self) -> int:
        """Input columns of an image."""
        return self.geometry.columns_in

    @property
    def columns_out(self) -> int:
        """Output columns of an image."""
        return self.geometry.columns_out

    @property
    def arm_columns(self) -> tuple[int]:
        """Column buffers of its one input, those that a gather window keeps aside."""
        return (COLUMN_BUFFERS,)

    def with_arm_columns(self, columns: tuple[int, ...]) -> ConvStage:
        """Give the stage with other column buffers of its arms: itself."""
        return self

    @cached_property
    def beats(self) -> Beats:
        """Beats of its output."""
        geometry = self.geometry
        return Beats.of_groups(geometry.tiled_groups, geometry.out_channels, self.fold.out_channels)

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Kernel columns of every aligned group, by slot."""
        return kernel_groups(self.geometry, self.spec.schedule, self.fold.kernel_columns)

    @cached_property
    def tile_shape(self) -> tuple[int, int, int, int]:
        """Numbers of (kernel groups, out tiles, in tiles, tap groups)."""
        geometry, fold = self.geometry, self.fold
        return (
            len(self.groups),
            geometry.tiled_groups * -(-geometry.out_channels // fold.out_channels),
            -(-geometry.channels // fold.in_channels),
            -(-geometry.taps // fold.taps),
        )

    @cached_property
    def tile_counts(self) -> NDArray[np.int64]:
        """Tiles of weights in the schedule: (kernel groups, out tiles)."""
        groups, outs, ins, taps = self.tile_shape
        if self.present is None:
            return np.full((groups, outs), ins * taps)
        counts: NDArray[np.int64] = self.present.sum(axis=(2, 3))
        return counts

    @cached_property
    def weight_sets(self) -> int:
        """Different sets of weights that the lanes hold in turn."""
        return int(self.tile_counts.sum())

    @cached_property
    def runs(self) -> tuple[tuple[Run, ...], ...]:
        """Runs of every input column, in order."""
        return column_runs(self.geometry, self.spec.schedule, self.fold.kernel_columns)

    def out_tile_counts(self, run: Run) -> NDArray[np.int64]:
        """Passes of `run` on each output tile; at least one where the tile has to leave."""
        counts: NDArray[np.int64] = self.tile_counts[[use.group for use in run.uses]].sum(axis=0)
        return counts if run.completes is None else np.maximum(counts, 1)

    def passes(self, run: Run) -> Iterator[Pass]:
        """Every pass of `run`, in order: by out tile, group, in tile, tap group."""
        _, outs, ins, taps = self.tile_shape
        for out_tile in range(outs):
            tiles = [
                (use, in_tile, tap_group)
                for use, group_use in enumerate(run.uses)
                for in_tile in range(ins)
                for tap_group in range(taps)
                if self.present is None
                or self.present[group_use.group, out_tile, in_tile, tap_group]
            ]
            if run.completes is not None and not tiles:
                tiles = [(0, 0, 0)]  # nothing to add, but the tile has to leave
            for index, (use, in_tile, tap_group) in enumerate(tiles):
                emits = run.completes is not None and index == len(tiles) - 1
                yield Pass(use, out_tile, in_tile, tap_group, emits)

    @cached_property
    def lead(self) -> int:
        """Rows read before the first output row of a sweep."""
        if self.fold.loop_order is LoopOrder.PSUMS_HELD:
            return 0
        whole = self.fold.taps == self.geometry.taps
        return self.fold.taps - 1 - (self.geometry.pad_top if whole else 0)

    @cached_property
    def sweep_rows(self) -> int:
        """Rows of a pass: those read or those computed, whichever are more.

        The last output rows of a pass overlap the first rows read by the next. Where a kernel
        column takes several tap groups these start at different rows, and nothing overlaps.
        """
        geometry = self.geometry
        if self.fold.loop_order is LoopOrder.PSUMS_HELD:
            return geometry.rows_out
        if self.fold.taps == geometry.taps:
            return max(geometry.rows, geometry.rows_out)
        return geometry.rows_out + self.fold.taps - 1

    @cached_property
    def requantize_cycles(self) -> int:
        """Cycles that an output row takes to leave."""
        return -(-self.fold.out_channels // self.fold.requantizers)

    @cached_property
    def fetch_cycles(self) -> int:
        """Cycles that a pass's weights take to come from DRAM; 0 where they are on chip."""
        if not self.spec.dram_bits_per_cycle or self.weight_sets == 1:
            return 0
        return -(-self.lanes * self.widths.weight // self.spec.dram_bits_per_cycle)

    @cached_property
    def fetch_bits(self) -> int:
        """Most bits of weights that come from DRAM in a cycle; 0 where they are on chip."""
        if not self.fetch_cycles:
            return 0
        return min(self.spec.dram_bits_per_cycle, self.lanes * self.widths.weight)

    @cached_property
    def sweep_cycles(self) -> int:
        """Cycles of a pass that does not emit, where weights are held."""
        return max(self.sweep_rows, self.fetch_cycles)

    @cached_property
    def emitting_sweep_cycles(self) -> int:
        """Cycles of a pass that emits, where weights are held.

        Where a row takes several cycles to leave, the pass ends with its own last row.
        """
        slow = self.requantize_cycles - 1
        if not slow:
            return self.sweep_cycles
        rows_out = self.geometry.rows_out
        rows = max(self.sweep_rows, self.lead + rows_out)
        return max(rows + slow * rows_out, self.fetch_cycles)

    @cached_property
    def depth(self) -> int:
        """Cycles from reading a row to its result standing in the next stage's column buffer."""
        terms = self.fold.taps * self.fold.in_channels
        if self.spec.schedule is Schedule.GATHER:
            terms *= self.fold.kernel_columns
        return conv_depth(terms)

    @cached_property
    def work(self) -> tuple[ColumnWork, ...]:
        """Work on every input column of an image, in order."""
        known: dict[tuple[tuple[int, ...], bool], RunWork] = {}
        works = []
        for runs in self.runs:
            completing, deferred = [], 0
            for run in runs:
                key = (tuple(use.group for use in run.uses), run.completes is not None)
                if key not in known:
                    known[key] = self._run_work(run)
                if run.completes is None:
                    deferred += known[key].body
                else:
                    completing.append(known[key])
            idle = not completing and not deferred
            works.append(ColumnWork(tuple(completing), IDLE_COLUMN if idle else deferred))
        return tuple(works)

    def _run_work(self, run: Run) -> RunWork:
        counts = self.out_tile_counts(run)
        emits = run.completes is not None
        rows = np.arange(self.geometry.rows_out)
        if self.fold.loop_order is LoopOrder.WEIGHTS_HELD:
            last = self.emitting_sweep_cycles if emits else self.sweep_cycles
            total = int((counts.sum() - emits * len(counts)) * self.sweep_cycles)
            total += emits * len(counts) * last
            before = int(counts[0] - 1) * self.sweep_cycles if emits else 0
            if not emits:
                return RunWork(0, total, ())
            # Start of each tile's emitting pass, and when each of its rows is there.
            starts = np.cumsum((counts - 1) * self.sweep_cycles + last) - last - before
            leaves = self.lead + (rows + 1) * self.requantize_cycles - 1 + self.depth
            return RunWork(before, total - before, _beats(starts, leaves[np.newaxis]))
        step = max(1, self.fetch_cycles)
        slow = self.requantize_cycles if emits else 0
        periods = np.maximum(counts * step, slow)
        totals = periods * self.geometry.rows_out
        if not emits:
            return RunWork(0, int(totals.sum()), ())
        # A row that leaves slowly waits first, so that the one before it has left.
        row_times = np.outer(periods, rows + 1) + slow - 2 + self.depth
        return RunWork(0, int(totals.sum()), _beats(np.cumsum(totals) - totals, row_times))

    @property
    def output(self) -> Shape:
        """Shape of the output."""
        return self.geometry.output

    @cached_property
    def busy_cycles(self) -> int:
        """Cycles of work on an image, without waiting."""
        return sum(work.cycles for work in self.work)

    @property
    def buffered_columns(self) -> int:
        """Input columns that the stage can hold."""
        kept = self.geometry.kernel_columns - 1 if self.spec.schedule is Schedule.GATHER else 0
        return COLUMN_BUFFERS + kept

    @cached_property
    def single_pass(self) -> bool:
        """Whether no run has more than one pass on an output tile."""
        groups = {tuple(use.group for use in run.uses) for runs in self.runs for run in runs}
        return all(int(self.tile_counts[list(used)].sum(axis=0).max()) <= 1 for used in groups)

    @property
    def keeps_row_sums(self) -> bool:
        """Whether the sums of an output tile and column stay in a memory of their own.

        They do while the passes of a run follow each other on the tile; what a run adds then passes
        the memory of pending columns once.
        """
        scatter = self.spec.schedule is Schedule.SCATTER
        return self.spec.row_sums and scatter and self.fold.loop_order is LoopOrder.WEIGHTS_HELD

    @property
    def row_sum_words(self) -> int:
        """Words of that memory, one for each output row; 0 where no sum ever stays in it."""
        return self.geometry.rows_out if self.keeps_row_sums and not self.single_pass else 0

    @property
    def pending_columns(self) -> int:
        """Output columns whose partial sums wait in memory at the same time."""
        geometry, held = self.geometry, self.fold.loop_order is LoopOrder.PSUMS_HELD
        if self.spec.schedule is Schedule.GATHER:
            return 0 if held or self.single_pass else 1
        if held or self.keeps_row_sums:
            return -(-(geometry.kernel_columns - 1) // geometry.stride)
        single = geometry.kernel_columns == 1 and self.single_pass
        return 0 if single else geometry.open_columns


def _beats(starts: NDArray[np.int64], row_times: NDArray[np.int64]) -> tuple[int, ...]:
    """Times of all rows of all tiles, in order."""
    return tuple((starts[:, np.newaxis] + row_times).reshape(-1).tolist())
