"""The units an energy table may be written in, and what each is in pJ, µW or µm²."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["RELATIVE_UNIT", "UNITS", "Quantity", "Unit"]

Quantity = Literal["energy", "power", "area"]


@dataclass(frozen=True)
class Unit:
    """A unit of a table.

    Parameters
    ----------
    quantity : {"energy", "power", "area"}
        Energies are held in pJ, powers in µW, areas in µm².
    factor : float
        One of this unit in pJ, µW or µm².
    per_bit : bool
        Whether the value is for each of the point's ``bits``.
    """

    quantity: Quantity
    factor: float
    per_bit: bool = False


RELATIVE_UNIT = "mac16"
"""Times the same table's multiply-accumulate of 16 x 16 bits into 16 bits."""

UNITS = {
    "nJ": Unit("energy", 1e3),
    "pJ": Unit("energy", 1.0),
    "fJ": Unit("energy", 1e-3),
    "aJ": Unit("energy", 1e-6),
    "pJ/bit": Unit("energy", 1.0, per_bit=True),
    "fJ/bit": Unit("energy", 1e-3, per_bit=True),
    RELATIVE_UNIT: Unit("energy", 1.0),
    "mW": Unit("power", 1e3),
    "uW": Unit("power", 1.0),
    "nW": Unit("power", 1e-3),
    "pW": Unit("power", 1e-6),
    "mm2": Unit("area", 1e6),
    "um2": Unit("area", 1.0),
    "um2/bit": Unit("area", 1.0, per_bit=True),
}
