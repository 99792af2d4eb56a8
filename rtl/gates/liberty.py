"""Standard cells as a Liberty file describes them: functions, tables of delay and power, leakage.

Numbers are held in ns, pF, pJ, uW, um2 and V, whatever the units of the file. The energy of a
table is in its units of capacitance times voltage squared, as Liberty has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pilaster.models.errors import InputError
from pilaster.rtl.gates.function import Function
from pilaster.rtl.gates.liberty_text import Group, read_groups, unpacked

__all__ = ["Arc", "Cell", "ClockGate", "FlipFlop", "InternalPower", "Library", "Pin", "Table"]

Numbers = NDArray[np.float64]

_PREFIX = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0}

_SLEW = ("input_net_transition", "input_transition_time", "constrained_pin_transition")
_OTHER = ("total_output_net_capacitance", "related_pin_transition")


@dataclass(frozen=True, eq=False)
class Table:
    """A value by slew in ns and load in pF, or for a constraint by the two slews.

    Attributes
    ----------
    values : (slews, loads)
    """

    slews: Numbers
    loads: Numbers
    values: Numbers

    @classmethod
    def constant(cls, value: float) -> Table:
        """Give the table of a value that depends on nothing."""
        return cls(np.zeros(1), np.zeros(1), np.full((1, 1), value))

    def at(self, slew: Numbers, load: Numbers) -> Numbers:
        """Values at some slews and loads: bilinear, and beyond the table likewise."""
        row, down = _between(self.slews, slew)
        column, right = _between(self.loads, load)
        below = np.minimum(row + 1, len(self.slews) - 1)
        beside = np.minimum(column + 1, len(self.loads) - 1)
        v = self.values
        upper = v[row, column] * (1 - right) + v[row, beside] * right
        lower = v[below, column] * (1 - right) + v[below, beside] * right
        found: Numbers = upper * (1 - down) + lower * down
        return found


def _between(axis: Numbers, x: Numbers) -> tuple[NDArray[np.int64], Numbers]:
    """Give the index of the point before `x`, and how far `x` is to the next."""
    if len(axis) == 1:
        return np.zeros(np.shape(x), np.int64), np.zeros(np.shape(x))
    index = np.clip(np.searchsorted(axis, x, side="right") - 1, 0, len(axis) - 2)
    return index, (x - axis[index]) / (axis[index + 1] - axis[index])


@dataclass(frozen=True, eq=False)
class InternalPower:
    """Energy in pJ of an edge of a pin, beyond that of its load.

    Attributes
    ----------
    related : of an output, the input that made the edge; empty where any may have
    when : state of the cell for which it holds; None where it holds in all others
    """

    related: str
    when: Function | None
    rise: Table
    fall: Table


@dataclass(frozen=True, eq=False)
class Arc:
    """Delay from one pin to another, or a constraint of one by another.

    Attributes
    ----------
    kind : timing type of Liberty; "combinational" where the file says none
    delays, slews : of a rising and a falling edge of the pin; of a constraint, `delays` only
    """

    related: str
    kind: str
    sense: str
    delays: tuple[Table | None, Table | None]
    slews: tuple[Table | None, Table | None]


@dataclass(frozen=True, eq=False)
class Pin:
    """A pin of a cell.

    Attributes
    ----------
    capacitance : of an input
    edge_capacitances : the most that it is for a rising and for a falling edge
    """

    name: str
    direction: str
    capacitance: float
    edge_capacitances: tuple[float, float]
    function: Function | None
    powers: tuple[InternalPower, ...]
    arcs: tuple[Arc, ...]


@dataclass(frozen=True)
class FlipFlop:
    """The register of a cell. `clear` and `preset` are asynchronous; None where there is none."""

    state: str
    inverse: str
    clock: Function
    next_state: Function
    clear: Function | None
    preset: Function | None


@dataclass(frozen=True)
class ClockGate:
    """Pins of a cell that passes clock pulses while it is enabled."""

    clock: str
    enable: str
    output: str
    test: str


@dataclass(frozen=True, eq=False)
class Cell:
    """A standard cell.

    Attributes
    ----------
    leakage_uw : where no state of `leakages` holds
    leakages : leakage in uW by state
    usable : whether synthesis may take it of its own accord
    """

    name: str
    area: float
    leakage_uw: float
    leakages: tuple[tuple[Function, float], ...]
    pins: Mapping[str, Pin]
    flip_flop: FlipFlop | None
    clock_gate: ClockGate | None
    latch: bool
    usable: bool

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of its input pins."""
        return tuple(name for name, pin in self.pins.items() if pin.direction == "input")

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of its output pins."""
        return tuple(name for name, pin in self.pins.items() if pin.direction == "output")


@dataclass(frozen=True, eq=False)
class Library:
    """The cells of a Liberty file."""

    path: Path
    name: str
    voltage: float
    cells: Mapping[str, Cell]

    @classmethod
    def read(cls, path: Path) -> Library:
        """Read the Liberty file of a standard-cell library, plain or packed by gzip.

        Raises
        ------
        InputError
            If it is no Liberty file, or has no flip-flops.
        """
        top = read_groups(path)
        try:
            units = Units.of(top)
            cells = {group.name: _cell(group, units) for group in top.of("cell")}
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        library = cls(path, top.name, units.voltage, cells)
        if not any(_is_plain_register(cell) for cell in cells.values()):
            raise InputError(
                f"{path}: library {top.name} has no flip-flop of a rising clock, which a machine "
                f"is made of; name a library of standard cells"
            )
        return library

    @property
    def plain_text(self) -> bytes:
        """The file, unpacked."""
        return unpacked(self.path)

    @property
    def clock_gate(self) -> Cell | None:
        """The smallest cell that gates a clock of rising edges; None where there is none."""
        gates = [cell for cell in self.cells.values() if cell.clock_gate is not None]
        without_test = [c for c in gates if c.clock_gate is not None and not c.clock_gate.test]
        return min(without_test or gates, key=lambda cell: cell.area, default=None)


def _is_plain_register(cell: Cell) -> bool:
    flip_flop = cell.flip_flop
    return cell.usable and flip_flop is not None and not flip_flop.clock.operator


@dataclass(frozen=True)
class Units:
    """What a number of a file is in the units held: factors, and the supply."""

    time: float
    capacitance: float
    energy: float
    leakage: float
    voltage: float
    templates: Mapping[str, tuple[tuple[str, ...], tuple[tuple[float, ...], ...]]]

    @classmethod
    def of(cls, top: Group) -> Units:
        """Find the units of a library, and the axes of its tables."""
        volts = _unit(top.text("voltage_unit", "1V"), "V")
        farads = top.attributes.get("capacitive_load_unit", ("1", "pf"))
        if len(farads) != 2:
            raise InputError("capacitive_load_unit: needs a number and a unit")
        capacitance = _unit("".join(farads).lower(), "f") / 1e-12
        voltage = top.number("nom_voltage")
        for conditions in top.of("operating_conditions"):
            voltage = conditions.number("voltage", voltage)
        if voltage <= 0:
            raise InputError(f"library {top.name} has no nom_voltage")
        templates = {}
        for group in top.of("lu_table_template", "power_lut_template"):
            variables = tuple(
                group.text(f"variable_{i}")
                for i in (1, 2, 3)
                if f"variable_{i}" in group.attributes
            )
            axes = tuple(_axis(group, i) for i in range(1, len(variables) + 1))
            templates[group.name] = (variables, axes)
        return cls(
            time=_unit(top.text("time_unit", "1ns"), "s") / 1e-9,
            capacitance=capacitance,
            energy=capacitance * volts**2,
            leakage=_unit(top.text("leakage_power_unit", "1nW"), "W") / 1e-6,
            voltage=voltage * volts,
            templates=templates,
        )


def _axis(group: Group, number: int) -> tuple[float, ...]:
    rows = group.numbers(f"index_{number}")
    return tuple(rows[0]) if rows else ()


def _unit(text: str, base: str) -> float:
    found = re.fullmatch(rf"\s*([\d.eE+-]+)\s*([fpnum]?){base}\s*", text, re.IGNORECASE)
    if found is None:
        raise InputError(f"{text!r} is no unit of {base}")
    return float(found[1]) * _PREFIX[found[2].lower()]


def _table(group: Group, units: Units, factor: float) -> Table:
    """Read a table, with the slew of the pin itself down and the other axis across."""
    rows = group.numbers("values")
    variables, axes = units.templates.get(group.name, ((), ()))
    values = np.array([number for row in rows for number in row])
    if not variables or values.size == 1:
        return Table.constant(float(values[0]) * factor)
    given = [_axis(group, i + 1) or axes[i] for i in range(len(variables))]
    if len(variables) > 2 or values.size != np.prod([len(axis) for axis in given]):
        raise InputError(f"table {group.kind} {group.name}: values do not fit its indices")
    grid = values.reshape([len(axis) for axis in given]) * factor
    by_slew, by_other = np.zeros(1), np.zeros(1)
    for variable, axis in zip(variables, given, strict=True):
        if variable in _SLEW:
            by_slew = np.array(axis) * units.time
        elif variable == "total_output_net_capacitance":
            by_other = np.array(axis) * units.capacitance
        elif variable in _OTHER:
            by_other = np.array(axis) * units.time
        else:
            raise InputError(f"table {group.kind} {group.name}: axis {variable!r} is not known")
    if variables[0] not in _SLEW:
        grid = grid.T if len(variables) == 2 else grid[None, :]
    elif len(variables) == 1:
        grid = grid[:, None]
    return Table(by_slew, by_other, grid)


def _edges(
    group: Group, units: Units, kinds: tuple[str, str], factor: float
) -> tuple[Table | None, Table | None]:
    """Tables of the rising and of the falling edge."""
    found = []
    for kind in kinds:
        table = next(group.of(kind), None)
        found.append(None if table is None else _table(table, units, factor))
    return found[0], found[1]


def read_powers(group: Group, units: Units) -> Iterator[InternalPower]:
    """Read the internal powers of a pin's group."""
    for power in group.of("internal_power"):
        rise, fall = _edges(power, units, ("rise_power", "fall_power"), units.energy)
        if rise is None and fall is None:
            rise = fall = _edges(power, units, ("power", "power"), units.energy)[0]
        nothing = Table.constant(0.0)
        when = power.text("when")
        yield InternalPower(
            related=power.text("related_pin"),
            when=Function.parse(when) if when else None,
            rise=nothing if rise is None else rise,
            fall=nothing if fall is None else fall,
        )


