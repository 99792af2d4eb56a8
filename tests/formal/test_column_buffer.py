"""The law of columns: no beat is taken without a place, and what is read is what was written."""

from dataclasses import replace

import pytest
from amaranth.hdl import Mux, Signal, Value

from pilaster.models.graph import INPUT
from pilaster.models.layers import Conv, Window
from pilaster.models.shape import Padding, Shape
from pilaster.rtl.components import intake
from pilaster.rtl.components.column_buffer import BufferLayout, ColumnBuffer
from pilaster.rtl.components.memory import RomFiles
from pilaster.rtl.stages.conv import ConvComponent
from pilaster.sim.machine import Fold, LoopOrder, Schedule, StageSpec
from pilaster.sim.timing import COLUMN_BUFFERS
from tests.formal.machines import pipeline_of
from tests.formal.sby import Opened, Proof, needs_tools
from tests.formal.stages import NUMBER_BITS, WatchedStage

LAYOUTS = {
    # Two channels, in two tiles; rows in two phases.
    "scatter": BufferLayout(
        height=3,
        channels=2,
        bits=2,
        signed=False,
        row_fold=2,
        offset=1,
        columns=COLUMN_BUFFERS,
        ports=1,
        beats=((0, 1), (1, 1)),
        patterns=(((0, 0), (1, 0)), ((0, 1), (1, 1))),
    ),
    # Three channels in tiles of two; two columns are kept, and two are read together.
    "gather": BufferLayout(
        height=2,
        channels=3,
        bits=2,
        signed=False,
        row_fold=1,
        offset=0,
        columns=COLUMN_BUFFERS + 2,
        ports=2,
        beats=((0, 2), (2, 1)),
        patterns=(((0, 0), (0, 1)), ((0, 2), None)),
    ),
}
ACCEPTED = "a column is accepted with its last beat"
READS = "a read gives what was written"
HOLDS = "what was read holds until the next read"


class Shifted(ColumnBuffer):
    """Writes every row a place too early."""

    def _write_side(self, *arguments):
        layout = self.layout
        self.layout = replace(layout, offset=0)
        super()._write_side(*arguments)
        self.layout = layout


class Exchanged(ColumnBuffer):
    """Reads the patterns in the wrong order."""

    def _read_side(self, *arguments):
        layout = self.layout
        self.layout = replace(layout, patterns=layout.patterns[::-1])
        super()._read_side(*arguments)
        self.layout = layout


