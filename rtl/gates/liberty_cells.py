"""Cells of a Liberty file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pilaster.base.errors import InputError
from pilaster.rtl.gates.cells import (
    Arc,
    Cell,
    ClockGate,
    FlipFlop,
    InternalPower,
    Leakage,
    Pin,
)
from pilaster.rtl.gates.function import Function
from pilaster.rtl.gates.liberty_tables import Table, Units, read_table
from pilaster.rtl.gates.liberty_text import Group

__all__ = ["default_leakage_uw", "read_arcs", "read_cell", "read_leakages", "read_powers"]

_SPECIAL = (
    "dont_use",
    "is_isolation_cell",
    "is_level_shifter",
    "is_macro_cell",
    "is_pad",
    "pad_cell",
    "retention_cell",
    "switch_cell_type",
)
"""What only a user or another tool places."""

_STATEFUL = ("latch", "latch_bank", "ff_bank", "statetable", "memory")

_EDGES = {"combinational_rise": 0, "combinational_fall": 1}
"""Edge of the output that a timing type is of, where it is of one."""


@dataclass(frozen=True)
class _Names:
    """Pins of a cell that stand for several: bits of a bus, members of a bundle, by its name."""

    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def listed(self, text: str) -> tuple[str, ...]:
        """Pins of a list, each once."""
        names = [one for name in text.split() for one in self.members.get(name, (name,))]
        return tuple(dict.fromkeys(names))


_PLAIN = _Names()


def read_cell(group: Group, top: Group, units: Units) -> Cell:
    """Read a cell of a library.

    Raises
    ------
    InputError
        If it is not as Liberty has it.
    """
    try:
        return _cell(group, top, units)
    except InputError as error:
        raise InputError(f"cell {group.name}: {error}") from None


def _cell(group: Group, top: Group, units: Units) -> Cell:
    pin_groups, names = _pins(group, top)
    pins = {name: _pin(name, pin_groups[name], top, units, names) for name in sorted(pin_groups)}
    flip_flop, clock_gate = _flip_flop(group), _clock_gate(pin_groups, group)
    whole = not any("[" in name for name in pins)
    driven = all(pin.direction != "inout" for pin in pins.values())
    driven = driven and not any("three_state" in pin.attributes for pin in pin_groups.values())
    special = any(group.flag(name) for name in _SPECIAL)
    return Cell(
        name=group.name,
        area=group.number("area"),
        leakage_uw=default_leakage_uw(group, top, units),
        leakages=tuple(read_leakages(group, units)),
        pins=pins,
        flip_flop=flip_flop,
        clock_gate=clock_gate,
        latch=any(group.of(*_STATEFUL)) or sum(1 for _ in group.of("ff")) > 1,
        usable=whole and driven and not special,
    )


def default_leakage_uw(group: Group, top: Group, units: Units) -> float:
    """Leakage of a cell in states of which no `leakage_power` tells.

    Its own, if not negative; else the library's default, or else that by its area.
    """
    value = group.number("cell_leakage_power", -1.0)
    if value < 0:
        density = top.number("default_leakage_power_density") * group.number("area")
        value = top.number("default_cell_leakage_power", density)
    return units.scaled(value, units.leakage)


def read_leakages(group: Group, units: Units) -> list[Leakage]:
    """Read the leakages of a cell's group."""
    found = []
    for leakage in group.of("leakage_power"):
        when = _optional(leakage, "when")
        value = units.scaled(leakage.number("value"), units.leakage)
        found.append(Leakage(when, value, _supply(leakage)))
    return sorted(found, key=lambda leakage: (leakage.supply, _order(leakage.when)))


def _supply(group: Group) -> str:
    return group.text("related_pg_pin") or group.text("power_level")


def _order(when: Function | None) -> tuple[tuple[str, ...], int]:
    """Place of a condition among others, however it is written."""
    return ((), 0) if when is None else when.signature


