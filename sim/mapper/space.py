"""What the mapper knows of a stage: its candidates, and the work of each on every column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from pilaster.models.graph import Node
from pilaster.models.layers import Add, Concat, Conv, FullyConnected, Layer, Pool, Upsample
from pilaster.models.network import Network
from pilaster.sim.beats import Beats
from pilaster.sim.geometry import ConvGeometry
from pilaster.sim.machine import Fold, Schedule, StageSpec
from pilaster.sim.mapper.folds import FoldBlock, Limits, fold_blocks
from pilaster.sim.mapper.sizes import useful_sizes
from pilaster.sim.mapper.tiles import (
    GroupTiles,
    RunClasses,
    RunTiles,
    count_tiles,
    nonzero_weights,
    run_classes,
)
from pilaster.sim.recurrence import StageWork
from pilaster.sim.stages import ConvStage, JoinStage, PoolStage, UpsampleStage
from pilaster.sim.stages.conv_kind import ConvKind
from pilaster.sim.stages.join_kind import JoinKind
from pilaster.sim.stages.kind import Kind
from pilaster.sim.stages.pool_kind import PoolKind
from pilaster.sim.stages.upsample_kind import UpsampleKind
from pilaster.sim.timing import COLUMN_BUFFERS, IDLE_COLUMN, conv_depth
from pilaster.sim.work import ColumnWork

__all__ = [
    "BlockTiles",
    "Candidates",
    "ConvCandidates",
    "JoinCandidates",
    "PoolCandidates",
    "UpsampleCandidates",
    "WorkTable",
    "candidates",
    "sent_beats",
]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class WorkTable:
    """The work of many stages of one layer, columns by kind.

    Attributes
    ----------
    kinds : (input columns,), index of each column's kind; columns of a kind have equal work
    completions : (kinds,), output columns that a column of the kind completes
    cycles : (quantities, candidates): for each kind, before, body and emitted of each run that
        completes an output column, then what is deferred
    """

    kinds: tuple[int, ...]
    completions: tuple[int, ...]
    cycles: Ints

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Row of each kind's first quantity."""
        sizes = [3 * count + 1 for count in self.completions]
        return tuple(int(end - size) for end, size in zip(np.cumsum(sizes), sizes, strict=True))

    def row(self, kind: int, run: int, quantity: int) -> int:
        """Row of a run's before (0), body (1) or emitted (2)."""
        return self.starts[kind] + 3 * run + quantity

    def deferred_row(self, kind: int) -> int:
        """Row of what is deferred."""
        return self.starts[kind] + 3 * self.completions[kind]

    @cached_property
    def busy_of_kind(self) -> Ints:
        """Cycles of work on a column, without waiting: (kinds, candidates)."""
        busy = []
        for kind, count in enumerate(self.completions):
            rows = [self.row(kind, run, part) for run in range(count) for part in (0, 1)]
            busy.append(self.cycles[[*rows, self.deferred_row(kind)]].sum(axis=0))
        return np.stack(busy)

    @cached_property
    def busy(self) -> Ints:
        """Cycles of work on an image, without waiting: (candidates,)."""
        counts = np.bincount(self.kinds, minlength=len(self.completions))
        busy: Ints = counts @ self.busy_of_kind
        return busy

    @cached_property
    def outputs(self) -> tuple[tuple[int, int], ...]:
        """Input column and run that complete each output column."""
        return tuple(
            (column, run)
            for column, kind in enumerate(self.kinds)
            for run in range(self.completions[kind])
        )

    def between(self, column: int, output: int) -> Ints:
        """Least cycles from an input column's arrival to an output column's: (candidates,)."""
        last, runs = self.outputs[output]
        counts = np.bincount(self.kinds[column:last], minlength=len(self.completions))
        kind = self.kinds[last]
        rows = [self.row(kind, run, part) for run in range(runs) for part in (0, 1)]
        rows += [self.row(kind, runs, 0), self.row(kind, runs, 2)]
        cycles: Ints = counts @ self.busy_of_kind + self.cycles[rows].sum(axis=0)
        return cycles

    @cached_property
    def last_column(self) -> Ints:
        """Least cycles from the arrival of the column that completes the last output column."""
        return self.between(self.outputs[-1][0], -1)

    def of(self, choice: NDArray[np.intp]) -> WorkTable:
        """Give the work of some candidates, in the order given."""
        return WorkTable(self.kinds, self.completions, self.cycles[:, choice])

    def stage_work(self) -> StageWork:
        """Give the work as the closed form takes it, a candidate a machine."""

        def runs(part: int) -> list[list[Ints]]:
            return [
                [self.cycles[self.row(kind, run, part)] for run in range(count)]
                for kind, count in enumerate(self.completions)
            ]

        return StageWork(
            kinds=self.kinds,
            completions=self.completions,
            before=runs(0),
            body=runs(1),
            emitted=runs(2),
            beats=[[()] * count for count in self.completions],
            deferred=[self.cycles[self.deferred_row(k)] for k in range(len(self.completions))],
        )

    @classmethod
    def of_columns(cls, works: Sequence[Sequence[ColumnWork]]) -> WorkTable:
        """Tabulate stages' works, each a sequence over columns."""
        index: dict[object, int] = {}
        kinds = tuple(index.setdefault(key, len(index)) for key in zip(*works, strict=True))
        first = [kinds.index(kind) for kind in range(len(index))]
        table = []
        for work in works:
            numbers: list[int] = []
            for column in first:
                for run in work[column].completing:
                    numbers += [run.before, run.body, run.emitted]
                numbers.append(work[column].deferred)
            table.append(numbers)
        completions = tuple(len(works[0][column].completing) for column in first)
        return cls(kinds, completions, np.array(table, np.int64).T.copy())


