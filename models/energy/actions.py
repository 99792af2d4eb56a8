"""The countable events that cost energy, and the widths that decide how much."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum

__all__ = ["Action", "Attributes"]


class Action(StrEnum):
    """An event that the simulator counts and an energy table prices.

    Each occurrence is one event of one lane, one memory or one stage; the names in parentheses
    are the attributes that its price depends on.

    Members
    -------
    MAC (activation_bits, weight_bits, accumulator_bits)
        One multiply, and the add of its product into the sum.
    MAC_GATED (activation_bits, weight_bits, accumulator_bits)
        One cycle of a lane that holds its inputs because its activation operand is zero.
    ACCUMULATE (bits)
        One add of a partial sum, outside of the adder tree of the lanes.
    POOL (bits)
        One compare or add of a pooling stage.
    ROW
        One output row of one pass at the lanes: its step is written down the pipeline.
    PROGRAM_READ (bits, depth)
        One read of a table that a sequencer walks through. A table of one entry is never read.
    REQUANTIZE (accumulator_bits, scale_bits)
        One accumulator times its scale, and the add that rounds. A scale of 0 or 1 bit is a shift.
    WINDOW_SHIFT (bits)
        Register bits written when the tap window moves by one row.
    PSUM_READ, PSUM_WRITE (bits, depth)
        One access of a partial-sum memory, ``bits`` wide and ``depth`` words deep.
    ROW_SUM_READ, ROW_SUM_WRITE (bits, depth)
        One access of the memory that keeps the sums of one output tile and column between passes:
        a word for each output row.
    WEIGHT_READ (bits, depth)
        One read of a weight memory.
    WEIGHT_LOAD (bits)
        One set of weights taken into the lanes, where these hold several in turn.
    COLUMN_READ, COLUMN_WRITE (bits, depth)
        One access of a memory of a column buffer: it has one for each phase of folded rows.
    STREAM (bits)
        One beat on the stream between two stages.
    DRAM_READ (bits)
        Weights fetched from DRAM in one occurrence.
    CLOCK (bits)
        Register bits clocked for one cycle, whether they change or not.

    Leakage is a power, not an event: see ``EnergyTable.leakage_uw``.
    """

    MAC = "mac"
    MAC_GATED = "mac_gated"
    ACCUMULATE = "accumulate"
    POOL = "pool"
    ROW = "row"
    PROGRAM_READ = "program_read"
    REQUANTIZE = "requantize"
    WINDOW_SHIFT = "window_shift"
    PSUM_READ = "psum_read"
    PSUM_WRITE = "psum_write"
    ROW_SUM_READ = "row_sum_read"
    ROW_SUM_WRITE = "row_sum_write"
    WEIGHT_READ = "weight_read"
    WEIGHT_LOAD = "weight_load"
    COLUMN_READ = "column_read"
    COLUMN_WRITE = "column_write"
    STREAM = "stream"
    DRAM_READ = "dram_read"
    CLOCK = "clock"


@dataclass(frozen=True)
class Attributes:
    """The widths of one action, in bits, and the depth of a memory, in words.

    Hashable, so that it can key a cache. An action reads only the attributes that it names.

    Parameters
    ----------
    bits : int
        Width of an adder, a register, a stream or a memory's word.
    depth : int
        Words of a memory. One word is a register.
    activation_bits, weight_bits, accumulator_bits : int
        Operands and sum of a lane.
    scale_bits : int
        Width of the scale that requantization multiplies by.
    """

    bits: int = 0
    depth: int = 1
    activation_bits: int = 0
    weight_bits: int = 0
    accumulator_bits: int = 0
    scale_bits: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 1 if field.name == "depth" else 0
            if value < least:
                raise ValueError(f"{field.name} must be at least {least}, not {value}")
