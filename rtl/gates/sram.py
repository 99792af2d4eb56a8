"""SRAM macros as Liberty files describe them, and the memories that they make up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pilaster.base.errors import InputError
from pilaster.rtl.gates.cells import Arc, InternalPower
from pilaster.rtl.gates.function import Function
from pilaster.rtl.gates.liberty_cells import (
    default_leakage_uw,
    read_arcs,
    read_leakages,
    read_powers,
)
from pilaster.rtl.gates.liberty_tables import Units
from pilaster.rtl.gates.liberty_text import Group, read_groups
from pilaster.rtl.gates.netlist import Memory

__all__ = ["Bank", "Macro", "best_bank"]


@dataclass(frozen=True)
class Macro:
    """A synchronous memory of one port.

    Attributes
    ----------
    read_pj : of a clock edge at which it is read; its address and data pins not included
    idle_pj : of one at which it is not enabled
    address_pj : of an edge of an address pin, the mean of rising and falling
    address_pf : capacitance of an address pin
    access_ns, setup_ns : from the clock edge to the data read; of the pins that a read needs
    """

    name: str
    width: int
    depth: int
    area: float
    leakage_uw: float
    read_pj: float
    idle_pj: float
    address_pj: float
    address_pf: float
    access_ns: float
    setup_ns: float

    @classmethod
    def read(cls, path: Path) -> Macro:
        """Read the Liberty file of a macro.

        Its energies are those of the clock pin in the states that its `when` names, by pins whose
        names end in _MEN (enable), _REN (read) and _WEN (write), high where they act.

        Raises
        ------
        InputError
            If it is no Liberty file, or not of such a macro.
        """
        top = read_groups(path)
        try:
            units = Units.of(top)
            for cell in top.of("cell"):
                memory = next(cell.of("memory"), None)
                if memory is not None:
                    return cls._of(cell, memory, top, units)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        raise InputError(f"{path}: library {top.name} has no memory; name a file of an SRAM macro")

    @classmethod
    def _of(cls, cell: Group, memory: Group, top: Group, units: Units) -> Macro:
        pins = {group.name: group for group in cell.of("pin", "bus")}
        enable = next((name for name in pins if name.endswith("_MEN") and "BIST" not in name), "")
        port = enable.removesuffix("MEN")
        names = [f"{port}{part}" for part in ("CLK", "ADDR", "DOUT", "REN", "WEN")]
        missing = [name for name in names if name not in pins]
        if not enable or missing:
            raise InputError(
                f"macro {cell.name}: needs pins CLK, ADDR, DOUT, MEN, REN and WEN of a port"
            )
        clock, address, data, reads, writes = names
        rest = {enable: np.False_, reads: np.False_, writes: np.False_}
        powers = list(_powers(pins[clock], units))
        reading = {**rest, enable: np.True_, reads: np.True_}
        setups = [
            _largest(arc, 0.0)
            for name in (address, enable, reads)
            for arc in _arcs(pins[name], units)
            if arc.kind == "setup_rising"
        ]
        access = [
            _largest(arc, 0.0) for arc in _arcs(pins[data], units) if arc.kind == "rising_edge"
        ]
        if not access:
            raise InputError(f"macro {cell.name}: {data} has no delay from {clock}")
        bits = next((p.number("capacitance") for p in pins[address].of("pin") if p.groups), 0.0)
        return cls(
            name=cell.name,
            width=int(memory.number("word_width")),
            depth=1 << int(memory.number("address_width")),
            area=cell.number("area"),
            leakage_uw=_leakage_uw(cell, top, units),
            read_pj=_edge_energy(powers, reading),
            idle_pj=_edge_energy(powers, rest),
            address_pj=_edge_energy(list(_powers(pins[address], units)), reading) / 2,
            address_pf=(pins[address].number("capacitance") or bits) * units.capacitance,
            access_ns=max(access),
            setup_ns=max(setups, default=0.0),
        )


def _leakage_uw(cell: Group, top: Group, units: Units) -> float:
    """Leakage in any state: of each supply what holds without condition, or the mean of all."""
    if "cell_leakage_power" in cell.attributes:
        return default_leakage_uw(cell, top, units)
    total, leakages = 0.0, read_leakages(cell, units)
    for supply in dict.fromkeys(leakage.supply for leakage in leakages):
        drawn = [leakage for leakage in leakages if leakage.supply == supply]
        chosen = [leakage.value for leakage in drawn if leakage.when is None]
        chosen = chosen or [leakage.value for leakage in drawn]
        total += sum(chosen) / len(chosen)
    return total if leakages else default_leakage_uw(cell, top, units)


def _powers(pin: Group, units: Units) -> list[InternalPower]:
    return [p for group in (pin, *pin.of("pin")) for p in read_powers(group, units)]


def _arcs(pin: Group, units: Units) -> list[Arc]:
    return [arc for group in (pin, *pin.of("pin")) for arc in read_arcs(group, units)]


def _largest(arc: Arc, load: float) -> float:
    """Delay or constraint of an arc at no slew."""
    zero = np.zeros(1)
    return max(float(t.at(zero, zero + load)[0]) for t in arc.delays if t is not None)


def _edge_energy(powers: Sequence[InternalPower], state: Mapping[str, np.bool_]) -> float:
    """Energy of a rising and a falling edge in a state."""

    def holds(when: Function | None) -> bool:
        return when is None or (set(when.pins) <= set(state) and bool(when.value(state)))

    zero, total = np.zeros(1), 0.0
    for supply in dict.fromkeys(power.supply for power in powers):
        drawn = [power for power in powers if power.supply == supply]
        found = [p for p in drawn if p.when is not None and holds(p.when)]
        found = found or [p for p in drawn if p.when is None]
        total += sum(float(p.rise.at(zero, zero)[0] + p.fall.at(zero, zero)[0]) for p in found[:1])
    return total


@dataclass(frozen=True)
class Bank:
    """Macros that make up a memory: `across` give a word, and `down` of these all words."""

    macro: Macro
    across: int
    down: int

    @property
    def macros(self) -> int:
        """How many macros."""
        return self.across * self.down

    @property
    def area(self) -> float:
        """Area of all, in um2."""
        return self.macros * self.macro.area


def best_bank(memory: Memory, macros: Sequence[Macro]) -> Bank | None:
    """Choose the macros of least area for a memory; None where no macro serves it.

    A macro has one port: it serves a memory that is only read, through one port and at the clock.
    What it holds has been written before.
    """
    if memory.writes or len(memory.reads) != 1 or not memory.reads[0].clocked:
        return None
    banks = [Bank(m, -(-memory.width // m.width), -(-memory.depth // m.depth)) for m in macros]
    return min(banks, key=lambda bank: bank.area, default=None)