@dataclass(frozen=True, eq=False)
class BlockTiles:
    """A block of folds, its runs and its tiles."""

    block: FoldBlock
    classes: RunClasses
    runs: RunTiles
    groups: GroupTiles

    def leading(self, block: FoldBlock) -> BlockTiles:
        """Give the same tiles to a block that has the first of these folds."""
        runs, groups = self.runs.leading(len(block)), self.groups.leading(len(block))
        return BlockTiles(block, self.classes, runs, groups)


@dataclass(frozen=True, eq=False)
class ConvCandidates:
    """Every fold of a convolution or a fully connected layer that the mapper considers.

    nonzero : weights that are not zero, see `nonzero_weights`; None where all are
    """

    name: str
    stage: ConvStage
    blocks: tuple[BlockTiles, ...]
    work: WorkTable
    in_dram: bool
    nonzero: NDArray[np.bool_] | None

    def __len__(self) -> int:
        return len(self.lanes)

    @cached_property
    def lanes(self) -> Ints:
        """Multipliers."""
        return np.concatenate([tiles.block.lanes for tiles in self.blocks])

    @cached_property
    def small_units(self) -> Ints:
        """Requantizers."""
        return np.concatenate([tiles.block.requantizers for tiles in self.blocks])

    @cached_property
    def out_channels(self) -> Ints:
        """P_o: channels of a beat to the next stage."""
        return np.concatenate([tiles.block.out_channels for tiles in self.blocks])

    @cached_property
    def gathers(self) -> NDArray[np.bool_]:
        """Whether the schedule is gather."""
        return np.concatenate(
            [
                np.full(len(tiles.block), tiles.block.schedule is Schedule.GATHER)
                for tiles in self.blocks
            ]
        )

    def beats(self, index: int) -> Beats:
        """Beats that a candidate sends."""
        geometry, step = self.stage.geometry, int(self.out_channels[index])
        return Beats.of_groups(geometry.tiled_groups, geometry.out_channels, step)

    def spec(self, index: int) -> StageSpec:
        """Give a candidate as a stage."""
        bits = self.stage.widths.weight if self.in_dram else 0
        for tiles in self.blocks:
            if index < len(tiles.block):
                return tiles.block.spec(index, bits, self.stage.spec.row_sums)
            index -= len(tiles.block)
        raise IndexError(index)


