"""Test support: the steps that a stage's schedule asks for, and where its fetcher stands."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Array, Const, Mux, Signal

from pilaster.rtl.components.program import Program
from pilaster.sim.machine import LoopOrder, Schedule

__all__ = ["Walk", "in_table", "steps_of"]

HELD = LoopOrder.PSUMS_HELD


def steps_of(stage, program):
    """Steps of an image, by field, from the stage's own runs and passes.

    A field that an idle step does not use is None. Only places of partial sums and addresses of
    weights come from the program.
    """
    held = stage.fold.loop_order is HELD
    scatter = stage.spec.schedule is Schedule.SCATTER
    window = stage.geometry.layer.window
    rows = stage.geometry.rows_out if held else 1
    address = {tile: index for index, tile in enumerate(program.weights)}
    entries, seen, found = iter(program.runs), set(), []
    for column, runs in enumerate(stage.runs):
        steps = []
        for run in runs:
            counts = stage.out_tile_counts(run)
            if not counts.any():
                continue
            entry = next(entries)
            active = run.uses[0].active if scatter else [(0, 0, run.completes)]
            for tile in np.flatnonzero(counts).tolist():
                passes = [p for p in stage.passes(run) if p.out_tile == tile]
                fresh = sum(1 << s for s, _, target in active if (target, tile) not in seen)
                seen |= {(target, tile) for _, _, target in active}
                for row in range(rows):
                    for index, entered in enumerate(passes):
                        use = run.uses[entered.use]
                        weight = (use.group, tile, entered.in_tile, entered.tap_group)
                        slot, offset, target = use.active[0]
                        used = target * window.stride[1] - window.padding.left + offset
                        gate = index == 0 and row == 0 if held else entered.emits
                        steps.append(
                            {
                                "idle": 0,
                                "gate": bool(run.completes is not None and gate)
                                and tile == np.flatnonzero(counts)[0],
                                "first": index == 0,
                                "last": index == len(passes) - 1,
                                "completes": run.completes is not None,
                                "emits": entered.emits,
                                "passes": len(passes),
                                "row": row,
                                "out_tile": tile,
                                "in_tile": entered.in_tile,
                                "tap_group": entered.tap_group,
                                "use": entered.use,
                                "pattern": entered.in_tile,
                                "null": weight not in address,
                                "weight": address.get(weight, 0),
                                "fresh": fresh,
                                "complete_slot": next(
                                    (s for s, _, t in active if t == run.completes), 0
                                ),
                                "slots": entry.slots,
                                "back": 0 if scatter else column + slot - used,
                                "mask": 0 if scatter else sum(1 << s for s, _, _ in use.active),
                            }
                        )
        if not steps:
            next(entries)
            steps = [{"idle": 1, "gate": 0}]
        for index, step in enumerate(steps):
            step["first_in_column"] = index == 0
            step["last_in_column"] = index == len(steps) - 1
        found += steps
    return found


def walk_of(stage, program):
    """Where the fetcher's walk through its tables stands, by step."""
    held = stage.fold.loop_order is HELD
    found, first = [], True
    for index, run in enumerate(program.runs):
        blocks = program.blocks[run.first_block : run.first_block + run.blocks]
        if run.idle:
            found.append((index, 0, 0, 0, first))
            first = True
            continue
        for place, block in enumerate(blocks):
            for row in range(stage.geometry.rows_out if held else 1):
                for number in range(block.passes):
                    found.append((index, place, row, number, first))
                    first = False
        first = run.last_in_column
    return found


def in_table(values, index):
    """Entry of a table of constants."""
    width = max(1, max(int(value).bit_length() for value in values))
    return Array(Const(int(value), width) for value in values)[index]


class Walk:
    """Where the fetcher of a stage stands in the schedule.

    Attributes
    ----------
    steps : the steps of an image, as `steps_of` gives them
    count : index of the step offered
    previous : index of the step before
    """

    def __init__(self, proof, opened, path, stage, taken):
        self.program = Program.of(stage)
        self.steps = steps_of(stage, self.program)
        self.places = walk_of(stage, self.program)
        self.opened, self.path = opened, path
        self.valid = opened[f"{path}steps__valid"]
        self.count, self.previous = (Signal(range(len(self.steps))) for _ in range(2))
        self.last = self.count == len(self.steps) - 1
        m = proof.module
        with m.If(self.valid & taken):
            m.d.sync += self.count.eq(Mux(self.last, 0, self.count + 1))
        m.d.comb += self.previous.eq(Mux(self.count == 0, len(self.steps) - 1, self.count - 1))

    def field(self, name, index):
        """Field of a step; zero where it has none."""
        return in_table([step.get(name) or 0 for step in self.steps], index)

    def state(self, proof):
        """State what holds inside the fetcher."""
        path, count = self.path, self.count
        ahead = Signal(range(len(self.places)))
        proof.module.d.comb += ahead.eq(Mux(self.valid & ~self.last, count + 1, 0))
        proof.always(count < len(self.places), f"inner: {path}count in range")
        proof.always(self.valid | (count == 0), f"inner: {path} offers but at the start")
        names = ("run_index", "block_index", "row", "pass_index", "first_in_column")
        for name, values in zip(names, zip(*self.places, strict=True), strict=True):
            if len(self.opened[path + name]):
                place = self.opened[path + name] == in_table(values, ahead)
                proof.always(place, f"inner: {path}{name} is a step ahead")
