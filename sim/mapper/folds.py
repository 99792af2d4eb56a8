"""The folds of a convolution stage that the mapper considers, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.geometry import ConvGeometry
from pilaster.sim.machine import Fold, LoopOrder, Schedule, StageSpec
from pilaster.sim.mapper.sizes import useful_sizes

__all__ = ["FoldBlock", "Limits", "fold_blocks"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Limits:
    """What a space of folds holds.

    Attributes
    ----------
    schedules : those tried
    immediate : whether every open kernel column is done at once, so that no work is deferred
    channel_sizes : most sizes tried of P_c and of P_o
    requantizer_sizes : most sizes tried of P_q
    on_chip_weight_bits : a layer with more bits of weights takes them from DRAM, in one cycle for
        all lanes; None keeps all on chip
    row_sums : whether stages keep row sums, see `StageSpec`
    """

    schedules: tuple[Schedule, ...] = (Schedule.SCATTER,)
    immediate: bool = False
    channel_sizes: int | None = 24
    requantizer_sizes: int | None = 12
    on_chip_weight_bits: int | None = None
    row_sums: bool = False


@dataclass(frozen=True, eq=False)
class FoldBlock:
    """Folds that share schedule, kernel columns and loop order.

    Attributes
    ----------
    taps, in_channels, out_channels, requantizers : (folds,)
    base : (folds,), index of the fold among those that differ in more than requantizers
    """

    schedule: Schedule
    kernel_columns: int
    order: LoopOrder
    taps: Ints
    in_channels: Ints
    out_channels: Ints
    requantizers: Ints
    base: Ints

    def __len__(self) -> int:
        return len(self.taps)

    @property
    def held(self) -> bool:
        """Whether partial sums are held."""
        return self.order is LoopOrder.PSUMS_HELD

    @property
    def first_of_base(self) -> Ints:
        """Index of the first fold of each base."""
        return np.unique(self.base, return_index=True)[1]

    @property
    def lanes(self) -> Ints:
        """Multipliers."""
        return self.taps * self.in_channels * self.out_channels * self.kernel_columns

    @property
    def requantize_cycles(self) -> Ints:
        """Cycles that an output row takes to leave."""
        return -(-self.out_channels // self.requantizers)

    def has_folds_of(self, other: FoldBlock) -> bool:
        """Whether the other's folds are the first of these, in another loop order."""
        same = (self.schedule, self.kernel_columns) == (other.schedule, other.kernel_columns)
        return same and np.array_equal(self.taps[: len(other)], other.taps)

    def spec(self, index: int, dram_bits_per_lane: int, row_sums: bool) -> StageSpec:
        """Give one of the folds as a stage."""
        fold = Fold(
            taps=int(self.taps[index]),
            in_channels=int(self.in_channels[index]),
            out_channels=int(self.out_channels[index]),
            kernel_columns=self.kernel_columns,
            requantizers=int(self.requantizers[index]),
            loop_order=self.order,
        )
        dram = fold.lanes * dram_bits_per_lane
        return StageSpec(fold, self.schedule, dram, row_sums=row_sums)


def fold_blocks(geometry: ConvGeometry, limits: Limits) -> list[FoldBlock]:
    """List every fold within `limits`."""
    ins = useful_sizes(geometry.channels, limits.channel_sizes)
    outs = useful_sizes(geometry.out_channels, limits.channel_sizes)
    lanes_out = [useful_sizes(int(out), limits.requantizer_sizes) for out in outs]
    out_of_pair = np.repeat(np.arange(len(outs)), [len(sizes) for sizes in lanes_out])
    requantizers = np.concatenate(lanes_out)
    blocks = []
    for schedule in limits.schedules:
        scatter = schedule is Schedule.SCATTER
        open_columns = geometry.open_columns if scatter else geometry.kernel_columns
        columns = [open_columns] if limits.immediate else useful_sizes(open_columns).tolist()
        for kernel_columns in columns:
            for order in LoopOrder:
                one = order is LoopOrder.PSUMS_HELD
                taps = np.ones(1, np.int64) if one else useful_sizes(geometry.taps)
                tap, channel, pair = (
                    index.ravel() for index in np.indices((len(taps), len(ins), len(out_of_pair)))
                )
                base = (tap * len(ins) + channel) * len(outs) + out_of_pair[pair]
                blocks.append(
                    FoldBlock(
                        schedule,
                        int(kernel_columns),
                        order,
                        taps[tap],
                        ins[channel],
                        outs[out_of_pair[pair]],
                        requantizers[pair],
                        base,
                    )
                )
    return blocks
