"""Actions of a stage that joins tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.joins import AddParameters
from pilaster.models.quantization import signed_bits
from pilaster.sim.beats import Beats
from pilaster.sim.column_words import beat_cuts, tile_cuts, word_channels
from pilaster.sim.stages.join import JoinStage

__all__ = [
    "arm_actions",
    "arm_buffer_bits",
    "arm_memories",
    "join_actions",
    "join_register_bits",
    "join_requantizers",
]


def join_actions(
    stage: JoinStage, sources: Sequence[Beats]
) -> Iterator[tuple[Action, Attributes, int]]:
    """Yield (action, attributes, count) of one image.

    sources : beats of the streams that the arms read
    """
    rows = stage.columns_in * stage.output.height
    for arm, beats in enumerate(sources):
        yield from arm_actions(stage, arm, beats)
    values = rows * stage.output.channels
    for scale in join_requantizers(stage):
        yield Action.REQUANTIZE, scale, values
    if stage.adds:
        yield Action.ACCUMULATE, Attributes(stage.sum_bits), values
    word = stage.fold.out_channels * stage.target.bits
    yield Action.STREAM, Attributes(word), rows * len(stage.tiles)


def arm_actions(
    stage: JoinStage, arm: int, beats: Beats
) -> Iterator[tuple[Action, Attributes, int]]:
    """Yield what one image does to the column buffers of an arm."""
    rows = stage.columns_in * stage.output.height
    bits, channels = arm_buffer_bits(stage)[arm], stage.shapes[arm].channels
    value, beat = stage.sources[arm].bits, beats.channels * stage.sources[arm].bits
    cuts = tile_cuts(channels, stage.fold.out_channels)
    word = value * word_channels(beat_cuts(channels, beats), cuts)
    yield Action.COLUMN_WRITE, Attributes(beat, -(-bits // beat)), rows * beats.per_row
    yield Action.COLUMN_READ, Attributes(word, -(-bits // word)), rows * stage.tiles_of(arm)


def join_requantizers(stage: JoinStage) -> tuple[Attributes, ...]:
    """Widths of the requantizers that a value of the output needs: of a sum, each arm's too."""
    parameters = stage.parameters
    if not stage.rescales:
        return ()
    if isinstance(parameters, AddParameters):
        arms = tuple(
            Attributes(accumulator_bits=source.bits, scale_bits=scale.bits)
            for source, scale in zip(stage.sources, parameters.inputs, strict=True)
        )
        total = Attributes(accumulator_bits=stage.sum_bits, scale_bits=parameters.output.bits)
        return (*arms, total)
    widest = max(source.bits for source in stage.sources)
    bits = max(scale.bits for scale in parameters.inputs)
    return (Attributes(accumulator_bits=widest, scale_bits=bits),)


def arm_buffer_bits(stage: JoinStage) -> tuple[int, ...]:
    """Bits of the column buffers of every arm."""
    return tuple(
        columns * shape.column_size * source.bits
        for columns, shape, source in zip(
            stage.arm_columns, stage.shapes, stage.sources, strict=True
        )
    )


def arm_memories(stage: JoinStage) -> tuple[Attributes, ...]:
    """Width and depth of every arm's column buffers, as they are read."""
    words = [stage.fold.out_channels * source.bits for source in stage.sources]
    return tuple(
        Attributes(word, -(-bits // word))
        for word, bits in zip(words, arm_buffer_bits(stage), strict=True)
    )


def join_register_bits(stage: JoinStage) -> int:
    """Bits of pipeline registers: those of the requantizers, the sum and the beat that leaves."""
    requantizers = sum(
        scale.accumulator_bits + scale.scale_bits for scale in join_requantizers(stage)
    )
    total = 0
    if stage.adds:
        total = stage.sum_bits + sum(map(signed_bits, stage.arm_magnitudes))
    return stage.fold.out_channels * (requantizers + total + stage.target.bits)
