"""What candidates cost: lanes, energy of an image, or area, for many folds at once.

Energies and areas are those that `simulate` and `stage_area_um2` give of each stage alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.energy.table import EnergyTable
from pilaster.models.shape import Shape
from pilaster.sim.actions import count_actions
from pilaster.sim.area import stage_area_um2
from pilaster.sim.beats import Beats
from pilaster.sim.column_words import Cuts, beat_cuts, conv_cuts, tile_cuts, word_channels
from pilaster.sim.energy import stage_energy_pj
from pilaster.sim.machine import Schedule
from pilaster.sim.mapper.hardware import hardware_of, keeps_row_sums, pending_columns
from pilaster.sim.mapper.space import (
    BlockTiles,
    Candidates,
    ConvCandidates,
    JoinCandidates,
    PoolCandidates,
    UpsampleCandidates,
)
from pilaster.sim.mapper.tiles import present_tiles
from pilaster.sim.program_tables import ProgramTables, TiledRuns, counted_tables, whole_tables
from pilaster.sim.stages import JoinStage, PoolStage, UpsampleStage
from pilaster.sim.stages.conv_actions import column_phase_bits, kernel_uses
from pilaster.sim.stages.join_actions import arm_actions
from pilaster.sim.stages.kinds import kind_of

__all__ = ["Pricing", "areas_um2", "column_buffer_pj", "energies_pj", "lane_operations"]

Ints = NDArray[np.int64]
Costs = NDArray[np.float64]


@dataclass(frozen=True)
class Pricing:
    """What energies are worked out with.

    Attributes
    ----------
    image_cycles : cycles between two answers
    clock_mhz : None where it is not known, which leaves leakage out
    """

    table: EnergyTable
    image_cycles: int
    clock_mhz: float | None


def areas_um2(found: Candidates, table: EnergyTable) -> Costs:
    """Area of every candidate, in µm²."""
    return _PRICES[type(found)].areas_um2(found, table)


def lane_operations(found: Candidates) -> Ints:
    """Lane operations of an image that every candidate's schedule has, see `lane_slots`."""
    return _PRICES[type(found)].lane_operations(found)


def energies_pj(found: Candidates, pricing: Pricing) -> Costs:
    """Energy of an image in which no activation is zero, but for the column buffers."""
    return _PRICES[type(found)].energies_pj(found, pricing)


def column_buffer_pj(
    found: Candidates, arm: int, beats: Sequence[Beats], pricing: Pricing
) -> Costs:
    """Energy of an image in the column buffers of every candidate: (candidates, beats).

    Parameters
    ----------
    arm : which input's column buffers
    beats : different ways in which its columns may come
    """
    return _PRICES[type(found)].column_buffer_pj(found, arm, beats, pricing)


class _Prices(Protocol):
    """What candidates of one kind cost; see the functions of these names."""

    def areas_um2(self, found: Any, table: EnergyTable) -> Costs: ...
    def lane_operations(self, found: Any) -> Ints: ...
    def energies_pj(self, found: Any, pricing: Pricing) -> Costs: ...
    def column_buffer_pj(
        self, found: Any, arm: int, beats: Sequence[Beats], pricing: Pricing
    ) -> Costs: ...


class _ConvPrices:
    """What candidates with weights cost."""

    def areas_um2(self, found: ConvCandidates, table: EnergyTable) -> Costs:
        return np.concatenate([_conv_areas(found, tiles, table) for tiles in found.blocks])

    def lane_operations(self, found: ConvCandidates) -> Ints:
        rows = found.stage.geometry.rows_out
        return np.concatenate(
            [_kernel_uses(found, tiles) @ tiles.groups.slots * rows for tiles in found.blocks]
        )

    def energies_pj(self, found: ConvCandidates, pricing: Pricing) -> Costs:
        return np.concatenate([_conv_energies(found, tiles, pricing) for tiles in found.blocks])

    def column_buffer_pj(
        self, found: ConvCandidates, arm: int, beats: Sequence[Beats], pricing: Pricing
    ) -> Costs:
        return _buffer_energies(len(found), _conv_buffers(found), beats, pricing)