def read_arcs(group: Group, units: Units) -> Iterator[Arc]:
    """Read the delays and constraints of a pin's group; one for each related pin."""
    for timing in group.of("timing"):
        delays = _edges(timing, units, ("cell_rise", "cell_fall"), units.time)
        if delays == (None, None):
            delays = _edges(timing, units, ("rise_constraint", "fall_constraint"), units.time)
        slews = _edges(timing, units, ("rise_transition", "fall_transition"), units.time)
        for related in timing.text("related_pin").split():
            yield Arc(
                related=related,
                kind=timing.text("timing_type", "combinational"),
                sense=timing.text("timing_sense", "non_unate"),
                delays=delays,
                slews=slews,
            )


def _pin(group: Group, units: Units) -> Pin:
    function = group.text("function")
    capacitance = group.number("capacitance") * units.capacitance
    rise, fall = (_most(group, f"{edge}_capacitance") for edge in ("rise", "fall"))
    return Pin(
        name=group.name,
        direction=group.text("direction"),
        capacitance=capacitance,
        edge_capacitances=(
            rise * units.capacitance or capacitance,
            fall * units.capacitance or capacitance,
        ),
        function=Function.parse(function) if function else None,
        powers=tuple(read_powers(group, units)),
        arcs=tuple(read_arcs(group, units)),
    )