def proof_of(name, kind=ColumnBuffer, buffers=COLUMN_BUFFERS, inner=False):
    """A writer that waits for a free buffer, and a reader of columns that are whole."""
    proof = Proof()
    m = proof.module
    layout = LAYOUTS[name]
    kept = layout.columns - COLUMN_BUFFERS
    buffer = kind(layout)
    opened = Opened(buffer)
    m.submodules.buffer = opened.fragment
    beat, values = buffer.beat.as_value(), buffer.values.as_value()
    finishes = proof.free(1, "finishes")
    m.d.comb += [
        beat.eq(proof.free(len(beat), "i_beat")),
        buffer.beat_valid.eq(proof.free(1, "i_valid")),
        buffer.read.eq(proof.free(layout.ports, "i_read")),
        buffer.row.eq(proof.free(range(layout.rows), "i_row")),
        buffer.pattern.eq(proof.free(range(len(layout.patterns)), "i_pattern")),
    ]
    for port in range(layout.ports):
        m.d.comb += buffer.backs[port].eq(proof.free(range(layout.columns), f"i_back{port}"))
    proof.assume((buffer.row < layout.rows) & (buffer.pattern < len(layout.patterns)))

    # Columns begun, whole and done with.
    begun, whole, done = (Signal(NUMBER_BITS) for _ in range(3))
    row, tile = Signal(range(layout.height)), Signal(range(len(layout.beats)))
    here = Signal(NUMBER_BITS)
    m.d.comb += here.eq(whole - done)
    last_row, last_tile = row == layout.height - 1, tile == len(layout.beats) - 1
    begins = buffer.beat_valid & (row == 0) & (tile == 0)
    proof.assume(~begins | ((begun - done)[:NUMBER_BITS] < buffers))
    proof.assume(~(finishes | buffer.read.any()) | (here != 0))
    proof.always(buffer.accepted == (buffer.beat_valid & last_row & last_tile), ACCEPTED)
    m.d.sync += [begun.eq(begun + begins), whole.eq(whole + buffer.accepted)]
    m.d.sync += done.eq(done + finishes)
    with m.If(buffer.beat_valid):
        m.d.sync += row.eq(Mux(last_row, 0, row + 1))
        with m.If(last_row):
            m.d.sync += tile.eq(Mux(last_tile, 0, tile + 1))
    current = Signal(range(layout.columns))
    with m.If(finishes):
        m.d.sync += current.eq(Mux(current == layout.columns - 1, 0, current + 1))
    m.d.comb += buffer.current.eq(current)

    # Any one value, followed from its beat until its column is no longer kept.
    at_row, at_channel = proof.constant(range(layout.height), "r"), proof.constant(4, "c")
    proof.assume((at_row < layout.height) & (at_channel < layout.channels))
    followed, number, value = Signal(), Signal(NUMBER_BITS), Signal(layout.bits)
    behind = Signal(NUMBER_BITS)
    m.d.comb += behind.eq(done - number)
    with m.If(finishes & (behind == kept)):
        m.d.sync += followed.eq(0)
    pick = proof.free(1, "pick")
    for index, (first, count) in enumerate(layout.beats):
        for place in range(count):
            its_beat = (tile == index) & (row == at_row) & (at_channel == first + place)
            with m.If(buffer.beat_valid & its_beat & ~followed & pick):
                m.d.sync += [followed.eq(1), number.eq(whole), value.eq(buffer.beat[place])]

    reads = followed & (number != whole)
    for port in range(layout.ports):
        for index, pattern in enumerate(layout.patterns):
            for lane, place in enumerate(pattern):
                if place is None:
                    continue
                read_row = buffer.row * layout.row_fold + place[0]
                its_place = (read_row == at_row + layout.offset) & (at_channel == place[1])
                its_read = reads & buffer.read[port] & its_place & (buffer.pattern == index)
                its_read = its_read & (buffer.backs[port] == behind)
                where = f"port {port} pattern {index} lane {lane}"
                was_read = proof.before(its_read, f"read_{port}_{index}_{lane}")
                then = proof.before(value, f"value_{port}_{index}_{lane}")
                shown = Value.cast(buffer.values[port][lane])
                proof.always(~was_read | (shown == then), f"{READS}: {where}")
                proof.reach(was_read & (shown == 2) & (begun >= layout.columns + 2), where)
    before, still = proof.before(values, "before"), proof.before(~buffer.read.any(), "still")
    proof.always(~still | (values == before), HOLDS)
    if not inner:
        return proof

    on_way, begun_here = Signal(NUMBER_BITS), Signal(NUMBER_BITS)
    bits = len(current)
    column, height = Signal(NUMBER_BITS), at_row + layout.offset
    m.d.comb += [on_way.eq(whole - number), begun_here.eq(begun - done)]
    inside = (row != 0) | (tile != 0)
    proof.always((row < layout.height) & (tile < len(layout.beats)), "inner: the writer's place")
    proof.always(begun == (whole + inside)[:NUMBER_BITS], "inner: columns begun")
    proof.always((begun_here <= COLUMN_BUFFERS) & (here <= begun_here), "inner: columns here")
    proof.always((current == done[:bits]), "inner: column read")
    proof.always(opened["write_column"] == whole[:bits], "inner: column written")
    proof.always((opened["row"] == row) & (opened["tile"] == tile), "inner: place written")
    (folded,) = opened.find("folded") or opened.find("$signal")  # a pair's first has no name
    phase = opened["phase"]
    folded_row = folded * layout.row_fold + phase
    proof.always(folded_row == row + layout.offset, "inner: folded place written")
    proof.always(phase < layout.row_fold, "inner: phase written")
    oldest = (behind + COLUMN_BUFFERS)[:NUMBER_BITS]
    proof.always(~followed | (oldest <= kept + COLUMN_BUFFERS), "inner: the column is kept")
    proof.always(~followed | (on_way <= kept + COLUMN_BUFFERS), "inner: the column is known")
    for index, (first, count) in enumerate(layout.beats):
        mine = (at_channel >= first) & (at_channel < first + count)
        came = (tile > index) | ((tile == index) & (row > at_row))
        waits = followed & mine & (on_way == 0)
        proof.always(~waits | came, f"inner: beat {index} has come")
    banked = layout.ports > 1
    m.d.comb += column.eq(0 if banked else number[:bits])
    for phase in range(layout.row_fold):
        for bank in range(layout.columns if banked else 1):
            for channel in range(layout.channels):
                word, place = divmod(channel, layout.word)
                address = column * layout.depth
                address += (height - phase) // layout.row_fold * layout.words + word
                stored = opened.memory(f"phase{phase}_bank{bank}", address)
                stored = stored.word_select(place, layout.bits)
                mine = followed & (at_channel == channel) & (height % layout.row_fold == phase)
                if banked:
                    mine = mine & (number[:bits] == bank)
                text = f"inner: phase {phase} bank {bank} channel {channel}"
                proof.always(~mine | (stored == value), text)
    return proof


