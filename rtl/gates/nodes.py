"""A netlist laid out for arithmetic on all gates of a cell at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pilaster.rtl.gates.cells import Cell
from pilaster.rtl.gates.gate_verilog import clock_enables
from pilaster.rtl.gates.liberty import Library
from pilaster.rtl.gates.netlist import LOW, Netlist

__all__ = ["CellGroup", "MappedNetlist"]

Indices = NDArray[np.int64]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CellGroup:
    """All gates of one cell.

    Attributes
    ----------
    gates : (gates), their numbers in the netlist
    nets : by pin, (gates) the net at each; the constant net where nothing is joined
    joined : by pin, (gates) whether a net is joined
    """

    cell: Cell
    gates: Indices
    nets: Mapping[str, Indices]
    joined: Mapping[str, NDArray[np.bool_]]

    def take(self, which: Indices) -> CellGroup:
        """Give some of the gates."""
        return CellGroup(
            self.cell,
            self.gates[which],
            {pin: nets[which] for pin, nets in self.nets.items()},
            {pin: joined[which] for pin, joined in self.joined.items()},
        )


@dataclass(frozen=True, eq=False)
class MappedNetlist:
    """A netlist with its library."""

    netlist: Netlist
    library: Library

    @cached_property
    def groups(self) -> tuple[CellGroup, ...]:
        """Gates by cell."""
        members: dict[str, list[int]] = defaultdict(list)
        for index, gate in enumerate(self.netlist.gates):
            members[gate.cell].append(index)
        groups = []
        for name, gates in members.items():
            cell = self.library.cells[name]
            found = [self.netlist.gates[index].nets for index in gates]
            nets = {pin: np.array([n.get(pin, LOW) for n in found]) for pin in cell.pins}
            joined = {pin: np.array([pin in n for n in found]) for pin in cell.pins}
            groups.append(CellGroup(cell, np.array(gates), nets, joined))
        return tuple(groups)

    @cached_property
    def clocks(self) -> Mapping[int, int | None]:
        """Nets that are clocks, and the net that enables each."""
        return clock_enables(self.netlist, self.library)

    def source_name(self, net: int) -> str:
        """Port or memory that drives a net which no gate does."""
        for port in self.netlist.ports:
            if port.direction == "input" and net in port.nets:
                return port.name
        for memory in self.netlist.memories:
            if any(net in read.data for read in memory.reads):
                return ".".join([*memory.path, memory.name])
        return "constant"

    @cached_property
    def loads(self) -> Numbers:
        """Capacitance of the input pins at every net, in pF; wires have none here."""
        loads = np.zeros(self.netlist.nets)
        for group in self.groups:
            for pin in group.cell.inputs:
                capacitance = group.cell.pins[pin].capacitance
                np.add.at(loads, group.nets[pin][group.joined[pin]], capacitance)
        return loads

    @cached_property
    def edge_loads(self) -> Numbers:
        """The same for a rising and for a falling edge: (2, nets)."""
        loads = np.zeros((2, self.netlist.nets))
        for group in self.groups:
            for pin in group.cell.inputs:
                nets = group.nets[pin][group.joined[pin]]
                for edge, capacitance in enumerate(group.cell.pins[pin].edge_capacitances):
                    np.add.at(loads[edge], nets, capacitance)
        return loads

    @cached_property
    def levels(self) -> tuple[CellGroup, ...]:
        """Gates without state in an order in which each comes after those that it hears from."""
        netlist, cells = self.netlist, self.library.cells
        plain = [
            index
            for index, gate in enumerate(netlist.gates)
            if cells[gate.cell].flip_flop is None and cells[gate.cell].clock_gate is None
        ]
        readers: dict[int, list[int]] = defaultdict(list)
        driven: set[int] = set()
        for index in plain:
            gate, cell = netlist.gates[index], cells[netlist.gates[index].cell]
            for pin in cell.outputs:
                if pin in gate.nets:
                    driven.add(gate.nets[pin])
        waits: dict[int, int] = {}
        for index in plain:
            gate, cell = netlist.gates[index], cells[netlist.gates[index].cell]
            nets = {gate.nets[pin] for pin in cell.inputs if pin in gate.nets} & driven
            waits[index] = len(nets)
            for net in nets:
                readers[net].append(index)
        ready = [index for index in plain if not waits[index]]
        order: list[CellGroup] = []
        place = {
            int(gate): (group, position)
            for group in self.groups
            for position, gate in enumerate(group.gates)
        }
        while ready:
            by_group: dict[int, tuple[CellGroup, list[int]]] = {}
            for index in ready:
                group, position = place[index]
                by_group.setdefault(id(group), (group, []))[1].append(position)
            order += [group.take(np.array(which)) for group, which in by_group.values()]
            following = []
            for index in ready:
                gate, cell = netlist.gates[index], cells[netlist.gates[index].cell]
                for pin in cell.outputs:
                    for reader in readers.get(gate.nets.get(pin, -1), ()):
                        waits[reader] -= 1
                        if not waits[reader]:
                            following.append(reader)
            ready = following
        return tuple(order)
