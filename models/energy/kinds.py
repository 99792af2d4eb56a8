"""What a table may price: the names of its entries, and what each depends on."""

from __future__ import annotations

from dataclasses import dataclass

from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.energy.units import Quantity

__all__ = ["KINDS", "Kind"]


@dataclass(frozen=True)
class Kind:
    """What the entries of one name look like.

    Parameters
    ----------
    meaning : str
        What one occurrence is.
    attributes : tuple of str
        The attributes that a point may name, and that a price may depend on.
    rules : tuple of str
        Scaling rules that make sense for it.
    quantity : {"energy", "power", "area"}
        Of an occurrence, all the time, or of the hardware itself.
    """

    meaning: str
    attributes: tuple[str, ...]
    rules: tuple[str, ...]
    quantity: Quantity = "energy"

    def coordinate(self, rule: str, attributes: Attributes) -> float:
        """Return the one number that `rule` scales by: bits, a product of widths, a capacity."""
        match rule:
            case "constant":
                return 1
            case "linear-bits":
                return attributes.bits
            case "linear-capacity":
                return attributes.bits * attributes.depth
            case "product-bits":
                left, right = (int(getattr(attributes, name)) for name in self.attributes[:2])
                return max(left, 1) * max(right, 1)
        raise ValueError(f"{rule!r} does not scale by one number")

    def needed(self, rule: str) -> tuple[str, ...]:
        """Return the attributes that a point must name for `rule`."""
        return {
            "constant": (),
            "linear-bits": ("bits",),
            "linear-capacity": ("bits", "depth"),
            "word-depth": ("bits", "depth"),
            "macro-area": ("bits", "depth"),
            "product-bits": self.attributes[:2],
        }[rule]


_LANE = ("activation_bits", "weight_bits", "accumulator_bits")
_WORD = ("bits",)
_MEMORY = ("bits", "depth")
_BY_WORD = ("linear-bits", "constant")
_BY_OPERANDS = ("product-bits", "constant")
_BY_MEMORY = ("word-depth", "linear-bits", "constant")

KINDS: dict[str, Kind] = {
    "multiply": Kind("one multiply", ("activation_bits", "weight_bits"), _BY_OPERANDS),
    "add": Kind("one add", _WORD, _BY_WORD),
    "register": Kind("one write of a register", _WORD, _BY_WORD),
    "memory_read": Kind("one read of a memory", _MEMORY, _BY_MEMORY),
    "memory_write": Kind("one write of a memory", _MEMORY, _BY_MEMORY),
    "idle_memory": Kind("one cycle of a memory that is not accessed", _MEMORY, _BY_MEMORY),
    "small_memory_read": Kind(
        "one read of a memory of registers, of bits x depth at most",
        _MEMORY,
        ("linear-capacity", "linear-bits"),
    ),
    "small_memory_write": Kind(
        "one write of a memory of registers, of bits x depth at most", _MEMORY, ("linear-bits",)
    ),
    "small_weight_read": Kind(
        "one read of weights that are gates, of bits x depth at most", _MEMORY, ("linear-bits",)
    ),
    "small_program_read": Kind(
        "one read of a program that is gates, of bits x depth at most", _MEMORY, ("linear-bits",)
    ),
    "small_memory_clock": Kind(
        "one clock cycle of a word of a memory of registers, of bits x depth at most",
        _MEMORY,
        ("constant",),
    ),
    "memory_leakage": Kind(
        "leakage of one memory", _MEMORY, ("linear-capacity", "constant"), "power"
    ),
    "lane_leakage": Kind("leakage of one lane", (), ("constant",), "power"),
    Action.MAC: Kind("one multiply-accumulate", _LANE, _BY_OPERANDS),
    Action.MAC_GATED: Kind("one cycle of a gated lane", _LANE, _BY_OPERANDS),
    Action.ACCUMULATE: Kind("one add of a partial sum", _WORD, _BY_WORD),
    Action.POOL: Kind("one compare or add of pooling", _WORD, _BY_WORD),
    Action.ROW: Kind("one output row of one pass at the lanes", (), ("constant",)),
    Action.PROGRAM_READ: Kind("one read of a sequencer's program", _MEMORY, _BY_MEMORY),
    Action.REQUANTIZE: Kind("one requantization", ("accumulator_bits", "scale_bits"), _BY_OPERANDS),
    Action.WINDOW_SHIFT: Kind("one shift of the tap window", _WORD, _BY_WORD),
    Action.PSUM_READ: Kind("one read of partial sums", _MEMORY, _BY_MEMORY),
    Action.PSUM_WRITE: Kind("one write of partial sums", _MEMORY, _BY_MEMORY),
    Action.ROW_SUM_READ: Kind("one read of row sums", _MEMORY, _BY_MEMORY),
    Action.ROW_SUM_WRITE: Kind("one write of row sums", _MEMORY, _BY_MEMORY),
    Action.WEIGHT_READ: Kind("one read of weights", _MEMORY, _BY_MEMORY),
    Action.WEIGHT_LOAD: Kind("one set of weights taken into the lanes", _WORD, _BY_WORD),
    Action.COLUMN_READ: Kind("one read of a column buffer", _MEMORY, _BY_MEMORY),
    Action.COLUMN_WRITE: Kind("one write of a column buffer", _MEMORY, _BY_MEMORY),
    Action.STREAM: Kind("one beat between stages", _WORD, _BY_WORD),
    Action.DRAM_READ: Kind("one read of DRAM", _WORD, _BY_WORD),
    Action.CLOCK: Kind("one cycle of clocked registers", _WORD, _BY_WORD),
    "control": Kind("one clock cycle of a stage's control", (), ("constant",)),
    "multiply_area": Kind(
        "area of a multiplier", ("activation_bits", "weight_bits"), _BY_OPERANDS, "area"
    ),
    "add_area": Kind("area of an adder", _WORD, _BY_WORD, "area"),
    "register_area": Kind("area of a register", _WORD, _BY_WORD, "area"),
    "memory_area": Kind("area of a memory", _MEMORY, ("macro-area", "linear-capacity"), "area"),
}
"""Every name an entry may have: primitives first, then the actions themselves."""