@needs_tools
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_read_gives_what_was_written(tmp_path, name):
    result = proof_of(name, inner=True).by_induction(tmp_path, 2)
    assert result.passed, (result.failures, result.traces)


@needs_tools
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_lane_reads_when_columns_have_wrapped_around(tmp_path, name):
    result = proof_of(name).reaches(tmp_path, 36)
    assert result.passed, result.failures


@needs_tools
@pytest.mark.parametrize(
    ("name", "kind", "buffers"),
    [
        ("scatter", Shifted, COLUMN_BUFFERS),
        ("scatter", Exchanged, COLUMN_BUFFERS),
        ("scatter", ColumnBuffer, COLUMN_BUFFERS + 1),
    ],
)
def test_a_broken_column_buffer_is_found(tmp_path, name, kind, buffers):
    result = proof_of(name, kind, buffers).bounded(tmp_path, 24)
    assert not result.passed
    assert any(failure.startswith(READS) for failure in result.failures)
    assert all(trace.exists() for trace in result.traces)


# The stage around the column buffer keeps to what is assumed of writer and reader above.

WIDE = Conv(2, Window((2, 2), (1, 1), Padding(0, 1, 1, 0)))
STAGES = {
    "weights held": StageSpec(Fold(1, 2, 2, 2, requantizers=2)),
    "sums held": StageSpec(Fold(in_channels=2, loop_order=LoopOrder.PSUMS_HELD)),
    "gather": StageSpec(Fold(2, 2, 1), Schedule.GATHER),
}
NO_PLACE = "a beat is taken only where a column buffer is free"
FULL = "a beat is refused only where no column buffer is free"
WHOLE = "a column is read and freed only when it is whole"


def proof_of_stage(name, inner=False):
    """A stage with a source and a next stage that do as they like."""
    proof = Proof()
    m = proof.module
    pipeline = pipeline_of(Shape(2, 3, 2), {"layer": (WIDE, STAGES[name])})
    network, (stage,) = pipeline.network, pipeline.stages
    source, target = network.tensors[INPUT], network.tensors["layer"]
    beats = ((0, 1), (1, 1))
    component = ConvComponent(
        stage, network.parameters["layer"], source, target, beats, RomFiles(), False
    )
    opened = Opened(component)
    m.submodules.stage = opened.fragment
    room = proof.free(1, "i_room")
    m.d.comb += [
        component.i.valid.eq(proof.free(1, "i_valid")),
        component.i.payload.as_value().eq(proof.free(2, "i_payload")),
        component.room.eq(room),
    ]
    proof.assume(~room | (opened["sequencer.room"] < COLUMN_BUFFERS))
    watched = WatchedStage(proof, opened, "", stage, component, beats)
    held, here, done = watched.held, watched.here, watched.done
    may = (watched.place != 0) | (held < COLUMN_BUFFERS)
    proof.always(~watched.takes | may, NO_PLACE)
    proof.always(component.i.ready | ~may, FULL)
    proof.always(~(component.freed | opened["sequencer.read"]) | (here != 0), WHOLE)
    proof.reach((held == COLUMN_BUFFERS) & ~component.i.ready & (done != 0), "full again")
    proof.reach((held == 0) & (done == 1), "empty again")
    if inner:
        watched.state(proof)
    return proof


@needs_tools
@pytest.mark.parametrize("name", STAGES)
def test_a_stage_takes_only_what_it_has_a_place_for(tmp_path, name):
    result = proof_of_stage(name, inner=True).by_induction(tmp_path, 2)
    assert result.passed, (result.failures, result.traces)


@needs_tools
@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_filled_again(tmp_path, name):
    result = proof_of_stage(name).reaches(tmp_path, 32)
    assert result.passed, result.failures


@needs_tools
def test_a_stage_that_takes_a_column_too_many_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(intake.Intake.__init__, "__defaults__", (COLUMN_BUFFERS + 1,))
    result = proof_of_stage("sums held").bounded(tmp_path, 12)
    assert NO_PLACE in result.failures
