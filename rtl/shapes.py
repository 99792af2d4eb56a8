"""Shapes of signals that several components share."""

from __future__ import annotations

from amaranth.hdl import Shape

__all__ = ["index_shape"]


def index_shape(count: int) -> Shape:
    """Shape of an index into `count` things: at least a bit, since Verilog knows no fewer."""
    return Shape.cast(range(max(2, count)))
