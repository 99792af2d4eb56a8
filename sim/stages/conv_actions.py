"""Actions of a convolution stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.models.energy.actions import Action, Attributes
from pilaster.sim.beats import Beats
from pilaster.sim.column_words import beat_cuts, conv_cuts, word_channels
from pilaster.sim.machine import LoopOrder, Schedule
from pilaster.sim.program_tables import TiledRuns, counted_tables, whole_tables
from pilaster.sim.stages.conv import ConvStage

__all__ = [
    "column_buffer_bits",
    "column_phase_bits",
    "conv_actions",
    "program_reads",
    "psum_banks",
    "psum_bits",
    "register_bits",
    "row_bits",
    "row_sum_bits",
    "weight_bits",
]

Counts = NDArray[np.int64]
Counted = Iterator[tuple[Action, Attributes, int]]


def conv_actions(stage: ConvStage, source: Beats, images: int, nonzero: Counts) -> Counted:
    """Yield (action, attributes, count) of a stage over `images` images.

    source : beats of the stream that the stage reads
    nonzero : (H, W, C), in how many images each input value is not zero
    """
    lane = Attributes(
        activation_bits=stage.widths.activation,
        weight_bits=stage.widths.weight,
        accumulator_bits=stage.widths.accumulator,
    )
    performed = int((nonzero * operand_uses(stage)).sum())
    yield Action.MAC, lane, performed
    yield Action.MAC_GATED, lane, images * lane_slots(stage) - performed
    for action, attributes, count in _data_independent(stage, source):
        yield action, attributes, images * count


def _data_independent(stage: ConvStage, source: Beats) -> Counted:
    geometry, fold, widths = stage.geometry, stage.fold, stage.widths
    rows_out, columns_out = geometry.rows_out, geometry.columns_out
    held = fold.loop_order is LoopOrder.PSUMS_HELD
    outs = stage.tile_shape[1]
    totals = _totals(stage)

    beats = geometry.columns_in * geometry.shape.height * source.per_row
    phases = geometry.row_fold
    buffered = column_phase_bits(stage)
    beat_bits = source.channels * widths.activation
    yield Action.COLUMN_WRITE, Attributes(beat_bits, -(-buffered // beat_bits)), beats
    word = widths.activation * word_channels(
        beat_cuts(geometry.shape.channels, source),
        conv_cuts(geometry, fold.in_channels, fold.out_channels),
    )
    read = Attributes(word, -(-buffered // word))
    yield Action.COLUMN_READ, read, totals.words_read * phases
    yield Action.WINDOW_SHIFT, Attributes(row_bits(stage) * fold.taps), totals.words_read

    fetched = stage.lanes * widths.weight
    if stage.weight_sets > 1:
        sets = totals.weight_sets * (rows_out if held else 1)
        if stage.spec.dram_bits_per_cycle:
            yield Action.DRAM_READ, Attributes(widths.weight), sets * stage.lanes
        else:
            yield Action.WEIGHT_READ, Attributes(fetched, stage.weight_sets), sets
        yield Action.WEIGHT_LOAD, Attributes(fetched), sets

    yield Action.ACCUMULATE, Attributes(widths.accumulator), totals.adds * rows_out
    waits = (totals.touches - columns_out * outs) * rows_out
    psum_word = fold.out_channels * widths.accumulator
    if waits:
        depth = max(1, psum_bits(stage) // psum_word // psum_banks(stage))
        memory = Attributes(psum_word, depth)
        yield Action.PSUM_READ, memory, waits
        yield Action.PSUM_WRITE, memory, waits
    if stage.row_sum_words:
        kept, memory = totals.kept * rows_out, Attributes(psum_word, stage.row_sum_words)
        yield Action.ROW_SUM_READ, memory, kept
        yield Action.ROW_SUM_WRITE, memory, kept
    yield Action.ROW, Attributes(), totals.passes * rows_out
    for table, reads in program_reads(stage):
        yield Action.PROGRAM_READ, table, reads
    outputs = rows_out * columns_out
    scale = Attributes(accumulator_bits=widths.accumulator, scale_bits=widths.scale)
    yield Action.REQUANTIZE, scale, outputs * geometry.layer.out_channels
    yield Action.STREAM, Attributes(fold.out_channels * widths.output), outputs * outs


@dataclass(frozen=True)
class _Totals:
    """Sums over all passes of an image.

    Attributes
    ----------
    passes : in the schedule
    touches : times that an output tile's sums are taken up: passes, or runs where sums are held or
        a memory of their own keeps them
    kept : times that they go from one pass to the next in that memory
    adds : sums added to, for one output row, over real output channels
    weight_sets : sets of weights taken in turn
    words_read : words read from the column buffer
    """

    passes: int
    touches: int
    kept: int
    adds: int
    weight_sets: int
    words_read: int


def _totals(stage: ConvStage) -> _Totals:
    scatter = stage.spec.schedule is Schedule.SCATTER
    by_run = stage.fold.loop_order is LoopOrder.PSUMS_HELD or stage.keeps_row_sums
    real = _real_out_channels(stage)
    rows_by_group = _tap_group_counts(stage) @ _rows_read(stage)
    passes = touches = kept = adds = weight_sets = words = 0
    for runs in stage.runs:
        for run in runs:
            counts = stage.out_tile_counts(run)
            copies = len(run.uses[0].active) if scatter else 1
            of_run, tiles = int(counts.sum()), int(np.count_nonzero(counts))
            passes += of_run
            touches += copies * (tiles if by_run else of_run)
            kept += copies * (of_run - tiles) * stage.keeps_row_sums
            adds += copies * int(counts @ real)
            for use in run.uses:
                weight_sets += int(stage.tile_counts[use.group].sum())
                words += int(rows_by_group[use.group]) * (1 if scatter else len(use.active))
    return _Totals(passes, touches, kept, adds, weight_sets, words)


def _real_out_channels(stage: ConvStage) -> Counts:
    """Output channels of the layer in each out tile; the last of a group may be partly filled."""
    per_group = stage.tile_shape[1] // stage.geometry.tiled_groups
    step = stage.fold.out_channels
    sizes = np.minimum(step, stage.geometry.out_channels - np.arange(per_group) * step)
    return np.tile(sizes, stage.geometry.tiled_groups)


def _tap_group_counts(stage: ConvStage) -> Counts:
    """Tiles in the schedule by (kernel group, tap group)."""
    groups, outs, ins, taps = stage.tile_shape
    if stage.present is None:
        return np.full((groups, taps), outs * ins)
    counts: Counts = stage.present.sum(axis=(1, 2))
    return counts


def _rows_read(stage: ConvStage) -> Counts:
    """Rows that one pass reads, by tap group."""
    geometry, taps = stage.geometry, stage.fold.taps
    first = np.arange(stage.tile_shape[3]) * taps - geometry.pad_top
    last = np.minimum(first + taps + geometry.rows_out - 2, geometry.rows - 1)
    counts: Counts = np.maximum(last - np.maximum(first, 0) + 1, 0)
    return counts


def kernel_uses(stage: ConvStage) -> Counts:
    """How many slots of each kernel group each input column is multiplied in: (columns, groups)."""
    geometry, window = stage.geometry, stage.geometry.layer.window
    uses = np.zeros((geometry.columns_in, len(stage.groups)), np.int64)
    targets = np.arange(geometry.columns_out) * window.stride[1] - window.padding.left
    for group, members in enumerate(stage.groups):
        for offset in members:
            columns = targets + offset
            inside = columns[(columns >= 0) & (columns < geometry.columns_in)]
            uses[inside, group] += 1
    return uses


def operand_uses(stage: ConvStage) -> Counts:
    """How many lane operations each input value takes part in, where it is not zero: (H, W, C)."""
    geometry, layer = stage.geometry, stage.geometry.layer
    groups, _, ins, taps = stage.tile_shape
    # Output channels of each layer group that a tile serves: (kernel groups, groups, ins, taps).
    out_per_group = layer.out_channels // layer.groups
    if stage.present is None:
        served = np.full((groups, layer.groups, ins, taps), out_per_group)
    else:
        per_group = stage.tile_shape[1] // geometry.tiled_groups
        group, member = np.divmod(np.arange(layer.out_channels), geometry.out_channels)
        tile = group * per_group + member // stage.fold.out_channels
        by_channel = stage.present[:, tile].astype(np.int64)
        served = by_channel.reshape(groups, layer.groups, out_per_group, ins, taps).sum(axis=2)
    in_per_group = geometry.shape.channels // layer.groups
    rows = np.zeros((geometry.shape.height, in_per_group, layer.groups, groups), np.int64)
    for j in range(layer.window.kernel[0]):
        tap, phase = divmod(j, geometry.row_fold)
        folded = phase * in_per_group + np.arange(in_per_group)
        out = served[:, :, folded // stage.fold.in_channels, tap // stage.fold.taps]
        used = geometry.output_row_uses(np.array([j]))
        rows += used[:, None, None, None] * out.transpose(2, 1, 0)
    result: Counts = np.einsum("hcgk,wk->hwgc", rows, kernel_uses(stage), optimize=True)
    return result.reshape(*result.shape[:2], geometry.shape.channels)


def lane_slots(stage: ConvStage) -> int:
    """Lane operations of an image that have a weight of the layer's, zero operands included."""
    geometry, fold = stage.geometry, stage.fold
    _, _, ins, taps = stage.tile_shape
    real = np.zeros((taps * fold.taps, ins * fold.in_channels), np.int64)
    real[: geometry.taps, : geometry.channels] = geometry.real_taps
    real_terms = real.reshape(taps, fold.taps, ins, fold.in_channels).sum(axis=(1, 3)).T
    real_out = _real_out_channels(stage)
    activations = kernel_uses(stage).sum(axis=0)
    if stage.present is None:
        lanes = activations.sum() * real_out.sum() * real_terms.sum()
    else:
        lanes = np.einsum("k,koct,o,ct->", activations, stage.present, real_out, real_terms)
    return int(lanes) * geometry.rows_out


