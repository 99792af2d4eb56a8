"""Power of a machine from the switching of its gates."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.base.notebook import html_table
from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.energy.table import EnergyTable
from pilaster.models.network import Network
from pilaster.rtl.gates.activity import Activity, simulate_gates
from pilaster.rtl.gates.closure import synthesize
from pilaster.rtl.gates.liberty import Library
from pilaster.rtl.gates.netlist import Memory, Netlist
from pilaster.rtl.gates.nodes import MappedNetlist
from pilaster.rtl.gates.opensta import StaReport, run_opensta
from pilaster.rtl.gates.power import gate_energies
from pilaster.rtl.gates.sizing import MemoryTiming
from pilaster.rtl.gates.sram import Bank, Macro, best_bank
from pilaster.rtl.gates.technology import node_of
from pilaster.rtl.gates.timing import Timing, analyze_timing
from pilaster.rtl.names import in_hardware, reported_names
from pilaster.rtl.parts import component_of
from pilaster.rtl.verilog import generate
from pilaster.sim.machine import Machine
from pilaster.sim.pipeline import Pipeline

__all__ = ["ComponentPower", "MemoryPower", "MemoryPrices", "PowerMeasurement", "measure_power"]


@dataclass(frozen=True)
class ComponentPower:
    """What a component of a stage takes: energies in pJ an image, area in um2.

    Attributes
    ----------
    clock_pj : what of `internal_pj` and `switching_pj` is the clock's in every cycle: that of the
        clock pins of clock gates, and of registers that none serves
    """

    stage: str
    component: str
    gates: int
    registers: int
    leakage_pj: float
    internal_pj: float
    switching_pj: float
    clock_pj: float
    area_um2: float

    @property
    def energy_pj(self) -> float:
        """All of it, an image."""
        return self.leakage_pj + self.internal_pj + self.switching_pj


@dataclass(frozen=True)
class MemoryPower:
    """What a memory takes that is no gates: energies in pJ an image, area in um2.

    Attributes
    ----------
    what : the macros, or the energy table that it is modeled from
    priced : whether that is an energy table
    reads, writes : an image
    area_um2 : 0 where it is not known
    """

    stage: str
    component: str
    name: str
    width: int
    depth: int
    what: str
    priced: bool
    reads: float
    writes: float
    leakage_pj: float
    internal_pj: float
    switching_pj: float
    area_um2: float

    @property
    def energy_pj(self) -> float:
        """All of it, an image."""
        return self.leakage_pj + self.internal_pj + self.switching_pj


@dataclass(frozen=True)
class MemoryPrices:
    """An energy table that prices memories of a machine, and the energy that it puts on them.

    Attributes
    ----------
    energy_pj : an image, without what nets beside the memories take
    """

    table: str
    node_nm: float
    voltage: float
    energy_pj: float


@dataclass(frozen=True)
class PowerMeasurement:
    """Power, area, and timing of a machine at gate level, over a run on images.

    Attributes
    ----------
    node_nm : technology node of the gates; None if unknown
    prices : energy table of memories without a matching macro; None if there are none
    effort : synthesis effort: "plain", or "hard" or "hardest" if lower effort misses the clock
    cycles : of the run, from the end of the reset
    answers_equal, cycles_equal : whether the answers equal the integer reference, and the cycles
        equal the model
    opensta : OpenSTA's results for the gates alone; None if it is not installed
    seconds : wall time by step
    """

    network: str
    machine: str
    library: str
    node_nm: float | None
    voltage: float
    prices: MemoryPrices | None
    effort: str
    clock_mhz: float
    images: int
    cycles: int
    components: tuple[ComponentPower, ...]
    memories: tuple[MemoryPower, ...]
    slack_ns: float
    fastest_mhz: float
    path: tuple[str, ...]
    clock_gates: int
    answers_equal: bool
    cycles_equal: bool
    opensta: StaReport | None
    seconds: dict[str, float]

    def __repr__(self) -> str:
        met = "" if self.holds else "; does NOT hold"
        return (
            f"<PowerMeasurement {self.network} on {self.machine} in {self.library}: "
            f"{self.energy_pj / 1e3:,.4g} nJ an image, {self.power_mw:.3g} mW at "
            f"{self.clock_mhz:g} MHz, {self.area_um2 / 1e6:.3g} mm2{met}>"
        )

    def _repr_html_(self) -> str:
        rows = [
            (
                part.stage,
                part.name if isinstance(part, MemoryPower) else part.component,
                f"{part.internal_pj / 1e3:,.2f}",
                f"{part.switching_pj / 1e3:,.2f}",
                f"{part.leakage_pj / 1e3:,.2f}",
                f"{part.area_um2:,.0f}",
            )
            for part in self.parts
        ]
        titles = ("stage", "component", "internal, nJ", "switching, nJ", "leakage, nJ", "um2")
        return html_table(repr(self), titles, rows)

    @property
    def parts(self) -> tuple[ComponentPower | MemoryPower, ...]:
        """Components and memories."""
        return (*self.components, *self.memories)

    @property
    def energy_pj(self) -> float:
        """Energy of an image."""
        return sum(part.energy_pj for part in self.parts)

    @property
    def power_mw(self) -> float:
        """Mean power over the run."""
        return self.energy_pj * self.images / (self.cycles / self.clock_mhz) / 1e3

    @property
    def priced_elsewhere(self) -> bool:
        """Whether memories are priced at another node or supply than the gates', or may be."""
        if self.prices is None:
            return False
        return (self.prices.node_nm, self.prices.voltage) != (self.node_nm, self.voltage)

    @property
    def area_um2(self) -> float:
        """Area of all cells and memories, without wires."""
        return sum(part.area_um2 for part in self.parts)

    @property
    def gates_leakage_uw(self) -> float:
        """Mean leakage of the gates, without memories."""
        leakage_pj = sum(part.leakage_pj for part in self.components) * self.images
        return leakage_pj / (self.cycles / self.clock_mhz)

    @property
    def holds(self) -> bool:
        """Whether the netlist is the machine, and meets its clock."""
        return self.answers_equal and self.cycles_equal and self.slack_ns >= 0

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, for JSON."""
        plain = {**vars(self)}
        for name in ("components", "memories"):
            plain[name] = [
                {**vars(part), "energy_pj": part.energy_pj} for part in getattr(self, name)
            ]
        plain["prices"] = None if self.prices is None else vars(self.prices)
        plain["priced_elsewhere"] = self.priced_elsewhere
        totals = {"energy_pj": self.energy_pj, "power_mw": self.power_mw, "area_um2": self.area_um2}
        plain["opensta"] = None if self.opensta is None else vars(self.opensta)
        return {**plain, "path": list(self.path), **totals}


def measure_power(
    network: Network,
    machine: Machine,
    library: Library,
    images: NDArray[np.generic],
    clock_mhz: float,
    macros: Sequence[Macro] = (),
    table: EnergyTable | None = None,
    gated: bool = True,
    node_nm: float | None = None,
    say: Callable[[str], None] = lambda message: None,
) -> PowerMeasurement:
    """Synthesize a machine, run its netlist on images, and add up what its gates take.

    Parameters
    ----------
    macros : for memories that are only read, and too large for gates
    table : prices memories that no macro serves
    gated : whether registers with an enable in common get clock gates, where the library has them
    node_nm : technology node of the library; of a public one it is known
    say : told of each step

    Raises
    ------
    InputError
        If a tool is missing, or a memory is neither served by a macro nor priced by a table.
    """
    seconds: dict[str, float] = {}
    period_ns = 1e3 / clock_mhz
    named = reported_names([node.name for node in network.graph.nodes])
    pipeline = in_hardware(Pipeline(network, machine))
    start = time.perf_counter()

    def ended(step: str) -> None:
        nonlocal start
        seconds[step] = time.perf_counter() - start
        start = time.perf_counter()

    say(f"synthesis of {network.name} on {machine.name} to {library.name}")
    design = generate(pipeline)

    def timing_of(found: Netlist) -> MemoryTiming:
        return _memory_timing(found, [best_bank(memory, macros) for memory in found.memories])

    made = synthesize(design, library, period_ns, gated, timing_of, say)
    netlist = made.netlist
    ended("synthesis")
    banks = [best_bank(memory, macros) for memory in netlist.memories]
    unserved = [m for m, bank in zip(netlist.memories, banks, strict=True) if bank is None]
    if unserved and table is None:
        raise InputError(f"no macro serves memory {_full_name(unserved[0])}; name an energy table")
    say(f"{len(netlist.gates):,} gates at work on {len(images)} image(s)")
    activity = simulate_gates(netlist, library, design, pipeline, images)
    ended("simulation")
    mapped = MappedNetlist(netlist, library)
    around = _memory_timing(netlist, banks)
    timing = analyze_timing(mapped, period_ns, around.delays, around.setups)
    components = _components(mapped, activity, timing, period_ns, named)
    memories = [
        _memory_power(memory, bank, table, index, mapped, activity, period_ns, named)
        for index, (memory, bank) in enumerate(zip(netlist.memories, banks, strict=True))
    ]
    ended("analysis")
    try:
        judged = run_opensta(mapped, period_ns)
    except InputError as error:  # a judge that does not answer takes nothing from what was found
        say(str(error))
        judged = None
    ended("OpenSTA")
    return PowerMeasurement(
        network=network.name,
        machine=machine.name,
        library=library.name,
        node_nm=node_of(library) if node_nm is None else node_nm,
        voltage=library.voltage,
        prices=_prices(memories, table),
        effort=made.effort.name.lower(),
        clock_mhz=clock_mhz,
        images=len(images),
        cycles=activity.cycles,
        components=components,
        memories=tuple(memories),
        slack_ns=timing.slack_ns,
        fastest_mhz=timing.fastest_mhz,
        path=tuple(f"{point.driver} {point.arrival_ns:.3f} ns" for point in timing.path),
        clock_gates=len(mapped.clocks) - 1,
        answers_equal=activity.answers_equal,
        cycles_equal=activity.cycles_equal,
        opensta=judged,
        seconds=seconds,
    )


def _prices(memories: Sequence[MemoryPower], table: EnergyTable | None) -> MemoryPrices | None:
    priced = [memory for memory in memories if memory.priced]
    if table is None or not priced:
        return None
    energy = sum(memory.leakage_pj + memory.internal_pj for memory in priced)
    return MemoryPrices(table.name, table.node_nm, table.voltage_v, energy)


def _full_name(memory: Memory) -> str:
    return ".".join([*memory.path, memory.name])


def _memory_timing(netlist: Netlist, banks: Sequence[Bank | None]) -> MemoryTiming:
    """Delays of the data that memories give, and setups of what they take; 0 where modeled."""
    delays: dict[int, float] = {}
    setups: dict[int, float] = {}
    for memory, bank in zip(netlist.memories, banks, strict=True):
        access = bank.macro.access_ns if bank else 0.0
        setup = bank.macro.setup_ns if bank else 0.0
        for read in memory.reads:
            delays.update(dict.fromkeys(read.data, access))
            if read.clocked:
                setups.update(dict.fromkeys((*read.address, read.enable), setup))
        for write in memory.writes:
            setups.update(dict.fromkeys((*write.address, *write.data, *write.enables), setup))
    return MemoryTiming(delays, setups)


def _components(
    mapped: MappedNetlist,
    activity: Activity,
    timing: Timing,
    period_ns: float,
    named: Mapping[str, str],
) -> tuple[ComponentPower, ...]:
    energies = gate_energies(mapped, activity, timing, period_ns)
    by_component: dict[tuple[str, str], list[int]] = {}
    for index, gate in enumerate(mapped.netlist.gates):
        by_component.setdefault(component_of(gate.path), []).append(index)
    cells = [mapped.library.cells[gate.cell] for gate in mapped.netlist.gates]
    return tuple(
        ComponentPower(
            stage=named.get(stage, stage),
            component=component,
            gates=len(which),
            registers=sum(cells[index].flip_flop is not None for index in which),
            leakage_pj=float(energies.leakage[which].sum()) / activity.images,
            internal_pj=float(energies.internal[which].sum()) / activity.images,
            switching_pj=float(energies.switching[which].sum()) / activity.images,
            clock_pj=float(energies.clock[which].sum()) / activity.images,
            area_um2=sum(cells[index].area for index in which),
        )
        for (stage, component), which in by_component.items()
    )


def _memory_power(
    memory: Memory,
    bank: Bank | None,
    table: EnergyTable | None,
    index: int,
    mapped: MappedNetlist,
    activity: Activity,
    period_ns: float,
    named: Mapping[str, str],
) -> MemoryPower:
    """Energy of a memory: of its accesses and idle cycles, and of driving what reads it."""
    cycles = activity.cycles
    reads, writes = float(activity.read[index]), float(activity.written[index])
    square = mapped.library.voltage**2
    data = [net for read in memory.reads for net in read.data]
    switching = float((mapped.loads[data] * activity.toggles[data]).sum()) * square / 2
    if bank is not None:
        macro = bank.macro
        address = sum(activity.toggles[net] for read in memory.reads for net in read.address)
        internal = bank.across * reads * macro.read_pj
        internal += (bank.macros * cycles - bank.across * reads) * macro.idle_pj
        internal += bank.macros * float(address) * macro.address_pj
        switching += bank.macros * float(address) * macro.address_pf * square / 2
        leakage_uw, area = bank.macros * macro.leakage_uw, bank.area
        what = f"{bank.macros} x {macro.name}" if bank.macros > 1 else macro.name
    else:
        assert table is not None
        attributes = Attributes(bits=memory.width, depth=memory.depth)
        internal = reads * table.energy_pj(Action.PSUM_READ, attributes)
        internal += writes * table.energy_pj(Action.PSUM_WRITE, attributes)
        leakage_uw = table.leakage_uw([attributes]) or 0.0
        area = table.area_um2("memory_area", attributes) if table.has_area else 0.0
        what = f"energy table {table.name}"
    stage, component = component_of(memory.path)
    return MemoryPower(
        stage=named.get(stage, stage),
        component=component,
        name=memory.name,
        width=memory.width,
        depth=memory.depth,
        what=what,
        priced=bank is None,
        reads=reads / activity.images,
        writes=writes / activity.images,
        leakage_pj=leakage_uw * cycles * period_ns * 1e-3 / activity.images,
        internal_pj=internal / activity.images,
        switching_pj=switching / activity.images,
        area_um2=area,
    )
