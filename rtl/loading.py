"""The load stream: what fills a machine's memories of weights and biases, beat after beat."""

from __future__ import annotations

from collections.abc import Sequence

from pilaster.rtl.contents import bias_words, weight_words
from pilaster.rtl.memory import LOAD_BITS
from pilaster.rtl.program import Program
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.stages import ConvStage

__all__ = ["load_beats"]


def load_beats(pipeline: Pipeline) -> list[int]:
    """Give the load stream of a machine, beat after beat.

    Stage by stage come the sets of weights, then the biases of the output tiles. A memory word
    takes as many beats as it needs, its lowest bits first.
    """
    beats: list[int] = []
    for stage in pipeline.stages:
        if isinstance(stage, ConvStage):
            parameters = pipeline.network.parameters[stage.name]
            weights = weight_words(stage, Program.of(stage), parameters)
            beats += _split(weights, stage.lanes * stage.widths.weight)
            biases = bias_words(stage, parameters)
            beats += _split(biases, stage.fold.out_channels * stage.widths.accumulator)
    return beats


def _split(words: Sequence[int], width: int) -> list[int]:
    mask = (1 << LOAD_BITS) - 1
    return [(word >> first) & mask for word in words for first in range(0, width, LOAD_BITS)]