def _optional(group: Group, name: str) -> Function | None:
    text = group.text(name)
    return Function.parse(text) if text else None


def _pins(cell: Group, top: Group) -> tuple[dict[str, Group], _Names]:
    """Give the groups of pins by name: of a bus or a bundle, of every bit with what all share."""
    pins: dict[str, Group] = {}
    members: dict[str, tuple[str, ...]] = {}
    for group in cell.of("pin"):
        for name in group.names:
            bits = _bits(name)
            if len(bits) > 1:
                members[name.partition("[")[0]] = bits
            pins.update(dict.fromkeys(bits, group))
    for group in cell.of("bus", "bundle"):
        own = {bit: pin for pin in group.of("pin") for name in pin.names for bit in _bits(name)}
        shared = [inner for inner in group.groups if inner.kind != "pin"]
        for bus in group.names:
            if group.kind == "bundle":
                bits = tuple(
                    name for text in group.attributes.get("members", ()) for name in _words(text)
                )
            else:
                bits = _bus_bits(bus, group.text("bus_type"), (cell, top))
            members[bus] = bits
            for bit in bits:
                pin = own.get(bit, Group("pin", (bit,)))
                attributes = {**group.attributes, **pin.attributes}
                pins[bit] = Group("pin", (bit,), attributes, [*shared, *pin.groups])
    return pins, _Names(members)


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _bits(name: str) -> tuple[str, ...]:
    """Pins of a name such as A[3:0]."""
    found = re.fullmatch(r"(.*)\[(\d+):(\d+)\]", name)
    if found is None:
        return (name,)
    return _range(found[1], int(found[2]), int(found[3]))


def _range(name: str, first: int, last: int) -> tuple[str, ...]:
    step = 1 if last >= first else -1
    return tuple(f"{name}[{bit}]" for bit in range(first, last + step, step))


def _bus_bits(bus: str, kind: str, scopes: Sequence[Group]) -> tuple[str, ...]:
    for scope in scopes:
        for group in scope.of("type"):
            if group.name == kind:
                width = int(group.number("bit_width", 1))
                first = int(group.number("bit_from", width - 1))
                return _range(bus, first, int(group.number("bit_to", 0)))
    return (f"{bus}[0]",)


def _pin(name: str, group: Group, top: Group, units: Units, names: _Names) -> Pin:
    try:
        return _read_pin(name, group, top, units, names)
    except InputError as error:
        raise InputError(f"pin {name}: {error}") from None


def _read_pin(name: str, group: Group, top: Group, units: Units, names: _Names) -> Pin:
    direction = group.word("direction")
    rise, fall = (_most(group, f"{edge}_capacitance") for edge in ("rise", "fall"))
    given = [group.number(f"{edge}_capacitance") for edge in ("rise", "fall")]
    mean = sum(given) / 2 if all(given) else max(given)
    default = mean or top.number(f"default_{direction}_pin_cap")
    capacitance = group.number("capacitance", default)

    def limit(attribute: str, factor: float) -> float:
        value = group.number(attribute) or top.number(f"default_{attribute}")
        return units.scaled(value, factor) if value > 0 else float("inf")

    def held(value: float) -> float:
        return units.scaled(value or capacitance, units.capacitance)

    return Pin(
        name=name,
        direction=direction,
        capacitance=held(capacitance),
        edge_capacitances=(held(rise), held(fall)),
        function=_optional(group, "function"),
        powers=tuple(read_powers(group, units, names)),
        arcs=tuple(read_arcs(group, units, names)),
        most_load=limit("max_capacitance", units.capacitance),
        most_slew=limit("max_transition", units.time),
    )


def _most(group: Group, name: str) -> float:
    """Largest value of an attribute that may have a range; 0 where it is not given."""
    return max([group.number(name), *group.numbers(f"{name}_range")])


