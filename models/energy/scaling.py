"""The rules that carry a value from the attributes it was published at to others.

Every rule gives the published value at a published point, exactly.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["RULES", "Curve", "Rule", "log_log", "macro_area", "proportional", "word_depth"]

Curve = tuple[tuple[float, float], ...]
"""Pairs of a coordinate and the value there, sorted by the coordinate."""


@dataclass(frozen=True)
class Rule:
    """What a scaling rule says, for documentation and listings.

    Parameters
    ----------
    statement : str
        How the value at other attributes follows from the published ones.
    citation : str
        Why that is so.
    """

    statement: str
    citation: str


RULES = {
    "constant": Rule(
        "the value holds at any attributes",
        "no scaling is claimed",
    ),
    "linear-bits": Rule(
        "linear in bits between points; proportional to bits outside of them",
        "adders and registers grow linearly with width: Aladdin (ISCA 2014) and its use in "
        "hwcomponents",
    ),
    "product-bits": Rule(
        "linear in the product of the two operand widths between points; proportional outside",
        "an n x n multiplier grows quadratically, linearly in each operand: Aladdin (ISCA 2014) "
        "and its use in hwcomponents; Horowitz's 8- and 32-bit multipliers agree within 4 %",
    ),
    "linear-capacity": Rule(
        "linear in bits x depth between points; proportional outside",
        "leakage is of cells: every IHP SG13G2 SRAM macro leaks the same power a bit",
    ),
    "word-depth": Rule(
        "at a published word width, log-log in depth between points, towards the table's register "
        "at one word, and with the square root of depth beyond the deepest; between published "
        "widths linear in bits, outside of them proportional",
        "bit and word lines of a square array grow with the square root of its capacity, as "
        "Horowitz's 8 and 32 KB memories do; a wide memory is macros side by side; IHP SG13G2 "
        "macros of one depth are linear in width",
    ),
    "macro-area": Rule(
        "at a published word width, linear in depth between points, from the table's register at "
        "one word, and proportional to depth beyond the deepest; between published widths linear "
        "in bits, outside of them proportional",
        "cells add to the periphery of a macro; a larger memory is macros side by side",
    ),
}
"""The closed set of scaling rules, by name."""


def proportional(curve: Curve, x: float) -> float:
    """Value at `x`: linear between points, through the origin outside of them."""
    index = bisect_left(curve, (x,))
    if index < len(curve) and curve[index][0] == x:
        return curve[index][1]
    if index in (0, len(curve)):
        end_x, end_value = curve[0] if index == 0 else curve[-1]
        return end_value * x / end_x
    (x0, value0), (x1, value1) = curve[index - 1], curve[index]
    return value0 + (value1 - value0) * (x - x0) / (x1 - x0)


def log_log(curve: Curve, x: float) -> float:
    """Value at `x`: a power law between points, the square root of `x` outside of them."""
    index = bisect_left(curve, (x,))
    if index < len(curve) and curve[index][0] == x:
        return curve[index][1]
    if index in (0, len(curve)):
        end_x, end_value = curve[0] if index == 0 else curve[-1]
        return end_value * math.sqrt(x / end_x)
    (x0, value0), (x1, value1) = curve[index - 1], curve[index]
    return value0 * math.exp(math.log(value1 / value0) * math.log(x / x0) / math.log(x1 / x0))


def word_depth(
    curves: Sequence[tuple[int, Curve]], bits: int, depth: int, one_word: Mapping[int, float]
) -> float:
    """Value of one access of a memory, by the rule ``word-depth``.

    Parameters
    ----------
    curves : sequence of (int, Curve)
        For each published word width, in rising order, the value by depth.
    bits, depth : int
        Width and number of words of the memory.
    one_word : Mapping of int to float
        For each published width, the value for a register of that width, which a memory of one
        word is. Where it is not known, memories shallower than the shallowest point follow the
        square root of depth.

    Notes
    -----
    At a depth outside of those published for a width, that width costs at least as much as the
    narrower published one: an extrapolation does not undercut a smaller memory.
    """
    return _by_width(log_log, curves, bits, depth, one_word)


def macro_area(
    curves: Sequence[tuple[int, Curve]], bits: int, depth: int, one_word: Mapping[int, float]
) -> float:
    """Area of a memory, by the rule ``macro-area``.

    Parameters
    ----------
    curves : sequence of (int, Curve)
        For each published word width, in rising order, the area by depth.
    bits, depth : int
        Width and number of words of the memory.
    one_word : Mapping of int to float
        For each published width, the area of a register of that width, which a memory of one
        word is.

    Notes
    -----
    As for ``word_depth``, an extrapolation does not undercut a narrower memory.
    """
    return _by_width(proportional, curves, bits, depth, one_word)


def _by_width(
    along_depth: Callable[[Curve, float], float],
    curves: Sequence[tuple[int, Curve]],
    bits: int,
    depth: int,
    one_word: Mapping[int, float],
) -> float:
    """Value of a memory: along the depth of every published width, then along the widths."""
    by_width: list[tuple[float, float]] = []
    narrower = 0.0
    for width, curve in curves:
        shallowest, deepest = curve[0][0], curve[-1][0]
        anchored = curve
        if one_word.get(width) and shallowest > 1:
            anchored = ((1, min(one_word[width], curve[0][1])), *curve)
        value = along_depth(anchored, depth)
        if not shallowest <= depth <= deepest:
            value = max(value, narrower)
        by_width.append((width, value))
        narrower = value
    return proportional(tuple(by_width), bits)