AnyStage = TypeVar("AnyStage", PoolStage, UpsampleStage, JoinStage)


@dataclass(frozen=True, eq=False)
class _Widths(Generic[AnyStage]):
    """Every width that the mapper considers of a stage without weights."""

    name: str
    stages: tuple[AnyStage, ...]
    work: WorkTable

    def __len__(self) -> int:
        return len(self.stages)

    @cached_property
    def lanes(self) -> Ints:
        """Multipliers: none."""
        return np.zeros(len(self), np.int64)

    @cached_property
    def small_units(self) -> Ints:
        """Channels worked on in parallel."""
        return self.out_channels

    @cached_property
    def out_channels(self) -> Ints:
        """Channels of a beat to the next stage."""
        return np.array([stage.fold.out_channels for stage in self.stages], np.int64)

    @cached_property
    def gathers(self) -> NDArray[np.bool_]:
        """Whether the schedule is gather: these have none, and count as scatter."""
        return np.zeros(len(self), bool)

    def beats(self, index: int) -> Beats:
        """Beats that a candidate sends."""
        return self.stages[index].beats

    def spec(self, index: int) -> StageSpec:
        """Give a candidate as a stage."""
        return self.stages[index].spec


class PoolCandidates(_Widths[PoolStage]):
    """Every width of a pooling stage that the mapper considers."""


class UpsampleCandidates(_Widths[UpsampleStage]):
    """Every width of an upsampling stage that the mapper considers."""


class JoinCandidates(_Widths[JoinStage]):
    """Every width of a join that the mapper considers, with the fewest column buffers."""


Candidates = ConvCandidates | PoolCandidates | UpsampleCandidates | JoinCandidates


def sent_beats(found: Candidates) -> tuple[tuple[Beats, ...], NDArray[np.intp]]:
    """Give the different beats that candidates send, and which of these each one sends."""
    _, first, sends = np.unique(found.out_channels, return_index=True, return_inverse=True)
    return tuple(found.beats(index) for index in first.tolist()), sends


def candidates(network: Network, node: Node, limits: Limits) -> Candidates:
    """List the candidates for a layer's stage, with their work."""
    return _CANDIDATES[type(node.layer)](network, node, limits)


def _conv_candidates(network: Network, node: Node, limits: Limits) -> ConvCandidates:
    kind = ConvKind()
    spec = StageSpec(schedule=limits.schedules[0], row_sums=limits.row_sums)
    stage = kind.lay(network, node, spec)
    geometry = stage.geometry
    nonzero = None if network.dense else nonzero_weights(network, node.name, geometry)
    blocks: list[BlockTiles] = []
    for block in fold_blocks(geometry, limits):
        before = blocks[-1] if blocks else None
        if before is not None and before.block.has_folds_of(block):
            blocks.append(before.leading(block))
            continue
        classes = run_classes(geometry, block.schedule, block.kernel_columns)
        runs, groups = count_tiles(geometry, block, classes, nonzero)
        blocks.append(BlockTiles(block, classes, runs, groups))
    most = limits.on_chip_weight_bits
    in_dram = most is not None and kind.weight_bits(network, node) > most
    work = _work(geometry, blocks)
    return ConvCandidates(node.name, stage, tuple(blocks), work, in_dram, nonzero)


def _pool_candidates(network: Network, node: Node, limits: Limits) -> PoolCandidates:
    return PoolCandidates(node.name, *_widths(PoolKind(), network, node, limits))


def _upsample_candidates(network: Network, node: Node, limits: Limits) -> UpsampleCandidates:
    return UpsampleCandidates(node.name, *_widths(UpsampleKind(), network, node, limits))


def _join_candidates(network: Network, node: Node, limits: Limits) -> JoinCandidates:
    return JoinCandidates(node.name, *_widths(JoinKind(), network, node, limits))


