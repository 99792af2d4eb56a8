"""Faults for the RTL generator, each of which `verify` must see: the check of the check.

A fault is a small change to the text of one of the generator's functions. The text it replaces must
be there exactly once, so a fault cannot quietly stop being one when the generator changes.
"""

from __future__ import annotations
import __future__

import contextlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from pilaster.rtl.components import sums, weights
from pilaster.rtl.components.column_buffer import ColumnBuffer
from pilaster.rtl.components.emitter import Emitter
from pilaster.rtl.components.intake import Intake
from pilaster.rtl.components.lanes import LaneArray
from pilaster.rtl.components.program import _Writer
from pilaster.rtl.components.requantize import Requantizer
from pilaster.rtl.components.sequencer import Fetcher, Sequencer
from pilaster.rtl.components.slowest import Slowest
from pilaster.rtl.components.sums import PartialSums
from pilaster.rtl.components.weights import WeightFeed
from pilaster.rtl.pipeline import OutputBuffer, PipelineComponent
from pilaster.rtl.stages import join as join_module
from pilaster.rtl.stages import pool as pool_module
from pilaster.rtl.stages.conv import ConvComponent
from pilaster.rtl.stages.join import JoinComponent
from pilaster.rtl.stages.pool import PoolComponent
from pilaster.rtl.stages.upsample import UpsampleComponent

__all__ = [
    "ACTIONS",
    "ANSWERS",
    "CYCLES",
    "ENLARGED",
    "FAULTS",
    "GATHER",
    "JOINED",
    "POOLED",
    "ROWS",
    "SCATTER",
    "VALUES",
    "Fault",
]

VALUES, CYCLES, ACTIONS = "values", "cycles", "actions"
"""Laws that a fault may break."""

SCATTER, GATHER, ANSWERS, POOLED, EVENLY = "scatter", "gather", "answers", "pooled", "evenly"
JOINED, ROWS, ENLARGED = "joined", "rows", "enlarged"
"""Machines of `test_faults` that show a fault."""


@dataclass(frozen=True)
class Fault:
    """A named change of the generator.

    Attributes
    ----------
    what : what is wrong with the hardware
    patch : makes the change for as long as it is entered
    law : a law that the fault must be seen to break; it may break others with it
    bench : machine that shows it
    """

    name: str
    what: str
    patch: Callable[[], AbstractContextManager[None]]
    law: str = VALUES
    bench: str = SCATTER


def edit(
    owner: object, function: str, old: str, new: str
) -> Callable[[], AbstractContextManager[None]]:
    """Replace `old`, found exactly once in a function's text, by `new`."""

    @contextlib.contextmanager
    def patch() -> Iterator[None]:
        original = vars(owner)[function]
        text = textwrap.dedent(inspect.getsource(original))
        assert text.count(old) == 1, f"{function} has {text.count(old)} times: {old}"
        found: dict[str, object] = {}
        flags = __future__.annotations.compiler_flag
        code = compile(text.replace(old, new), f"<faulty {function}>", "exec", flags, True)
        exec(code, original.__globals__, found)
        setattr(owner, function, found[function])
        try:
            yield
        finally:
            setattr(owner, function, original)

    return patch


PROGRAM = (
    Fault(
        "pass-dropped",
        "the last pass of every output tile is missing",
        edit(_Writer, "_passes", "len(entries), least", "max(1, len(entries) - 1), least"),
    ),
    Fault(
        "weight-address",
        "a pass reads the next pass's weights",
        edit(
            _Writer,
            "_passes",
            "weight=self.address.get(tile, 0)",
            "weight=(self.address.get(tile, 0) + 1) % len(self.weights)",
        ),
    ),
    Fault(
        "shared-passes",
        "output tiles that share a list of passes read the first tile's weights",
        edit(Fetcher, "elaborate", "weight + found.weight", "weight + 0"),
    ),
    Fault(
        "channels-read",
        "a pass reads the input channels of its neighbor",
        edit(
            _Writer,
            "_passes",
            "pattern=self.pattern(step.out_tile, step.in_tile)",
            "pattern=self.pattern(step.out_tile, (step.in_tile + 1) % self.stage.tile_shape[2])",
        ),
    ),
    Fault(
        "tile-order",
        "output tiles leave last first",
        edit(_Writer, "_blocks", "in enumerate(tiles)", "in list(enumerate(tiles))[::-1]"),
    ),
    Fault(
        "psum-not-fresh",
        "slots after the first never start from the bias",
        edit(_Writer, "_run", "|= 1 << slot", "|= (slot == 0) << slot"),
    ),
    Fault(
        "psum-bank",
        "neighboring output columns wait in the same bank",
        edit(_Writer, "_place", "target % banks,", "target // 2 % banks,"),
    ),
    Fault(
        "slot-that-leaves",
        "slot 0 leaves whichever is complete",
        edit(_Writer, "_run", "complete_slot = slot", "complete_slot = 0"),
    ),
    Fault(
        "window-column",
        "a gather window starts a column late",
        edit(_Writer, "_run", "= column - first", "= max(0, column - first - 1)"),
        bench=GATHER,
    ),
    Fault(
        "window-mask",
        "only one column of a gather group takes part",
        edit(_Writer, "_run", "sum(1 << slot for slot, _, _ in use.active)", "1"),
        bench=GATHER,
    ),
)

