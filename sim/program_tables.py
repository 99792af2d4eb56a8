"""The tables that the sequencer of a convolution stage walks through: their sizes, and their reads.

A run names its blocks, one for each output tile; a block names its passes; a pass is one tile of
weights. Runs that do the same share their blocks, and blocks their passes; from `SHARED_TILES` on
the address of a tile counts from that of its block, so that more of them do the same. A table is
read when the walk comes to an entry: to a run once, to a block once, and to a pass for each sweep
or, where partial sums are held, for each row, unless it is the only one of its block.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.geometry import ConvGeometry
from pilaster.sim.machine import Schedule
from pilaster.sim.schedule import column_runs, kernel_groups

__all__ = ["SHARED_TILES", "ProgramTables", "TiledRuns", "counted_tables", "whole_tables"]

Ints = NDArray[np.int64]

SHARED_TILES = 2048
"""Tiles of weights from which on blocks share passes."""


@dataclass(frozen=True)
class ProgramTables:
    """The tables of runs, of blocks and of passes, each (3,) or (3, folds).

    Attributes
    ----------
    bits, depth : of an entry, and entries
    reads : of an image
    """

    bits: Ints
    depth: Ints
    reads: Ints


@dataclass(frozen=True)
class TiledRuns:
    """What tables depend on beside the tiles of weights.

    Attributes
    ----------
    pending : output columns whose partial sums wait, (folds,) for many folds at once
    held : whether partial sums are held
    """

    geometry: ConvGeometry
    schedule: Schedule
    kernel_columns: int
    held: bool
    pending: Ints

    @property
    def scatters(self) -> bool:
        """Whether a run serves several output columns, a slot each."""
        return self.schedule is Schedule.SCATTER

    @property
    def slots(self) -> int:
        """Output columns that a run may serve."""
        return self.kernel_columns if self.scatters else 1


Kind = tuple[tuple[int, ...], bool]
"""Kernel groups that a run uses, and whether it completes an output column."""


@dataclass(frozen=True)
class _Walk:
    """The runs of an image, sorted.

    Attributes
    ----------
    kinds : runs of each kind
    deferred : by the kinds of its runs, columns that complete nothing
    histories : kind of a run and, by slot, kinds of the runs that served its output column before;
        each once
    uses : most groups of a run
    back : most columns before the latest that a run reads from on; 0 in a scatter stage
    """

    kinds: dict[Kind, int]
    deferred: dict[frozenset[Kind], int]
    histories: frozenset[tuple[Kind, tuple[tuple[int, frozenset[Kind]], ...]]]
    uses: int
    back: int


@lru_cache(maxsize=4096)
def _walk(geometry: ConvGeometry, schedule: Schedule, kernel_columns: int) -> _Walk:
    window, scatters = geometry.layer.window, schedule is Schedule.SCATTER
    kinds: Counter[Kind] = Counter()
    deferred: Counter[frozenset[Kind]] = Counter()
    before: dict[int, frozenset[Kind]] = {}
    histories = set()
    back = 0
    for column, runs in enumerate(column_runs(geometry, schedule, kernel_columns)):
        of_column = []
        for run in runs:
            kind = (tuple(use.group for use in run.uses), run.completes is not None)
            of_column.append(kind)
            served = []
            if scatters:
                for slot, _, target in run.uses[0].active:
                    history = before.get(target, frozenset())
                    served.append((slot, history))
                    before[target] = history | {kind}
            else:
                for use in run.uses:
                    slot, offset, target = use.active[0]
                    first = target * window.stride[1] - window.padding.left + offset - slot
                    back = max(back, column - first)
            histories.add((kind, tuple(served)))
        kinds.update(of_column)
        if not any(completes for _, completes in of_column):
            deferred[frozenset(of_column)] += 1
    uses = max(len(groups) for groups, _ in kinds)
    return _Walk(dict(kinds), dict(deferred), frozenset(histories), uses, back)


@dataclass(frozen=True)
class _Largest:
    """What decides how wide the entries are: largest values, each a number or (folds,)."""

    run_blocks: Ints
    run_weight: Ints
    block_passes: Ints
    block_weight: Ints
    pattern: Ints
    pass_weight: Ints


def whole_tables(of: TiledRuns, ins: Ints, outs: Ints, taps: Ints) -> ProgramTables:
    """Tables where all tiles are in the schedule, for many folds at once.

    Parameters
    ----------
    ins, outs, taps : (folds,), input tiles, output tiles and tap groups
    """
    geometry = of.geometry
    walk = _walk(geometry, of.schedule, of.kernel_columns)
    each, groups = ins * taps, max(g for used, _ in walk.kinds for g in used) + 1
    patterns = outs if geometry.is_depthwise else np.full_like(outs, geometry.tiled_groups)
    shares = _kernel_groups(of) * outs * each >= SHARED_TILES
    lists = {used for used, _ in walk.kinds}
    apart = {tuple(g - used[0] for g in used) for used in lists}  # of which lists look alike
    span = max(used[-1] for used in apart)
    idle = walk.deferred.get(frozenset(), 0)
    runs = sum(walk.kinds.values()) + idle
    blocks = sum(walk.kinds.values()) * outs
    of_uses = sum(len(used) * count for (used, _), count in walk.kinds.items())
    passes = of_uses * each * outs
    if of.held:
        single = sum(count for (used, _), count in walk.kinds.items() if len(used) == 1) * outs
        passes = passes * geometry.rows_out - (each == 1) * single * (geometry.rows_out - 1)
    most = walk.uses * each
    largest = _Largest(
        run_blocks=outs,
        run_weight=shares * max(used[0] for used in lists) * outs * each,
        block_passes=most,
        block_weight=shares * (outs - 1) * each,
        pattern=patterns * ins - 1,
        pass_weight=np.where(shares, span * outs * each + each, groups * outs * each) - 1,
    )
    depth = np.stack(
        [
            np.full_like(outs, runs),
            np.where(shares, len(apart), len(lists)) * outs,
            np.where(
                shares, sum(map(len, apart)) * each * patterns, sum(map(len, lists)) * each * outs
            ),
        ]
    )
    reads = np.stack([np.full_like(outs, runs), blocks + idle, passes + idle])
    return ProgramTables(_bits(of, walk, largest, (ins, outs, taps), depth), depth, reads)


def counted_tables(of: TiledRuns, present: NDArray[np.bool_]) -> ProgramTables:
    """Tables of one fold, where some tiles are not in the schedule.

    present : (kernel groups, out tiles, in tiles, tap groups)
    """
    geometry = of.geometry
    walk = _walk(geometry, of.schedule, of.kernel_columns)
    tiles = present.sum(axis=(2, 3))
    lists = _Lists.of(of, walk, present, tiles)
    works = {kind for kind, counts in lists.counts.items() if counts.any()}
    idle = sum(count for kinds, count in walk.deferred.items() if works.isdisjoint(kinds))
    runs, blocks, passes = idle, idle, idle
    rows = geometry.rows_out if of.held else 1
    for kind in works:
        counts = lists.counts[kind]
        runs += walk.kinds[kind]
        blocks += walk.kinds[kind] * int(np.count_nonzero(counts))
        passes += walk.kinds[kind] * int(np.where(counts > 1, counts * rows, counts).sum())
    least = {kind: int(lists.weights[kind][lists.counts[kind] > 0].min()) for kind in works}
    beyond = [lists.weights[kind][lists.counts[kind] > 0].max() - least[kind] for kind in works]
    largest = _Largest(
        run_blocks=np.array(max(np.count_nonzero(lists.counts[kind]) for kind in works)),
        run_weight=np.array(max(least.values())),
        block_passes=np.array(max(lists.counts[kind].max() for kind in works)),
        block_weight=np.array(max(beyond)),
        pattern=np.array(lists.pattern),
        pass_weight=np.array(lists.weight),
    )
    depth = np.array([runs, lists.blocks(walk, least), lists.passes])
    _, outs, ins, taps = present.shape
    sizes = np.array([ins]), np.array([outs]), np.array([taps])
    bits = _bits(of, walk, largest, sizes, depth[:, np.newaxis])
    return ProgramTables(bits[:, 0], depth, np.array([runs, blocks, passes]))


@dataclass(frozen=True)
class _Lists:
    """Lists of passes, by kind of run and output tile.

    Attributes
    ----------
    counts : (out tiles,), how many passes; of a tile that leaves, at least one
    names : (out tiles,), which list
    weights : (out tiles,), least address of a tile of weights; 0 where passes have all of it
    passes : in all lists that differ
    pattern, weight : largest of any pass
    """

    counts: dict[Kind, Ints]
    names: dict[Kind, tuple[int, ...]]
    weights: dict[Kind, Ints]
    passes: int
    pattern: int
    weight: int

    @classmethod
    def of(cls, of: TiledRuns, walk: _Walk, present: NDArray[np.bool_], tiles: Ints) -> _Lists:
        """Write down what passes there are, and which lists are alike."""
        groups, outs, ins, _ = present.shape
        ends = tiles.cumsum().reshape(tiles.shape)
        starts = ends - tiles
        shares = int(ends[-1, -1]) >= SHARED_TILES
        patterns = np.arange(outs)
        if not of.geometry.is_depthwise:
            patterns = patterns // (outs // of.geometry.tiled_groups)
        backwards = np.logical_or.reduce(present, axis=3)[:, :, ::-1]
        last_in = ins - 1 - backwards.argmax(axis=2)
        contents = [[b""] * outs for _ in range(groups)]
        if shares:
            contents = [[present[g, o].tobytes() for o in range(outs)] for g in range(groups)]
        known: dict[object, int] = {}
        names, counts, weights = {}, {}, {}
        passes = pattern = weight = 0
        for kind in walk.kinds:
            used, completes = kind
            counted = tiles[list(used)].sum(axis=0)
            counts[kind] = np.maximum(counted, 1) if completes else counted
            found, least = [], np.zeros(outs, np.int64)
            for o in range(outs):
                there = [(use, g) for use, g in enumerate(used) if tiles[g, o]]
                if there and shares:
                    least[o] = starts[there[0][1], o]
                parts = tuple(
                    (use, int(starts[g, o] - least[o]), contents[g][o]) for use, g in there
                )
                content = int(patterns[o]), parts
                if content not in known and counts[kind][o]:
                    known[content] = len(known)
                    passes += int(counts[kind][o])
                    top = max((int(last_in[g, o]) for _, g in there), default=0)
                    pattern = max(pattern, int(patterns[o]) * ins + top)
                    ending = max((int(ends[g, o] - 1 - least[o]) for _, g in there), default=0)
                    weight = max(weight, ending)
                found.append(known.get(content, -1))
            names[kind], weights[kind] = tuple(found), least
        return cls(counts, names, weights, passes, pattern, weight)

    def blocks(self, walk: _Walk, least: dict[Kind, int]) -> int:
        """Blocks in all lists that differ: by their passes, or by tiles that have no sums yet.

        least : by kind of a run that works, the least address of its tiles
        """
        known = {}
        for kind, served in walk.histories:
            if kind not in least:
                continue
            there = self.counts[kind] > 0
            mixed = []
            for slot, history in served:
                taken = np.zeros(len(there), bool)
                for before in history:
                    taken |= self.counts[before] > 0
                fresh = ~taken[there]
                if fresh.any() and not fresh.all():  # all alike are told by the run
                    mixed.append((slot, fresh.tobytes()))
            weights = (self.weights[kind] - least[kind])[there].tobytes()
            known[self.names[kind], weights, tuple(mixed)] = int(there.sum())
        return sum(known.values())


def _kernel_groups(of: TiledRuns) -> int:
    return len(kernel_groups(of.geometry, of.schedule, of.kernel_columns))


def _bits(
    of: TiledRuns, walk: _Walk, largest: _Largest, tiles: tuple[Ints, Ints, Ints], depth: Ints
) -> Ints:
    """Widths of the entries of each table: (3, folds).

    tiles : input tiles, output tiles and tap groups
    """
    ins, outs, taps = tiles
    _, blocks, passes = depth
    slots = of.slots
    waits = (of.pending > 0) & of.scatters
    columns = of.geometry.columns_out
    rows = -(-of.pending // slots)
    banks = np.where(waits, min(slots, columns), 1)
    places = np.where(waits, np.minimum(rows, -(-columns // slots)), 1)
    slot = 1 + _index(banks) + _index(places)
    uses = _index(np.array(walk.back + 1)) + of.kernel_columns
    run = 3 + _index(blocks) + _index(largest.run_blocks + 1) + _index(largest.run_weight + 1)
    run = run + slots + _index(np.array(slots)) + slots * slot + walk.uses * uses
    block = _index(outs) + _index(passes) + _index(largest.block_passes + 1)
    block = block + _index(largest.block_weight + 1) + slots
    entry = 1 + _index(np.array(walk.uses)) + _index(ins) + _index(taps)
    entry = entry + _index(largest.pattern + 1) + _index(largest.pass_weight + 1)
    return np.stack(np.broadcast_arrays(run, block, entry))


def _index(count: Ints) -> Ints:
    """Bits of an index into `count` things, at least one."""
    bits: Ints = np.frexp(np.maximum(count - 1, 1))[1].astype(np.int64)
    return bits