def program_reads(stage: ConvStage) -> tuple[tuple[Attributes, int], ...]:
    """Tables of the stage's program, and the reads of each in an image; those of an entry not."""
    held = stage.fold.loop_order is LoopOrder.PSUMS_HELD
    pending = np.array([stage.pending_columns])
    runs = TiledRuns(stage.geometry, stage.spec.schedule, stage.fold.kernel_columns, held, pending)
    if stage.present is None:
        _, outs, ins, taps = np.array(stage.tile_shape)[:, np.newaxis]
        tables = whole_tables(runs, ins, outs, taps)
    else:
        tables = counted_tables(runs, stage.present)
    columns = (column.ravel().tolist() for column in (tables.bits, tables.depth, tables.reads))
    return tuple(
        (Attributes(bits, depth), reads)
        for bits, depth, reads in zip(*columns, strict=True)
        if depth > 1
    )


def row_bits(stage: ConvStage) -> int:
    """Bits of a row of the window: of what a pass reads at once."""
    fold = stage.fold
    copies = fold.out_channels if stage.geometry.is_depthwise else 1  # each with channels its own
    return copies * fold.in_channels * stage.widths.activation


def column_buffer_bits(stage: ConvStage) -> int:
    """Bits of the column buffers: of all memories, one for each phase of folded rows."""
    return stage.buffered_columns * stage.geometry.shape.column_size * stage.widths.activation


