"""Shapes of signals that several components share."""

from __future__ import annotations

from amaranth.hdl import Shape

from pilaster.models.quantization import TensorQuantization

__all__ = ["index_shape", "stream_shape"]


def index_shape(count: int) -> Shape:
    """Shape of an index into `count` things: at least a bit, since Verilog knows no fewer."""
    return Shape.cast(range(max(2, count)))


def stream_shape(tensor: TensorQuantization) -> Shape:
    """Shape of a value on a stream."""
    low, _ = tensor.stream_range
    return Shape(tensor.bits, low < 0)
