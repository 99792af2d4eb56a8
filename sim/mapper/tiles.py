"""Tiles of weights in the schedule, summed over output tiles, for many folds at once.

What a stage's cycles and actions need to know of its tiles are sums, and the first. Where
no weight is zero these are products; otherwise they are counted in the layer's weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pilaster.models.network import Network
from pilaster.sim.geometry import ConvGeometry
from pilaster.sim.machine import Schedule
from pilaster.sim.mapper.folds import FoldBlock
from pilaster.sim.schedule import column_runs, kernel_groups

__all__ = [
    "GroupTiles",
    "RunClasses",
    "RunTiles",
    "count_tiles",
    "nonzero_weights",
    "present_tiles",
    "run_classes",
]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RunClasses:
    """The runs of a schedule, by the kernel groups that they use.

    Attributes
    ----------
    groups : by class, the kernel groups
    columns : by input column, (class, whether it completes an output column) of each run
    counts : (classes, 2), runs that do not complete an output column, and that do
    copies : (classes, 2), slots that take part in these
    uses : (kernel groups,), runs that use each group
    words : (kernel groups,), times that a group's rows are read
    """

    groups: tuple[tuple[int, ...], ...]
    columns: tuple[tuple[tuple[int, bool], ...], ...]
    counts: Ints
    copies: Ints
    uses: Ints
    words: Ints


def run_classes(geometry: ConvGeometry, schedule: Schedule, kernel_columns: int) -> RunClasses:
    """Sort the runs of every column of an image into classes."""
    scatter = schedule is Schedule.SCATTER
    count = len(kernel_groups(geometry, schedule, kernel_columns))
    index: dict[tuple[int, ...], int] = {}
    columns = []
    counts: list[list[int]] = []
    copies: list[list[int]] = []
    uses, words = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for runs in column_runs(geometry, schedule, kernel_columns):
        column = []
        for run in runs:
            groups = tuple(use.group for use in run.uses)
            number = index.setdefault(groups, len(index))
            if number == len(copies):
                copies.append([0, 0])
                counts.append([0, 0])
            completes = run.completes is not None
            counts[number][completes] += 1
            copies[number][completes] += len(run.uses[0].active) if scatter else 1
            for use in run.uses:
                uses[use.group] += 1
                words[use.group] += 1 if scatter else len(use.active)
            column.append((number, completes))
        columns.append(tuple(column))
    of_runs, of_slots = (np.array(each, np.int64).reshape(-1, 2) for each in (counts, copies))
    return RunClasses(tuple(index), tuple(columns), of_runs, of_slots, uses, words)


@dataclass(frozen=True, eq=False)
class RunTiles:
    """Passes of a run, by (classes, folds); a run that completes has at least one a tile.

    Attributes
    ----------
    deferred : passes of a run that does not complete an output column
    total, first : passes of one that does: of all output tiles, of the first
    most : passes on the output tile that has most
    periods : cycles that a row of one that does takes over all tiles, where partial sums are held
    touched : output tiles that have a pass, where the run does not complete
    adds, deferred_adds : sums added to, for one output row, over real output channels
    """

    deferred: Ints
    total: Ints
    first: Ints
    most: Ints
    periods: Ints
    touched: Ints
    adds: Ints
    deferred_adds: Ints

    def leading(self, folds: int) -> RunTiles:
        """Give those of the first folds."""
        return RunTiles(**{name: table[:, :folds] for name, table in vars(self).items()})


@dataclass(frozen=True, eq=False)
class GroupTiles:
    """Tiles of each kernel group, by (kernel groups, folds).

    Attributes
    ----------
    sets : sets of weights
    rows : rows that one use of all tiles reads
    slots : lane operations of one use for one output row that have a weight of the layer's
    inside : the same over all output rows, without the rows of padding
    """

    sets: Ints
    rows: Ints
    slots: Ints
    inside: Ints

    def leading(self, folds: int) -> GroupTiles:
        """Give those of the first folds."""
        return GroupTiles(**{name: table[:, :folds] for name, table in vars(self).items()})


Table = TypeVar("Table", RunTiles, GroupTiles)


def nonzero_weights(network: Network, layer: str, geometry: ConvGeometry) -> NDArray[np.bool_]:
    """Find a layer's weights that are not zero: (groups, out, taps, columns, channels)."""
    real = geometry.fold_weights(network.parameters[layer].weight != 0).astype(bool)
    return real.reshape(geometry.tiled_groups, geometry.out_channels, *real.shape[1:])


