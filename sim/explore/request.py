"""Request of an exploration."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pilaster.base.errors import InputError
from pilaster.models.energy.table import EnergyTable
from pilaster.models.network import Network
from pilaster.sim.mapper.request import DEFAULT_TABLES, SCHEDULES, Objective, check_chain

__all__ = ["AXES", "Axis", "ExploreRequest", "axes_of", "column_intervals", "default_tables"]

DEFAULT_INTERVALS = 8
"""Column intervals that a range is explored at, where no number is given."""

MOST_MACHINES = 10**7

AXES = {
    "lanes": "lanes",
    "latency": "latency_after_last_column_cycles",
    "interval": "column_interval_cycles",
    "energy": "energy_pj",
    "power": "power_uw",
    "area": "area_um2",
}
"""Axes, and the columns that they are; the last three have a column for every table."""

PRICED = ("energy", "power", "area")

BOUNDING = ("lanes", "area")
"""Axes that show what hardware an energy is had for, even where hardware that waits is free."""


def default_tables(names: Sequence[str] | None) -> tuple[str, ...]:
    """Energy tables that can answer for some axes, where none is named."""
    asked = [Objective(name) for name in PRICED if name in (names or ())]
    return tuple(dict.fromkeys(DEFAULT_TABLES[each] for each in asked or [Objective.LANES]))


@dataclass(frozen=True)
class Axis:
    """A figure of which a machine is to have little.

    Attributes
    ----------
    name : a key of `AXES`
    table : name of the energy table that tells it; "" where it needs none
    """

    name: str
    table: str = ""

    def __str__(self) -> str:
        return f"{self.name}:{self.table}" if self.table else self.name

    @property
    def column(self) -> str:
        """Name of the column that holds it."""
        return f"{AXES[self.name]}_{self.table}" if self.table else AXES[self.name]


def column_intervals(asked: int | Sequence[int]) -> tuple[int, ...]:
    """Give the column intervals of a range: (A, B, N) is N from A to B, each longer by a factor.

    Parameters
    ----------
    asked : one interval, (A, B) or (A, B, N), in cycles; N is 8, or fewer where the range is short

    Raises
    ------
    InputError
        If it is no such range.
    """
    numbers = [asked] if isinstance(asked, int | np.integer) else list(asked)
    if not 1 <= len(numbers) <= 3 or not all(_is_whole(number) for number in numbers):
        raise InputError(f"column_interval: must be A, (A, B) or (A, B, N), not {asked!r}")
    first, last = int(numbers[0]), int(numbers[min(1, len(numbers) - 1)])
    if first < 1:
        raise InputError(f"column_interval: must be at least 1 cycle, not {first}")
    if last < first:
        raise InputError(f"column_interval: the range ends at {last}, before it begins at {first}")
    most = last - first + 1
    count = int(numbers[2]) if len(numbers) == 3 else min(DEFAULT_INTERVALS, most)
    if not 1 <= count <= most or (count == 1 and most > 1):
        raise InputError(
            f"column_interval: {count} different intervals cannot be had from {first} to {last}; "
            f"give {min(2, most)} to {most}"
        )
    wanted = np.geomspace(first, last, count).round().astype(np.int64)
    # Whole numbers, each above the one before: where they would be equal, as near as can be.
    steps = np.arange(count)
    rising = np.maximum.accumulate(wanted - steps) + steps
    intervals = np.minimum(rising, last - steps[::-1])
    return tuple(intervals.tolist())


def _is_whole(number: object) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


@dataclass(frozen=True)
class ExploreRequest:
    """A network, the machines to draw for it, and what they are compared by.

    Attributes
    ----------
    column_intervals : cycles between two columns at the input, rising
    max_latency : cycles from when the last column is due to the answer, of every image
    tables : energy tables, of different names
    clock_mhz : needed for power, and for leakage to be an energy
    schedule : a key of `SCHEDULES`
    machines : drawn
    seed : of the draw
    axes : what a machine is to have little of

    Raises
    ------
    InputError
        If a number is out of range, or an axis needs what is not given.
    """

    network: Network
    column_intervals: tuple[int, ...]
    max_latency: int | None
    tables: tuple[EnergyTable, ...]
    clock_mhz: float | None
    schedule: str
    machines: int
    seed: int
    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        bounds = {"max_latency": (1, None), "machines": (1, MOST_MACHINES), "seed": (0, None)}
        for name, (least, most) in bounds.items():
            value = getattr(self, name)
            if value is None and name == "max_latency":
                continue
            if not _is_whole(value):
                raise InputError(f"{name}: must be a whole number, not {value!r}")
            if value < least or (most is not None and value > most):
                upper = "" if most is None else f" and at most {most}"
                raise InputError(f"{name}: must be at least {least}{upper}, not {value}")
        if self.machines < len(self.column_intervals):
            raise InputError(
                f"machines: {self.machines} are fewer than the {len(self.column_intervals)} "
                f"column intervals; draw more"
            )
        rows = self.network.graph.input_shape.height
        if self.column_intervals[0] < rows:
            raise InputError(
                f"column_interval: {self.column_intervals[0]} cycles are too few for a column of "
                f"{rows} rows, which arrive one a cycle; at least {rows} are needed"
            )
        if self.clock_mhz is not None and not 0 < self.clock_mhz < float("inf"):
            raise InputError(f"clock_mhz: must be above 0, not {self.clock_mhz:g}")
        if self.schedule not in SCHEDULES:
            raise InputError(
                f"schedule: {self.schedule!r} is not known; use {', '.join(SCHEDULES)}"
            )
        check_chain(self.network)
        names = [table.name for table in self.tables]
        if len(set(names)) < len(names):
            raise InputError(f"energy: two tables have the same name: {', '.join(names)}")

    @property
    def with_area(self) -> tuple[EnergyTable, ...]:
        """Tables that tell areas."""
        return tuple(table for table in self.tables if table.has_area)

    def image_cycles(self, column_interval: int) -> int:
        """Cycles in which an image's columns arrive."""
        return column_interval * self.network.graph.input_shape.width

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, which tell this request from others."""
        return {
            "network": self.network.name,
            "column_intervals": list(self.column_intervals),
            "max_latency": self.max_latency,
            "energy": [table.name for table in self.tables],
            "clock_mhz": self.clock_mhz,
            "schedule": self.schedule,
            "machines": self.machines,
            "seed": self.seed,
            "axes": [str(axis) for axis in self.axes],
        }


def axes_of(
    names: Sequence[str] | None,
    intervals: Sequence[int],
    tables: Sequence[EnergyTable],
    clock_mhz: float | None,
) -> tuple[Axis, ...]:
    """Read axes: ``lanes``, ``energy`` or, by a table that is not the first, ``energy:ihp130``.

    By default lanes and latency, and the interval where there are several. Where neither lanes nor
    area is an axis, energy and power are by a table in which lanes that wait cost something.

    Raises
    ------
    InputError
        If there are fewer than two, one is not known or given twice, or one needs what is not
        given.
    """
    if names is None:
        names = ("lanes", "latency", *(["interval"] if len(intervals) > 1 else []))
    if isinstance(names, str):
        names = names.split(",")
    axes = tuple(_axis(str(name), tables, clock_mhz, True) for name in names)
    if len(axes) < 2:
        raise InputError(f"axes: at least two are needed of {', '.join(AXES)}")
    for axis in axes:
        if axes.count(axis) > 1:
            raise InputError(f"axes: {axis} is given twice")
    if any(axis.name in BOUNDING for axis in axes):
        return axes
    return tuple(_axis(str(name), tables, clock_mhz, False) for name in names)


def _axis(text: str, tables: Sequence[EnergyTable], clock_mhz: float | None, bounded: bool) -> Axis:
    name, colon, wanted = text.strip().partition(":")
    if name not in AXES:
        close = difflib.get_close_matches(name, AXES, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"axes: {name!r} is not known; use {', '.join(AXES)}{hint}")
    if name not in PRICED:
        if colon:
            raise InputError(f"axes: {text!r}: {name} needs no energy table")
        return Axis(name)
    if name == "power" and clock_mhz is None:
        raise InputError("axes: power needs a clock; give clock_mhz")
    known = [table.name for table in tables]
    if colon and wanted not in known:
        raise InputError(
            f"axes: {text!r}: {wanted!r} is none of the energy tables given: {', '.join(known)}"
        )
    able = [table for table in tables if not colon or table.name == wanted]
    if name == "area":
        with_area = [table for table in able if table.has_area]
        if not with_area:
            raise InputError(f"axes: {able[0].why_no_area}")
        able = with_area
    elif not bounded:
        answering = [table for table in able if not table.why_idle_is_free(clock_mhz)]
        if not answering:
            why = able[0].why_idle_is_free(clock_mhz)
            raise InputError(f"axes: {why}, or give lanes as an axis, too")
        able = answering
    return Axis(name, able[0].name)