class _PoolPrices:
    """What candidates of a pooling or an upsampling layer cost."""

    def areas_um2(self, found: PoolCandidates | UpsampleCandidates, table: EnergyTable) -> Costs:
        return np.array([stage_area_um2(stage, table) for stage in found.stages])

    def lane_operations(self, found: PoolCandidates | UpsampleCandidates) -> Ints:
        return np.zeros(len(found), np.int64)

    def energies_pj(self, found: PoolCandidates | UpsampleCandidates, pricing: Pricing) -> Costs:
        return np.array([_own_energy(stage, [stage.shape], pricing) for stage in found.stages])

    def column_buffer_pj(
        self,
        found: PoolCandidates | UpsampleCandidates,
        arm: int,
        beats: Sequence[Beats],
        pricing: Pricing,
    ) -> Costs:
        return _buffer_energies(len(found), [_pool_buffers(found)], beats, pricing)


class _JoinPrices:
    """What candidates of a join cost."""

    def areas_um2(self, found: JoinCandidates, table: EnergyTable) -> Costs:
        return np.array([stage_area_um2(stage, table) for stage in found.stages])

    def lane_operations(self, found: JoinCandidates) -> Ints:
        return np.zeros(len(found), np.int64)

    def energies_pj(self, found: JoinCandidates, pricing: Pricing) -> Costs:
        return np.array([_own_energy(stage, stage.shapes, pricing) for stage in found.stages])

    def column_buffer_pj(
        self, found: JoinCandidates, arm: int, beats: Sequence[Beats], pricing: Pricing
    ) -> Costs:
        stages = found.stages
        return np.array([[_arm_pj(each, arm, come, pricing) for come in beats] for each in stages])


_PRICES: Mapping[type[Candidates], _Prices] = {
    ConvCandidates: _ConvPrices(),
    PoolCandidates: _PoolPrices(),
    UpsampleCandidates: _PoolPrices(),
    JoinCandidates: _JoinPrices(),
}


