"""What a machine's multipliers are made of: DSP blocks, one product or two in each, or LUTs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

from pilaster.rtl.boards.catalog import Family
from pilaster.rtl.components.products import packed_bits
from pilaster.sim.machine import Schedule
from pilaster.sim.stages import ConvStage, JoinStage
from pilaster.sim.stages.join_actions import join_requantizers

__all__ = ["Multipliers", "Part", "conv_parts", "join_parts", "share_blocks"]

_BLOCK_BITS = {Family.ECP5: 18, Family.ICE40: 16}
"""Operand width of a DSP block."""

_LEAST_PRODUCT_BITS = {Family.ECP5: 0, Family.ICE40: 11}
"""Yosys gives a product of fewer bits no DSP block."""

_PRODUCT_BIT_LUTS = {Family.ECP5: 2.2, Family.ICE40: 2.0}
"""LUTs of a multiplier without a DSP block, by the product of its operands' widths."""

_PAIR_BITS = {Family.ECP5: _BLOCK_BITS[Family.ECP5]}
"""Most bits of two packed weights; on iCE40 requantizers leave too few blocks for it to pay."""

_PAIR_BIT_LUTS = 1.4
"""LUTs that pack two weights and part their products, by the sum of the operands' widths."""


@dataclass(frozen=True)
class Part:
    """Multipliers that are made alike: a stage's lanes, or its requantizers.

    Attributes
    ----------
    blocks : DSP blocks, if each makes one product; None where products are too small for one
    luts : LUTs, if made of those
    pair_blocks : DSP blocks, if each makes two products; None where it cannot
    pair_luts : LUTs beside these
    """

    name: str
    blocks: int | None
    luts: int
    pair_blocks: int | None = None
    pair_luts: int = 0

    def fewest_blocks(self, pairs: bool) -> int | None:
        """DSP blocks, with pairs where they are allowed; None where it has to be LUTs."""
        return self.pair_blocks if pairs and self.pair_blocks is not None else self.blocks

    def worth(self, pairs: bool) -> float:
        """LUTs that a DSP block spares."""
        blocks = self.fewest_blocks(pairs)
        luts = self.pair_luts if pairs and self.pair_blocks is not None else 0
        return (self.luts - luts) / max(1, blocks or 0)


@dataclass(frozen=True)
class Multipliers:
    """What parts are made of.

    Attributes
    ----------
    soft : parts made of LUTs
    paired : parts with two products in a DSP block
    luts : what these need
    """

    soft: frozenset[str]
    paired: frozenset[str]
    luts: int

    @property
    def paired_stages(self) -> frozenset[str]:
        """Stages whose lanes are paired."""
        return frozenset(name.split(".")[0] for name in self.paired)


def share_blocks(parts: Sequence[Part], blocks: int) -> Multipliers:
    """Share at most `blocks` DSP blocks among parts.

    Where there are not enough, all parts are paired that can be. The parts that spare the fewest
    LUTs for a block are given up first; then whatever still finds its blocks gets them, and what
    finds them without pairs is not paired.
    """
    short = sum(part.blocks or 0 for part in parts) > blocks
    by_worth = sorted(parts, key=lambda part: (-part.worth(short), part.name))
    taken: dict[Part, int] = {}
    left = blocks
    for part in by_worth:
        needed = part.fewest_blocks(short)
        if needed is not None and needed <= left:
            taken[part] = needed
            left -= needed
    for part, needed in taken.items():
        if part.blocks is not None and part.blocks - needed <= left:
            taken[part] = part.blocks
            left -= part.blocks - needed
    soft = [part for part in parts if part not in taken]
    paired = [part for part, needed in taken.items() if needed != part.blocks]
    return Multipliers(
        frozenset(part.name for part in soft),
        frozenset(part.name for part in paired),
        sum(part.luts for part in soft) + sum(part.pair_luts for part in paired),
    )


def conv_parts(stage: ConvStage, family: Family) -> Iterator[Part]:
    """Parts of a convolution's stage."""
    widths = stage.widths
    a, b = widths.activation, max(2, widths.weight)
    lanes = _part(f"{stage.name}.lanes", [(a + 1, b)] * stage.lanes, family)
    outputs = stage.fold.out_channels
    if stage.spec.schedule is Schedule.SCATTER:
        outputs *= stage.fold.kernel_columns
    shared = outputs > 1 and not stage.geometry.is_depthwise
    if shared and packed_bits(a, b) <= _PAIR_BITS.get(family, 0):
        operands, (pairs, single) = stage.lanes // outputs, divmod(outputs, 2)
        luts = ceil(_PAIR_BIT_LUTS * (a + b) * pairs * operands)
        lanes = replace(lanes, pair_blocks=operands * (pairs + single), pair_luts=luts)
    yield lanes
    scales = [(widths.accumulator, widths.scale + 1)] * stage.fold.requantizers
    yield _part(f"{stage.name}.requantizers", scales, family)


def join_parts(stage: JoinStage, family: Family) -> Iterator[Part]:
    """Parts of a join's stage: its requantizers, where it has any."""
    scales = [(s.accumulator_bits + 1, s.scale_bits + 1) for s in join_requantizers(stage)]
    if scales:
        yield _part(f"{stage.name}.requantizers", scales * stage.fold.out_channels, family)


def _part(name: str, products: Sequence[tuple[int, int]], family: Family) -> Part:
    """Describe products of operands with so many bits."""
    bits = _BLOCK_BITS[family]
    luts = ceil(_PRODUCT_BIT_LUTS[family] * sum(a * b for a, b in products))
    if any(a + b < _LEAST_PRODUCT_BITS[family] for a, b in products):
        return Part(name, None, luts)
    return Part(name, sum(ceil(a / bits) * ceil(b / bits) for a, b in products), luts)
