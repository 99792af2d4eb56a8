"""An energy table: the energy of each action of a machine, and what the table leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pilaster.base.errors import InputError
from pilaster.base.notebook import html_table
from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.energy.compose import PRIMITIVES, SMALL_MEMORIES, UNCOMPOSED, parts
from pilaster.models.energy.kinds import KINDS
from pilaster.models.energy.load import read_table, table_names, table_path
from pilaster.models.energy.price import Price
from pilaster.models.energy.schema import Entry, PricedAt, TableFile
from pilaster.models.energy.technology import conversion_factor
from pilaster.models.energy.units import RELATIVE_UNIT

__all__ = ["AREAS", "EnergyTable", "Listing"]

_MAC16 = Attributes(activation_bits=16, weight_bits=16, accumulator_bits=16)
_MAC16_PARTS = frozenset({Action.MAC, "multiply", "add"})

AREAS = ("multiply_area", "add_area", "register_area", "memory_area")
"""Entries that an area is made of."""

_ABSENT = {
    Action.CLOCK: "clock of registers and of the clock tree",
    Action.MAC_GATED: "gated lanes",
    Action.WEIGHT_LOAD: "weights taken into the lanes",
    Action.ROW: "steps of the pipeline",
    Action.PROGRAM_READ: "programs of sequencers",
    Action.DRAM_READ: "DRAM",
    "idle_memory": "clock of idle memories",
    "memory_leakage": "leakage of memories",
    "lane_leakage": "leakage of lanes",
}


@dataclass(frozen=True)
class Listing:
    """One entry as a report shows it.

    Parameters
    ----------
    name : str
        What is priced.
    values : tuple of str
        Each value as published, with its unit and the attributes it holds at.
    scaling : str
        Rule for other attributes.
    converted_from : str
        Node, voltage and conversion of the published values; empty where they are the table's.
    source : str
        Who published them.
    """

    name: str
    values: tuple[str, ...]
    scaling: str
    converted_from: str
    source: str


@dataclass(frozen=True, eq=False)
class EnergyTable:
    """Energies of actions, at one technology node and voltage.

    Parameters
    ----------
    name, title : str
        Name and title in reports.
    node_nm, voltage_v : float
        Technology node and supply voltage.
    entries : Mapping of str to Entry
        The file's entries by name, as published.
    prices : Mapping of str to Price
        The same in pJ, µW or µm² at the table's node and voltage.
    memories : PricedAt or None
        Node and supply voltage of the memory entries, if different.
    """

    name: str
    title: str
    node_nm: float
    voltage_v: float
    entries: Mapping[str, Entry]
    prices: Mapping[str, Price]
    memories: PricedAt | None = None
    _known_pj: dict[tuple[Action, Attributes], float] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return (
            f"<EnergyTable {self.name}: {self.node_nm:g} nm, {self.voltage_v:g} V, "
            f"{len(self.entries)} entries>"
        )

    def _repr_html_(self) -> str:
        rows = [
            (each.name, "; ".join(each.values), each.scaling, each.converted_from, each.source)
            for each in self.listing
        ]
        titles = ("entry", "values", "scaling", "converted from", "source")
        left_out = ", ".join(self.missing) or "nothing"
        caption = f"{self.name}: {self.title}; leaves out: {left_out}"
        return html_table(caption, titles, rows)

    @classmethod
    def load(cls, name_or_path: str | Path) -> EnergyTable:
        """Load a built-in table by name, or a table file by path.

        Raises
        ------
        InputError
            If the table does not exist, or the file is invalid; the message names the
            file, the entry, and the key.
        """
        if isinstance(name_or_path, str) and name_or_path in table_names():
            return _load_shipped(name_or_path)
        label = str(name_or_path)
        return cls.of(read_table(table_path(name_or_path), label), label)

    @classmethod
    def of(cls, file: TableFile, label: str) -> EnergyTable:
        """Create a table from the contents of a file; messages name it `label`.

        Raises
        ------
        InputError
            If an action that every machine performs has no entry, or a conversion is not possible.
        """
        return _from_file(file, label)

    @property
    def file(self) -> TableFile:
        """The table as its file has it."""
        return TableFile(
            name=self.name,
            title=self.title,
            node_nm=self.node_nm,
            voltage_v=self.voltage_v,
            memories=self.memories,
            entries=tuple(self.entries.values()),
        )

    def with_entries(self, name: str, title: str, entries: Iterable[Entry]) -> EnergyTable:
        """Return a copy with additional entries; an entry of the same name is replaced."""
        merged = {**self.entries, **{entry.name: entry for entry in entries}}
        file = TableFile(
            name=name,
            title=title,
            node_nm=self.node_nm,
            voltage_v=self.voltage_v,
            memories=self.memories,
            entries=tuple(merged.values()),
        )
        return _from_file(file, f"energy table {name}")

    def energy_pj(self, action: Action, attributes: Attributes) -> float:
        """Energy of one occurrence of an action, in pJ.

        The energy is the table's own entry for the action, or otherwise the sum of its parts
        (`pilaster.models.energy.compose`). An action in `missing` costs 0, and so does the clock
        of a stage without registers.

        Raises
        ------
        ValueError
            If an attribute on which the action depends is missing.
        """
        key = (action, attributes)
        if (energy := self._known_pj.get(key)) is None:
            energy = self._known_pj[key] = self._compute_pj(action, attributes)
        return energy

    def primitive_pj(self, name: str, attributes: Attributes) -> float:
        """Energy of one use of a primitive with an entry in this table, in pJ."""
        if name not in self.prices or KINDS[name].quantity != "energy":
            raise ValueError(f"{self.name} has no energy for {name!r}")
        return self._price(name, attributes)

    def clock_pj(self, bits: int) -> float:
        """Energy of a clock cycle of a stage with `bits` register bits, including its control."""
        energy = self.energy_pj(Action.CLOCK, Attributes(bits=bits))
        return energy + (self._price("control", Attributes()) if "control" in self.prices else 0.0)

    def memory_clock_pj(self, memory: Attributes) -> float:
        """Energy of a clock cycle of a memory that is written: the clock gates of its words.

        It is 0 where the memory is not made of registers, or this is not known.
        """
        name = "small_memory_clock"
        return self._price(name, memory) * memory.depth if self._holds_for(name, memory) else 0.0

    def idle_memory_pj(self, bits: int, depth: int) -> float | None:
        """Energy of one clock cycle of a memory that is not accessed, in pJ, if known."""
        if "idle_memory" not in self.prices:
            return None
        return self._price("idle_memory", Attributes(bits=bits, depth=depth))

    def leakage_uw(self, memories: Iterable[Attributes] = (), lanes: int = 0) -> float | None:
        """Leakage power of memories and lanes, in µW.

        Parameters
        ----------
        memories : iterable of Attributes
            The ``bits`` and ``depth`` of each.
        lanes : int
            How many.

        Returns
        -------
        float or None
            None if the table has no leakage; `missing` lists what is only partly covered.
        """
        if not self.has_leakage:
            return None
        power = 0.0
        if "memory_leakage" in self.prices:
            power += sum(self._price("memory_leakage", memory) for memory in memories)
        if "lane_leakage" in self.prices:
            power += lanes * self._price("lane_leakage", Attributes())
        return power

    def area_um2(self, name: str, attributes: Attributes) -> float:
        """Area of one multiplier, adder, register or memory, in µm².

        Parameters
        ----------
        name : {"multiply_area", "add_area", "register_area", "memory_area"}
            What it is. A multiplier of an operand of one bit is none; a memory of one word is a
            register.

        Raises
        ------
        InputError
            If the table has no such area.
        """
        if name not in self.prices:
            raise InputError(self.why_no_area)
        if min(attributes.activation_bits, attributes.weight_bits) <= 1 and name == "multiply_area":
            return 0.0
        if attributes.depth == 1 and name == "memory_area" and "register_area" in self.prices:
            name = "register_area"
        return self.prices[name].at(attributes, self.prices.get("register_area"))

    @property
    def has_area(self) -> bool:
        """Whether the areas of multipliers, adders, registers and memories are known."""
        return all(name in self.prices for name in AREAS)

    @property
    def why_no_area(self) -> str:
        """Why the table has no areas, in one line."""
        lacking = ", ".join(name for name in AREAS if name not in self.prices)
        return (
            f"energy table {self.name}: has no area: entries {lacking} are missing; use a table "
            f"that has them, such as ihp130"
        )

    def why_idle_is_free(self, clock_mhz: float | None) -> str:
        """Say why lanes that wait cost nothing, so that no least energy can be asked for.

        Then the machine of least energy is one with everything in parallel, however many lanes.

        Parameters
        ----------
        clock_mhz : None where it is not known: leakage is no energy then

        Returns
        -------
        str
            A line; "" where lanes that wait have a price.
        """
        if self.has_clock or ("lane_leakage" in self.prices and clock_mhz is not None):
            return ""
        lacks = "has neither the clock of registers nor the leakage of lanes"
        cure = "use a table that has, such as sg13g2 or sky130"
        if "lane_leakage" in self.prices:
            lacks, cure = "has leakage of lanes but no clock of registers", "give clock_mhz"
        return (
            f"energy table {self.name}: {lacks}, so that lanes which wait are free and the least "
            f"energy is that of a machine with everything in parallel; {cure}"
        )

    @property
    def has_clock(self) -> bool:
        """Whether the table has the energy of clocking registers."""
        return Action.CLOCK in self.prices

    @property
    def has_programs(self) -> bool:
        """Whether the table has the energy of reading programs."""
        names = (Action.PROGRAM_READ, SMALL_MEMORIES[Action.PROGRAM_READ])
        return any(name in self.prices for name in names)

    @property
    def has_leakage(self) -> bool:
        """Whether leakage of memories or of lanes is known."""
        return "memory_leakage" in self.prices or "lane_leakage" in self.prices

    @property
    def remark(self) -> str:
        """Remark to show with the name of the table in a report; empty if none."""
        if self.memories is None:
            return ""
        return f"memories at {self.memories.node_nm:g} nm and {self.memories.voltage_v:g} V"

    @property
    def what_leaks(self) -> str:
        """Name the parts whose leakage the table has."""
        kinds = {"memory_leakage": "memories", "lane_leakage": "lanes"}
        return f"leakage of {' and '.join(kinds[name] for name in kinds if name in self.prices)}"

    @property
    def missing(self) -> tuple[str, ...]:
        """What the table leaves out, and so energy figures from it also leave out."""
        return tuple(what for name, what in _ABSENT.items() if name not in self.prices)

    @property
    def listing(self) -> tuple[Listing, ...]:
        """Every entry as published, for a report."""
        return tuple(_listed(entry) for entry in self.entries.values())

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: values as published, and what is missing."""
        return {
            "name": self.name,
            "title": self.title,
            "node_nm": self.node_nm,
            "voltage_v": self.voltage_v,
            "memories": None if self.memories is None else self.memories.model_dump(),
            "missing": list(self.missing),
            "entries": [_entry_dict(entry) for entry in self.entries.values()],
        }

    def _compute_pj(self, action: Action, attributes: Attributes) -> float:
        if action is Action.CLOCK and attributes.bits == 0:
            return 0.0
        for name in KINDS[action].attributes:
            if getattr(attributes, name) == 0 and name != "scale_bits":
                raise ValueError(f"the price of {action} depends on {name}, which is not given")
        small = SMALL_MEMORIES.get(action, "")
        if self._holds_for(small, attributes):
            return self._price(small, attributes)
        if action in self.prices:
            return self._price(action, attributes)
        return sum((self._price(name, at) for name, at in parts(action, attributes)), 0.0)

    def _holds_for(self, name: str, memory: Attributes) -> bool:
        """Whether there is a price of small memories, and the memory has no more bits than its."""
        if name not in self.prices:
            return False
        points = (point.attributes for point in self.entries[name].published)
        return memory.bits * memory.depth <= max(point.bits * point.depth for point in points)

    def _price(self, name: str, attributes: Attributes) -> float:
        register = self.prices.get("register")
        return self.prices[name].at(attributes, register)


