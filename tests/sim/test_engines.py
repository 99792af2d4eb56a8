"""The law of cycles: the SimPy engine and the closed form give the same stamps."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pilaster.sim.closed_form import MachineBatch, evaluate, stamps
from pilaster.sim.engine import simulate_events
from pilaster.sim.pace import pace
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.traffic import Traffic
from tests.sim.strategies import networks, pipelines, specs


@settings(max_examples=300, deadline=None)
@given(pipelines(), st.integers(1, 3))
def test_engines_agree_on_every_stamp(pipeline, images):
    assert simulate_events(pipeline, images).same_as(stamps(pipeline, images))


@settings(max_examples=150, deadline=None)
@given(pipelines(), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_engines_agree_where_source_and_sink_hesitate(pipeline, images, seed):
    traffic = Traffic.random(pipeline, images, seed)
    assert simulate_events(pipeline, images, traffic).same_as(stamps(pipeline, images, traffic))


@settings(max_examples=100, deadline=None)
@given(pipelines())
def test_stamps_are_in_order(pipeline):
    found = stamps(pipeline, 2)
    for stage, times in zip(pipeline.stages, found.stages, strict=True):
        accepted, started, finished = (
            np.ravel(table) for table in (times.accepted, times.started, times.finished)
        )
        assert (accepted <= started).all()
        assert (started <= finished).all()
        assert (started[1:] >= finished[:-1]).all()
        # Two column buffers: a column is accepted only after the work on the last but one.
        columns = min(stage.arm_columns)
        assert (accepted[columns:] > finished[:-columns]).all()
        assert (np.diff(np.ravel(times.emitted)) > 0).all()
        work = np.array([column.cycles for column in stage.work] * 2)
        assert (finished - started >= work).all()


@settings(max_examples=60, deadline=None)
@given(pipelines())
def test_steady_cycles_are_those_of_late_images(pipeline):
    answers = stamps(pipeline, 160).answers
    mean = (answers[-1] - answers[-61]) / 60  # 60: a whole number of repetitions of 1 to 6 images
    assert mean <= pace(pipeline).cycles_per_image < mean + 1


@settings(max_examples=40, deadline=None)
@given(st.data(), networks(), st.integers(2, 5))
def test_a_batch_gives_what_each_machine_gives(data, network, count):
    machines = []
    for _ in range(count):
        stages = {
            node.name: data.draw(specs(node, network.graph.input_of(node)))
            for node in network.graph.nodes
        }
        interval = data.draw(st.integers(1, 200))
        machines.append(Pipeline(network, _machine(interval, stages)))
    found = evaluate(MachineBatch.of(machines), images=3)
    for index, pipeline in enumerate(machines):
        alone = stamps(pipeline, 3)
        assert found.latency[index] == alone.latency[0]
        assert found.latency_after_last_column[index] == alone.latency_after_last_column[0]
        assert found.cycles_per_image[index] == alone.answers[2] - alone.answers[1]


def _machine(interval, stages):
    from pilaster.sim.machine import Machine

    return Machine("random", "random", interval, stages)
