"""Pipeline constants of a stage, in cycles, which the RTL must meet."""

from __future__ import annotations

__all__ = [
    "COLUMN_BUFFERS",
    "DRAIN",
    "IDLE_COLUMN",
    "conv_depth",
    "join_depth",
    "pool_depth",
    "tree_levels",
    "upsample_depth",
]

COLUMN_BUFFERS = 2
"""Columns a stage can hold beside those a gather window keeps; the output buffer holds as many."""

IDLE_COLUMN = 1
"""Cycle that a stage takes to pass over a column that needs no work."""

READ = 1
"""Column buffer."""
WINDOW = 1
"""Tap window."""
OPERAND = 1
"""Operand registers, which hold still for a zero."""
MULTIPLY = 1
"""Operands to products."""
ACCUMULATE = 1
"""Sum into the partial sum, or into the accumulator."""
REQUANTIZE = 3
"""Multiply by the scale, round, clamp."""
DRAIN = 1
"""Last beat of an output column from the output buffer to the sink."""
WRITE = 1
"""Stream beat into the next stage's column buffer."""
TREE_RADIX = 4
"""Terms that one registered level of an adder tree sums."""
POOL_REDUCE = 1
"""Window to the reduction down the column."""
AVERAGE_DIVIDE = 2
"""Sum to the rounded average."""
UPSAMPLE_HOLD = 1
"""Column buffer to the row that is sent."""
JOIN_SELECT = 1
"""Arm to the stream, where nothing is rescaled."""
JOIN_ADD = 1
"""Rescaled arms to their sum."""


def tree_levels(terms: int) -> int:
    """Registered levels of an adder tree over `terms` products."""
    levels = 0
    while terms > 1:
        terms = -(-terms // TREE_RADIX)
        levels += 1
    return levels


def conv_depth(terms: int) -> int:
    """Cycles from reading a row to its result standing in the next stage's column buffer.

    terms : products that one adder tree sums
    """
    return READ + WINDOW + OPERAND + MULTIPLY + tree_levels(terms) + ACCUMULATE + REQUANTIZE + WRITE


def pool_depth(average: bool) -> int:
    """Cycles from reading a row to the pooled row standing in the next stage's column buffer."""
    return READ + WINDOW + POOL_REDUCE + ACCUMULATE + (AVERAGE_DIVIDE if average else 0) + WRITE


def upsample_depth() -> int:
    """Cycles from reading a row to its first copy standing in the next stage's column buffer."""
    return READ + UPSAMPLE_HOLD + WRITE


def join_depth(adds: bool, rescales: bool) -> int:
    """Cycles from reading a row to the joined row standing in the next stage's column buffer."""
    if adds:
        return READ + REQUANTIZE + JOIN_ADD + REQUANTIZE + WRITE
    return READ + (REQUANTIZE if rescales else JOIN_SELECT) + WRITE