def _edges(
    group: Group, units: Units, kinds: tuple[str, str], factor: float, purpose: str
) -> tuple[Table | None, Table | None]:
    """Tables of the rising and of the falling edge."""
    found = []
    for kind in kinds:
        table = next(group.of(kind), None)
        found.append(None if table is None else read_table(table, units, factor, purpose))
    return found[0], found[1]


def read_powers(group: Group, units: Units, names: _Names = _PLAIN) -> list[InternalPower]:
    """Read the internal powers of a pin's group; one for each related pin."""
    found = []
    for power in group.of("internal_power"):
        rise, fall = _edges(power, units, ("rise_power", "fall_power"), units.energy, "power")
        if rise is None and fall is None:
            rise = fall = _edges(power, units, ("power", "power"), units.energy, "power")[0]
        nothing = Table.constant(0.0)
        for related in _related(power, names) or ("",):
            found.append(
                InternalPower(
                    related=related,
                    when=_optional(power, "when"),
                    rise=nothing if rise is None else rise,
                    fall=nothing if fall is None else fall,
                    supply=_supply(power),
                    opposite=power.text("equal_or_opposite_output"),
                )
            )
    return sorted(found, key=lambda p: (p.supply, p.related, _order(p.when)))


def _related(group: Group, names: _Names) -> tuple[str, ...]:
    return names.listed(f"{group.text('related_pin')} {group.text('related_bus_pins')}")


def read_arcs(group: Group, units: Units, names: _Names = _PLAIN) -> list[Arc]:
    """Read the delays and constraints of a pin's group; one for each related pin."""
    function = _optional(group, "function")
    found = []
    for timing in group.of("timing"):
        delays = _edges(timing, units, ("cell_rise", "cell_fall"), units.time, "timing")
        if delays == (None, None):
            constraints = ("rise_constraint", "fall_constraint")
            delays = _edges(timing, units, constraints, units.time, "timing")
        transitions = ("rise_transition", "fall_transition")
        slews = _edges(timing, units, transitions, units.time, "timing")
        kind = timing.word("timing_type", "combinational")
        if kind in _EDGES:  # of one edge alone
            delays, slews = (_only(both, _EDGES[kind]) for both in (delays, slews))
            kind = "combinational"
        for related in _related(timing, names):
            sense = timing.word("timing_sense")
            if not sense:
                sense = "non_unate" if function is None else function.sense(related)
            found.append(Arc(related, kind, sense, delays, slews))
    return sorted(found, key=_arc_order)


def _arc_order(arc: Arc) -> tuple[str, str, str, list[list[float]]]:
    """Place of an arc among others, of which several may differ in their tables alone."""
    tables = [[] if table is None else table.values.ravel().tolist() for table in arc.delays]
    return arc.related, arc.kind, arc.sense, tables


def _only(both: tuple[Table | None, Table | None], edge: int) -> tuple[Table | None, Table | None]:
    return (both[0], None) if edge == 0 else (None, both[1])


def _flip_flop(group: Group) -> FlipFlop | None:
    found = next(group.of("ff"), None)
    if found is None or not found.names or "next_state" not in found.attributes:
        return None
    return FlipFlop(
        state=found.names[0],
        inverse=found.names[1] if len(found.names) > 1 else "",
        clock=Function.parse(found.text("clocked_on")),
        next_state=Function.parse(found.text("next_state")),
        clear=_optional(found, "clear"),
        preset=_optional(found, "preset"),
    )


def _clock_gate(pins: Mapping[str, Group], group: Group) -> ClockGate | None:
    if not group.word("clock_gating_integrated_cell").startswith("latch_posedge"):
        return None
    roles = {}
    for name in sorted(pins):
        for role in ("clock", "enable", "out", "test"):
            if pins[name].flag(f"clock_gate_{role}_pin"):
                roles[role] = name
    if not {"clock", "enable", "out"} <= set(roles):
        return None
    return ClockGate(roles["clock"], roles["enable"], roles["out"], roles.get("test", ""))