SEQUENCE = (
    Fault(
        "bubble",
        "a sweep takes one cycle more",
        edit(Sequencer, "_sweep", "left.eq(length - 1)", "left.eq(length)"),
        CYCLES,
    ),
    Fault(
        "sweep-short",
        "a sweep ends one cycle early",
        edit(
            Sequencer,
            "_sweep",
            "left.eq(length - 1)",
            "left.eq(Mux(length > 2, length - 2, length - 1))",
        ),
        CYCLES,
    ),
    Fault(
        "started-late",
        "a column starts one cycle after it is there",
        edit(
            Sequencer,
            "elaborate",
            "columns.eq(columns + self.accepted - self.started)",
            "(late := Signal()).eq(self.accepted), columns.eq(columns + late - self.started)",
        ),
        CYCLES,
        ANSWERS,
    ),
    Fault(
        "idle-column",
        "a column without work takes two cycles",
        edit(Sequencer, "_sweep", "Mux(step.idle, 1,", "Mux(step.idle, 2,"),
        CYCLES,
        GATHER,
    ),
    Fault(
        "lead",
        "lanes follow the reads one cycle late",
        edit(Sequencer, "_follow", "range(stage.lead)", "range(stage.lead + 1)"),
    ),
    Fault(
        "emits-too-fast",
        "reads do not wait for the requantizers",
        edit(Sequencer, "_sweep", "Mux(leaves, slow - 1, 0)", "0"),
    ),
    Fault(
        "row-wait",
        "sums held: a row does not wait for the requantizers",
        edit(Sequencer, "_pace_rows", "(step.passes < slow)", "0"),
        CYCLES,
        GATHER,
    ),
    Fault(
        "credit-more",
        "a stage counts on three free buffers behind it",
        edit(
            Sequencer,
            "elaborate",
            "room = Signal(range(self._behind + 1), init=self._behind)",
            "room = Signal(range(self._behind + 2), init=self._behind + 1)",
        ),
        CYCLES,
    ),
    Fault(
        "credit-less",
        "a stage counts on one free buffer behind it",
        edit(
            Sequencer,
            "elaborate",
            "room = Signal(range(self._behind + 1), init=self._behind)",
            "room = Signal(range(self._behind + 1), init=self._behind - 1)",
        ),
        CYCLES,
    ),
    Fault(
        "credit-kept",
        "a freed buffer is never told to the stage before",
        edit(Sequencer, "elaborate", "room + self.room - take", "room - take"),
        CYCLES,
    ),
    Fault(
        "credit-ignored",
        "a stage never waits for a free buffer",
        edit(Sequencer, "elaborate", "(~step.gate | (room != 0))", "1"),
        CYCLES,
    ),
)

COLUMNS = (
    Fault(
        "column-pointer",
        "the other column buffer is read",
        edit(ColumnBuffer, "_read_side", "column.eq(self.current)", "column.eq(self.current ^ 1)"),
    ),
    Fault(
        "row-offset",
        "rows of later columns are folded without the padding",
        edit(ColumnBuffer, "_write_side", "phase.eq(layout.offset)", "phase.eq(0)"),
    ),
    Fault(
        "ready-ignored",
        "a beat is taken though no buffer is free",
        edit(Intake, "elaborate", "self.i.ready.eq(inside | (free != 0))", "self.i.ready.eq(1)"),
    ),
    Fault(
        "gap-ignored",
        "once a column has begun, a beat is taken each cycle whether there is one or not",
        edit(
            Intake,
            "elaborate",
            "columns.beat_valid.eq(self.i.valid & self.i.ready)",
            "columns.beat_valid.eq((self.i.valid | inside) & self.i.ready)",
        ),
        bench=GATHER,
    ),
    Fault(
        "last-beat",
        "the last beat of a column is not written",
        edit(
            ColumnBuffer,
            "_write_side",
            "self.beat_valid & (phase == at_phase)",
            "self.beat_valid & ~self.accepted & (phase == at_phase)",
        ),
    ),
    Fault(
        "third-buffer",
        "a third column is taken into two buffers",
        edit(
            Intake,
            "elaborate",
            "free = Signal(range(self._columns + 1), init=self._columns)",
            "free = Signal(range(self._columns + 2), init=self._columns + 1)",
        ),
        CYCLES,
    ),
)

