"""Law: the word that the model says is read from a column buffer is that of the RTL's memory."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pilaster.models.energy.actions import Action
from pilaster.models.layers import Weighted
from pilaster.rtl.conv import buffer_layout
from pilaster.rtl.join import arm_layout
from pilaster.rtl.pool import pool_layout
from pilaster.sim.actions import machine_actions
from pilaster.sim.column_words import word_channels
from pilaster.sim.machine import Fold, Machine, Schedule, StageSpec
from pilaster.sim.mapper.folds import Limits
from pilaster.sim.mapper.space import candidates
from pilaster.sim.pipeline import Pipeline, with_arm_columns
from pilaster.sim.stages import ConvStage, JoinStage
from tests.strategies import graphs, joined_graphs, networks, seeds


def words_read(actions):
    """Widths in bits of the words that are read, those of a join's arms in order."""
    return {at.bits for action, at in actions.counts if action is Action.COLUMN_READ}


def layouts(stage, tensor, beats):
    if isinstance(stage, JoinStage):
        return [arm_layout(stage, arm, each) for arm, each in enumerate(beats)]
    lay = buffer_layout if isinstance(stage, ConvStage) else pool_layout
    return [lay(stage, tensor, beats[0].tiles)]


def check(pipeline):
    network = pipeline.network
    for node, stage, beats, actions in zip(
        network.graph.nodes,
        pipeline.stages,
        pipeline.beats,
        machine_actions(pipeline),
        strict=True,
    ):
        tensor = network.tensors[node.inputs[0]]
        words = {layout.word * layout.bits for layout in layouts(stage, tensor, beats)}
        assert words_read(actions) in (words, set())


@settings(max_examples=60, deadline=None)
@given(networks(graphs(3)), seeds())
def test_of_chains(network, seed):
    rng = np.random.default_rng(seed)
    limits = Limits(schedules=(Schedule.SCATTER, Schedule.GATHER))
    specs = {}
    for node in network.graph.nodes:
        found = candidates(network, node, limits)
        specs[node.name] = found.spec(int(rng.integers(len(found))))
    check(Pipeline(network, Machine("random", network.name, 100, specs)))


@settings(max_examples=30, deadline=None)
@given(networks(joined_graphs()), seeds())
def test_of_joins(network, seed):
    rng = np.random.default_rng(seed)
    specs = {
        node.name: StageSpec(Fold(out_channels=int(rng.integers(1, channels + 1))))
        for node in network.graph.nodes
        for channels in [min(network.graph.shapes[name].channels for name in node.inputs)]
    }
    for node in network.graph.nodes:
        if isinstance(node.layer, Weighted):
            specs[node.name] = StageSpec()
    check(Pipeline(network, with_arm_columns(network, Machine("random", network.name, 100, specs))))


@given(st.integers(1, 40).flatmap(lambda n: st.lists(st.booleans(), min_size=n, max_size=n)))
def test_no_word_is_narrower(may):
    cuts = np.array([True, *may[1:]])
    word = word_channels(cuts)
    fits = [w for w in range(1, len(cuts)) if cuts[::w].all()]
    assert word == min(fits, default=len(cuts))
