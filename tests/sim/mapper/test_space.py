"""Law: what the mapper tabulates of a fold is what the stage with that fold says of itself."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pilaster.sim.machine import Schedule
from pilaster.sim.mapper.folds import Limits
from pilaster.sim.mapper.sizes import useful_sizes
from pilaster.sim.mapper.space import WorkTable, candidates
from pilaster.sim.stages.kinds import build_stage
from tests.strategies import graphs, networks

BOTH = Limits(schedules=(Schedule.SCATTER, Schedule.GATHER))


@given(st.integers(1, 400))
def test_a_useful_size_is_the_smallest_for_its_turns(count):
    turns = {-(-count // size): size for size in range(count, 0, -1)}
    assert useful_sizes(count).tolist() == sorted(turns.values())


@given(st.integers(1, 5000), st.integers(2, 30))
def test_fewer_sizes_are_useful_ones_with_both_ends(count, most):
    sizes = useful_sizes(count, most)
    assert set(sizes) <= set(useful_sizes(count))
    assert len(sizes) <= most
    assert {1, count} <= set(sizes.tolist())


@settings(max_examples=100, deadline=None)
@given(networks(graphs(3)), st.integers(0, 2**32 - 1))
def test_work_is_that_of_the_stage(network, seed):
    rng = np.random.default_rng(seed)
    for node in network.graph.nodes:
        found = candidates(network, node, BOTH)
        table = found.work
        for index in rng.integers(0, len(found), 8).tolist():
            stage = build_stage(network, node, found.spec(index))
            mine = WorkTable(table.kinds, table.completions, table.cycles[:, [index]])
            theirs = WorkTable.of_columns([stage.work])
            for column, work in enumerate(stage.work):
                kind = table.kinds[column]
                start, end = table.starts[kind], table.deferred_row(kind) + 1
                numbers = [n for r in work.completing for n in (r.before, r.body, r.emitted)]
                assert table.cycles[start:end, index].tolist() == [*numbers, work.deferred]
            assert mine.busy[0] == theirs.busy[0] == stage.busy_cycles
            assert found.lanes[index] == stage.lanes
