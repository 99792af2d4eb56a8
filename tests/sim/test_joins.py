"""Forks and joins: the engines agree; a join's column buffers are enough, and none too many."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilaster.base.errors import InputError
from pilaster.models.energy import EnergyTable
from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.joins import ConcatParameters
from pilaster.models.layers import Add, Concat, Conv, Window
from pilaster.models.shape import Padding, Shape
from pilaster.models.zoo.synthetic import synthetic
from pilaster.sim.actions import count_actions
from pilaster.sim.area import stage_area_um2
from pilaster.sim.closed_form import MachineBatch, evaluate, stamps
from pilaster.sim.default import default_machine
from pilaster.sim.energy import stage_energy_pj
from pilaster.sim.engine import simulate_events
from pilaster.sim.least_columns import least_columns
from pilaster.sim.machine import Fold, Machine, StageSpec
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.stages import JoinStage
from pilaster.sim.stages.join_actions import arm_memories
from pilaster.sim.timing import COLUMN_BUFFERS
from pilaster.sim.traffic import Traffic
from pilaster.sim.work import DeadlockError
from tests.sim.strategies import machines
from tests.strategies import joined_graphs

ONE = Conv(2, Window((1, 1)))
WIDE = Conv(2, Window((5, 5), padding=Padding(2, 2, 2, 2)))
SKIP = (Node("first", ONE, (INPUT,)), Node("wide", WIDE, ("first",)))


class Unchecked(Pipeline):
    """A pipeline that takes the column buffers of its machine as they are."""

    def _arm_columns(self, stages):
        return tuple(stage.arm_columns for stage in stages)


def joined(blocks=2):
    """Random graphs with a join at least, on random machines."""
    graphs = joined_graphs(blocks).filter(lambda graph: not graph.is_chain)
    return graphs.flatmap(machines)


def with_columns(pipeline, columns, kind=Pipeline):
    """The pipeline with other column buffers, by the join's name."""
    given = {s.name: s.arm_columns for s in pipeline.stages if isinstance(s, JoinStage)} | columns
    specs = pipeline.machine.stages
    found = {name: replace(specs[name], arm_columns=tuple(c)) for name, c in given.items()}
    return kind(pipeline.network, replace(pipeline.machine, stages={**specs, **found}))


def found_columns(pipeline):
    """What `least_columns` finds for a pipeline."""
    arms = [
        [replace(arm, columns=None) if isinstance(stage, JoinStage) else arm for arm in inputs]
        for stage, inputs in zip(pipeline.stages, pipeline.arms, strict=True)
    ]
    rows = pipeline.network.graph.input_shape.height
    work = [stage.work for stage in pipeline.stages]
    return least_columns(rows, pipeline.machine.column_interval, work, arms)


@settings(max_examples=200, deadline=None)
@given(joined(), st.integers(1, 3))
def test_engines_agree_on_every_stamp(pipeline, images):
    assert simulate_events(pipeline, images).same_as(stamps(pipeline, images))