@dataclass(frozen=True, eq=False)
class _ColumnBuffers:
    """Column buffers that differ only in what is read from them at once.

    Attributes
    ----------
    bits : of a value
    phases, buffered : memories, and the bits of each
    candidates : (candidates,), which of a stage's these are
    cuts : ways in which words may be cut; `cut` tells which is a candidate's
    reads : (candidates,), accesses of each memory, an image
    """

    shape: Shape
    bits: int
    phases: int
    buffered: int
    candidates: NDArray[np.intp]
    cuts: Sequence[Cuts]
    cut: NDArray[np.intp]
    reads: Ints

    def energies_pj(self, beats: Sequence[Beats], pricing: Pricing) -> Costs:
        """Energy of an image, (candidates, beats)."""
        table, bits, channels = pricing.table, self.bits, self.shape.channels
        of_beats = [beat_cuts(channels, come) for come in beats]
        word = bits * np.array([[word_channels(own, b) for b in of_beats] for own in self.cuts])
        depth = -(-self.buffered // word)
        read = _energy(table, Action.COLUMN_READ, word, depth)[self.cut]
        cost: Costs = self.phases * self.reads[:, np.newaxis] * read
        if pricing.clock_mhz is not None and table.has_leakage:
            time = pricing.image_cycles / pricing.clock_mhz
            leaks = (self.reads > 0)[:, np.newaxis] * _leaking(table, word, depth)[self.cut]
            cost = cost + self.phases * leaks * time
        rows = self.shape.width * self.shape.height
        writes = rows * np.array([come.per_row for come in beats])
        written = bits * np.array([come.channels for come in beats])
        depth = -(-self.buffered // written)
        clock = self.phases * pricing.image_cycles * _each(table.memory_clock_pj, written, depth)
        return cost + writes * _energy(table, Action.COLUMN_WRITE, written, depth) + clock


def _buffer_energies(
    count: int, buffers: Iterable[_ColumnBuffers], beats: Sequence[Beats], pricing: Pricing
) -> Costs:
    """Energy of an image in the column buffers of `count` candidates: (candidates, beats)."""
    costs = np.empty((count, len(beats)))
    for each in buffers:
        costs[each.candidates] = each.energies_pj(beats, pricing)
    return costs


def _pool_buffers(found: PoolCandidates | UpsampleCandidates) -> _ColumnBuffers:
    """Column buffers of all candidates."""
    first = found.stages[0]
    whole = Beats.whole(first.shape.channels)
    counts = [count_actions(stage, [whole], 1, None) for stage in found.stages]
    return _ColumnBuffers(
        shape=first.shape,
        bits=first.bits,
        phases=1,
        buffered=kind_of(first).storage(first).column_buffers,
        candidates=np.arange(len(found)),
        cuts=[tile_cuts(first.shape.channels, s.fold.out_channels) for s in found.stages],
        cut=np.arange(len(found)),
        reads=np.array([each.of_action(Action.COLUMN_READ) for each in counts]),
    )


def _conv_buffers(found: ConvCandidates) -> Iterator[_ColumnBuffers]:
    """Column buffers of all candidates, those of a schedule together."""
    reads = np.concatenate([t.classes.words @ t.groups.rows for t in found.blocks])
    tiles = [np.stack([t.block.in_channels, t.block.out_channels]) for t in found.blocks]
    sizes = np.concatenate(tiles, axis=1)
    if not found.stage.geometry.is_depthwise:
        sizes[1] = 1  # makes no difference to what is read
    for gathers in np.unique(found.gathers):
        schedule = Schedule.GATHER if gathers else Schedule.SCATTER
        stage = replace(found.stage, spec=replace(found.stage.spec, schedule=schedule))
        which = np.flatnonzero(found.gathers == gathers)
        different, cut = np.unique(sizes[:, which], axis=1, return_inverse=True)
        yield _ColumnBuffers(
            shape=stage.geometry.shape,
            bits=stage.widths.activation,
            phases=stage.geometry.row_fold,
            buffered=column_phase_bits(stage),
            candidates=which,
            cuts=[conv_cuts(stage.geometry, *pair) for pair in different.T.tolist()],
            cut=cut.ravel(),
            reads=reads[which],
        )


def _arm_pj(stage: JoinStage, arm: int, beats: Beats, pricing: Pricing) -> float:
    """Energy of an image in accesses of the column buffers of a join's arm."""
    found = arm_actions(stage, arm, beats)
    return sum(count * pricing.table.energy_pj(action, at) for action, at, count in found)


def _own_energy(
    stage: PoolStage | UpsampleStage | JoinStage, shapes: Sequence[Shape], pricing: Pricing
) -> float:
    """Energy of an image in a stage without weights, that of `column_buffer_pj` left out."""
    actions = count_actions(stage, [Beats.whole(shape.channels) for shape in shapes], 1, None)
    actions = actions.without(Action.COLUMN_WRITE, Action.COLUMN_READ)
    energy = stage_energy_pj(stage, actions, pricing.image_cycles, pricing.table, pricing.clock_mhz)
    return sum(energy.values())


def _conv_energies(found: ConvCandidates, tiles: BlockTiles, pricing: Pricing) -> Costs:
    block, classes, runs, groups = tiles.block, tiles.classes, tiles.runs, tiles.groups
    table, stage = pricing.table, found.stage
    geometry, widths = stage.geometry, stage.widths
    rows_out, columns_out = geometry.rows_out, geometry.columns_out
    hardware = hardware_of(found, tiles)
    columns = _kernel_uses(found, tiles)

    lane = Attributes(
        activation_bits=widths.activation,
        weight_bits=widths.weight,
        accumulator_bits=widths.accumulator,
    )
    performed = columns @ groups.inside
    gated = columns @ groups.slots * rows_out - performed
    energy: Costs = np.asarray(performed * table.energy_pj(Action.MAC, lane), np.float64)
    energy += gated * table.energy_pj(Action.MAC_GATED, lane)

    words = classes.words @ groups.rows
    energy += words * _energy(table, Action.WINDOW_SHIFT, hardware.row_word * block.taps)

    fetched = classes.uses @ groups.sets * (rows_out if block.held else 1)
    several = hardware.weight_sets > 1
    fetched = np.where(several, fetched, 0)
    if found.in_dram:
        once = table.energy_pj(Action.DRAM_READ, Attributes(widths.weight))
        energy += fetched * block.lanes * once
    else:
        sets = np.maximum(hardware.weight_sets, 1)
        energy += fetched * _energy(table, Action.WEIGHT_READ, hardware.weight_word, sets)

    energy += fetched * _energy(table, Action.WEIGHT_LOAD, hardware.weight_word)

    deferred, completing = classes.copies.T
    adds = deferred @ runs.deferred_adds + completing @ runs.adds
    energy += adds * rows_out * table.energy_pj(Action.ACCUMULATE, Attributes(widths.accumulator))
    outs = geometry.tiled_groups * -(-geometry.out_channels // block.out_channels)
    by_run = deferred @ runs.touched + completing.sum() * outs
    by_pass = deferred @ runs.deferred + completing @ runs.total
    keeps = keeps_row_sums(tiles, stage)
    touches = by_run if block.held or keeps else by_pass
    waits = (touches - columns_out * outs) * rows_out
    for action in (Action.PSUM_READ, Action.PSUM_WRITE):
        energy += waits * _energy(table, action, hardware.psum_word, hardware.psum_depth)
    kept, words = (by_pass - by_run) * rows_out * keeps, np.maximum(1, hardware.row_sum_words)
    for action in (Action.ROW_SUM_READ, Action.ROW_SUM_WRITE):
        energy += kept * _energy(table, action, hardware.psum_word, words)

    if pricing.image_cycles:
        bank = _each(table.memory_clock_pj, hardware.psum_word, hardware.psum_depth)
        clock = (waits > 0) * bank * hardware.banks
        row_sums = _each(table.memory_clock_pj, hardware.psum_word, words)
        clock = clock + (kept > 0) * row_sums * hardware.banks
        clock = clock + _each(lambda at: table.clock_pj(at.bits), hardware.register_bits, None)
        energy += pricing.image_cycles * clock
    passes = classes.counts[:, 0] @ runs.deferred + classes.counts[:, 1] @ runs.total
    energy += passes * rows_out * table.energy_pj(Action.ROW, Attributes())
    if table.has_programs:
        energy += _program_energies(found, tiles, table)

    scale = Attributes(accumulator_bits=widths.accumulator, scale_bits=widths.scale)
    outputs = rows_out * columns_out
    once = table.energy_pj(Action.REQUANTIZE, scale)
    energy += outputs * geometry.layer.out_channels * once
    energy += outputs * outs * _energy(table, Action.STREAM, block.out_channels * widths.output)
    if pricing.image_cycles and pricing.clock_mhz is not None and table.has_leakage:
        power = block.lanes * (table.leakage_uw((), 1) or 0.0)
        banks = hardware.banks * _leaking(table, hardware.psum_word, hardware.psum_depth)
        power += (waits > 0) * banks
        row_sums = hardware.banks * _leaking(table, hardware.psum_word, words)
        power += (kept > 0) * row_sums
        if not found.in_dram:
            sets = np.maximum(hardware.weight_sets, 1)
            power += (fetched > 0) * _leaking(table, hardware.weight_word, sets)
        energy += power * pricing.image_cycles / pricing.clock_mhz
    return energy


def _program_energies(found: ConvCandidates, tiles: BlockTiles, table: EnergyTable) -> Costs:
    """Energy of an image in reading programs; a table of one entry is never read."""
    tables = _program_tables(found, tiles)
    reads = np.where(tables.depth > 1, tables.reads, 0)
    each = reads * _energy(table, Action.PROGRAM_READ, tables.bits, tables.depth)
    costs: Costs = each.sum(axis=0)
    return costs


def _program_tables(found: ConvCandidates, tiles: BlockTiles) -> ProgramTables:
    """The tables of a block's folds: in closed form, or where tiles are zero, for each base."""
    block, geometry, sets = tiles.block, found.stage.geometry, tiles.groups.sets
    pending = pending_columns(tiles, found.stage)
    runs = TiledRuns(geometry, block.schedule, block.kernel_columns, block.held, pending)
    ins = -(-geometry.channels // block.in_channels)
    outs = geometry.tiled_groups * -(-geometry.out_channels // block.out_channels)
    taps = -(-geometry.taps // block.taps)
    tables = whole_tables(runs, ins, outs, taps)
    partial: NDArray[np.bool_] = np.logical_or.reduce(sets < ins * outs * taps, axis=0)
    if found.nonzero is None or not partial.any():
        return tables
    for begin, end, present in present_tiles(geometry, block, found.nonzero, partial):
        of_base = replace(runs, pending=pending[begin : begin + 1])
        base = counted_tables(of_base, present.transpose(0, 1, 3, 2))
        for table, column in zip(vars(tables).values(), vars(base).values(), strict=True):
            table[:, begin:end] = column[:, np.newaxis]
    return tables


def _kernel_uses(found: ConvCandidates, tiles: BlockTiles) -> Ints:
    """How many columns each kernel group of a block's folds is multiplied with."""
    block, stage = tiles.block, found.stage
    spec = replace(stage.spec, schedule=block.schedule)
    spec = replace(spec, fold=replace(spec.fold, kernel_columns=block.kernel_columns))
    uses: Ints = kernel_uses(replace(stage, spec=spec, present=None)).sum(axis=0)
    return uses


def _conv_areas(found: ConvCandidates, tiles: BlockTiles, table: EnergyTable) -> Costs:
    block, widths = tiles.block, found.stage.widths
    hardware = hardware_of(found, tiles)
    operands = Attributes(activation_bits=widths.activation, weight_bits=widths.weight)
    scale = Attributes(activation_bits=widths.accumulator, weight_bits=widths.scale)
    adders = block.lanes + block.out_channels * hardware.banks + block.requantizers
    area = block.lanes * table.area_um2("multiply_area", operands)
    area = area + block.requantizers * table.area_um2("multiply_area", scale)
    area = area + adders * table.area_um2("add_area", Attributes(bits=widths.accumulator))
    area = area + _area(table, "register_area", hardware.register_bits)
    column = _area(table, "memory_area", hardware.column_word, hardware.column_depth)
    area = area + hardware.column_phases * column
    if not found.in_dram:
        sets = np.maximum(hardware.weight_sets, 1)
        weights = _area(table, "memory_area", hardware.weight_word, sets)
        area = area + np.where(hardware.weight_sets > 1, weights, 0.0)
    bank = _area(table, "memory_area", hardware.psum_word, hardware.psum_depth)
    area = area + np.where(hardware.psum_bits > 0, bank * hardware.banks, 0.0)
    words = np.maximum(1, hardware.row_sum_words)
    row_sums = _area(table, "memory_area", hardware.psum_word, words) * hardware.banks
    area = area + np.where(hardware.row_sum_words > 0, row_sums, 0.0)
    total: Costs = np.asarray(area, np.float64)
    return total


def _energy(table: EnergyTable, action: Action, bits: Ints, depth: Ints | None = None) -> Costs:
    return _each(lambda at: table.energy_pj(action, at), bits, depth)


def _area(table: EnergyTable, name: str, bits: Ints, depth: Ints | None = None) -> Costs:
    return _each(lambda at: table.area_um2(name, at), bits, depth)


def _leaking(table: EnergyTable, bits: Ints, depth: Ints) -> Costs:
    return _each(lambda at: table.leakage_uw((at,)) or 0.0, bits, depth)


def _each(price: Callable[[Attributes], float], bits: Ints, depth: Ints | None) -> Costs:
    """Price many widths and depths, each different pair once."""
    words = np.ones_like(bits) if depth is None else depth
    pairs, which = np.unique(bits + 1j * words, return_inverse=True)
    prices = [price(Attributes(int(pair.real), int(pair.imag))) for pair in pairs]
    return np.array(prices)[which.reshape(bits.shape)]