def _most(group: Group, name: str) -> float:
    """Largest value of an attribute that may have a range; 0 where it is not given."""
    given = group.attributes.get(f"{name}_range", ())
    try:
        return max([group.number(name), *map(float, given)])
    except ValueError:
        raise InputError(f"pin {group.name}: {name}_range: no numbers") from None


def _flip_flop(group: Group) -> FlipFlop | None:
    found = next(group.of("ff"), None)
    if found is None or len(found.names) < 2:
        return None

    def optional(name: str) -> Function | None:
        text = found.text(name)
        return Function.parse(text) if text else None

    return FlipFlop(
        state=found.names[0],
        inverse=found.names[1],
        clock=Function.parse(found.text("clocked_on")),
        next_state=Function.parse(found.text("next_state")),
        clear=optional("clear"),
        preset=optional("preset"),
    )


def _clock_gate(group: Group) -> ClockGate | None:
    if not group.text("clock_gating_integrated_cell").startswith("latch_posedge"):
        return None
    roles = {}
    for pin in group.of("pin"):
        for role in ("clock", "enable", "out", "test"):
            if pin.text(f"clock_gate_{role}_pin") == "true":
                roles[role] = pin.name
    if not {"clock", "enable", "out"} <= set(roles):
        return None
    return ClockGate(roles["clock"], roles["enable"], roles["out"], roles.get("test", ""))


def _cell(group: Group, units: Units) -> Cell:
    try:
        states = [
            (Function.parse(found.text("when")), found.number("value") * units.leakage)
            for found in group.of("leakage_power")
            if found.text("when")
        ]
        pins = {pin.name: _pin(pin, units) for pin in group.of("pin")}
        special = ("dont_use", "is_isolation_cell", "is_level_shifter", "retention_cell")
        return Cell(
            name=group.name,
            area=group.number("area"),
            leakage_uw=group.number("cell_leakage_power") * units.leakage,
            leakages=tuple(states),
            pins=pins,
            flip_flop=_flip_flop(group),
            clock_gate=_clock_gate(group),
            latch=any(group.of("latch", "statetable")),
            usable=not any(group.text(name, "false") != "false" for name in special),
        )
    except InputError as error:
        raise InputError(f"cell {group.name}: {error}") from None