def column_phase_bits(stage: ConvStage) -> int:
    """Bits of the column buffers of one phase of folded rows."""
    return -(-column_buffer_bits(stage) // stage.geometry.row_fold)


def psum_bits(stage: ConvStage) -> int:
    """Bits of the memory in which partial sums wait."""
    fold, outs = stage.fold, stage.tile_shape[1]
    if stage.spec.schedule is Schedule.GATHER:
        outs = 1
    banks = psum_banks(stage)
    columns = -(-stage.pending_columns // banks) * banks
    return columns * stage.geometry.rows_out * outs * fold.out_channels * stage.widths.accumulator


def row_sum_bits(stage: ConvStage) -> int:
    """Bits of the memories that keep sums between the passes of a run, one for each slot."""
    word = stage.fold.out_channels * stage.widths.accumulator
    return psum_banks(stage) * stage.row_sum_words * word


def psum_banks(stage: ConvStage) -> int:
    """Memories in which partial sums wait, each as wide and deep as the others."""
    return stage.fold.kernel_columns if stage.spec.schedule is Schedule.SCATTER else 1


def weight_bits(stage: ConvStage) -> int:
    """Bits of weights that the schedule holds."""
    return stage.weight_sets * stage.lanes * stage.widths.weight


def register_bits(stage: ConvStage) -> int:
    """Bits of pipeline registers: weights, window, operands, products, sums and requantization."""
    fold, widths = stage.fold, stage.widths
    weight_copies = 2 if fold.loop_order is LoopOrder.WEIGHTS_HELD and stage.weight_sets > 1 else 1
    weights = weight_copies * stage.lanes * widths.weight
    window = fold.taps * fold.in_channels * widths.activation
    products = stage.lanes * (widths.activation + widths.weight)
    sums = fold.out_channels * widths.accumulator
    if stage.spec.schedule is Schedule.SCATTER:
        sums *= fold.kernel_columns
    requantize = fold.requantizers * (widths.accumulator + widths.scale + widths.output)
    return weights + 2 * window + products + 2 * sums + requantize