@settings(max_examples=100, deadline=None)
@given(joined(), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_engines_agree_where_source_and_sink_hesitate(pipeline, images, seed):
    traffic = Traffic.random(pipeline, images, seed)
    assert simulate_events(pipeline, images, traffic).same_as(stamps(pipeline, images, traffic))


@settings(max_examples=100, deadline=None)
@given(joined(3), st.data())
def test_engines_agree_with_any_column_buffers(pipeline, data):
    """Whether they are too few, which both tell, or enough."""
    columns = {
        stage.name: [data.draw(st.integers(COLUMN_BUFFERS, 5)) for _ in stage.shapes]
        for stage in pipeline.stages
        if isinstance(stage, JoinStage)
    }
    drawn = with_columns(pipeline, columns, Unchecked)
    stuck = _stuck(lambda: stamps(drawn, 2))
    assert _stuck(lambda: simulate_events(drawn, 2)) == stuck
    if stuck is None:
        expected = simulate_events(drawn, 2)
        assert stamps(with_columns(pipeline, columns), 2).same_as(expected)
        return
    name = drawn.stages[stuck].name
    message = rf"stage {name}: arm_columns: with .* wait for each other for ever; .* are enough"
    with pytest.raises(InputError, match=message):
        _ = with_columns(pipeline, columns).stages


def _stuck(run):
    """The stage that waits for ever, if any."""
    try:
        run()
    except DeadlockError as error:
        return error.stage
    return None


@settings(max_examples=100, deadline=None)
@given(joined(3))
def test_the_least_column_buffers_are_enough_and_none_too_many(pipeline):
    found = found_columns(pipeline)
    machine = replace(pipeline.machine, column_interval=found.column_interval)
    pipeline = Pipeline(pipeline.network, machine)
    names = [stage.name for stage in pipeline.stages]
    least = {
        name: columns
        for name, columns, stage in zip(names, found.columns, pipeline.stages, strict=True)
        if isinstance(stage, JoinStage)
    }
    expected = stamps(with_columns(pipeline, least), found.images)
    more = {name: [count + 5 for count in columns] for name, columns in least.items()}
    assert stamps(with_columns(pipeline, more), found.images).same_as(expected)
    for name, columns in least.items():
        for arm, count in enumerate(columns):
            if count == COLUMN_BUFFERS:
                continue
            fewer = [*columns[:arm], count - 1, *columns[arm + 1 :]]
            try:
                late = stamps(
                    with_columns(pipeline, {**least, name: fewer}, Unchecked), found.images
                )
            except DeadlockError:
                continue
            pairs = [
                (getattr(mine, what), getattr(theirs, what))
                for mine, theirs in zip(late.stages, expected.stages, strict=True)
                for what in ("accepted", "emitted")
            ]
            assert all((mine >= theirs).all() for mine, theirs in pairs)
            assert any((mine > theirs).any() for mine, theirs in pairs)


@settings(max_examples=30, deadline=None)
@given(joined(), st.data())
def test_a_batch_gives_what_each_machine_gives(pipeline, data):
    """Also where the machines' joins differ in column buffers."""
    batch = []
    for _ in range(3):
        more = {
            stage.name: [n + data.draw(st.integers(0, 1)) for n in stage.arm_columns]
            for stage in pipeline.stages
            if isinstance(stage, JoinStage)
        }
        batch.append(with_columns(pipeline, more))
    found = evaluate(MachineBatch.of(batch), images=3)
    for index, each in enumerate(batch):
        alone = stamps(each, 3)
        assert found.latency[index] == alone.latency[0]
        assert found.latency_after_last_column[index] == alone.latency_after_last_column[0]
        assert found.cycles_per_image[index] == alone.answers[2] - alone.answers[1]


def network(*nodes):
    return synthetic(Graph("net", Shape(4, 8, 2), nodes))


def test_the_arm_that_waits_for_a_wide_kernel_holds_its_columns():
    """A 5-wide kernel gives column q when column q + 2 has come: three wait, and two beside."""
    net = network(*SKIP, Node("sum", Add(), ("first", "wide")))
    machine = default_machine(net, 100)
    assert machine.stages["sum"].arm_columns[1] == COLUMN_BUFFERS
    least = machine.stages["sum"].arm_columns[0]
    enough = [n for n in range(2, 8) if _runs(net, machine, n)]
    assert least >= min(enough) > COLUMN_BUFFERS


def _runs(net, machine, columns):
    spec = replace(machine.stages["sum"], arm_columns=(columns, 2))
    try:
        _ = Pipeline(net, replace(machine, stages={**machine.stages, "sum": spec})).stages
    except InputError:
        return False
    return True


def test_too_few_column_buffers_are_refused_in_one_line():
    net = network(*SKIP, Node("sum", Add(), ("first", "wide")))
    machine = default_machine(net, 100)
    spec = replace(machine.stages["sum"], arm_columns=(2, 2))
    few = replace(machine, stages={**machine.stages, "sum": spec})
    enough = list(machine.stages["sum"].arm_columns)
    with pytest.raises(InputError) as raised:
        _ = Pipeline(net, few).stages
    assert str(raised.value) == (
        f"machine net every 100 for net: stage sum: arm_columns: with [2, 2] the stages wait for "
        f"each other for ever; {enough} are enough"
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (StageSpec(arm_columns=(2,)), "stage sum: arm_columns: 2 are needed, one for each input"),
        (StageSpec(Fold(out_channels=3)), "stage sum: out_channels: 3 is larger than any arm"),
        (StageSpec(Fold(taps=2)), "stage sum: a join's fold has out_channels only"),
        (StageSpec(dram_bits_per_cycle=8), "stage sum: a join has no weights to keep in DRAM"),
    ],
)
def test_bad_stages_are_refused(spec, message):
    net = network(*SKIP, Node("sum", Add(), ("first", "wide")))
    machine = default_machine(net, 100)
    with pytest.raises(InputError, match=message):
        _ = Pipeline(net, replace(machine, stages={**machine.stages, "sum": spec})).stages


