"""The law of what all have had: as many events are passed on as the slowest has had, none later."""

from functools import reduce
from operator import or_

import pytest
from amaranth.hdl import Module, Signal

from pilaster.rtl.components.slowest import Slowest
from tests.formal.sby import Opened, Proof, needs_tools

AHEAD, MOST = (0, 1, 0), (2, 3, 2)
NUMBER_BITS = 4
"""Numbers of events wrap around; there are more of them than any may be ahead."""

NONE_BEFORE = "no event is passed on that one has not had"
NONE_HELD_BACK = "one has had no more than is passed on"


class Hasty(Slowest):
    """Passes on an event when the first of several has had it."""

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.event.eq(self.events[0])
        return m


class Late(Slowest):
    """Passes on what came together a cycle late."""

    def elaborate(self, platform):
        m = Module()
        m.submodules.slowest = inner = Slowest(self._ahead, [most + 1 for most in self._most])
        m.d.comb += inner.events.eq(self.events)
        m.d.sync += self.event.eq(inner.event)
        return m


def proof_of(kind=Slowest, inner=False):
    """Sources of events, none of which is ever further ahead of the slowest than it may be."""
    proof = Proof()
    m = proof.module
    component = kind(AHEAD, MOST)
    opened = Opened(component)
    m.submodules.slowest = opened.fragment
    m.d.comb += component.events.eq(proof.free(len(AHEAD), "events"))
    passed = Signal(NUMBER_BITS)
    m.d.sync += passed.eq(passed + component.event)
    counts = []
    for index, (ahead, most) in enumerate(zip(AHEAD, MOST, strict=True)):
        had, count = Signal(NUMBER_BITS, init=ahead, name=f"had{index}"), Signal(NUMBER_BITS)
        m.d.sync += had.eq(had + component.events[index])
        m.d.comb += count.eq(had - passed)
        counts.append(count)
        proof.assume(~component.events[index] | (count < most))
        proof.always(count <= most, f"{NONE_BEFORE}: {index}")
        if inner:
            proof.always(opened[f"ahead{index}"] == count, f"inner: count {index}")
    proof.always(reduce(or_, (count == 0 for count in counts)), NONE_HELD_BACK)
    proof.reach((counts[0] == 2) & (counts[1] == 3) & (passed == 3), "two are far ahead")
    proof.reach((counts[2] == 2) & (counts[1] == 0) & (passed == 5), "the other way round")
    return proof


@needs_tools
def test_the_slowest_decides(tmp_path):
    result = proof_of(inner=True).by_induction(tmp_path, 2)
    assert result.passed, (result.failures, result.traces)


@needs_tools
def test_any_may_be_the_slowest(tmp_path):
    result = proof_of().reaches(tmp_path, 20)
    assert result.passed, result.failures


@needs_tools
@pytest.mark.parametrize(("kind", "broken"), [(Hasty, NONE_BEFORE), (Late, NONE_HELD_BACK)])
def test_one_that_does_not_wait_or_waits_too_long_is_found(tmp_path, kind, broken):
    result = proof_of(kind).bounded(tmp_path, 12)
    assert not result.passed
    assert any(failure.startswith(broken) for failure in result.failures)