def _widths(
    kind: Kind[AnyStage], network: Network, node: Node, limits: Limits
) -> tuple[tuple[AnyStage, ...], WorkTable]:
    """Lay a layer at every width that is considered, with the fewest column buffers."""
    widest = max(network.graph.shapes[name].channels for name in node.inputs)
    columns = (COLUMN_BUFFERS,) * len(node.inputs)
    stages = []
    for size in useful_sizes(widest, limits.channel_sizes).tolist():
        fold = Fold(out_channels=size)
        spec = StageSpec(fold, limits.schedules[0], row_sums=limits.row_sums)
        stages.append(kind.lay(network, node, spec).with_arm_columns(columns))
    return tuple(stages), WorkTable.of_columns([stage.work for stage in stages])


_CANDIDATES: Mapping[type[Layer], Callable[[Network, Node, Limits], Candidates]] = {
    Conv: _conv_candidates,
    FullyConnected: _conv_candidates,
    Pool: _pool_candidates,
    Upsample: _upsample_candidates,
    Add: _join_candidates,
    Concat: _join_candidates,
}


def _work(geometry: ConvGeometry, blocks: Sequence[BlockTiles]) -> WorkTable:
    """Tabulate the work of every fold of the blocks: the same as `ConvStage.work` of each."""
    index: dict[object, int] = {}
    signatures = zip(*(tiles.classes.columns for tiles in blocks), strict=True)
    kinds = tuple(index.setdefault(signature, len(index)) for signature in signatures)
    first = [kinds.index(kind) for kind in range(len(index))]
    runs = blocks[0].classes.columns
    completions = tuple(sum(done for _, done in runs[column]) for column in first)
    parts = [_block_work(geometry, tiles, first) for tiles in blocks]
    return WorkTable(kinds, completions, np.concatenate(parts, axis=1))


def _block_work(geometry: ConvGeometry, tiles: BlockTiles, columns: Sequence[int]) -> Ints:
    """Cycles of a block's folds on some columns, as the rows of a `WorkTable`.

    A pass's weights come within a cycle, so that no pass waits for them.
    """
    block, runs = tiles.block, tiles.runs
    rows_out = geometry.rows_out
    whole = block.taps == geometry.taps
    depth = _depth(block)
    slow = block.requantize_cycles
    if block.held:
        totals = runs.periods * rows_out
        before = np.zeros_like(totals)
        emitted = totals + slow - 2 + depth
        deferred = runs.deferred * rows_out
    else:
        lead = block.taps - 1 - np.where(whole, geometry.pad_top, 0)
        full = max(geometry.rows, rows_out)
        sweep = np.where(whole, full, rows_out + block.taps - 1)
        leaving = np.maximum(sweep, lead + rows_out) + (slow - 1) * rows_out
        last = np.where(slow == 1, sweep, leaving)
        outs = geometry.tiled_groups * -(-geometry.out_channels // block.out_channels)
        before = (runs.first - 1) * sweep
        totals = (runs.total - outs) * sweep + outs * last - before
        emitted = totals - last + lead + rows_out * slow - 1 + depth
        deferred = runs.deferred * sweep
    table = []
    for column in columns:
        later = np.zeros(len(block), np.int64)
        column_runs = tiles.classes.columns[column]
        for number, done in column_runs:
            if done:
                table += [before[number], totals[number], emitted[number]]
            else:
                later = later + deferred[number]
        if not any(done for _, done in column_runs):
            later = np.maximum(later, IDLE_COLUMN)
        table.append(later)
    return np.stack(table)


def _depth(block: FoldBlock) -> Ints:
    """Cycles from reading a row to its result standing in the next stage's column buffer."""
    terms = block.taps * block.in_channels
    if block.schedule is Schedule.GATHER:
        terms = terms * block.kernel_columns
    sizes, which = np.unique(terms, return_inverse=True)
    return np.array([conv_depth(int(size)) for size in sizes], np.int64)[which]
