"""The law of credits: inside a machine no beat is ever refused, however it stalls at its ends."""

import pytest

from pilaster.models.layers import Conv, Window
from pilaster.models.shape import Padding, Shape
from pilaster.rtl.components.memory import RomFiles
from pilaster.rtl.pipeline import PipelineComponent
from pilaster.sim.machine import Fold, LoopOrder, Schedule, StageSpec
from pilaster.sim.timing import COLUMN_BUFFERS
from tests.formal.machines import pipeline_of
from tests.formal.sby import Opened, Proof, needs_tools
from tests.formal.stages import WatchedStage
from tests.rtl.faults import FAULTS

SHAPE = Shape(2, 3, 1)
POINT = Conv(2, Window((1, 1), (1, 1), Padding(0, 0, 0, 0)))
WIDE = Conv(2, Window((2, 2), (1, 1), Padding(0, 1, 1, 0)))
HELD = LoopOrder.PSUMS_HELD

MACHINES = {
    "weights held": {
        "first": (POINT, StageSpec(Fold())),
        "second": (WIDE, StageSpec(Fold(1, 1, 2, 2, requantizers=2))),
    },
    "sums held": {
        "first": (WIDE, StageSpec(Fold(1, 1, 2, 2, 2, HELD))),
        "second": (POINT, StageSpec(Fold(loop_order=HELD))),
    },
    "gather, then sums held": {
        "first": (WIDE, StageSpec(Fold(2, 1, 2, 2, 2), Schedule.GATHER)),
        "second": (POINT, StageSpec(Fold(in_channels=2, loop_order=HELD))),
    },
}
REFUSED = "the second stage never refuses a beat"
OVERFLOWS = "the output buffer never refuses a beat"


def proof_of(name, inner=False):
    """A machine of two stages, with a source and a sink that do as they like."""
    proof = Proof()
    m = proof.module
    pipeline = pipeline_of(SHAPE, MACHINES[name])
    machine = PipelineComponent(pipeline, RomFiles())
    opened = Opened(machine)
    m.submodules.machine = opened.fragment
    m.d.comb += [
        machine.i.valid.eq(proof.free(1, "i_valid")),
        machine.i.payload.as_value().eq(proof.free(2, "i_payload")),
        machine.o.ready.eq(proof.free(1, "o_ready")),
    ]
    _, second = machine._stages
    level, taken = opened["output.fifo.level"], opened["output.taken"]
    full = COLUMN_BUFFERS * machine._answer_beats
    proof.always(~second.i.valid | second.i.ready, REFUSED)
    proof.always(~second.o.valid | (level != full), OVERFLOWS)
    beats = (((0, 1),), pipeline.stages[0].beats.tiles)
    watched = [
        WatchedStage(proof, opened, f"{stage.name}.", stage, component, beats_in)
        for stage, component, beats_in in zip(pipeline.stages, machine._stages, beats, strict=True)
    ]
    first_room, last = watched[0].signal("sequencer.room"), watched[1]
    proof.reach((first_room == 0) & (last.held == COLUMN_BUFFERS), "no credit is left")
    proof.reach(second.i.valid & (last.done == 1), "a beat after a column has been freed")
    proof.reach(taken == 1, "an answer is taken")
    if not inner:
        return proof

    # Every beat of a column with a credit is to come, has come, or is still to be taken.
    for stage in watched:
        stage.state(proof)
    came = last.held * last.column_beats
    missing = (last.place != 0) * (last.column_beats - last.place)
    arrived = (came - missing, level + taken)
    for stage, here in zip(watched, arrived, strict=True):
        room = stage.signal("sequencer.room")
        lent = (COLUMN_BUFFERS - room) * stage.out_beats
        text = f"inner: {stage.path}every beat with a credit is somewhere"
        proof.always(lent == stage.beats_to_come(proof) + here, text)
        proof.always(room <= COLUMN_BUFFERS, f"inner: {stage.path}credits in range")
    proof.always(taken < machine._answer_beats, "inner: beats taken in range")
    proof.always(level <= full, "inner: level in range")
    return proof


@needs_tools
@pytest.mark.parametrize("name", MACHINES)
def test_no_beat_is_refused_inside(tmp_path, name):
    result = proof_of(name, inner=True).by_induction(tmp_path, 2)
    assert result.passed, (result.failures, result.traces)


@needs_tools
@pytest.mark.parametrize("name", MACHINES)
def test_the_machine_fills_and_goes_on(tmp_path, name):
    result = proof_of(name).reaches(tmp_path, 40)
    assert result.passed, result.failures


@needs_tools
def test_a_credit_too_many_is_found(tmp_path):
    (fault,) = (fault for fault in FAULTS if fault.name == "credit-more")
    with fault.patch():
        result = proof_of("weights held").bounded(tmp_path, 30)
    assert REFUSED in result.failures
    assert all(trace.exists() for trace in result.traces)
