"""The sequencer of a convolution stage: walks the program and times every pass."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from pilaster.rtl.components.column_buffer import inside_column
from pilaster.rtl.components.program import Program
from pilaster.rtl.components.shapes import index_shape
from pilaster.sim.machine import LoopOrder
from pilaster.sim.stages import ConvStage
from pilaster.sim.timing import COLUMN_BUFFERS

__all__ = ["Fetcher", "Sequencer", "StepFormat", "StepSignature"]


_TABLES = 3
"""Of runs, of blocks and of passes."""


class StepFormat:
    """Layouts of what a sequencer takes from its program and gives to the lanes."""

    def __init__(self, stage: ConvStage, program: Program) -> None:
        run = program.runs[0]
        self.slots, self.uses = len(run.slots), len(run.backs)
        _, outs, ins, taps = stage.tile_shape
        banks = max(slot.bank for r in program.runs for slot in r.slots) + 1
        places = max(slot.column for r in program.runs for slot in r.slots) + 1
        ports = stage.fold.kernel_columns
        backs = max(max(r.backs) for r in program.runs) + 1
        slot = data.StructLayout(
            {"active": 1, "bank": index_shape(banks), "column": index_shape(places)}
        )
        self.run = data.StructLayout(
            {
                "idle": 1,
                "completes": 1,
                "last_in_column": 1,
                "first_block": index_shape(len(program.blocks)),
                "blocks": index_shape(max(r.blocks for r in program.runs) + 1),
                "weight": index_shape(max(r.weight for r in program.runs) + 1),
                "fresh": self.slots,
                "complete_slot": index_shape(self.slots),
                "slots": data.ArrayLayout(slot, self.slots),
                "backs": data.ArrayLayout(index_shape(backs), self.uses),
                "masks": data.ArrayLayout(Shape(ports), self.uses),
            }
        )
        self.block = data.StructLayout(
            {
                "out_tile": index_shape(outs),
                "first_pass": index_shape(len(program.passes)),
                "passes": index_shape(max(b.passes for b in program.blocks) + 1),
                "weight": index_shape(max(b.weight for b in program.blocks) + 1),
                "fresh": self.slots,
            }
        )
        self.entry = data.StructLayout(
            {
                "null": 1,
                "use": index_shape(self.uses),
                "in_tile": index_shape(ins),
                "tap_group": index_shape(taps),
                "pattern": index_shape(max(p.pattern for p in program.passes) + 1),
                "weight": index_shape(max(p.weight for p in program.passes) + 1),
            }
        )
        self.row = index_shape(stage.geometry.rows_out)
        # What one step needs: a pass, or with sums held a pass on one row.
        self.step = data.StructLayout(
            {
                "idle": 1,
                "first_in_column": 1,
                "last_in_column": 1,
                "gate": 1,
                "first": 1,
                "last": 1,
                "completes": 1,
                "emits": 1,
                "passes": self.block.members["passes"],
                "row": self.row,
                "out_tile": index_shape(outs),
                "fresh": self.slots,
                "complete_slot": index_shape(self.slots),
                "slots": data.ArrayLayout(slot, self.slots),
                "back": index_shape(backs),
                "mask": ports,
                **self.entry.members,
                "weight": index_shape(len(program.weights)),
            }
        )


class StepSignature(wiring.Signature):
    """A step at work on an output row: whether there is one, what it needs, and the row."""

    def __init__(self, form: StepFormat) -> None:
        super().__init__({"valid": Out(1), "step": Out(form.step), "row": Out(form.row)})


class Fetcher(wiring.Component):
    """Walks the tables and offers one step after another, for image after image.

    A step is a pass where weights are held, and a pass on one row where sums are held.

    Members
    -------
    steps : the step offered
    reads : with probes only, how many tables are read in this cycle
    """

    def __init__(
        self, stage: ConvStage, program: Program, form: StepFormat, probes: bool = False
    ) -> None:
        self._stage, self._program, self._form = stage, program, form
        self._probes = probes
        members = {"steps": Out(stream.Signature(form.step))}
        if probes:
            members["reads"] = Out(range(_TABLES + 1))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Three tables behind each other, and a register for the step they give."""
        m = Module()
        program, form = self._program, self._form
        held = self._stage.fold.loop_order is LoopOrder.PSUMS_HELD
        rows = self._stage.geometry.rows_out if held else 1

        def table(name: str, layout: data.StructLayout, entries: tuple[object, ...]) -> Memory:
            init = list(map(_plain, entries))
            memory = Memory(shape=layout, depth=max(2, len(init)), init=init)
            m.submodules[name] = memory
            return memory

        runs = table("runs", form.run, program.runs).read_port(domain="comb")
        blocks = table("blocks", form.block, program.blocks).read_port(domain="comb")
        passes = table("passes", form.entry, program.passes).read_port(domain="comb")

        run_index = Signal(index_shape(len(program.runs)))
        block_index = Signal(form.run.members["blocks"])
        row = Signal(index_shape(rows))
        pass_index = Signal(form.block.members["passes"])
        run, block, entry = runs.data, blocks.data, passes.data
        first_in_column = Signal(init=1)
        m.d.comb += [
            runs.addr.eq(run_index),
            blocks.addr.eq(run.first_block + block_index),
            passes.addr.eq(block.first_pass + pass_index),
        ]
        last_pass = pass_index == block.passes - 1
        last_row = row == rows - 1
        last_block = block_index == run.blocks - 1
        run_ends = run.idle | (last_pass & last_row & last_block)

        step = Signal(form.step)
        gate = (pass_index == 0) & (row == 0) if held else last_pass
        m.d.comb += [
            step.idle.eq(run.idle),
            step.first_in_column.eq(first_in_column),
            step.last_in_column.eq(run.last_in_column & run_ends),
            step.gate.eq(run.completes & (block_index == 0) & gate),
            step.first.eq(pass_index == 0),
            step.last.eq(last_pass),
            step.completes.eq(run.completes),
            step.emits.eq(run.completes & last_pass),
            step.passes.eq(block.passes),
            step.row.eq(row),
            step.out_tile.eq(block.out_tile),
            step.fresh.eq(run.fresh | block.fresh),
            step.complete_slot.eq(run.complete_slot),
            step.slots.eq(run.slots),
            step.back.eq(run.backs[entry.use]),
            step.mask.eq(run.masks[entry.use]),
        ]
        m.d.comb += [step[name].eq(entry[name]) for name in form.entry.members]
        weight: Value = entry.weight
        for found, entries in ((run, program.runs), (block, program.blocks)):
            if any(item.weight for item in entries):
                weight = weight + found.weight
        m.d.comb += step.weight.eq(weight)

        with m.If(~self.steps.valid | self.steps.ready):
            m.d.sync += [self.steps.valid.eq(1), self.steps.payload.eq(step)]
            m.d.sync += first_in_column.eq(0)
            with m.If(run_ends):
                m.d.sync += [pass_index.eq(0), row.eq(0), block_index.eq(0)]
                m.d.sync += run_index.eq(Mux(run_index == len(program.runs) - 1, 0, run_index + 1))
                m.d.sync += first_in_column.eq(run.last_in_column)
            with m.Elif(~last_pass):
                m.d.sync += pass_index.eq(pass_index + 1)
            with m.Else():
                m.d.sync += pass_index.eq(0)
                with m.If(last_row):
                    m.d.sync += [row.eq(0), block_index.eq(block_index + 1)]
                with m.Else():
                    m.d.sync += row.eq(row + 1)
        if self._probes:
            fresh_block = (pass_index == 0) & (row == 0)
            fresh_run = fresh_block & (block_index == 0)
            self._count_reads(m, fresh_run, fresh_block, fresh_block | (block.passes != 1))
        return m

    def _count_reads(self, m: Module, run: Value, block: Value, entry: Value) -> None:
        """Show in how many tables the next step stands at another entry than the one now taken.

        A table of one entry is never read.
        """
        tables = (self._program.runs, self._program.blocks, self._program.passes)
        pairs = zip((run, block, entry), tables, strict=True)
        fresh = sum((at for at, table in pairs if len(table) > 1), Const(0))
        with m.If(self.steps.valid & self.steps.ready):
            m.d.comb += self.reads.eq(fresh)