LANES = (
    Fault(
        "taps-swapped",
        "the taps of a kernel column stand in the wrong order",
        edit(
            weights,
            "weight_words",
            "fold_weights(parameters.weight)",
            "fold_weights(parameters.weight)[:, ::-1]",
        ),
    ),
    Fault(
        "weight-bit",
        "the lowest bit of one weight of a layer is wrong",
        edit(
            weights,
            "weight_words",
            "pack(block.transpose(order).reshape(-1), stage.widths.weight)",
            "pack(block.transpose(order).reshape(-1), stage.widths.weight) ^ (not words)",
        ),
    ),
    Fault(
        "weight-sign",
        "products take weights as unsigned",
        edit(
            LaneArray,
            "_multiply",
            "factor, width = weights[0], bits + 1",
            "factor, width = weights[0].as_unsigned(), bits + 1",
        ),
    ),
    Fault(
        "weights-early",
        "weights are loaded one cycle early",
        edit(WeightFeed, "elaborate", "self.take.eq(loads[-1])", "self.take.eq(loads[-2])"),
    ),
    Fault(
        "loads-of-rows",
        "weights held for a sweep are counted for every row",
        edit(
            ConvComponent,
            "elaborate",
            "weights.take if stage.weight_sets > 1 else 0",
            "at.valid if stage.weight_sets > 1 else 0",
        ),
        ACTIONS,
    ),
    Fault(
        "rows-of-reads",
        "rows are counted where they are read",
        edit(
            ConvComponent, "elaborate", "row.eq(sequencer.token_valid)", "row.eq(sequencer.moves)"
        ),
        ACTIONS,
    ),
    Fault(
        "weights-each-row",
        "weights held are read again for every row",
        edit(WeightFeed, "elaborate", "Const(1) if held else token.row == 0", "Const(1)"),
        ACTIONS,
    ),
    Fault(
        "padding-unmasked",
        "taps on the padding multiply what the window happens to hold",
        edit(ConvComponent, "_enables", "inside_column(row, geometry.rows)", "1"),
    ),
    Fault(
        "stale-operand",
        "a gated lane adds the product of its old operand",
        edit(LaneArray, "elaborate", "nonzero.eq(here)", "nonzero.eq(1)"),
    ),
    Fault(
        "never-gated",
        "a lane multiplies zeros too",
        edit(LaneArray, "elaborate", "self.enables[index] & (value != 0)", "self.enables[index]"),
        ACTIONS,
        ANSWERS,
    ),
    Fault(
        "product-late",
        "a lane's product is written with the row after its own",
        edit(
            LaneArray,
            "elaborate",
            "live.append(nonzero & self.valid[OPERAND])",
            "live.append(added & self.valid[OPERAND])",
        ),
    ),
    Fault(
        "tree-early",
        "sums are clocked with their products",
        edit(LaneArray, "_tree", "OPERAND + MULTIPLY + level", "OPERAND + level"),
    ),
    Fault(
        "tree-term",
        "an adder leaves out its fourth term",
        edit(LaneArray, "_tree", "first + 1 : first + TREE_RADIX]", "first + 1 : first + 3]"),
    ),
)

