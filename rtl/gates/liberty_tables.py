"""Tables of a Liberty file, and the units that its numbers are in.

Numbers are held in ns, pF, pJ, uW, um2 and V, whatever the units of the file. The energy of a
table is in its units of capacitance times voltage squared, as Liberty has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.rtl.gates.liberty_text import Group

__all__ = ["Numbers", "Table", "Units", "read_table", "rounded"]

Numbers = NDArray[np.float64]

_DIGITS = 12
"""Digits that a number keeps: the same of a file in other units, which rounds otherwise."""

_PREFIX = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}

_SLEW = ("input_net_transition", "input_transition_time", "constrained_pin_transition")
_LOAD = ("total_output_net_capacitance", "output_net_pin_cap")
_OTHER_LOAD = (
    "equal_or_opposite_output_net_capacitance",
    "related_out_total_output_net_capacitance",
)
_OTHER_SLEW = "related_pin_transition"
_TEMPLATES = {"power": "power_lut_template", "timing": "lu_table_template"}


def rounded(values: Numbers) -> Numbers:
    """Round numbers to the digits that are kept."""
    magnitude = np.floor(np.log10(np.abs(values), where=values != 0, out=np.zeros_like(values)))
    scale = 10.0 ** (_DIGITS - 1 - magnitude)
    found: Numbers = np.rint(values * scale) / scale
    return found


@dataclass(frozen=True, eq=False)
class Table:
    """A value by slew in ns and load in pF, or for a constraint by the two slews.

    Attributes
    ----------
    values : (slews, loads), or (slews, loads, others)
    others : loads of another output of the cell; of one point where the value does not depend on it
    """

    slews: Numbers
    loads: Numbers
    values: Numbers
    others: Numbers | None = None

    @classmethod
    def constant(cls, value: float) -> Table:
        """Give the table of a value that depends on nothing."""
        return cls(np.zeros(1), np.zeros(1), np.full((1, 1), value))

    def at(self, slew: Numbers, load: Numbers, other: Numbers | float = 0.0) -> Numbers:
        """Values at some slews and loads: linear in each, and beyond the table likewise."""
        row, down = _between(self.slews, slew)
        column, right = _between(self.loads, load)
        below = np.minimum(row + 1, len(self.slews) - 1)
        beside = np.minimum(column + 1, len(self.loads) - 1)

        def plane(v: Numbers) -> Numbers:
            upper = v[row, column] * (1 - right) + v[row, beside] * right
            lower = v[below, column] * (1 - right) + v[below, beside] * right
            found: Numbers = upper * (1 - down) + lower * down
            return found

        if self.others is None:
            return plane(self.values)
        planes = np.stack([plane(self.values[:, :, i]) for i in range(len(self.others))], axis=-1)
        first, away = _between(self.others, np.broadcast_to(other, np.shape(load)))
        second = np.minimum(first + 1, len(self.others) - 1)
        before = np.take_along_axis(planes, first[..., None], -1)[..., 0]
        after = np.take_along_axis(planes, second[..., None], -1)[..., 0]
        found: Numbers = before * (1 - away) + after * away
        return found


def _between(axis: Numbers, x: Numbers) -> tuple[NDArray[np.int64], Numbers]:
    """Give the index of the point before `x`, and how far `x` is to the next."""
    if len(axis) == 1:
        return np.zeros(np.shape(x), np.int64), np.zeros(np.shape(x))
    index = np.clip(np.searchsorted(axis, x, side="right") - 1, 0, len(axis) - 2)
    return index, (x - axis[index]) / (axis[index + 1] - axis[index])


@dataclass(frozen=True)
class _Template:
    """Axes of a kind of table: what each is, and its points."""

    variables: tuple[str, ...]
    axes: tuple[Numbers, ...]


@dataclass(frozen=True)
class Units:
    """What a number of a file is in the units held: factors, and the supply.

    Attributes
    ----------
    templates : by the kind of group that defines it, and its name
    """

    time: float
    capacitance: float
    energy: float
    leakage: float
    voltage: float
    templates: Mapping[tuple[str, str], _Template]

    @classmethod
    def of(cls, top: Group) -> Units:
        """Find the units of a library, and the axes of its tables."""
        volts = _unit(top, "voltage_unit", "1V", "V")
        capacitance = _unit(top, "capacitive_load_unit", "1pf", "f") / 1e-12
        templates = {}
        for kind in _TEMPLATES.values():
            for group in top.of(kind):
                names = [name for i in (1, 2, 3) if (name := group.word(f"variable_{i}"))]
                axes = tuple(np.array(group.numbers(f"index_{i + 1}")) for i in range(len(names)))
                templates[kind, group.name] = _Template(tuple(names), axes)
        return cls(
            time=_unit(top, "time_unit", "1ns", "s") / 1e-9,
            capacitance=capacitance,
            energy=capacitance * volts**2,
            leakage=_unit(top, "leakage_power_unit", "1nW", "W") / 1e-6,
            voltage=float(rounded(np.array([_supply(top) * volts]))[0]),
            templates=templates,
        )

    def scaled(self, value: float, factor: float) -> float:
        """Give a number of the file in the units held."""
        return float(rounded(np.array([value * factor]))[0])


def _supply(top: Group) -> float:
    """Voltage of the default operating conditions, or else the nominal one."""
    conditions = {group.name: group for group in top.of("operating_conditions")}
    chosen = top.text("default_operating_conditions")
    if chosen and chosen not in conditions:
        raise InputError(
            f"library {top.name}: default_operating_conditions names {chosen!r}, which is not there"
        )
    voltage = top.number("nom_voltage")
    if chosen or (not voltage and len(conditions) == 1):
        group = conditions[chosen] if chosen else next(iter(conditions.values()))
        voltage = group.number("voltage", voltage)
    if voltage <= 0:
        raise InputError(f"library {top.name} has no nom_voltage")
    return voltage


def _unit(top: Group, name: str, default: str, base: str) -> float:
    """Size of a unit: of a text such as "10ps", or of a number and a text."""
    text = " ".join(top.attributes.get(name, (default,)))
    found = re.fullmatch(
        rf"([\d.]+(?:e[+-]?\d+)?)?([fpnumk]?){base}", re.sub(r"[\s,]", "", text), re.IGNORECASE
    )
    if found is None:
        raise InputError(f"{name}: {text!r} is no unit of {base}")
    return float(found[1] or 1) * _PREFIX[found[2].lower()]


def read_table(group: Group, units: Units, factor: float, purpose: str) -> Table:
    """Read a table, with the slew of the pin itself down and the load or other slew across.

    Parameters
    ----------
    factor : from the file's numbers to those held
    purpose : "power" or "timing": which templates its name is one of

    Raises
    ------
    InputError
        If its template is not known, or its values do not fit.
    """
    place = f"table {group.kind} {group.name}"
    values = np.array(group.numbers("values"))
    if values.size == 1:
        return Table.constant(float(rounded(values * factor)[0]))
    template = units.templates.get((_TEMPLATES[purpose], group.name))
    if template is None:
        raise InputError(f"{place}: no {_TEMPLATES[purpose]} has that name")
    axes = [
        np.array(group.numbers(f"index_{i + 1}")) if f"index_{i + 1}" in group.attributes else axis
        for i, axis in enumerate(template.axes)
    ]
    if not values.size or values.size != np.prod([len(axis) for axis in axes]):
        raise InputError(f"{place}: values do not fit its indices")
    grid = rounded(values * factor).reshape([len(axis) for axis in axes])
    places: list[tuple[int, Numbers] | None] = [None, None, None]  # slew, load, other load
    for number, (variable, axis) in enumerate(zip(template.variables, axes, strict=True)):
        if len(axis) > 1 and not (np.diff(axis) > 0).all():
            raise InputError(f"{place}: index_{number + 1} does not rise")
        if variable in _SLEW:
            which, scale = 0, units.time
        elif variable in _LOAD:
            which, scale = 1, units.capacitance
        elif variable == _OTHER_SLEW:
            which, scale = 1, units.time
        elif variable in _OTHER_LOAD:
            which, scale = 2, units.capacitance
        else:
            raise InputError(f"{place}: axis {variable!r} is not known")
        if places[which] is not None:
            raise InputError(f"{place}: two axes are the same")
        places[which] = number, rounded(axis * scale)
    order = [found[0] for found in places if found is not None]
    grid = grid.transpose(order)
    slews, loads, others = (np.zeros(1) if found is None else found[1] for found in places)
    shape = [len(slews), len(loads), len(others)]
    grid = grid.reshape(shape)
    if len(others) == 1:
        return Table(slews, loads, grid[:, :, 0])
    return Table(slews, loads, grid, others)
