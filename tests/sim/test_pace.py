"""Laws of pace: waits are those of the engine, and what is held is held for ever."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import pilaster as pl
from pilaster.base.errors import InputError
from pilaster.models.zoo import ZOO
from pilaster.sim.closed_form import stamps
from pilaster.sim.engine import simulate_events
from pilaster.sim.machine import Schedule
from pilaster.sim.machine_file import load_machine, machine_names
from pilaster.sim.pace import Pace, held_intervals, least_held_interval, pace
from pilaster.sim.pipeline import Pipeline, with_arm_columns
from tests.sim.strategies import pipelines
from tests.strategies import graphs, networks

IMAGES = 6
MANY_IMAGES = 96


def at(pipeline: Pipeline, interval: int) -> Pipeline:
    """The same hardware with columns at another interval."""
    machine = with_arm_columns(pipeline.network, pipeline.machine)
    return Pipeline(pipeline.network, replace(machine, column_interval=interval))


@settings(max_examples=100, deadline=None)
@given(pipelines())
def test_times_count_from_when_a_column_is_due(pipeline: Pipeline) -> None:
    found, kept = simulate_events(pipeline, IMAGES), pace(pipeline)
    shape, interval = pipeline.network.graph.input_shape, pipeline.machine.column_interval
    columns = np.arange(IMAGES * shape.width).reshape(IMAGES, -1)
    assert (found.due == columns * interval + shape.height).all()
    assert (found.waits >= 0).all()
    between = interval * (shape.width - 1) + shape.height
    assert (found.latency - found.latency_after_last_column == between).all()
    assert kept.latency - kept.latency_after_last_column == between
    if kept.holds:
        assert not found.waits.any()
        assert (found.latency_after_last_column <= kept.latency_after_last_column).all()
    elif kept.growth:
        assert kept.longest_wait == found.waits[0].max()
        assert kept.latency_after_last_column == found.latency_after_last_column[0]
    else:
        assert kept.longest_wait >= found.waits.max()
        assert kept.latency_after_last_column >= found.latency_after_last_column.max()


@settings(max_examples=40, deadline=None)
@given(pipelines())
def test_what_is_sustained_is_the_mean_of_late_images(pipeline: Pipeline) -> None:
    kept, found = pace(pipeline), stamps(pipeline, MANY_IMAGES)
    late = 60  # a whole number of repetitions of 1 to 6 images
    columns = found.stages[0].accepted[:, 0]
    mean = (columns[-1] - columns[-1 - late]) / late / kept.columns
    assert kept.sustained_interval == pytest.approx(mean, abs=1 / kept.columns)
    assert kept.cycles_per_image == pytest.approx(kept.sustained_interval * kept.columns, abs=1)
    assert kept.holds == (not found.waits.any())


@settings(max_examples=40, deadline=None)
@given(pipelines())
def test_the_interval_that_is_held_is_the_least(pipeline: Pipeline) -> None:
    kept = pace(pipeline)
    assert kept.held_interval >= kept.column_interval
    assert kept.holds == (kept.held_interval == kept.column_interval)
    assert pace(at(pipeline, kept.held_interval)).holds
    least = least_held_interval(pipeline)
    assert held_intervals(pipeline, np.array([least - 1, least])).holds.tolist() == [False, True]


@settings(max_examples=30, deadline=None)
@given(pipelines(), st.integers(1, 200))
def test_waits_never_grow_with_the_interval(pipeline: Pipeline, more: int) -> None:
    interval = pipeline.machine.column_interval
    short, long = (simulate_events(at(pipeline, i), 3).waits for i in (interval, interval + more))
    assert (long <= short).all()


@pytest.mark.parametrize("name", machine_names())
def test_shipped_machines_hold_their_interval(name: str) -> None:
    machine = load_machine(name)
    assert pace(Pipeline(pl.load(machine.network), machine)).holds


@pytest.mark.parametrize("name", [name for name in ZOO if name not in machine_names()])
def test_machines_for_the_zoo_hold_their_interval(name: str) -> None:
    network = pl.load(name)
    assert pace(Pipeline(network, pl.load_machine(None, network))).holds


@pytest.mark.parametrize("name", [n for n in machine_names() if n.endswith("-gather")])
def test_pairs_of_schedules_differ_in_nothing_else(name: str) -> None:
    gather, scatter = load_machine(name), load_machine(name.removesuffix("-gather"))
    assert gather.column_interval == scatter.column_interval
    for layer, spec in gather.stages.items():
        assert replace(spec, schedule=Schedule.SCATTER) == scatter.stages[layer]


@settings(max_examples=40, deadline=None)
@given(networks(graphs(4)), st.sampled_from(Schedule), st.floats(1, 20))
def test_a_default_machine_holds_its_interval(network, schedule, share) -> None:
    shape = network.graph.input_shape
    interval = shape.height + int(network.graph.macs / share / shape.width)
    try:
        machine = pl.default_machine(network, interval, schedule=schedule)
    except InputError as error:
        assume("use a longer interval" not in str(error))
        raise
    assert machine.column_interval == interval
    assert not simulate_events(Pipeline(network, machine), 12).waits.any()


def test_bursts_make_a_default_machine_faster() -> None:
    """At 256 cycles conv2 of LeNet-5 does an image's work in time, but columns come too fast."""
    network = pl.load("lenet5")
    for schedule in Schedule:
        machine = pl.default_machine(network, 256, schedule=schedule)
        assert pace(Pipeline(network, machine)).holds


def test_latency_grows_as_the_interval_shrinks_below_what_is_held() -> None:
    """A machine that is late says so, whatever the interval that it is told."""
    network, machine = pl.load("lenet5"), load_machine("lenet5")
    found: list[Pace] = [
        pace(Pipeline(network, replace(machine, column_interval=i))) for i in (320, 256, 32, 1)
    ]
    assert [each.holds for each in found] == [True, False, False, False]
    latencies = [each.latency_after_last_column for each in found]
    assert latencies == sorted(set(latencies))
    assert found[1].growth == 0 < found[2].growth < found[3].growth
    for late in found[1:]:
        assert late.held_interval == 290
        assert "does not hold" in late.describe_waits()
