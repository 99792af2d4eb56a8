"""Memories and registers of candidates with weights, for many folds at once: as `ConvStage` has."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.machine import Schedule
from pilaster.sim.mapper.space import BlockTiles, ConvCandidates
from pilaster.sim.stages import ConvStage
from pilaster.sim.stages.conv_actions import column_phase_bits

__all__ = ["Hardware", "hardware_of", "keeps_row_sums", "pending_columns"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Hardware:
    """Memories and registers of a block's folds; see `conv_actions` for each."""

    row_word: Ints
    column_phases: int
    column_word: Ints
    column_bits: int
    psum_word: Ints
    psum_bits: Ints
    row_sum_words: Ints
    banks: int
    weight_word: Ints
    weight_sets: Ints
    register_bits: Ints

    @property
    def column_depth(self) -> Ints:
        """Words of a phase of the column buffers."""
        return -(-self.column_bits // self.column_word)

    @property
    def psum_depth(self) -> Ints:
        """Words of a bank of partial sums."""
        depth: Ints = np.maximum(1, self.psum_bits // self.psum_word // self.banks)
        return depth


def hardware_of(found: ConvCandidates, tiles: BlockTiles) -> Hardware:
    """Give the memories and registers of a block's folds."""
    block, geometry, widths = tiles.block, found.stage.geometry, found.stage.widths
    scatter = block.schedule is Schedule.SCATTER
    stage = replace(found.stage, spec=replace(found.stage.spec, schedule=block.schedule))
    sets = tiles.groups.sets.sum(axis=0)
    outs = geometry.tiled_groups * -(-geometry.out_channels // block.out_channels)
    word = block.in_channels * widths.activation
    if geometry.is_depthwise:
        word = word * block.out_channels
    phases = geometry.row_fold
    psum_word = block.out_channels * widths.accumulator
    banks = block.kernel_columns if scatter else 1
    pending = pending_columns(tiles, stage)
    waiting = -(-pending // banks) * banks * geometry.rows_out * (outs if scatter else 1)
    copies = np.ones_like(sets) if block.held else np.where(sets > 1, 2, 1)
    registers = copies * block.lanes * widths.weight
    registers = registers + 2 * block.taps * block.in_channels * widths.activation
    registers = registers + block.lanes * (widths.activation + widths.weight)
    registers = registers + 2 * psum_word * banks
    each = widths.accumulator + widths.scale + widths.output
    return Hardware(
        row_word=word,
        column_phases=phases,
        column_word=-(-word // phases),
        column_bits=column_phase_bits(stage),
        psum_word=psum_word,
        psum_bits=waiting * psum_word,
        row_sum_words=np.where(
            keeps_row_sums(tiles, stage) & ~_single(tiles), geometry.rows_out, 0
        ),
        banks=banks,
        weight_word=block.lanes * widths.weight,
        weight_sets=sets,
        register_bits=registers + block.requantizers * each,
    )


def pending_columns(tiles: BlockTiles, stage: ConvStage) -> Ints:
    """Output columns whose partial sums wait in memory at the same time."""
    block, geometry = tiles.block, stage.geometry
    single = _single(tiles)
    if block.schedule is Schedule.GATHER:
        return np.where(block.held | single, 0, 1)
    if block.held or keeps_row_sums(tiles, stage):
        return np.full(len(block), -(-(geometry.kernel_columns - 1) // geometry.stride))
    return np.where(single & (geometry.kernel_columns == 1), 0, geometry.open_columns)


def _single(tiles: BlockTiles) -> NDArray[np.bool_]:
    """Whether no run has more than one pass on an output tile."""
    single: NDArray[np.bool_] = tiles.runs.most.max(axis=0) <= 1
    return single


def keeps_row_sums(tiles: BlockTiles, stage: ConvStage) -> bool:
    """Whether a memory of their own keeps the sums of an output tile and column."""
    block = tiles.block
    return stage.spec.row_sums and block.schedule is Schedule.SCATTER and not block.held
