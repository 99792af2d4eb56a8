"""What an action is made of, where a table prices its parts and not the action itself.

This is the one home of the composition:

============================  ====================================================
action                        parts
============================  ====================================================
mac                           multiply (activation x weight) + add (accumulator)
accumulate, pool              add (bits)
requantize                    multiply (accumulator x scale) + add (accumulator)
window_shift, stream          register (bits)
psum_read, row_sum_read,      memory_read (bits, depth)
weight_read, column_read
psum_write, row_sum_write,    memory_write (bits, depth)
column_write
mac_gated, weight_load, row,  nothing: the table prices the action itself, or counts it as 0
program_read, dram_read,
clock
============================  ====================================================

A memory of one word is a register. Where a table prices small memories, which are made of registers
or gates, these prices hold for all memories of no more bits than theirs. A multiply by an operand
of one bit is no multiply: its product is the other operand, that operand negated, or zero, so that
binary weights need no multiplier and a scale that is a power of two only an adder.
"""

from __future__ import annotations

from pilaster.models.energy.actions import Action, Attributes

__all__ = ["PRIMITIVES", "SMALL_MEMORIES", "UNCOMPOSED", "Part", "parts"]

Part = tuple[str, Attributes]
"""Name of a primitive, and the attributes at which it is used."""

_VALUE_READS = (Action.PSUM_READ, Action.ROW_SUM_READ, Action.COLUMN_READ)
_READS = (*_VALUE_READS, Action.WEIGHT_READ)
_WRITES = (Action.PSUM_WRITE, Action.ROW_SUM_WRITE, Action.COLUMN_WRITE)

SMALL_MEMORIES = {
    **dict.fromkeys(_VALUE_READS, "small_memory_read"),
    **dict.fromkeys(_WRITES, "small_memory_write"),
    Action.WEIGHT_READ: "small_weight_read",
    Action.PROGRAM_READ: "small_program_read",
}
"""Entries that price accesses of small memories, where a table has them."""

UNCOMPOSED = (
    Action.MAC_GATED,
    Action.WEIGHT_LOAD,
    Action.ROW,
    Action.PROGRAM_READ,
    Action.DRAM_READ,
    Action.CLOCK,
)
"""Actions that no primitives make up."""

PRIMITIVES: dict[Action, tuple[str, ...]] = {
    Action.MAC: ("multiply", "add"),
    Action.ACCUMULATE: ("add",),
    Action.POOL: ("add",),
    Action.REQUANTIZE: ("multiply", "add"),
    Action.WINDOW_SHIFT: ("register",),
    Action.STREAM: ("register",),
    **dict.fromkeys(_READS, ("memory_read", "register")),
    **dict.fromkeys(_WRITES, ("memory_write", "register")),
}
"""Primitives that an action may need; each action is here or in `UNCOMPOSED`."""


def parts(action: Action, attributes: Attributes) -> tuple[Part, ...]:
    """Primitives that one occurrence of an action is made of; none if it is not composed."""
    match action:
        case Action.MAC:
            return (
                *_multiply(attributes.activation_bits, attributes.weight_bits),
                ("add", Attributes(bits=attributes.accumulator_bits)),
            )
        case Action.REQUANTIZE:
            return (
                *_multiply(attributes.accumulator_bits, attributes.scale_bits),
                ("add", Attributes(bits=attributes.accumulator_bits)),
            )
        case Action.ACCUMULATE | Action.POOL:
            return (("add", Attributes(bits=attributes.bits)),)
        case Action.WINDOW_SHIFT | Action.STREAM:
            return (("register", Attributes(bits=attributes.bits)),)
        case _ if action in UNCOMPOSED:
            return ()
    if attributes.depth == 1:
        return (("register", Attributes(bits=attributes.bits)),)
    memory = Attributes(bits=attributes.bits, depth=attributes.depth)
    return (("memory_read" if action in _READS else "memory_write", memory),)


def _multiply(left_bits: int, right_bits: int) -> tuple[Part, ...]:
    if min(left_bits, right_bits) <= 1:
        return ()
    return (("multiply", Attributes(activation_bits=left_bits, weight_bits=right_bits)),)
