"""Test support: a convolution stage under watch, with what holds inside it."""

from __future__ import annotations

from amaranth.hdl import Mux, Signal
from amaranth.lib import data

from pilaster.rtl.components.sequencer import StepFormat
from pilaster.sim.machine import LoopOrder
from pilaster.sim.timing import COLUMN_BUFFERS
from tests.formal.schedule import Walk, in_table

__all__ = ["NUMBER_BITS", "WatchedStage"]

NUMBER_BITS = 4
"""Numbers of columns wrap around; there are more of them than columns in a stage."""


class WatchedStage:
    """Counts the columns of a stage. The stage has one requantizer for each output lane.

    Attributes
    ----------
    place : beats of the column that is coming in
    begun, whole, done : columns, counted at their first beat, their last, and when freed
    held, here : columns begun, or whole, that are not freed
    """

    def __init__(self, proof, opened, path, stage, component, beats):
        m = proof.module
        self.opened, self.path, self.stage = opened, path, stage
        self.column_beats = len(beats) * stage.geometry.shape.height
        self.component = component
        self.walk = Walk(
            proof, opened, f"{path}fetcher.", stage, opened[f"{path}sequencer.steps__ready"]
        )
        takes = component.i.valid & component.i.ready
        self.takes = takes
        self.place = Signal(range(self.column_beats + 1))
        last = self.place == self.column_beats - 1
        self.begun, self.whole, self.done = (Signal(NUMBER_BITS) for _ in range(3))
        self.held, self.here = Signal(NUMBER_BITS), Signal(NUMBER_BITS)
        m.d.sync += [
            self.begun.eq(self.begun + (takes & (self.place == 0))),
            self.whole.eq(self.whole + (takes & last)),
            self.done.eq(self.done + component.freed),
        ]
        with m.If(takes):
            m.d.sync += self.place.eq(Mux(last, 0, self.place + 1))
        m.d.comb += [self.held.eq(self.begun - self.done), self.here.eq(self.whole - self.done)]

    @property
    def out_beats(self):
        """Beats of an output column."""
        stage = self.stage
        return stage.tile_shape[1] * stage.geometry.rows_out

    @property
    def holds_sums(self):
        """Whether partial sums are held, so that a step is a row and not a sweep."""
        return self.stage.fold.loop_order is LoopOrder.PSUMS_HELD

    def signal(self, name):
        """Inner signal of the stage."""
        return self.opened[self.path + name]

    def state(self, proof):
        """State what holds inside: the columns in its buffers, and the work in progress."""
        m, walk, path = proof.module, self.walk, self.path
        walk.state(proof)
        form = StepFormat(self.stage, walk.program)
        offered = data.View(form.step, self.signal("fetcher.steps__payload"))
        for name in ("idle", "first_in_column", "last_in_column", "gate", "completes", "emits"):
            agrees = offered[name] == walk.field(name, walk.count)
            proof.always(~walk.valid | agrees, f"inner: {path}{name} of the step offered")
        if self.holds_sums:
            idle = in_table([step["idle"] for step in walk.steps], walk.count)
            rows = offered.passes == walk.field("passes", walk.count)
            proof.always(~walk.valid | idle | rows, f"inner: {path}passes of the step offered")

        left = self.signal("sequencer.left")
        last_before = walk.field("last_in_column", walk.previous)
        first_now = walk.field("first_in_column", walk.count)
        if self.holds_sums:
            waits = self.signal("sequencer.waited") | (left != 0)
            proof.always(~waits, f"inner: {path}a row leaves at once")
        else:
            step = data.View(form.step, self.signal("sequencer.step"))
            next_place = self.signal("sequencer.next_place")
            sweeping = self.signal("sequencer.sweeping")
            length = self.stage.sweep_cycles
            for name in ("last_in_column", "null", "idle", "emits"):
                agrees = step[name] == walk.field(name, walk.previous)
                proof.always((left == 0) | agrees, f"inner: {path}{name} of the step in progress")
            on_time = (next_place >= length) | (left == length - next_place)
            proof.always(left < length, f"inner: {path}a step is no longer than a sweep")
            proof.always(~sweeping | on_time, f"inner: {path}rows read in time")
            proof.always(~sweeping | (next_place > 0), f"inner: {path}the first row comes at once")
            swept = self.stage.lead + self.stage.geometry.rows_out
            proof.always(~sweeping | (next_place < swept), f"inner: {path}rows come")
            moves = ~self.signal("sequencer.active") | self.signal("sequencer.moves")
            proof.always(moves, f"inner: {path}a row comes every cycle")
        working = Signal(name=f"{path}working")
        m.d.comb += working.eq(~first_now | ((left != 0) & last_before))
        waits = self.signal("sequencer.columns")
        proof.always((waits + working) == self.here, f"inner: {path}columns at work or waiting")
        proof.always(self.held <= COLUMN_BUFFERS, f"inner: {path}columns held")
        proof.always(self.here <= self.held, f"inner: {path}columns whole")
        inside = self.place != 0
        proof.always(self.begun == (self.whole + inside)[:NUMBER_BITS], f"inner: {path}begun")
        proof.always(self.signal("intake.inside") == inside, f"inner: {path}inside a column")
        proof.always(self.signal("intake.free") + self.held == COLUMN_BUFFERS, f"inner: {path}free")
        rows = self.stage.geometry.shape.height
        written = self.signal("intake.columns.tile") * rows + self.signal("intake.columns.row")
        proof.always(self.place < self.column_beats, f"inner: {path}place in range")
        proof.always(written == self.place, f"inner: {path}place in the column")
        proof.always(self.signal("intake.columns.row") < rows, f"inner: {path}row in range")

    def beats_to_come(self, proof):
        """State what holds of output beats on their way; gives how many are to come.

        These are beats of columns that have a credit, and have not yet left the stage.
        """
        walk, path, stage = self.walk, self.path, self.stage
        form = StepFormat(stage, walk.program)
        rows = 1 if self.holds_sums else stage.geometry.rows_out
        owed, table = 0, []
        for step in walk.steps:
            table.append(owed)
            if step.get("gate"):
                assert owed == 0, "the schedule begins a column before the last has left"
                owed = self.out_beats
            if step.get("emits"):
                assert owed, "the schedule emits what has no credit"
                owed -= rows
        assert owed == 0
        count = in_table(table, walk.count)
        index = 1
        while found := self.opened.find(f"{path}valid{index}"):
            step = data.View(form.step, self.signal(f"step{index}"))
            count += found[0] & step.emits
            index += 1
        for name in ("sums.leaving", "emitter.fired0", "emitter.fired1", "emitter.fired2"):
            count += self.signal(name)
        for name in ("going", "next_turn", "turned0", "turned1", "turned2"):
            name = f"emitter.{name}"
            if self.opened.find(path + name):
                at_once = self.signal(name) == 0
                proof.always(at_once, f"inner: {path}{name}: a row leaves at once")
        if self.holds_sums:
            return count
        next_row, going = self.signal("sequencer.next_row"), self.signal("sequencer.going")
        current = data.View(form.step, self.signal("sequencer.current"))
        lead, left, length = stage.lead, self.signal("sequencer.left"), stage.sweep_cycles
        assert lead <= 1
        count += Mux(going & current.emits, rows - next_row, 0)
        on_time = left == length - (next_row + lead)
        proof.always(~going | on_time, f"inner: {path}rows leave in time")
        proof.always(~going | self.signal("sequencer.fires"), f"inner: {path}a row every cycle")
        proof.always(~going | (next_row < rows), f"inner: {path}rows leave")
        proof.always(~going | (next_row > 0), f"inner: {path}the first row leaves at once")
        if lead:
            starts = self.signal("sequencer.lead_valid0")
            step = data.View(form.step, self.signal("sequencer.lead_step0"))
            count += Mux(starts & step.emits, rows, 0)
            early = ~going & (left == length - 1)
            proof.always(~starts | early, f"inner: {path}rows of one sweep at a time")
        return count
