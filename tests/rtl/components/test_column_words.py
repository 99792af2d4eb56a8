"""Law: the word that the model says is read from a column buffer is that of the RTL's memory."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pilaster.models.energy.actions import Action
from pilaster.rtl.stages.conv import buffer_layout
from pilaster.rtl.stages.join import arm_layout
from pilaster.rtl.stages.tile_layout import tile_layout
from pilaster.sim.actions import machine_actions
from pilaster.sim.column_words import word_channels
from pilaster.sim.stages import ConvStage, JoinStage
from tests.sim.strategies import pipelines


def words_read(actions):
    """Widths in bits of the words that are read."""
    return {at.bits for action, at in actions.counts if action is Action.COLUMN_READ}


def layouts(stage, tensor, beats):
    if isinstance(stage, JoinStage):
        return [arm_layout(stage, arm, each) for arm, each in enumerate(beats)]
    lay = buffer_layout if isinstance(stage, ConvStage) else tile_layout
    return [lay(stage, tensor, beats[0].tiles)]


@settings(max_examples=100, deadline=None)
@given(pipelines())
def test_words_are_those_of_the_memories(pipeline):
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


@given(st.integers(1, 40).flatmap(lambda n: st.lists(st.booleans(), min_size=n, max_size=n)))
def test_no_word_is_narrower(may):
    cuts = np.array([True, *may[1:]])
    word = word_channels(cuts)
    fits = [w for w in range(1, len(cuts)) if cuts[::w].all()]
    assert word == min(fits, default=len(cuts))
