"""Resources and timing of a build, read from the output of the tools."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilaster.rtl.boards.catalog import Device, Family
from pilaster.rtl.parts import OUTPUT

__all__ = ["RESOURCE_NAMES", "PathStep", "Resources", "Timing", "read_resources", "read_timing"]

# Cells of the netlist, by the resource of `Resources` that they take.
_CELLS = {
    Family.ECP5: {
        "LUT4": ("luts", 1),
        "CCU2C": ("luts", 2),
        "TRELLIS_DPR16X4": ("luts", 6),  # four of memory and two that write them
        "TRELLIS_FF": ("flip_flops", 1),
        "MULT18X18D": ("multipliers", 1),
        "DP16KD": ("block_rams", 1),
    },
    Family.ICE40: {
        "SB_LUT4": ("luts", 1),
        "SB_MAC16": ("multipliers", 1),
        "SB_RAM40_4K": ("block_rams", 1),
        "SB_SPRAM256KA": ("sprams", 1),
    },
}

RESOURCE_NAMES = {
    "luts": "LUTs",
    "flip_flops": "flip-flops",
    "multipliers": "DSP blocks",
    "block_rams": "block RAMs",
    "sprams": "SPRAMs",
}
"""What a reader calls each resource."""

LINK = "host link"
"""Where a part of the host link, the clock or the pads is counted."""


@dataclass(frozen=True)
class Resources:
    """Resources used, or there."""

    luts: int = 0
    flip_flops: int = 0
    multipliers: int = 0
    block_rams: int = 0
    sprams: int = 0

    def missing(self, device: Device) -> dict[str, tuple[int, int]]:
        """What is used more than the device holds: (used, there) by resource."""
        there = {
            "luts": device.luts,
            "flip_flops": device.luts,
            "multipliers": device.multipliers,
            "block_rams": device.block_rams,
            "sprams": device.sprams,
        }
        used = vars(self)
        return {name: (used[name], there[name]) for name in used if used[name] > there[name]}


@dataclass(frozen=True)
class PathStep:
    """One step of a critical path: a cell or a net, its stage, and its delay."""

    stage: str
    name: str
    kind: str
    delay_ns: float


@dataclass(frozen=True)
class Timing:
    """The fastest clock that the machine closes at, and the path that sets it."""

    fmax_mhz: float
    path: tuple[PathStep, ...]

    @property
    def stages(self) -> tuple[str, ...]:
        """Stages that the path goes through, in order."""
        return tuple(dict.fromkeys(step.stage for step in self.path))

    def describe(self) -> str:
        """Tell the path in one line."""
        if not self.path:
            return "no path from register to register"
        total = sum(step.delay_ns for step in self.path)
        wires = sum(step.delay_ns for step in self.path if step.kind == "routing")
        return (
            f"critical path of {total:.1f} ns in {' -> '.join(self.stages)}: from "
            f"{self.path[0].name} to {self.path[-1].name} ({wires:.1f} ns of it in wires)"
        )


def stage_of(name: str, stages: Mapping[str, str]) -> str:
    """Stage that a cell or net belongs to, by its name; `stages` are named by their modules."""
    found = re.match(r"host\.device\.machine\.([A-Za-z_]\w*)", name)
    if found is None:
        return LINK
    return stages.get(found[1], OUTPUT)


def read_resources(
    folder: Path, family: Family, stages: Mapping[str, str]
) -> Mapping[str, Resources]:
    """Count the netlist's cells by stage; the last entry, "total", counts all.

    `stages` are what the stages are called, by their modules.

    Yosys names what it makes after the signal that it drives; a LUT shared by two stages counts
    for one of them.
    """
    design = json.loads((folder / "top.json").read_text(encoding="utf-8"))
    cells = design["modules"]["top"]["cells"]
    counts: dict[str, dict[str, int]] = {
        name: {} for name in (*stages.values(), OUTPUT, LINK, "total")
    }
    table = _CELLS[family]
    for name, cell in cells.items():
        kind = cell["type"]
        if kind.startswith("SB_DFF"):
            resource, size = "flip_flops", 1
        elif kind in table:
            resource, size = table[kind]
        else:
            continue
        for place in (stage_of(name, stages), "total"):
            counts[place][resource] = counts[place].get(resource, 0) + size
    return {place: Resources(**count) for place, count in counts.items()}


def read_timing(folder: Path, stages: Mapping[str, str]) -> tuple[Timing, tuple[int, int]]:
    """Read the clock reached with its critical path, and the logic cells used and there."""
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    used = report["utilization"]
    cells = used.get("TRELLIS_COMB") or used["ICESTORM_LC"]
    count = (int(cells["used"]), int(cells["available"]))
    fmax = report["fmax"]
    # The machine's clock; a PLL's reset counter has no other.
    name = min(fmax, key=lambda clock: fmax[clock]["achieved"] / fmax[clock]["constraint"])
    reached = float(fmax[name]["achieved"])
    for path in report["critical_paths"]:
        if path["from"] == path["to"] == f"posedge {name}":
            return Timing(reached, tuple(_steps(path["path"], stages))), count
    return Timing(reached, ()), count


def _steps(path: Sequence[Mapping[str, Any]], stages: Mapping[str, str]) -> list[PathStep]:
    found = []
    for step in path:
        name = step.get("net") or step["from"]["cell"]
        if step["type"] != "routing":
            name = step["to"]["cell"]
        found.append(PathStep(stage_of(name, stages), name, step["type"], float(step["delay"])))
    return found