def count_tiles(
    geometry: ConvGeometry,
    block: FoldBlock,
    classes: RunClasses,
    nonzero: NDArray[np.bool_] | None,
) -> tuple[RunTiles, GroupTiles]:
    """Count the tiles of every fold of a block.

    nonzero : as `nonzero_weights` gives it; None where no weight is zero
    """
    if nonzero is None:
        return _whole(geometry, block, classes)
    parts = list(_counted(geometry, block, classes, nonzero))
    runs, groups = zip(*parts, strict=True)
    return _joined(RunTiles, runs), _joined(GroupTiles, groups)


def _joined(kind: type[Table], parts: tuple[Table, ...]) -> Table:
    names = [field.name for field in fields(kind)]
    return kind(*(np.concatenate([getattr(p, name) for p in parts], axis=1) for name in names))


def _rows_read(geometry: ConvGeometry, taps: int) -> Ints:
    """Rows that a pass of each tap group reads."""
    first = np.arange(0, geometry.taps, taps) - geometry.pad_top
    last = np.minimum(first + taps + geometry.rows_out - 2, geometry.rows - 1)
    counts: Ints = np.maximum(last - np.maximum(first, 0) + 1, 0)
    return counts


def _row_uses(geometry: ConvGeometry) -> Ints:
    """Output rows that use an input row that exists, through each (tap, channel)."""
    rows = np.zeros(geometry.taps * geometry.row_fold, np.int64)
    for j in range(geometry.layer.window.kernel[0]):
        rows[j] = geometry.output_row_uses(np.array([j])).sum()
    phases = rows.reshape(geometry.taps, geometry.row_fold)
    return np.repeat(phases, geometry.channels // geometry.row_fold, axis=1)


def _whole(
    geometry: ConvGeometry, block: FoldBlock, classes: RunClasses
) -> tuple[RunTiles, GroupTiles]:
    """Count tiles where all of them are in the schedule."""
    outs = geometry.tiled_groups * -(-geometry.out_channels // block.out_channels)
    ins = -(-geometry.channels // block.in_channels)
    one = ins * -(-geometry.taps // block.taps)
    width = np.array([len(groups) for groups in classes.groups], np.int64)[:, np.newaxis]
    count = width * one
    real = geometry.layer.out_channels
    slow = block.requantize_cycles
    total = count * outs
    runs = RunTiles(
        deferred=total,
        total=total,
        first=count,
        most=count,
        periods=np.maximum(count, slow) * outs,
        touched=np.broadcast_to(outs, count.shape),
        adds=count * real,
        deferred_adds=count * real,
    )
    sizes, which = np.unique(block.taps, return_inverse=True)
    read = np.array([_rows_read(geometry, int(taps)).sum() for taps in sizes])[which]
    shape = (len(classes.uses), len(block))
    terms = int(geometry.real_taps.sum()) * real
    inside = int(_row_uses(geometry).sum()) * real
    groups = GroupTiles(
        sets=np.broadcast_to(outs * one, shape),
        rows=np.broadcast_to(outs * ins * read, shape),
        slots=np.full(shape, terms),
        inside=np.full(shape, inside),
    )
    return runs, groups


def _counted(
    geometry: ConvGeometry,
    block: FoldBlock,
    classes: RunClasses,
    nonzero: NDArray[np.bool_],
) -> Iterator[tuple[RunTiles, GroupTiles]]:
    """Count the tiles that are not all zero, a base after the other."""
    groups = len(kernel_groups(geometry, block.schedule, block.kernel_columns))
    by_class = np.zeros((len(classes.groups), groups), np.int64)
    for number, used in enumerate(classes.groups):
        by_class[number, list(used)] = 1
    real_terms, row_uses = geometry.real_taps.astype(np.int64), _row_uses(geometry)
    slow_cycles = block.requantize_cycles
    known: tuple[int, int] | None = None
    for begin, end, tiles in present_tiles(geometry, block, nonzero, np.ones(len(block), bool)):
        taps, ins, out = (
            int(sizes[begin]) for sizes in (block.taps, block.in_channels, block.out_channels)
        )
        if known != (taps, ins):
            known = (taps, ins)
            terms = _sum(_sum(real_terms, 0, taps), 1, ins)
            inside = _sum(_sum(row_uses, 0, taps), 1, ins)
            read = _rows_read(geometry, taps)
        present = tiles.astype(np.int64)
        sizes = np.minimum(out, geometry.out_channels - np.arange(0, geometry.out_channels, out))
        real = np.tile(sizes, geometry.tiled_groups)
        by_taps = present.sum(axis=3)  # (kernel groups, outs, tap groups)
        by_out = by_taps.sum(axis=2)
        counts = by_class @ by_out
        least = np.maximum(counts, 1)
        slow = slow_cycles[begin:end]
        ones = np.ones(len(slow), np.int64)

        def spread(values: Ints, ones: Ints = ones) -> Ints:
            return values[:, np.newaxis] * ones

        runs = RunTiles(
            deferred=spread(counts.sum(axis=1)),
            total=spread(least.sum(axis=1)),
            first=spread(least[:, 0]),
            most=spread(counts.max(axis=1)),
            periods=np.maximum(least[:, :, np.newaxis], slow).sum(axis=1),
            touched=spread((counts > 0).sum(axis=1)),
            adds=spread(least @ real),
            deferred_adds=spread(counts @ real),
        )
        weighted = np.tensordot(real, present, (0, 1))  # (kernel groups, tap groups, ins)
        of_groups = GroupTiles(
            sets=spread(by_out.sum(axis=1)),
            rows=spread(by_taps.sum(axis=1) @ read),
            slots=spread(np.tensordot(weighted, terms, 2)),
            inside=spread(np.tensordot(weighted, inside, 2)),
        )
        yield runs, of_groups


def present_tiles(
    geometry: ConvGeometry,
    block: FoldBlock,
    nonzero: NDArray[np.bool_],
    wanted: NDArray[np.bool_],
) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
    """Find the tiles that are not all zero, a base with `wanted` folds after the other.

    Gives the first fold of the base, that after its last, and the tiles: (kernel groups, out tiles,
    tap groups, in tiles).
    """
    members = kernel_groups(geometry, block.schedule, block.kernel_columns)
    by_group = np.stack([nonzero[:, :, :, list(slots)].any(axis=3) for slots in members], axis=3)
    bounds = np.append(block.first_of_base, len(block))
    known: tuple[int, int] | None = None
    for begin, end in pairwise(bounds.tolist()):
        if not wanted[begin]:
            continue
        taps, ins, out = (
            int(sizes[begin]) for sizes in (block.taps, block.in_channels, block.out_channels)
        )
        if known != (taps, ins):
            known = (taps, ins)
            narrow = _any(_any(by_group, 2, taps), 4, ins)
        tiled = _any(narrow, 1, out)  # (groups, outs, tap groups, kernel groups, ins)
        yield begin, end, tiled.reshape(-1, *tiled.shape[2:]).transpose(2, 0, 1, 3)


def _any(values: NDArray[np.bool_], axis: int, size: int) -> NDArray[np.bool_]:
    """Whether any in each tile of `size` along `axis` is true."""
    if size == 1:
        return values
    starts = np.arange(0, values.shape[axis], size)
    found: NDArray[np.bool_] = np.logical_or.reduceat(values, starts, axis=axis)
    return found


def _sum(values: Ints, axis: int, size: int) -> Ints:
    """Sum of each tile of `size` along `axis`."""
    return np.add.reduceat(values, np.arange(0, values.shape[axis], size), axis=axis)