class Sequencer(wiring.Component):
    """Times the steps: waits for columns and for room, reads rows, and drives the lanes.

    Parameters
    ----------
    buffer_rows : rows of the column buffer
    behind : column buffers behind the stage, where its output goes

    Members
    -------
    accepted : a column has been written
    room : the next stage has freed a column buffer
    started, finished : work on a column begins in this cycle; ends with it
    read, row, pattern : what to read from the column buffer in this cycle
    moves : the sweep goes on by a row, be it read or padding
    token_valid, token, token_row : what the lanes are to do with the newest row read
    """

    def __init__(
        self,
        stage: ConvStage,
        form: StepFormat,
        buffer_rows: int,
        behind: int = COLUMN_BUFFERS,
    ) -> None:
        self._stage, self._form, self._behind = stage, form, behind
        super().__init__(
            {
                "steps": In(stream.Signature(form.step)),
                "accepted": In(1),
                "room": In(1),
                "started": Out(1),
                "finished": Out(1),
                "read": Out(1),
                "moves": Out(1),
                "read_row": Out(range(buffer_rows + 1)),
                "reading": Out(form.step),
                "token_valid": Out(1),
                "token": Out(form.step),
                "token_row": Out(index_shape(stage.geometry.rows_out)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Start steps when they may, then count their cycles."""
        m = Module()
        columns = Signal(range(COLUMN_BUFFERS + 1))
        room = Signal(range(self._behind + 1), init=self._behind)
        busy = Signal()
        begin, take = Signal(), Signal()
        step = self.steps.payload
        may_start = (
            self.steps.valid
            & ~busy
            & (~step.first_in_column | (columns != 0))
            & (~step.gate | (room != 0))
        )
        m.d.comb += [
            self.started.eq(begin & step.first_in_column),
            take.eq(begin & step.gate),
        ]
        m.d.sync += [
            columns.eq(columns + self.accepted - self.started),
            room.eq(room + self.room - take),
        ]
        if self._stage.fold.loop_order is LoopOrder.PSUMS_HELD:
            self._pace_rows(m, may_start, begin, busy)
        else:
            m.d.comb += [begin.eq(may_start), self.steps.ready.eq(begin)]
            self._sweep(m, begin, busy)
        return m

    def _pace_rows(self, m: Module, may_start: Value, begin: Signal, busy: Signal) -> None:
        """Sums held: a step is a cycle; a row that leaves slowly waits for the one before it."""
        stage, step = self._stage, self.steps.payload
        slow = stage.requantize_cycles
        left = Signal(range(slow + 1))
        start, short, waited = Signal(), Signal(), Signal()
        row = step.row + step.tap_group - stage.geometry.pad_top
        inside = inside_column(row, stage.geometry.rows)
        m.d.comb += [
            busy.eq(left != 0),
            short.eq(step.first & step.completes & (step.passes < slow)),
            begin.eq(may_start & ~waited),
            start.eq(Mux(waited, ~busy, begin & ~short)),
            self.steps.ready.eq(start),
            self.read_row.eq(Mux(inside, row, 0)),
            self.read.eq(start & ~step.idle & ~step.null & inside),
            self.moves.eq(start),
            self.reading.eq(step),
            self.token_valid.eq(start & ~step.idle),
            self.token.eq(step),
            self.token_row.eq(step.row),
            self.finished.eq(start & step.last_in_column),
        ]
        with m.If(start):
            m.d.sync += waited.eq(0)
        with m.Elif(begin):
            m.d.sync += [waited.eq(1), left.eq(slow - step.passes - 1)]
        with m.Elif(busy):
            m.d.sync += left.eq(left - 1)

    def _sweep(self, m: Module, start: Signal, busy: Signal) -> None:
        """Weights held: a step is a sweep, computed `lead` rows behind the reads."""
        stage, form = self._stage, self._form
        geometry, slow = stage.geometry, stage.requantize_cycles
        longest = max(stage.sweep_cycles, stage.emitting_sweep_cycles)
        left = Signal(range(longest + 1))
        kept, step = Signal(form.step, reset_less=True), Signal(form.step)
        ends = Signal()
        with m.If(start):
            m.d.sync += kept.eq(self.steps.payload)
        m.d.comb += step.eq(Mux(start, self.steps.payload, kept))
        length = Mux(step.idle, 1, Mux(step.emits, stage.emitting_sweep_cycles, stage.sweep_cycles))
        m.d.comb += [
            busy.eq(left != 0),
            self.reading.eq(step),
            ends.eq(Mux(start, length == 1, left == 1)),
            self.finished.eq(ends & step.last_in_column),
        ]
        with m.If(start):
            m.d.sync += left.eq(length - 1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)

        # Reads: the first rows at once, then a row for each output row.
        rows_swept = stage.lead + geometry.rows_out
        place, next_place = Signal(range(rows_swept + 1)), Signal(range(rows_swept + 1))
        beat, sweeping = Signal(range(slow + 1)), Signal()
        active = Signal()
        m.d.comb += [
            active.eq(Mux(start, ~step.idle, sweeping)),
            place.eq(Mux(start, 0, next_place)),
        ]
        m.d.comb += self.moves.eq(active & Mux(start, 1, beat == 0))
        with m.If(active):
            with m.If(self.moves):
                leaves = step.emits & (place >= stage.lead) if stage.lead else step.emits
                pause = Mux(leaves, slow - 1, 0)
                m.d.sync += [next_place.eq(place + 1), beat.eq(pause)]
                m.d.sync += sweeping.eq(place != rows_swept - 1)
            with m.Else():
                m.d.sync += beat.eq(beat - 1)
        whole = stage.fold.taps == geometry.taps
        row: Value = place + 0
        if not whole:
            row = place + step.tap_group * stage.fold.taps - geometry.pad_top
        inside = inside_column(row, geometry.rows)
        m.d.comb += [
            self.read.eq(self.moves & inside & ~step.null),
            self.read_row.eq(Mux(inside, row, 0)),
        ]
        self._follow(m, start, step)

    def _follow(self, m: Module, start: Signal, step: Signal) -> None:
        """Drive the lanes with each sweep, `lead` cycles after its start."""
        stage, form = self._stage, self._form
        slow, rows_out = stage.requantize_cycles, stage.geometry.rows_out
        valid: Value = start & ~step.idle
        behind: Value = step
        for index in range(stage.lead):
            next_valid = Signal(name=f"lead_valid{index}")
            next_step = Signal(form.step, name=f"lead_step{index}", reset_less=True)
            m.d.sync += next_valid.eq(valid)
            with m.If(valid):
                m.d.sync += next_step.eq(behind)
            valid, behind = next_valid, next_step
        kept, current = Signal(form.step, reset_less=True), Signal(form.step)
        with m.If(valid):
            m.d.sync += kept.eq(behind)
        m.d.comb += current.eq(Mux(valid, behind, kept))
        row, next_row = Signal(index_shape(rows_out)), Signal(index_shape(rows_out))
        beat, going = Signal(range(slow + 1)), Signal()
        active, fires = Signal(), Signal()
        m.d.comb += [
            active.eq(valid | going),
            row.eq(Mux(valid, 0, next_row)),
            fires.eq(valid | (going & (beat == 0))),
        ]
        with m.If(active):
            with m.If(fires):
                last = row == rows_out - 1
                m.d.sync += [
                    next_row.eq(Mux(last, 0, row + 1)),
                    beat.eq(Mux(current.emits, slow - 1, 0)),
                    going.eq(~last),
                ]
            with m.Else():
                m.d.sync += beat.eq(beat - 1)
        m.d.comb += [
            self.token_valid.eq(fires),
            self.token.eq(current),
            self.token_row.eq(row),
        ]


def _plain(entry: object) -> dict[str, object]:
    """Values of a table entry, by field, for a memory's contents."""
    found: dict[str, object] = {}
    for name, value in vars(entry).items():
        if isinstance(value, tuple):
            value = [vars(item) if hasattr(item, "__dict__") else item for item in value]
            value = [
                {key: int(field) for key, field in item.items()} if isinstance(item, dict) else item
                for item in value
            ]
        found[name] = value
    return found
