"""The law of streams, for the output buffer: every beat leaves once, in order, and holds still."""

import pytest
from amaranth.hdl import Mux, Signal
from amaranth.lib import data

from pilaster.rtl.pipeline import OutputBuffer
from pilaster.sim.timing import COLUMN_BUFFERS
from tests.formal.sby import Opened, Proof, needs_tools

BEATS = 3
DEPTH = COLUMN_BUFFERS * BEATS
NUMBER_BITS = 4
"""Numbers of beats wrap around; there are more of them than beats in the buffer."""


REFUSED = "a beat with a credit is never refused"
FREED = "a column is freed once, with its last beat"
HOLDS = "an offer holds until it is taken"
STABLE = "a beat holds still while it waits"
ORDER = "beat n out is beat n in"
OFFERED = "a beat is offered while one waits, and only then"


class Dropping(OutputBuffer):
    """Loses a beat that comes while another waits."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        waits = self.o.valid & ~self.o.ready
        m.d.comb += m.submodules.fifo.w_en.eq(self.i.valid & ~waits)
        return m


class Restless(OutputBuffer):
    """Changes a beat that waits."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        waited = Signal()
        m.d.sync += waited.eq(self.o.valid & ~self.o.ready)
        m.d.comb += self.o.payload.as_value().eq(m.submodules.fifo.r_data ^ waited)
        return m


class Impatient(OutputBuffer):
    """Takes an offer back."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        waited = Signal()
        m.d.sync += waited.eq(self.o.valid & ~self.o.ready)
        m.d.comb += self.o.valid.eq(m.submodules.fifo.r_rdy & ~waited)
        return m


class Corrupting(OutputBuffer):
    """Stores a beat that comes while one waits wrongly."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        fifo = m.submodules.fifo
        m.d.comb += fifo.w_data.eq(self.i.payload.as_value() ^ (fifo.level == 1))
        return m


