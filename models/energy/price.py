"""One entry of a table, ready to be evaluated at any attributes."""

from __future__ import annotations

from dataclasses import dataclass

from pilaster.models.energy.actions import Attributes
from pilaster.models.energy.kinds import KINDS
from pilaster.models.energy.scaling import Curve, macro_area, proportional, word_depth
from pilaster.models.energy.schema import Entry
from pilaster.models.energy.units import UNITS

__all__ = ["BY_WORD_AND_DEPTH", "Price"]

BY_WORD_AND_DEPTH = ("word-depth", "macro-area")
"""Rules that scale by two numbers."""


@dataclass(frozen=True)
class Price:
    """Energy in pJ, power in µW or area in µm², as a function of attributes.

    Parameters
    ----------
    name : str
        The entry's.
    scaling : str
        Rule by which the values scale.
    curves : tuple of (int, Curve)
        The published values: for ``word-depth`` and ``macro-area`` by depth, one curve a word
        width; for the other rules one curve by the number that the rule scales by.
    """

    name: str
    scaling: str
    curves: tuple[tuple[int, Curve], ...]

    @classmethod
    def of(cls, entry: Entry, factor: float) -> Price:
        """Make the price of an entry whose values are to be multiplied by `factor`."""
        unit = UNITS[entry.unit]
        curves: dict[int, dict[float, float]] = {}
        for point in entry.published:
            attributes = entry.attributes_of(point)
            value = point.value * (unit.factor * factor)
            if unit.per_bit:
                value *= attributes.bits
            if entry.scaling in BY_WORD_AND_DEPTH:
                curves.setdefault(attributes.bits, {})[attributes.depth] = value
            else:
                x = KINDS[entry.name].coordinate(entry.scaling, attributes)
                curves.setdefault(0, {})[x] = value
        return cls(
            entry.name,
            entry.scaling,
            tuple((width, tuple(sorted(curves[width].items()))) for width in sorted(curves)),
        )

    def at(self, attributes: Attributes, register: Price | None = None) -> float:
        """Value at some attributes.

        Parameters
        ----------
        attributes : Attributes
            Widths and depth.
        register : Price, optional
            The table's register, which a memory of one word is made of; its area, for an area.
        """
        kind = KINDS[self.name]
        if self.scaling == "constant":
            return self.curves[0][1][0][1]
        if self.scaling not in BY_WORD_AND_DEPTH:
            return proportional(self.curves[0][1], kind.coordinate(self.scaling, attributes))
        one_word: dict[int, float] = {}
        if register is not None and self.name != "idle_memory":
            one_word = {width: register.at(Attributes(bits=width)) for width, _ in self.curves}
        rule = macro_area if self.scaling == "macro-area" else word_depth
        return rule(self.curves, attributes.bits, attributes.depth, one_word)
