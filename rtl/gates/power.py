"""Energy of each gate over a run, from the tables of the cell library.

The energy of a gate is that of its leakage, of its pins' edges inside the cell (internal), and of
charging what its outputs drive (switching). States of a cell are weighed as if its inputs were
independent, but for a register's data and output: these differ before the clock edge exactly where
the output changes. The pins that a port of the machine drives, the clock's among them, are charged
to the gate that has the pin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from pilaster.rtl.gates.activity import Activity
from pilaster.rtl.gates.cells import Cell, InternalPower, Pin
from pilaster.rtl.gates.function import Function
from pilaster.rtl.gates.nodes import CellGroup, MappedNetlist
from pilaster.rtl.gates.timing import Timing

__all__ = ["GateEnergies", "gate_energies"]

Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class GateEnergies:
    """Energy over a run, in pJ, by gate.

    Attributes
    ----------
    clock : what of `internal` and `switching` is taken in every cycle, at work or not: by the clock
        pins of clock gates, and of registers that none serves
    """

    leakage: Numbers
    internal: Numbers
    switching: Numbers
    clock: Numbers


def gate_energies(
    mapped: MappedNetlist, activity: Activity, timing: Timing, period_ns: float
) -> GateEnergies:
    """Compute the energy of every gate over a run at a clock."""
    count = len(mapped.netlist.gates)
    leakage, internal, switching, clock = (np.zeros(count) for _ in range(4))
    from_ports = _driven_by_ports(mapped)
    half_square = 0.5 * mapped.library.voltage**2
    seconds_per_uw = activity.cycles * period_ns * 1e-3  # 1 uW for 1 us is 1 pJ
    slews = timing.slews.mean(axis=0)
    always = [net for net, enable in mapped.clocks.items() if enable is None]
    for group in mapped.groups:
        states = _States.of(group, activity)
        leakage[group.gates] = states.leakage_uw() * seconds_per_uw
        for name, pin in group.cell.pins.items():
            nets = group.nets[name]
            toggles = np.where(group.joined[name], activity.toggles[nets], 0.0)
            inside = _pin_energy(group, pin, states, toggles, slews, mapped.loads, activity)
            internal[group.gates] += inside
            charged = np.zeros(len(nets))
            if pin.direction == "output":
                charged = half_square * mapped.loads[nets] * toggles
            elif pin.direction == "input":
                charged = np.where(from_ports[nets], half_square * pin.capacitance * toggles, 0.0)
            switching[group.gates] += charged
            clock[group.gates] += np.where(np.isin(nets, always), inside + charged, 0.0)
    return GateEnergies(leakage, internal, switching, clock)


def _driven_by_ports(mapped: MappedNetlist) -> NDArray[np.bool_]:
    driven = np.zeros(mapped.netlist.nets, bool)
    for port in mapped.netlist.ports:
        if port.direction == "input":
            driven[list(port.nets)] = True
    return driven


def _pin_energy(
    group: CellGroup,
    pin: Pin,
    states: _States,
    toggles: Numbers,
    slews: Numbers,
    loads: Numbers,
    activity: Activity,
) -> Numbers:
    """Energy inside the cells for the edges of a pin, half of them rising, from all supplies."""
    total = np.zeros(len(toggles))
    if not toggles.any():
        return total
    is_output = pin.direction == "output"
    for _, drawn in groupby(pin.powers, key=lambda power: power.supply):
        weights, energies = [], []
        for related, powers in groupby(drawn, key=lambda power: power.related):
            made = toggles
            if is_output and related:
                made = _toggles_of(group, related, activity)
            alike = list(powers)
            source = related if is_output and related in group.nets else pin.name
            for power, share in zip(alike, states.split([p.when for p in alike]), strict=True):
                weights.append(share * made if is_output else share)
                energies.append(_mean_energy(group, pin, power, slews[group.nets[source]], loads))
        weight, energy = np.array(weights), np.array(energies)
        if is_output:  # each edge was made by one of the inputs
            sums = weight.sum(axis=0)
            weight = np.where(sums > 0, weight / np.where(sums > 0, sums, 1), 1 / len(weights))
        total += (weight * energy).sum(axis=0)
    found: Numbers = total * toggles
    return found


def _toggles_of(group: CellGroup, pin: str, activity: Activity) -> Numbers:
    """Edges of a pin of the gates; none where it is not joined."""
    if pin not in group.nets:
        return np.zeros(len(group.gates))
    return np.where(group.joined[pin], activity.toggles[group.nets[pin]], 0.0)


def _mean_energy(
    group: CellGroup, pin: Pin, power: InternalPower, slew: Numbers, loads: Numbers
) -> Numbers:
    """Mean of a rising and a falling edge."""

    def load_of(name: str) -> Numbers:
        if name not in group.nets or group.cell.pins[name].direction != "output":
            return np.zeros(len(group.gates))
        return np.where(group.joined[name], loads[group.nets[name]], 0.0)

    load, other = load_of(pin.name), load_of(power.opposite)
    found: Numbers = (power.rise.at(slew, load, other) + power.fall.at(slew, load, other)) / 2
    return found


class _States:
    """Shares of time of every state of the gates of a cell."""

    def __init__(self, cell: Cell, values: dict[str, NDArray[np.bool_]], shares: Numbers) -> None:
        self.cell, self.values, self.shares = cell, values, shares

    @classmethod
    def of(cls, group: CellGroup, activity: Activity) -> _States:
        """Weigh all states: by input pin, and the state of a register or clock gate."""
        cell = group.cell
        inputs, flip_flop = list(cell.inputs), cell.flip_flop
        output = next((o for o in cell.outputs if group.joined[o].any()), "")
        variables = [*inputs, "state"] if flip_flop or cell.clock_gate else inputs
        grid = (np.arange(1 << len(variables))[:, None] >> np.arange(len(variables))) & 1 == 1
        values = {name: grid[:, i] for i, name in enumerate(variables)}
        high = {
            name: np.where(group.joined[name], activity.high[group.nets[name]], 0.0)
            for name in inputs
        }
        shares = np.ones((len(grid), len(group.gates)))
        if flip_flop is not None:
            values[flip_flop.state] = values["state"]
            values[flip_flop.inverse] = ~values["state"]
        pair = _data_pin(cell)
        if flip_flop is not None or cell.clock_gate is not None:
            share = activity.high[group.nets[output]]
            if cell.clock_gate is not None:
                share = high[cell.clock_gate.enable]
            elif flip_flop is not None:
                function = cell.pins[output].function
                if function is not None and function.name == flip_flop.inverse:
                    share = 1 - share
            high["state"] = share
        for name in variables:
            if pair is not None and name in (pair, "state"):
                continue
            shares *= np.where(values[name][:, None], high[name], 1 - high[name])
        if pair is not None and flip_flop is not None:
            clock = group.nets[flip_flop.clock.name]
            edges = np.maximum(activity.toggles[clock] / 2, 1)
            differ = np.minimum(activity.toggles[group.nets[output]] / edges, 1)
            one = np.clip(high["state"], differ / 2, 1 - differ / 2)
            data, state = values[pair][:, None], values["state"][:, None]
            same = np.where(state, one - differ / 2, 1 - one - differ / 2)
            shares *= np.where(data == state, same, differ / 2)
        for name in cell.outputs:
            function = cell.pins[name].function
            if function is not None:
                values[name] = _evaluate(function, values, len(grid))
            elif cell.clock_gate is not None:
                values[name] = values[cell.clock_gate.clock] & values["state"]
        return cls(cell, values, shares)

    def split(self, conditions: Sequence[Function | None]) -> list[Numbers]:
        """Shares of time in which conditions hold; of None, in which none of the others does.

        A condition on what is not known of a cell never holds.
        """
        gates = self.shares.shape[1]
        found = []
        for when in conditions:
            holds = np.zeros(len(self.shares), bool)
            if when is not None and set(when.pins) <= set(self.values):
                holds = _evaluate(when, self.values, len(self.shares))
            found.append(holds @ self.shares + np.zeros(gates))
        rest = np.maximum(1 - sum(found, np.zeros(gates)), 0)
        return [
            rest if when is None else share for when, share in zip(conditions, found, strict=True)
        ]

    def leakage_uw(self) -> Numbers:
        """Mean leakage of every gate, from all supplies."""
        total = np.zeros(self.shares.shape[1])
        told = np.zeros(self.shares.shape[1])
        for _, leakages in groupby(self.cell.leakages, key=lambda leakage: leakage.supply):
            alike = list(leakages)
            shares = self.split([leakage.when for leakage in alike])
            total += sum(
                (one.value * share for one, share in zip(alike, shares, strict=True)),
                np.zeros(len(total)),
            )
            told = np.maximum(told, sum(shares, np.zeros(len(told))))
        found: Numbers = total + np.maximum(1 - told, 0) * self.cell.leakage_uw
        return found


def _evaluate(
    function: Function, values: dict[str, NDArray[np.bool_]], count: int
) -> NDArray[np.bool_]:
    constants = {"0": np.zeros(count, bool), "1": np.ones(count, bool)}
    found: NDArray[np.bool_] = function.value({**constants, **values})
    return found


def _data_pin(cell: Cell) -> str | None:
    """Pin that a register takes at its clock edge, where that is all that it takes."""
    if cell.flip_flop is None or cell.flip_flop.next_state.operator:
        return None
    return cell.flip_flop.next_state.name