class Generous(OutputBuffer):
    """Frees a column at every beat."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.freed.eq(self.o.valid & self.o.ready)
        return m


def proof_of(kind=OutputBuffer, credit_count=COLUMN_BUFFERS, inner=False):
    """A producer that takes a credit before each column, and a consumer that does as it likes.

    inner : state also what holds inside the buffer, which an induction needs
    """
    proof = Proof()
    m = proof.module
    buffer = kind(data.ArrayLayout(2, 1), BEATS)
    opened = Opened(buffer)
    m.submodules.buffer = opened.fragment
    offered, payload = buffer.i.payload.as_value(), buffer.o.payload.as_value()
    m.d.comb += [
        buffer.i.valid.eq(proof.free(1, "i_valid")),
        offered.eq(proof.free(2, "i_payload")),
        buffer.o.ready.eq(proof.free(1, "o_ready")),
    ]
    enters = buffer.i.valid & buffer.i.ready
    leaves = buffer.o.valid & buffer.o.ready

    # Credits: one is taken with the first beat of a column, and comes back with `freed`.
    credit = Signal(range(credit_count + 2), init=credit_count)
    in_place, out_place = Signal(range(BEATS)), Signal(range(BEATS))
    proof.assume(~buffer.i.valid | (in_place != 0) | (credit != 0))
    m.d.sync += credit.eq(credit + buffer.freed - (buffer.i.valid & (in_place == 0)))
    for moves, place in ((buffer.i.valid, in_place), (leaves, out_place)):
        with m.If(moves):
            m.d.sync += place.eq(Mux(place == BEATS - 1, 0, place + 1))
    proof.always(~buffer.i.valid | buffer.i.ready, REFUSED)
    proof.always(buffer.freed == (leaves & (out_place == BEATS - 1)), FREED)

    waited = proof.before(buffer.o.valid & ~buffer.o.ready, "waited")
    kept = proof.before(payload, "kept")
    proof.always(~waited | buffer.o.valid, HOLDS)
    proof.always(~waited | (payload == kept), STABLE)

    # Any one beat, followed from its entry to its exit.
    entered, left, waiting = (Signal(NUMBER_BITS) for _ in range(3))
    m.d.sync += [entered.eq(entered + enters), left.eq(left + leaves)]
    m.d.comb += waiting.eq(entered - left)
    followed, number, value = Signal(), Signal(NUMBER_BITS), Signal(2)
    follow = enters & ~followed & proof.free(1, "pick")
    with m.If(follow):
        m.d.sync += [followed.eq(1), number.eq(entered), value.eq(offered)]
    its_turn = followed & leaves & (left == number)
    with m.If(its_turn):
        m.d.sync += followed.eq(0)
    proof.always(~its_turn | (payload == value), ORDER)
    proof.always(waiting <= DEPTH, "no more beats wait than fit")
    proof.always(buffer.o.valid == (waiting != 0), OFFERED)

    proof.reach(waiting == DEPTH, "full")
    proof.reach((waiting == 0) & (left == 2 * DEPTH), "empty after two fills")
    proof.reach(its_turn & (number == DEPTH + 1) & (value == 2), "a beat of the second fill")
    proof.reach((credit == 0) & (in_place != 0), "no credit left within a column")
    if not inner:
        return proof

    level, taken = opened["fifo.level"], opened["taken"]
    produce, consume = opened["fifo.produce"], opened["fifo.consume"]
    to_come, out_of_credit = Signal(range(BEATS + 1)), Signal(range(COLUMN_BUFFERS + 1))
    ahead, stands_at = Signal(NUMBER_BITS), Signal(range(DEPTH))
    m.d.comb += [
        to_come.eq(Mux(in_place == 0, 0, BEATS - in_place)),
        out_of_credit.eq(COLUMN_BUFFERS - credit),
        ahead.eq(number - left),
    ]
    with m.If(follow):
        m.d.sync += stands_at.eq(produce)
    stored = opened.memory("fifo.storage", stands_at)

    def around(place):
        return Mux(place < DEPTH, place, place - DEPTH)

    proof.always((produce < DEPTH) & (consume < DEPTH), "inner: pointers are in range")
    proof.always(produce == around(consume + level), "inner: pointers are a level apart")
    proof.always(level == waiting, "inner: the level is what waits")
    proof.always((taken == out_place) & (taken < BEATS), "inner: place in the column that leaves")
    proof.always((in_place < BEATS) & (credit <= COLUMN_BUFFERS), "inner: producer is in range")
    proof.always(
        level + to_come + taken == out_of_credit * BEATS, "inner: a column is free or under way"
    )
    proof.always(~followed | (ahead < level), "inner: the followed beat waits")
    proof.always(~followed | (stands_at == around(consume + ahead)), "inner: it is in its place")
    proof.always(~followed | (stored == value), "inner: it is stored")
    return proof


@needs_tools
def test_the_output_buffer_keeps_the_law_of_streams(tmp_path):
    result = proof_of(inner=True).by_induction(tmp_path, 2)
    assert result.passed, (result.failures, result.traces)


@needs_tools
def test_the_output_buffer_is_filled_and_emptied(tmp_path):
    result = proof_of().reaches(tmp_path, 20)
    assert result.passed, result.failures


@needs_tools
@pytest.mark.parametrize(
    ("kind", "credit_count", "broken"),
    [
        (Dropping, COLUMN_BUFFERS, ORDER),
        (Restless, COLUMN_BUFFERS, STABLE),
        (Impatient, COLUMN_BUFFERS, HOLDS),
        (Generous, COLUMN_BUFFERS, FREED),
        (Corrupting, COLUMN_BUFFERS, ORDER),
        (OutputBuffer, COLUMN_BUFFERS + 1, REFUSED),
    ],
)
def test_a_broken_output_buffer_is_found(tmp_path, kind, credit_count, broken):
    result = proof_of(kind, credit_count).bounded(tmp_path, 12)
    assert not result.passed
    assert broken in result.failures
    assert all(trace.exists() for trace in result.traces)
