"""The schedule of a convolution stage as tables: what its sequencer walks through.

Three tables, each pointing into the next. A run names its blocks, one for each output tile; a
block names its passes; a pass is one tile of weights. All are made from `pilaster.sim.schedule`
and from the stage's own list of passes, so the order has one home.

The address of a tile of weights is the sum of three: the run's, the block's and the pass's. Blocks
that do the same with other weights therefore share their passes, and runs their blocks. In a
program of few tiles the pass's is the whole address: adders would cost more than the table. The
sizes of the tables and how often they are read are `pilaster.sim.program_tables`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pilaster.sim import program_tables
from pilaster.sim.machine import Schedule
from pilaster.sim.schedule import Run
from pilaster.sim.stages import ConvStage

__all__ = ["Block", "PassEntry", "Program", "RunEntry", "SlotEntry"]


@dataclass(frozen=True)
class SlotEntry:
    """What one slot of kernel columns does in a run: whether it works, and where its sums wait."""

    active: bool = False
    bank: int = 0
    column: int = 0


@dataclass(frozen=True)
class RunEntry:
    """A run of a column, or a column without work (`idle`).

    Attributes
    ----------
    first_block, blocks : where the run's blocks stand, and how many
    weight : least address of its weights
    fresh : a bit for each slot with no sums yet in any block
    slots : by slot of a scatter stage; a gather stage has one
    backs : by group use, how many columns before the latest slot 0 reads; gather only
    masks : by group use, which slots take part, a bit each; gather only
    complete_slot : slot whose sums leave
    """

    idle: bool
    completes: bool
    last_in_column: bool
    first_block: int
    blocks: int
    weight: int
    fresh: int
    complete_slot: int
    slots: tuple[SlotEntry, ...]
    backs: tuple[int, ...]
    masks: tuple[int, ...]


@dataclass(frozen=True)
class Block:
    """Passes of a run on one output tile. `fresh` has a bit for each other slot with no sums yet.

    weight : least address of its weights, past its run's
    """

    out_tile: int
    first_pass: int
    passes: int
    weight: int
    fresh: int


@dataclass(frozen=True)
class PassEntry:
    """One pass. `pattern` tells which channels are read; a `null` pass multiplies nothing.

    weight : address of its weights, past its block's
    """

    null: bool
    use: int
    in_tile: int
    tap_group: int
    pattern: int
    weight: int


@dataclass(frozen=True)
class Program:
    """The tables of a stage, and the tiles of weights in the order of their addresses.

    weights : (group, out tile, in tile, tap group) by address
    """

    runs: tuple[RunEntry, ...]
    blocks: tuple[Block, ...]
    passes: tuple[PassEntry, ...]
    weights: tuple[tuple[int, int, int, int], ...]

    @classmethod
    def of(cls, stage: ConvStage) -> Program:
        """Write the program of `stage`."""
        return _Writer(stage).program()


class _Writer:
    def __init__(self, stage: ConvStage) -> None:
        self.stage = stage
        present = stage.present
        if present is None:
            present = np.ones(stage.tile_shape, bool)
        self.weights = tuple((g, o, c, t) for g, o, c, t in np.argwhere(present).tolist())
        self.shares = len(self.weights) >= program_tables.SHARED_TILES
        self.address = {tile: index for index, tile in enumerate(self.weights)}
        self.scatter = stage.spec.schedule is Schedule.SCATTER
        self.slots = stage.fold.kernel_columns if self.scatter else 1
        self.uses = max((len(run.uses) for runs in stage.runs for run in runs), default=1)
        self.passes: list[PassEntry] = []
        self.blocks: list[Block] = []
        self.pass_lists: dict[tuple[PassEntry, ...], int] = {}
        self.block_lists: dict[tuple[Block, ...], int] = {}
        self.run_passes: dict[tuple[tuple[int, ...], bool], list[tuple[int, int, int]]] = {}
        self.seen: set[tuple[int, int]] = set()

    def program(self) -> Program:
        entries: list[RunEntry] = []
        idle = RunEntry(
            idle=True,
            completes=False,
            last_in_column=True,
            first_block=0,
            blocks=1,
            weight=0,
            fresh=0,
            complete_slot=0,
            slots=(SlotEntry(),) * self.slots,
            backs=(0,) * self.uses,
            masks=(0,) * self.uses,
        )
        for column, runs in enumerate(self.stage.runs):
            counts = [self.stage.out_tile_counts(run) for run in runs]
            working = [(run, count) for run, count in zip(runs, counts, strict=True) if count.any()]
            for index, (run, count) in enumerate(working):
                last = index == len(working) - 1
                entries.append(self._run(column, run, count, last))
            if not working:
                entries.append(idle)
        blocks = self.blocks or [Block(0, 0, 1, 0, 0)]
        passes = self.passes or [PassEntry(True, 0, 0, 0, 0, 0)]
        return Program(tuple(entries), tuple(blocks), tuple(passes), self.weights)

    def _run(self, column: int, run: Run, counts: NDArray[np.int64], last: bool) -> RunEntry:
        slots = [SlotEntry()] * self.slots
        complete_slot = 0
        fresh = np.zeros(len(counts), np.int64)
        targets = run.uses[0].active if self.scatter else ((0, 0, run.completes),)
        for slot, _, target in targets:
            assert target is not None
            slots[slot] = self._place(target)
            if target == run.completes:
                complete_slot = slot
            for out_tile in np.flatnonzero(counts).tolist():
                if (target, out_tile) not in self.seen:
                    self.seen.add((target, out_tile))
                    fresh[out_tile] |= 1 << slot
        backs, masks = [0] * self.uses, [0] * self.uses
        if not self.scatter:
            for index, use in enumerate(run.uses):
                slot, offset, target = use.active[0]
                window = self.stage.geometry.layer.window
                first = target * window.stride[1] - window.padding.left + offset - slot
                backs[index] = column - first
                masks[index] = sum(1 << slot for slot, _, _ in use.active)
        first_block, weight, all_fresh = self._blocks(run, fresh)
        return RunEntry(
            idle=False,
            completes=run.completes is not None,
            last_in_column=last,
            first_block=first_block,
            blocks=int(np.count_nonzero(counts)),
            weight=weight,
            fresh=all_fresh,
            complete_slot=complete_slot,
            slots=tuple(slots),
            backs=tuple(backs),
            masks=tuple(masks),
        )

    def _place(self, target: int) -> SlotEntry:
        """Where the sums of an output column wait."""
        pending = self.stage.pending_columns
        if not self.scatter or not pending:
            return SlotEntry(True)
        banks = self.stage.fold.kernel_columns
        rows = -(-pending // banks)
        return SlotEntry(True, target % banks, target // banks % rows)

    def _blocks(self, run: Run, fresh: NDArray[np.int64]) -> tuple[int, int, int]:
        """Write the blocks of a run; gives the first, and the run's `weight` and `fresh`."""
        of_run = (tuple(use.group for use in run.uses), run.completes is not None)
        if of_run not in self.run_passes:
            self.run_passes[of_run] = self._passes(run)
        found = self.run_passes[of_run]
        counts = [count for _, count, _ in found]
        shared = int(np.bitwise_and.reduce(fresh[np.flatnonzero(counts)]))
        least = min((weight for _, count, weight in found if count), default=0)
        tiles = zip(found, fresh.tolist(), strict=True)
        blocks = tuple(
            Block(out_tile, first, count, weight - least, bits & ~shared)
            for out_tile, ((first, count, weight), bits) in enumerate(tiles)
            if count
        )
        if blocks not in self.block_lists:
            self.block_lists[blocks] = len(self.blocks)
            self.blocks += blocks
        return self.block_lists[blocks], least, shared

    def _passes(self, run: Run) -> list[tuple[int, int, int]]:
        """Write the passes of a run; gives (first, count, least address) by output tile.

        All runs of the same groups have the same, but for those that send their sums on.
        """
        by_tile: list[list[PassEntry]] = [[] for _ in range(self.stage.tile_shape[1])]
        for step in self.stage.passes(run):
            tile = (run.uses[step.use].group, step.out_tile, step.in_tile, step.tap_group)
            by_tile[step.out_tile].append(
                PassEntry(
                    null=tile not in self.address,
                    use=step.use,
                    in_tile=step.in_tile,
                    tap_group=step.tap_group,
                    pattern=self.pattern(step.out_tile, step.in_tile),
                    weight=self.address.get(tile, 0),
                )
            )
        found = []
        for entries in by_tile:
            addresses = [entry.weight for entry in entries if self.shares and not entry.null]
            least = min(addresses, default=0)
            passes = tuple(
                entry if entry.null else replace(entry, weight=entry.weight - least)
                for entry in entries
            )
            if passes not in self.pass_lists:
                self.pass_lists[passes] = len(self.passes)
                self.passes += passes
            found.append((self.pass_lists[passes], len(entries), least))
        return found

    def pattern(self, out_tile: int, in_tile: int) -> int:
        """Index of the channels that a tile reads: by group, or by tile where depthwise."""
        geometry = self.stage.geometry
        _, outs, ins, _ = self.stage.tile_shape
        if geometry.is_depthwise:
            return out_tile * ins + in_tile
        return out_tile // (outs // geometry.tiled_groups) * ins + in_tile
