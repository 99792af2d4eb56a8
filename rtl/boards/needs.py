"""FPGA resources of each kind of stage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any, Generic, TypeVar

import numpy as np

from pilaster.rtl.boards.catalog import Family
from pilaster.rtl.boards.memories import SPRAM_DEPTH, SPRAM_WIDTH, Large, Memory
from pilaster.rtl.boards.multipliers import Part, conv_parts, join_parts
from pilaster.rtl.components.contents import memory_names
from pilaster.sim.program_tables import SHARED_TILES
from pilaster.sim.stages import ConvStage, JoinStage, PoolStage, Stage, UpsampleStage
from pilaster.sim.stages.conv_actions import column_buffer_bits, psum_bits
from pilaster.sim.stages.join_actions import arm_buffer_bits, join_requantizers
from pilaster.sim.stages.pool_actions import pool_column_buffer_bits, pool_psum_bits, sum_bits
from pilaster.sim.stages.upsample_kind import upsample_column_buffer_bits

__all__ = ["Needs", "needs_of"]

# LUTs of a build, fitted to builds of digits (iCE40), lenet5 and DS-CNN (ECP5); see docs/fpga.md.
_LANE_LUTS = 35
_SUM_BIT_LUTS, _REQUANTIZER_BIT_LUTS, _DIVIDER_BIT_LUTS = 6, 20, 18

_PHASE_BIT_LUTS = 1.6
"""LUTs of reading a row from its phases, by the bits of the phases of a lane's value."""

_PASS_BITS = 6
"""Bits of a pass in the schedule's table beside its address of weights."""

AnyStage = TypeVar("AnyStage", bound=Stage)


class Needs(ABC, Generic[AnyStage]):
    """What one kind of stage needs. What has an answer here holds for stages without weights."""

    @abstractmethod
    def expected_beats(self, stage: AnyStage) -> list[int]:
        """Channels of the beats that each arm is expected to read, where that is not known yet."""

    @abstractmethod
    def memories(self, stage: AnyStage, beat_channels: Sequence[int]) -> list[Memory]:
        """List the memories of a stage whose arms read beats of so many channels."""

    @abstractmethod
    def luts(self, stage: AnyStage) -> int:
        """LUTs beside the memories and multipliers, over those of any stage."""

    def parts(self, stage: AnyStage, family: Family) -> Iterator[Part]:
        """Yield the multipliers."""
        yield from ()

    def large(self, stage: AnyStage, family: Family) -> Iterator[Large]:
        """Yield the memories that may stand in SPRAM."""
        yield from ()


class ConvNeeds(Needs[ConvStage]):
    """Layers with weights."""

    def expected_beats(self, stage: ConvStage) -> list[int]:
        """Channels of its input's beats: those that a fold takes at a time."""
        return [min(stage.geometry.shape.channels, stage.fold.in_channels)]

    def memories(self, stage: ConvStage, beat_channels: Sequence[int]) -> list[Memory]:
        """List column buffers, weights, biases, the program, partial sums, and row sums."""
        (channels,) = beat_channels
        fold, widths, phases = stage.fold, stage.widths, stage.geometry.row_fold
        word = max(ceil(fold.in_channels / phases), channels) * widths.activation
        psum_word = fold.out_channels * widths.accumulator
        passes = _passes(stage)
        sets = stage.weight_sets if stage.weight_sets > 1 else 0
        banks = fold.kernel_columns
        return [
            Memory(word, ceil(column_buffer_bits(stage) / word / phases), phases),
            Memory(stage.lanes * widths.weight, sets, read_only=True),
            Memory(psum_word, stage.tile_shape[1], read_only=True),  # bias
            Memory(passes.bit_length() + _PASS_BITS, passes, read_only=True),
            Memory(psum_word, ceil(psum_bits(stage) / psum_word / banks), banks),
            Memory(psum_word, stage.row_sum_words, banks),
        ]

    def luts(self, stage: ConvStage) -> int:
        """LUTs of lanes, phases, sums and requantizers."""
        fold, sums, phases = stage.fold, stage.widths.accumulator, stage.geometry.row_fold
        luts = _LANE_LUTS * stage.lanes
        if phases > 1:
            luts += ceil(_PHASE_BIT_LUTS * phases * fold.in_channels * stage.widths.activation)
        luts += _SUM_BIT_LUTS * fold.out_channels * fold.kernel_columns * sums
        return luts + _REQUANTIZER_BIT_LUTS * fold.requantizers * sums

    def parts(self, stage: ConvStage, family: Family) -> Iterator[Part]:
        """Yield the lanes and the requantizers."""
        yield from conv_parts(stage, family)

    def large(self, stage: ConvStage, family: Family) -> Iterator[Large]:
        """Yield the memory of weights, where it takes block RAMs."""
        name, _ = memory_names(stage)
        width, depth = stage.lanes * stage.widths.weight, stage.weight_sets
        _, rams = Memory(width, depth, read_only=True).cost(family)
        if rams:
            yield Large(name, rams, ceil(width / SPRAM_WIDTH) * ceil(depth / SPRAM_DEPTH))


