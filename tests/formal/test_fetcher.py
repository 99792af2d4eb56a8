"""The law of order, for the fetcher: its steps are the schedule's, image after image."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Signal, Value

from pilaster.models.layers import Conv, Window
from pilaster.models.shape import Padding, Shape
from pilaster.rtl.components.program import Program
from pilaster.rtl.components.sequencer import Fetcher, StepFormat
from pilaster.sim.machine import Fold, LoopOrder, Schedule, StageSpec
from pilaster.sim.program_tables import SHARED_TILES
from tests.formal.machines import pipeline_of
from tests.formal.sby import Opened, Proof, needs_tools
from tests.formal.schedule import Walk, in_table, steps_of

HOLDS = "an offer holds until it is taken"
STABLE = "a step holds still while it waits"
SHAPE = Shape(2, 4, 2)
WIDE = Conv(2, Window((2, 3), (1, 1), Padding(0, 1, 1, 1)))
SPARSE = Conv(1, Window((1, 1), (1, 2), Padding(0, 0, 0, 0)))  # every second column has no work
HELD = LoopOrder.PSUMS_HELD

STAGES = {
    "scatter, weights held": (WIDE, StageSpec(Fold(kernel_columns=2))),
    "scatter, sums held": (WIDE, StageSpec(Fold(in_channels=2, loop_order=HELD))),
    "gather, weights held": (WIDE, StageSpec(Fold(2, kernel_columns=2), Schedule.GATHER)),
    "gather, sums held": (
        WIDE,
        StageSpec(Fold(kernel_columns=3, loop_order=HELD), Schedule.GATHER),
    ),
    "idle columns": (SPARSE, StageSpec(Fold(in_channels=2))),
}
ZERO = {"scatter, weights held": [np.s_[1, :, 1:, 0]], "gather, sums held": [np.s_[0, 0]]}
"""Weights that are zero, so that their passes are not in the schedule."""


def stage_of(name):
    (stage,) = pipeline_of(SHAPE, {"layer": STAGES[name]}, ZERO.get(name, ())).stages
    return stage


class Impatient(Fetcher):
    """Takes an offer back."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(self.steps.valid & ~self.steps.ready):
            m.d.sync += self.steps.valid.eq(0)
        return m


class Restless(Fetcher):
    """Changes a step that waits."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(self.steps.valid & ~self.steps.ready):
            m.d.sync += self.steps.payload.first.eq(~self.steps.payload.first)
        return m


def swapped(program):
    """The program with its first two passes changed over."""
    first, second, *others = program.passes
    return replace(program, passes=(second, first, *others))


def proof_of(name, kind=Fetcher, breaks=lambda program: program, inner=False):
    """A fetcher, and a sequencer that takes steps when it likes."""
    proof = Proof()
    m = proof.module
    stage = stage_of(name)
    program = Program.of(stage)
    form = StepFormat(stage, program)
    fetcher = kind(stage, breaks(program), form)
    opened = Opened(fetcher)
    m.submodules.fetcher = opened.fragment
    steps = fetcher.steps
    m.d.comb += steps.ready.eq(proof.free(1, "ready"))

    waited = proof.before(steps.valid & ~steps.ready, "waited")
    kept = proof.before(steps.payload.as_value(), "kept")
    proof.always(~waited | steps.valid, HOLDS)
    proof.always(~waited | (steps.payload.as_value() == kept), STABLE)

    expected = steps_of(stage, program)
    walk = Walk(proof, opened, "", stage, steps.ready)
    images = Signal(2)
    with m.If(steps.valid & steps.ready & walk.last & (images != 3)):
        m.d.sync += images.eq(images + 1)
    for field in form.step.members:
        values, used = [], []
        for step in expected:
            value = step.get(field)
            used.append(value is not None)
            if field == "slots":
                value = [vars(slot) for slot in value or program.runs[0].slots]
                value = form.step.members[field].const(value).as_value().value
            values.append(value or 0)
        shown = Value.cast(steps.payload[field])
        agrees = ~in_table(used, walk.count) | (shown == in_table(values, walk.count))
        proof.always(~steps.valid | agrees, f"{field} is that of the schedule")
    proof.reach((images == 2) & waited, "two images")
    if inner:
        walk.state(proof)
    return proof


@needs_tools
@pytest.mark.parametrize("least", [0, SHARED_TILES], ids=["shared", "whole"])
@pytest.mark.parametrize("name", STAGES)
def test_the_fetcher_follows_the_schedule_for_ever(tmp_path, monkeypatch, name, least):
    monkeypatch.setattr("pilaster.sim.program_tables.SHARED_TILES", least)
    result = proof_of(name, inner=True).by_induction(tmp_path, 2)
    assert result.passed, (result.failures, result.traces)


@needs_tools
def test_the_fetcher_comes_to_a_third_image(tmp_path):
    result = proof_of("idle columns").reaches(tmp_path, 12)
    assert result.passed, result.failures


@needs_tools
@pytest.mark.parametrize(
    ("kind", "breaks", "broken"),
    [
        (Impatient, lambda program: program, HOLDS),
        (Restless, lambda program: program, STABLE),
        (Fetcher, swapped, "tap_group is that of the schedule"),
    ],
)
def test_a_broken_fetcher_is_found(tmp_path, kind, breaks, broken):
    result = proof_of("scatter, weights held", kind, breaks).bounded(tmp_path, 6)
    assert not result.passed
    assert broken in result.failures
    assert all(trace.exists() for trace in result.traces)
