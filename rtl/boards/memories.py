"""Memories of a machine as an FPGA has them: block RAMs, SPRAMs, or logic."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from pilaster.rtl.boards.catalog import Family

__all__ = ["SPRAM_DEPTH", "SPRAM_WIDTH", "Large", "Memory"]

# (width, depth) that a block RAM can be.
_SHAPES = {
    Family.ECP5: ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)),
    Family.ICE40: ((16, 256), (8, 512), (4, 1024), (2, 2048)),
}

_DISTRIBUTED_CELLS = {Family.ECP5: 23, Family.ICE40: 0}
"""Yosys takes a block RAM where it spares as many cells of 16 x 4 bits, each of six LUTs."""

_DISTRIBUTED_LUTS = 6

_LOGIC_WORDS, _LOGIC_BITS = 16, 1024
"""A read-only memory of up to so many words, or bits, becomes logic."""

SPRAM_WIDTH, SPRAM_DEPTH = 16, 1 << 14


@dataclass(frozen=True)
class Large:
    """A memory of weights that may stand in SPRAM.

    Attributes
    ----------
    block_rams, sprams : that it takes, of the one or of the other
    """

    name: str
    block_rams: int
    sprams: int


@dataclass(frozen=True)
class Memory:
    """`count` memories of `depth` words."""

    width: int
    depth: int
    count: int = 1
    read_only: bool = False

    def cost(self, family: Family) -> tuple[int, int]:
        """LUTs and block RAMs."""
        bits = self.width * self.depth
        if self.depth <= 1 or (
            self.read_only and (self.depth <= _LOGIC_WORDS or bits <= _LOGIC_BITS)
        ):
            return 0, 0
        blocks = min(ceil(self.width / w) * ceil(self.depth / d) for w, d in _SHAPES[family])
        cells = ceil(self.width / 4) * ceil(self.depth / 16)
        if not self.read_only and cells <= _DISTRIBUTED_CELLS[family] * blocks:
            return self.count * cells * _DISTRIBUTED_LUTS, 0
        return 0, self.count * blocks
