"""Two products that share an operand, in one multiplication.

For weights u and v and an operand a, a * (u + v * 2**s) = a*u + a*v * 2**s. Where a*u has at most s
bits as a signed number, it stands in the lowest s bits, and takes its sign from the rest.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Value

__all__ = ["pack", "packed_bits", "unpack"]


def packed_bits(operand: int, weight: int) -> int:
    """Width of two packed weights for an operand, both of so many bits."""
    return operand + 2 * weight + 1


def pack(low: Value, high: Value, operand: int) -> Value:
    """Pack two signed weights of one width for an operand of so many bits."""
    sign = low[-1]
    below = Cat(low, sign.replicate(operand))
    return Cat(below, high - sign).as_signed()


def unpack(product: Value, bits: int) -> tuple[Value, Value]:
    """Give the products with the low and the high weight, which have so many bits each."""
    low = product[:bits].as_signed()
    high = product[bits : 2 * bits].as_signed() + low[-1]
    return low, high[:bits].as_signed()
