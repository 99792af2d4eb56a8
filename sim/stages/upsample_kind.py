"""Upsampling layers, as the simulator asks of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.graph import Node
from pilaster.models.layers import Upsample
from pilaster.models.network import Network
from pilaster.sim.beats import Beats
from pilaster.sim.column_words import beat_cuts, tile_cuts, word_channels
from pilaster.sim.machine import StageSpec
from pilaster.sim.stages.kind import Counted, Kind, Part, Storage, memory
from pilaster.sim.stages.upsample import UpsampleStage

__all__ = ["UpsampleKind", "upsample_column_buffer_bits"]


class UpsampleKind(Kind[UpsampleStage]):
    """Nearest-neighbor upsampling."""

    def lay(self, network: Network, node: Node, spec: StageSpec) -> UpsampleStage:
        """Lay an upsampling layer on a stage."""
        assert isinstance(node.layer, Upsample)
        bits = network.tensors[node.inputs[0]].bits
        return UpsampleStage(node.name, node.layer, network.graph.input_of(node), spec, bits)

    def actions(
        self,
        stage: UpsampleStage,
        sources: Sequence[Beats],
        images: int,
        nonzero: NDArray[np.int64] | None,
    ) -> Counted:
        """Yield (action, attributes, count): no value changes them."""
        (source,) = sources
        shape, tile = stage.shape, stage.fold.out_channels
        buffered = upsample_column_buffer_bits(stage)
        beat = source.channels * stage.bits
        beats = stage.columns_in * shape.height * source.per_row
        yield Action.COLUMN_WRITE, Attributes(beat, -(-buffered // beat)), images * beats
        cuts = beat_cuts(shape.channels, source), tile_cuts(shape.channels, tile)
        word = stage.bits * word_channels(*cuts)
        reads = images * stage.columns_out * stage.tiles * shape.height
        yield Action.COLUMN_READ, Attributes(word, -(-buffered // word)), reads
        row = Attributes(tile * stage.bits)
        yield Action.WINDOW_SHIFT, row, reads
        yield Action.STREAM, row, images * stage.columns_out * stage.tiles * stage.output.height

    def register_bits(self, stage: UpsampleStage) -> int:
        """Bits of pipeline registers: the row that is held."""
        return stage.fold.out_channels * stage.bits

    def storage(self, stage: UpsampleStage) -> Storage:
        """Bits of the memories."""
        return Storage(upsample_column_buffer_bits(stage))

    def area_parts(self, stage: UpsampleStage) -> Iterator[Part]:
        """Yield the register and the column buffers."""
        row = self.register_bits(stage)
        yield "register_area", Attributes(bits=row), 1
        yield "memory_area", memory(row, upsample_column_buffer_bits(stage)), 1


def upsample_column_buffer_bits(stage: UpsampleStage) -> int:
    """Bits of the column buffers."""
    return stage.buffered_columns * stage.shape.column_size * stage.bits
