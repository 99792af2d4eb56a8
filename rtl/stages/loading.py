"""The load stream: what fills a machine's memories of weights and biases, beat after beat."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from pilaster.rtl.components.memory import LOAD_BITS
from pilaster.rtl.stages.kind import LoadedMemory
from pilaster.rtl.stages.kinds import kind_of
from pilaster.sim.pipeline import Pipeline

__all__ = ["load_beats", "loadable"]


def loadable(pipeline: Pipeline) -> list[str]:
    """Give the names of the memories that can be loaded, in the order of the load stream."""
    return [name for name, _, _ in _memories(pipeline)]


def load_beats(pipeline: Pipeline, loaded: Collection[str], bits: int = LOAD_BITS) -> list[int]:
    """Give the load stream of a machine, beat after beat.

    Stage by stage come the sets of weights, then the biases of the output tiles. A memory word
    takes as many beats as it needs, its lowest bits first.

    Parameters
    ----------
    loaded : names of the memories that are filled
    bits : of a beat
    """
    return [
        beat
        for name, words, width in _memories(pipeline)
        if name in loaded
        for beat in _split(words, width, bits)
    ]


def _memories(pipeline: Pipeline) -> Iterator[LoadedMemory]:
    """Name, words and their width of every memory that has any."""
    for stage in pipeline.stages:
        yield from kind_of(stage).memories(stage, pipeline.network)


def _split(words: Sequence[int], width: int, bits: int) -> list[int]:
    mask = (1 << bits) - 1
    return [(word >> first) & mask for word in words for first in range(0, width, bits)]
