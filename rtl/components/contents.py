"""What the memories of a convolution stage hold: weights, biases and scales as words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Array, Const, Shape, Value
from numpy.typing import NDArray

from pilaster.models.quantization import ConvParameters
from pilaster.rtl.components.program import Program
from pilaster.rtl.components.requantize import ScaleFormat
from pilaster.sim.machine import Schedule
from pilaster.sim.stages import ConvStage

__all__ = [
    "bias_words",
    "memory_names",
    "pack",
    "scale_words",
    "select",
    "tile_channels",
    "weight_words",
]


def memory_names(stage: ConvStage) -> tuple[str, str]:
    """Names of a stage's memories of weights and of biases."""
    return f"{stage.name}_weights", f"{stage.name}_bias"


def pack(values: NDArray[np.integer], bits: int) -> int:
    """Put signed values of `bits` bits side by side, the first lowest; one bit is set for +1."""
    mask = (1 << bits) - 1
    fields = (values > 0).tolist() if bits == 1 else values.tolist()
    return int("".join(format(int(value) & mask, f"0{bits}b") for value in fields[::-1]), 2)


def select(values: Sequence[int], index: Value) -> Value:
    """Value at `index`; a constant where all are equal."""
    if len(set(values)) == 1:
        return Const(values[0])
    return Array([Const(value, Shape.cast(range(max(values) + 1))) for value in values])[index]


def tile_channels(stage: ConvStage, out_tile: int) -> range:
    """Output channels of a tile."""
    geometry, step = stage.geometry, stage.fold.out_channels
    per_group = stage.tile_shape[1] // geometry.tiled_groups
    group, member = divmod(out_tile, per_group)
    first = group * geometry.out_channels + member * step
    return range(first, min(first + step, (group + 1) * geometry.out_channels))


def weight_words(stage: ConvStage, program: Program, parameters: ConvParameters) -> list[int]:
    """Weights of every tile that the program names: by slot, output, then window, tap, channel."""
    fold = stage.fold
    folded = stage.geometry.fold_weights(parameters.weight)
    order = (2, 0, 1, 3) if stage.spec.schedule is Schedule.SCATTER else (0, 2, 1, 3)
    words = []
    for group, out_tile, in_tile, tap_group in program.weights:
        outputs = tile_channels(stage, out_tile)
        taps = slice(tap_group * fold.taps, (tap_group + 1) * fold.taps)
        channels = slice(in_tile * fold.in_channels, (in_tile + 1) * fold.in_channels)
        shape = (fold.out_channels, fold.taps, fold.kernel_columns, fold.in_channels)
        block = np.zeros(shape, np.int64)
        for slot, offset in enumerate(stage.groups[group]):
            part = folded[outputs.start : outputs.stop, taps, offset, channels]
            block[: part.shape[0], : part.shape[1], slot, : part.shape[2]] = part
        words.append(pack(block.transpose(order).reshape(-1), stage.widths.weight))
    return words


def bias_words(stage: ConvStage, parameters: ConvParameters) -> list[int]:
    """Biases of every output tile."""
    words = []
    for tile in range(stage.tile_shape[1]):
        channels = tile_channels(stage, tile)
        values = np.zeros(stage.fold.out_channels, np.int64)
        values[: len(channels)] = parameters.bias[channels.start : channels.stop]
        words.append(pack(values, stage.widths.accumulator))
    return words


def scale_words(stage: ConvStage, scale: ScaleFormat, parameters: ConvParameters) -> list[int]:
    """Scales of every output tile, `requantizers` of them a word."""
    lanes, turns = stage.fold.requantizers, stage.requantize_cycles
    constants = scale.constants(parameters)
    rest = {"multiplier": 0, "first": 0, "second": 0}
    words = []
    for tile in range(stage.tile_shape[1]):
        channels = tile_channels(stage, tile)
        padded = [constants[c] for c in channels] + [rest] * (lanes * turns - len(channels))
        for turn in range(turns):
            word = 0
            for lane, value in enumerate(padded[turn * lanes : (turn + 1) * lanes]):
                word |= scale.layout.const(value).as_value().value << (lane * scale.layout.size)
            words.append(word)
    return words