SUMS = (
    Fault(
        "bias",
        "the bias of the first output of a tile is one too large",
        edit(
            sums,
            "bias_words",
            "pack(values, stage.widths.accumulator)",
            "pack(values, stage.widths.accumulator) + 1",
        ),
    ),
    Fault(
        "bias-tile",
        "all output tiles have the first one's bias",
        edit(PartialSums, "elaborate", "bias.addr.eq(ahead.step.out_tile)", "bias.addr.eq(0)"),
    ),
    Fault(
        "accumulator-kept",
        "an accumulator goes on from the row before",
        edit(PartialSums, "_slot", "Mux(at.step.first, base[o], kept[o])", "kept[o]"),
    ),
    Fault(
        "psum-address",
        "partial sums of all output tiles share one place",
        edit(
            PartialSums,
            "_address",
            "self._stage.tile_shape[1] + step.out_tile",
            "self._stage.tile_shape[1]",
        ),
    ),
    Fault(
        "psum-written-for-nothing",
        "a sum that leaves is written back too",
        edit(PartialSums, "_slot", "active & ~leaves", "active"),
        ACTIONS,
    ),
    Fault(
        "row-sums-lost",
        "every pass goes on from what waits, not from the pass before",
        edit(PartialSums, "_slot", "Mux(at.step.first, base[o], kept[o])", "base[o]"),
        bench=ROWS,
    ),
    Fault(
        "row-sums-kept",
        "a run goes on from the row sums of the one before",
        edit(PartialSums, "_slot", "Mux(at.step.first, base[o], kept[o])", "kept[o]"),
        bench=ROWS,
    ),
    Fault(
        "row-sums-address",
        "row sums are read a row early",
        edit(PartialSums, "_row_sums", "read.addr.eq(ahead.row)", "read.addr.eq(at.row)"),
        bench=ROWS,
    ),
    Fault(
        "row-sums-for-nothing",
        "the first pass of a run reads row sums too",
        edit(PartialSums, "_row_sums", " & ~ahead.step.first", ""),
        ACTIONS,
        ROWS,
    ),
    Fault(
        "row-sums-written-for-nothing",
        "the last pass of a run writes row sums too",
        edit(PartialSums, "_row_sums", " & ~at.step.last", ""),
        ACTIONS,
        ROWS,
    ),
    Fault(
        "psum-each-pass",
        "what waits is read in every pass of a run",
        edit(PartialSums, "_slot", "reads & ahead.step.first", "reads"),
        ACTIONS,
        ROWS,
    ),
    Fault(
        "psum-stored-each-pass",
        "what waits is written in every pass of a run",
        edit(PartialSums, "_slot", "stores & at.step.last", "stores"),
        ACTIONS,
        ROWS,
    ),
    Fault(
        "psum-place-less",
        "there is a place too few for the output columns that wait",
        edit(
            _Writer, "_place", "rows = -(-pending // banks)", "rows = max(1, pending // banks - 1)"
        ),
        bench=ROWS,
    ),
    Fault(
        "first-rounding",
        "the first rounding cuts off",
        edit(Requantizer, "elaborate", "(1 << (shift - 1))", "0"),
    ),
    Fault(
        "second-rounding",
        "negative halves are rounded towards zero",
        edit(Requantizer, "elaborate", "(rounded < 0) & (second_later != 0)", "Const(0)"),
    ),
    Fault(
        "clamp",
        "activations are clamped one too high",
        edit(Requantizer, "elaborate", "Mux(shifted < low, low,", "Mux(shifted <= low, low + 1,"),
    ),
    Fault(
        "scale-of-channel",
        "all output tiles have the first one's scales",
        edit(
            Emitter,
            "elaborate",
            "port.addr.eq(self.tile * turns + self.turn)",
            "port.addr.eq(self.turn)",
        ),
    ),
)