@lru_cache
def _load_shipped(name: str) -> EnergyTable:
    label = f"energy table {name}"
    return _from_file(read_table(table_path(name), label), label)


def _from_file(file: TableFile, label: str) -> EnergyTable:
    entries = {entry.name: entry for entry in file.entries}
    _check_complete(entries, label)
    prices: dict[str, Price] = {}
    table = EnergyTable(
        name=file.name,
        title=file.title,
        node_nm=file.node_nm,
        voltage_v=file.voltage_v,
        memories=file.memories,
        entries=MappingProxyType(entries),
        prices=MappingProxyType(prices),
    )
    relative = [entry for entry in entries.values() if entry.unit == RELATIVE_UNIT]
    for entry in entries.values():
        if entry.unit != RELATIVE_UNIT:
            prices[entry.name] = Price.of(entry, _conversion(file, entry, label))
    if not relative:
        return table
    for entry in relative:
        if entry.name in _MAC16_PARTS:
            raise InputError(
                f"{label}: entry {entry.name}: unit: a 16-bit MAC is made of it, so it cannot be "
                f"relative to one: use pJ"
            )
    mac16_pj = table._compute_pj(Action.MAC, _MAC16)
    for entry in relative:
        prices[entry.name] = Price.of(entry, mac16_pj)
    return table