class PoolNeeds(Needs[PoolStage]):
    """Max and average pooling."""

    def expected_beats(self, stage: PoolStage) -> list[int]:
        """Channels of its input's beats: one at a time."""
        return [stage.fold.in_channels]

    def memories(self, stage: PoolStage, beat_channels: Sequence[int]) -> list[Memory]:
        """List the column buffers, and what waits for more columns."""
        (channels,) = beat_channels
        word = max(stage.fold.out_channels, channels) * stage.bits
        return [
            Memory(word, ceil(pool_column_buffer_bits(stage) / word)),
            Memory(word, ceil(pool_psum_bits(stage) / word)),
        ]

    def luts(self, stage: PoolStage) -> int:
        """LUTs of the dividers of an average."""
        divides = stage.layer.mode == "average"
        return _DIVIDER_BIT_LUTS * stage.fold.out_channels * sum_bits(stage) * divides


class UpsampleNeeds(Needs[UpsampleStage]):
    """Nearest-neighbor upsampling."""

    def expected_beats(self, stage: UpsampleStage) -> list[int]:
        """Channels of its input's beats: as many as leave."""
        return [stage.fold.out_channels]

    def memories(self, stage: UpsampleStage, beat_channels: Sequence[int]) -> list[Memory]:
        """List the column buffers."""
        (channels,) = beat_channels
        word = max(stage.fold.out_channels, channels) * stage.bits
        return [Memory(word, ceil(upsample_column_buffer_bits(stage) / word))]

    def luts(self, stage: UpsampleStage) -> int:
        """LUTs of its own arithmetic: none."""
        return 0


class JoinNeeds(Needs[JoinStage]):
    """Layers that read several tensors."""

    def expected_beats(self, stage: JoinStage) -> list[int]:
        """Channels of the arms' beats: as many as leave."""
        return [stage.fold.out_channels] * len(stage.shapes)

    def memories(self, stage: JoinStage, beat_channels: Sequence[int]) -> list[Memory]:
        """List the column buffers of the arms."""
        arms = zip(beat_channels, stage.sources, arm_buffer_bits(stage), strict=True)
        words = [(max(stage.fold.out_channels, n) * source.bits, bits) for n, source, bits in arms]
        return [Memory(word, ceil(bits / word)) for word, bits in words]

    def luts(self, stage: JoinStage) -> int:
        """LUTs of the sum and of the requantizers."""
        width, scales = stage.fold.out_channels, join_requantizers(stage)
        luts = _SUM_BIT_LUTS * width * (stage.sum_bits if stage.adds else 0)
        return luts + _REQUANTIZER_BIT_LUTS * width * sum(s.accumulator_bits for s in scales)

    def parts(self, stage: JoinStage, family: Family) -> Iterator[Part]:
        """Yield the requantizers."""
        yield from join_parts(stage, family)


_NEEDS: Mapping[type[Stage], Needs[Any]] = {
    ConvStage: ConvNeeds(),
    PoolStage: PoolNeeds(),
    UpsampleStage: UpsampleNeeds(),
    JoinStage: JoinNeeds(),
}


def needs_of(stage: Stage) -> Needs[Any]:
    """Give what asks a stage for its needs."""
    return _NEEDS[type(stage)]


def _passes(stage: ConvStage) -> int:
    """Entries of the schedule's table of passes: blocks that name tiles alike share theirs."""
    groups, outs, ins, taps = stage.tile_shape
    if stage.weight_sets < SHARED_TILES:
        return stage.weight_sets
    if stage.present is None:
        return ins * taps
    blocks = stage.present.reshape(groups * outs, ins * taps)
    return int(np.unique(blocks, axis=0).sum())