POOL = (
    Fault(
        "max-from-zero",
        "a maximum is at least zero",
        edit(PoolComponent, "_reduce", "Const(low, self._value)", "Const(0, self._value)"),
    ),
    Fault(
        "pool-unmasked",
        "what the window holds above and below the column takes part",
        edit(PoolComponent, "_reduce", "inside_column(row, self._stage.shape.height)", "Const(1)"),
    ),
    Fault(
        "pool-bank",
        "a pending column stands in another bank at each input column",
        edit(pool_module, "pool_runs", "q % pending for q", "(q + column) % pending for q"),
    ),
    Fault(
        "pool-fresh",
        "a pending column goes on from the one before",
        edit(pool_module, "pool_runs", "fresh=fresh if reads else 0", "fresh=0"),
    ),
    Fault(
        "pool-tile",
        "a sweep reads the channels of the next tile",
        edit(PoolComponent, "_reads", "Mux(start, tile, kept_tile)", "tile"),
    ),
    Fault(
        "pool-credit",
        "a pool counts on three free buffers behind it",
        edit(
            PoolComponent,
            "_passes",
            "room = Signal(range(self._behind + 1), init=self._behind)",
            "room = Signal(range(self._behind + 2), init=self._behind + 1)",
        ),
        CYCLES,
        POOLED,
    ),
    Fault(
        "pool-counted-twice",
        "operations of a pool are counted twice",
        edit(
            PoolComponent,
            "_observe",
            "token.reads, operations, 0",
            "token.reads, 2 * operations, 0",
        ),
        ACTIONS,
    ),
    Fault(
        "average-half",
        "an average rounds halves towards zero",
        edit(PoolComponent, "_divide", "Const(n // 2, bits)", "Const((n - 1) // 2, bits)"),
        bench=GATHER,
    ),
    Fault(
        "average-ties",
        "an average that rounds halves to even rounds them up",
        edit(PoolComponent, "_divide", "(quotient * count == size) & wrong", "Const(0)"),
        bench=EVENLY,
    ),
    Fault(
        "average-columns",
        "an average at the edge divides by the whole window",
        edit(
            pool_module,
            "pool_runs",
            "sum(q in t for t in stage.touched)",
            "stage.layer.window.kernel[1]",
        ),
        bench=GATHER,
    ),
    Fault(
        "average-zero-point",
        "an average rounds the stream's values, not the raw integers",
        edit(PoolComponent, "_divide", "total[channel] + offset", "total[channel]"),
        bench=GATHER,
    ),
    Fault(
        "average-late",
        "an average takes a cycle more",
        edit(
            PoolComponent,
            "_divide",
            "later.eq(valid), done.eq(later)",
            "(more := Signal()).eq(valid), later.eq(more), done.eq(later)",
        ),
        CYCLES,
        GATHER,
    ),
)


def counted_twice(
    probe: str, action: str, function: str = "elaborate", bench: str = SCATTER
) -> Fault:
    """Let a convolution's probe count every action twice."""
    return Fault(
        f"{action}-counted-twice",
        f"each {action} counts as two",
        edit(
            ConvComponent,
            function,
            f"probes.{action}.eq({probe}",
            f"probes.{action}.eq(2 * {probe}",
        ),
        ACTIONS,
        bench,
    )


COUNTS = (
    counted_twice("performed", "mac", "_count_operations"),
    counted_twice("gated", "mac_gated", "_count_operations"),
    counted_twice("self.i.valid", "column_write"),
    counted_twice("_count(intake.read)", "column_read"),
    counted_twice("_count(shifts)", "window_shift"),
    counted_twice("weights.reads", "weight_read"),
    counted_twice("_count(sums.reads)", "psum_read"),
    counted_twice("_count(sums.writes)", "psum_write"),
    counted_twice("_count(sums.row_reads)", "row_sum_read", bench=ROWS),
    counted_twice("_count(sums.row_writes)", "row_sum_write", bench=ROWS),
    counted_twice("Mux(adds.valid", "accumulate", "_count_operations"),
    counted_twice("self.o.valid", "stream"),
    counted_twice("Mux(emitter.fires", "requantize", "_count_operations"),
    counted_twice("fetcher.reads", "program_read"),
    Fault(
        "program-read-as-offered",
        "a step is counted for as long as it is offered",
        edit(Fetcher, "_count_reads", "self.steps.valid & self.steps.ready", "self.steps.valid"),
        ACTIONS,
    ),
    Fault(
        "pool-program-read-by-tile",
        "every tile of a pool reads its run anew",
        edit(
            PoolComponent,
            "elaborate",
            "(passes.tile == 0) & (len(self._program) > 1)",
            "(len(self._program) > 1)",
        ),
        ACTIONS,
    ),
    Fault(
        "window-shifts-for-nothing",
        "the window moves though no row was read for it",
        edit(ConvComponent, "_window", "came[port].eq(intake.read[port])", "came[port].eq(1)"),
        ACTIONS,
    ),
)

UPSAMPLE = (
    Fault(
        "upsample-first-tile",
        "every tile is the first",
        edit(UpsampleComponent, "elaborate", "intake.pattern.eq(tile)", "intake.pattern.eq(0)"),
        bench=ENLARGED,
    ),
    Fault(
        "upsample-room-ignored",
        "a column is sent though there is no room for it",
        edit(UpsampleComponent, "elaborate", "(~at_output | (room != 0))", "1"),
        CYCLES,
        ENLARGED,
    ),
    Fault(
        "upsample-reads-again",
        "a row is read for each of its copies",
        edit(UpsampleComponent, "elaborate", "sends & (again == 0)", "sends"),
        ACTIONS,
        ENLARGED,
    ),
)

