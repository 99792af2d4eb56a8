"""Output files of a gate-level measurement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pilaster.rtl.gates.bill import BillLine
from pilaster.rtl.gates.measure import PowerMeasurement

__all__ = ["FILES", "power_csv", "power_dict", "power_files"]

FILES = ("power.json", "power.csv")


def power_files(found: PowerMeasurement, bill: Sequence[BillLine]) -> dict[str, bytes]:
    """Give the contents of `FILES` by name."""
    text = json.dumps(power_dict(found, bill), allow_nan=False)
    return dict(zip(FILES, (f"{text}\n".encode(), power_csv(found).encode()), strict=True))


def power_dict(found: PowerMeasurement, bill: Sequence[BillLine]) -> dict[str, Any]:
    """Give plain values, for JSON: of the measurement, and of the model's bill beside it."""
    return {**found.as_dict(), "bill": [vars(line) for line in bill]}


def power_csv(found: PowerMeasurement) -> str:
    """Write components and memories, a line each; energies are of an image."""
    lines = [
        "stage,component,what,gates,registers,leakage_pj,internal_pj,switching_pj,clock_pj,"
        "energy_pj,area_um2"
    ]
    for part in found.components:
        lines.append(
            f"{part.stage},{part.component},gates,{part.gates},{part.registers},"
            f"{part.leakage_pj:.6g},{part.internal_pj:.6g},{part.switching_pj:.6g},"
            f"{part.clock_pj:.6g},{part.energy_pj:.6g},{part.area_um2:.6g}"
        )
    for memory in found.memories:
        lines.append(
            f"{memory.stage},{memory.component},{memory.name}: {memory.what},,,"
            f"{memory.leakage_pj:.6g},{memory.internal_pj:.6g},{memory.switching_pj:.6g},,"
            f"{memory.energy_pj:.6g},{memory.area_um2:.6g}"
        )
    return "\n".join([*lines, ""])