def test_only_joins_have_arms():
    net = network(*SKIP)
    stages = {"first": StageSpec(arm_columns=(2, 2)), "wide": StageSpec()}
    with pytest.raises(InputError, match="stage first: arm_columns: conv reads one tensor only"):
        _ = Pipeline(net, Machine("m", "net", 100, stages)).stages
    with pytest.raises(InputError, match="arm_columns: must be at least 2, not 1"):
        StageSpec(arm_columns=(1, 2))


def test_a_concatenation_of_one_scale_has_no_requantizers():
    nodes = (*SKIP, Node("both", Concat(), ("first", "wide")))
    net = network(*nodes)
    stage = Pipeline(net, default_machine(net, 100)).stages[-1]
    scale = net.tensors["both"].scale
    assert stage.rescales == any(net.tensors[name].scale != scale for name in ("first", "wide"))
    one = replace(
        net, tensors={**net.tensors, "wide": net.tensors["first"], "both": net.tensors["first"]}
    )
    sources = (one.tensors["first"], one.tensors["wide"])
    one = replace(one, joins={"both": ConcatParameters.between(sources, one.tensors["both"])})
    stage = Pipeline(one, default_machine(one, 100)).stages[-1]
    assert not stage.rescales
    assert stage.requantizers == 0


def test_the_same_tensor_twice():
    """A join whose arms read one tensor: its producer waits for both."""
    net = network(Node("first", ONE, (INPUT,)), Node("sum", Add(), ("first", "first")))
    pipeline = Pipeline(net, default_machine(net, 20))
    assert pipeline.stages[-1].arm_columns == (2, 2)
    assert simulate_events(pipeline, 2).same_as(stamps(pipeline, 2))


def test_a_join_of_the_input_itself():
    net = network(Node("sum", Add(), (INPUT, INPUT)))
    pipeline = Pipeline(net, default_machine(net, 20))
    found = stamps(pipeline, 2)
    assert simulate_events(pipeline, 2).same_as(found)
    assert np.array_equal(found.stages[0].accepted[0], 20 * np.arange(8) + 4)


def test_every_arm_has_area_and_leaks():
    """Two arms with equal buffers are two memories, though their actions cost the same."""
    net = network(Node("first", ONE, (INPUT,)), Node("sum", Add(), ("first", "first")))
    pipeline = Pipeline(net, default_machine(net, 20))
    stage, table = pipeline.stages[-1], EnergyTable.load("ihp130")
    memory, other = arm_memories(stage)
    assert memory == other
    actions = count_actions(stage, pipeline.beats[-1], 1, None)
    energy = stage_energy_pj(stage, actions, 1000, table, 10.0)
    assert energy["leakage"] == pytest.approx(2 * table.leakage_uw([memory]) * 1000 / 10.0)
    assert stage_area_um2(stage, table) > 2 * table.area_um2("memory_area", memory)