def _check_complete(entries: Mapping[str, Entry], label: str) -> None:
    for action in Action:
        if action in entries or action in UNCOMPOSED:
            continue
        lacking = [name for name in PRIMITIVES[action] if name not in entries]
        if lacking:
            raise InputError(
                f"{label}: entries: nothing prices {action}: add an entry {action}, or "
                f"{' and '.join(lacking)}"
            )


def _conversion(file: TableFile, entry: Entry, label: str) -> float:
    origin = entry.converted_from
    if origin is None:
        return 1.0
    try:
        return conversion_factor(
            origin.rule, origin.node_nm, origin.voltage_v, file.node_nm, file.voltage_v
        )
    except InputError as error:
        raise InputError(f"{label}: entry {entry.name}: converted_from: {error}") from error


def _entry_dict(entry: Entry) -> dict[str, Any]:
    origin = entry.converted_from
    return {
        "name": entry.name,
        "unit": entry.unit,
        "scaling": entry.scaling,
        "converted_from": None if origin is None else origin.model_dump(),
        "values": [
            {"value": point.value, "at": point.named, "source": point.source or entry.source}
            for point in entry.published
        ],
    }


def _listed(entry: Entry) -> Listing:
    values, sources = [], [entry.source]
    for point in entry.published:
        at = ", ".join(f"{name} {value}" for name, value in point.named.items())
        values.append(f"{point.value:g} {entry.unit}" + (f" at {at}" if at else ""))
        if point.source:
            sources.append(f"{at}: {point.source}")
    origin = entry.converted_from
    converted = f"{origin.node_nm:g} nm {origin.voltage_v:g} V by {origin.rule}" if origin else ""
    return Listing(entry.name, tuple(values), entry.scaling, converted, "; ".join(sources))
