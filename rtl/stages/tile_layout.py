"""Column buffers of a stage that reads a tile of channels at a time."""

from __future__ import annotations

from pilaster.models.quantization import TensorQuantization
from pilaster.rtl.components.column_buffer import BufferLayout
from pilaster.sim.stages import PoolStage, UpsampleStage

__all__ = ["tile_layout"]


def tile_layout(
    stage: PoolStage | UpsampleStage, tensor: TensorQuantization, beats: tuple[tuple[int, int], ...]
) -> BufferLayout:
    """Lay out the column buffers of a stage.

    beats : (first channel, channels) of every beat of a row, in order
    """
    channels, tile = stage.shape.channels, stage.fold.out_channels
    return BufferLayout(
        height=stage.shape.height,
        channels=channels,
        bits=tensor.bits,
        signed=tensor.stream_range[0] < 0,
        row_fold=1,
        offset=0,
        columns=stage.buffered_columns,
        ports=1,
        beats=beats,
        patterns=tuple(
            tuple((0, c) if c < channels else None for c in range(first, first + tile))
            for first in range(0, channels, tile)
        ),
    )
