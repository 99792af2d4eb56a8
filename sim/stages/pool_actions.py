"""Actions of a pooling stage."""

from __future__ import annotations

from collections.abc import Iterator

from pilaster.models.energy.actions import Action, Attributes
from pilaster.sim.beats import Beats
from pilaster.sim.column_words import beat_cuts, tile_cuts, word_channels
from pilaster.sim.stages.pool import PoolStage

__all__ = [
    "pool_actions",
    "pool_column_buffer_bits",
    "pool_program",
    "pool_psum_bits",
    "pool_register_bits",
    "sum_bits",
]


def pool_actions(stage: PoolStage, source: Beats) -> Iterator[tuple[Action, Attributes, int]]:
    """Yield (action, attributes, count) of one image.

    source : beats of the stream that the stage reads
    """
    shape, tile = stage.shape, stage.fold.out_channels
    rows_out, columns_out = stage.output.height, stage.columns_out
    used_columns = sum(bool(touched) for touched in stage.touched)
    contributions = sum(map(len, stage.touched))
    turns = _later_turns(stage)

    buffered = pool_column_buffer_bits(stage)
    beat_bits = source.channels * stage.bits
    beats = stage.columns_in * shape.height * source.per_row
    yield Action.COLUMN_WRITE, Attributes(beat_bits, -(-buffered // beat_bits)), beats
    channels = shape.channels
    held = stage.bits * word_channels(beat_cuts(channels, source), tile_cuts(channels, tile))
    words = used_columns * stage.tiles * stage.rows_read
    yield Action.COLUMN_READ, Attributes(held, -(-buffered // held)), words
    row = tile * stage.bits
    yield Action.WINDOW_SHIFT, Attributes(row * stage.layer.window.kernel[0]), words

    bits = sum_bits(stage)
    down = used_columns * (stage.layer.window.kernel[0] - 1)
    across = contributions - columns_out
    yield Action.POOL, Attributes(bits), (down + across) * rows_out * shape.channels
    waits = (across + turns) * rows_out * stage.tiles
    if waits:
        memory = Attributes(tile * bits, max(1, pool_psum_bits(stage) // (tile * bits)))
        yield Action.PSUM_READ, memory, waits
        yield Action.PSUM_WRITE, memory, waits
    program = pool_program(stage)
    if program.depth > 1:
        yield Action.PROGRAM_READ, program, program.depth
    outputs = rows_out * columns_out
    if stage.layer.mode == "average":
        divide = Attributes(accumulator_bits=bits, scale_bits=bits)
        yield Action.REQUANTIZE, divide, outputs * shape.channels
    yield Action.STREAM, Attributes(row), outputs * stage.tiles


def _later_turns(stage: PoolStage) -> int:
    """Output columns that wait for their turn to leave: the last input column completes several."""
    return sum(max(0, len(stage.completed(w)) - 1) for w in range(stage.columns_in))


def pool_program(stage: PoolStage) -> Attributes:
    """Width and depth of the table of runs, each of which is read once an image."""
    slots = max(1, max(map(len, stage.touched)))
    banks = max(1, (stage.pending_columns - 1).bit_length())
    columns = stage.layer.window.kernel[1].bit_length()
    slot = max(1, (slots - 1).bit_length())
    return Attributes(
        4 + slot + columns + slots * (2 + banks), stage.columns_in + _later_turns(stage)
    )


def sum_bits(stage: PoolStage) -> int:
    """Width of a pooled value before it leaves."""
    if stage.layer.mode == "max":
        return stage.bits
    kernel = stage.layer.window.kernel
    return stage.bits + (kernel[0] * kernel[1] - 1).bit_length()


def pool_column_buffer_bits(stage: PoolStage) -> int:
    """Bits of the column buffers."""
    return stage.buffered_columns * stage.shape.column_size * stage.bits


def pool_psum_bits(stage: PoolStage) -> int:
    """Bits of the memory in which output columns wait for more input columns."""
    channels = stage.tiles * stage.fold.out_channels
    return stage.pending_columns * stage.output.height * channels * sum_bits(stage)


def pool_register_bits(stage: PoolStage) -> int:
    """Bits of pipeline registers: window, reduction and result."""
    tile = stage.fold.out_channels
    return tile * (stage.layer.window.kernel[0] * stage.bits + 2 * sum_bits(stage))