JOIN = (
    Fault(
        "join-beat-lost",
        "the last row of every column stays behind",
        edit(JoinComponent, "elaborate", "[(working, tile)]", "[(working & ~self.freed, tile)]"),
        bench=JOINED,
    ),
    Fault(
        "join-arms-swapped",
        "a sum takes each arm for the other",
        edit(JoinComponent, "_sum", "values[arm][channel]", "values[1 - arm][channel]"),
        bench=JOINED,
    ),
    Fault(
        "join-arms-order",
        "a concatenation takes its arms last first",
        edit(JoinComponent, "_concatenate", "each.arms[0] for", "-1 - each.arms[0] for"),
        bench=JOINED,
    ),
    Fault(
        "join-channel-order",
        "the channels of a tile are read last first",
        edit(join_module, "arm_layout", "tile.first + c)", "tile.first + tile.channels - 1 - c)"),
        bench=JOINED,
    ),
    Fault(
        "join-tile",
        "an arm's tiles are counted from the first arm's",
        edit(JoinComponent, "_sequence", "eq(tile - first)", "eq(tile)"),
        bench=JOINED,
    ),
    Fault(
        "join-left-shift",
        "the arms of a sum are shifted left by a place too few",
        edit(JoinComponent, "_sum", "parameters.left_shift,", "parameters.left_shift - 1,"),
        bench=JOINED,
    ),
    Fault(
        "join-first-arm",
        "a join starts when its first arm has a column",
        edit(
            JoinComponent,
            "elaborate",
            'together(m, "accepted", accepts, [0] * len(columns), columns)',
            "accepts[0]",
        ),
        CYCLES,
        JOINED,
    ),
    Fault(
        "join-column-more",
        "a producer counts on a column buffer more in the arms of joins",
        edit(
            PipelineComponent,
            "_columns_of_readers",
            ".arm_columns[arm] for",
            ".arm_columns[arm] + isinstance(stages[stage], JoinStage) for",
        ),
        CYCLES,
        JOINED,
    ),
    Fault(
        "join-column-less",
        "a producer counts on a column buffer less in the arms of joins",
        edit(
            PipelineComponent,
            "_columns_of_readers",
            ".arm_columns[arm] for",
            ".arm_columns[arm] - isinstance(stages[stage], JoinStage) for",
        ),
        CYCLES,
        JOINED,
    ),
    Fault(
        "fork-first-reader",
        "a fork waits for the first of its readers only",
        edit(
            PipelineComponent,
            "elaborate",
            "together(forks, name, freed, ahead, columns)",
            "freed[0]",
        ),
        CYCLES,
        JOINED,
    ),
    Fault(
        "fastest",
        "an event is passed on when one of several has had it",
        edit(Slowest, "elaborate", "had.all()", "had.any()"),
        CYCLES,
        JOINED,
    ),
    Fault(
        "join-arm-uncounted",
        "the rescaled values of one arm of a sum are not counted",
        edit(JoinComponent, "_count_operations", " * len(stage.shapes)", ""),
        ACTIONS,
        JOINED,
    ),
)

OUTPUT = (
    Fault(
        "answer-stuck",
        "the output buffer never frees a column",
        edit(OutputBuffer, "elaborate", "self.freed.eq(takes & last)", "self.freed.eq(0)"),
        CYCLES,
        ANSWERS,
    ),
    Fault(
        "answer-early",
        "the output buffer frees a column at its first beat",
        edit(OutputBuffer, "elaborate", "self.freed.eq(takes & last)", "self.freed.eq(takes)"),
        CYCLES,
        ANSWERS,
    ),
    Fault(
        "answer-bit",
        "the output buffer turns the lowest bit of every answer",
        edit(OutputBuffer, "elaborate", ".eq(fifo.r_data)", ".eq(fifo.r_data ^ 1)"),
        bench=ANSWERS,
    ),
    Fault(
        "answer-held-back",
        "the output buffer keeps its last beat until another comes: the machine never ends",
        edit(OutputBuffer, "elaborate", "o.valid.eq(fifo.r_rdy)", "o.valid.eq(fifo.r_level > 1)"),
        CYCLES,
    ),
    Fault(
        "answer-moves",
        "the output buffer moves on under a beat that waits",
        edit(OutputBuffer, "elaborate", "fifo.r_en.eq(self.o.ready)", "fifo.r_en.eq(1)"),
        CYCLES,
        ANSWERS,
    ),
)

FAULTS = (*PROGRAM, *SEQUENCE, *COLUMNS, *LANES, *SUMS, *POOL, *UPSAMPLE, *COUNTS, *JOIN, *OUTPUT)
