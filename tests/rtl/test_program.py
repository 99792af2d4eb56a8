"""The model knows the tables of a convolution stage's program: their sizes, and their reads."""

from unittest.mock import patch

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from pilaster.models.energy import Attributes
from pilaster.rtl.components.program import Program
from pilaster.rtl.components.sequencer import StepFormat
from pilaster.sim import program_tables
from pilaster.sim.machine import LoopOrder, Schedule
from pilaster.sim.stages import ConvStage
from pilaster.sim.stages.conv_actions import program_reads
from tests.sim.strategies import pipelines


def tables_of(stage):
    """(width and depth, reads) of the RTL's tables, walked through entry by entry."""
    program = Program.of(stage)
    form = StepFormat(stage, program)
    rows = stage.geometry.rows_out if stage.fold.loop_order is LoopOrder.PSUMS_HELD else 1
    runs = blocks = passes = 0
    for run in program.runs:
        runs += 1
        for block in program.blocks[run.first_block : run.first_block + run.blocks]:
            blocks += 1
            sweeps = 1 if run.idle or block.passes == 1 else block.passes * rows
            passes += sweeps
    tables = [
        (form.run, program.runs, runs),
        (form.block, program.blocks, blocks),
        (form.entry, program.passes, passes),
    ]
    return tuple(
        (Attributes(layout.size, len(entries)), reads)
        for layout, entries, reads in tables
        if len(entries) > 1
    )


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(pipelines(), st.sampled_from([program_tables.SHARED_TILES, 0, 5, 30]))
def test_the_model_knows_every_table_and_its_reads(pipeline, shared):
    with patch.object(program_tables, "SHARED_TILES", shared):
        for stage in pipeline.stages:
            if isinstance(stage, ConvStage):
                event("depthwise" if stage.geometry.is_depthwise else "not depthwise")
                event("all tiles" if stage.present is None else "some tiles")
                assert program_reads(stage) == tables_of(stage)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(pipelines())
def test_a_sum_waits_where_no_other_does(pipeline):
    for stage in pipeline.stages:
        if isinstance(stage, ConvStage) and stage.spec.schedule is Schedule.SCATTER:
            event("row sums" if stage.keeps_row_sums else str(stage.fold.loop_order))
            wait_in_places(stage)


def wait_in_places(stage):
    """Follow the sums of an image: each is found where it was left, and none is written over."""
    program, banks = Program.of(stage), stage.fold.kernel_columns
    by_run = stage.fold.loop_order is LoopOrder.PSUMS_HELD or stage.keeps_row_sums
    entries, waiting = iter(program.runs), {}
    for runs in stage.runs:
        working = [run for run in runs if stage.out_tile_counts(run).any()]
        for run, entry in zip(working or [None], entries, strict=False):
            if run is None:
                assert entry.idle
                break
            for block in program.blocks[entry.first_block : entry.first_block + entry.blocks]:
                turns = 1 if by_run else block.passes
                for turn in range(turns):
                    places = {}
                    for slot, _, target in run.uses[0].active:
                        at = entry.slots[slot]
                        places[slot] = place = (at.bank, at.column, block.out_tile)
                        assert at.column < max(1, -(-stage.pending_columns // banks))
                        if turn or not (entry.fresh | block.fresh) >> slot & 1:
                            assert waiting.pop(place, None) == target
                    for slot, _, target in run.uses[0].active:
                        if turn < turns - 1 or target != run.completes:
                            assert stage.pending_columns
                            assert places[slot] not in waiting
                            waiting[places[slot]] = target
    assert not waiting
    assert next(entries, None) is None
