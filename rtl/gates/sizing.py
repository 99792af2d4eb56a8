"""Sizes of gates and buffers for what they drive, registers and nets between modules among them.

ABC sizes the gates inside of a module, and no register. Here the whole netlist is looked at, with
the loads that nets have in the end. No gate may drive more than its library allows, nor so much
that slews leave the tables; then gates of the slowest paths are made larger, and what can wait is
driven by a buffer, until the clock is met or nothing helps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pilaster.rtl.gates.cells import Cell
from pilaster.rtl.gates.families import buffers_of, sizes_of
from pilaster.rtl.gates.liberty import Library
from pilaster.rtl.gates.liberty_tables import Numbers
from pilaster.rtl.gates.netlist import HIGH, LOW, Gate, Netlist
from pilaster.rtl.gates.nodes import MappedNetlist
from pilaster.rtl.gates.timing import FALL, RISE, Timing, analyze_timing, required_times

__all__ = ["MemoryTiming", "fit_sizes"]

SLEW_SHARE = 0.5
"""Share of the largest slew that the library allows up to which gates are loaded."""

POINTS = 400
"""Loads at which a gate's slew is looked up to find the most that it may drive."""

ROUNDS, PATIENCE = 30, 4
"""Rounds of making paths faster at most, and those in a row that may bring nothing."""

CRITICAL_SHARE = 0.5
"""Gates are made faster whose slack is below this share of the least, which is negative."""

LEAST_GAIN_NS = 1e-3


@dataclass(frozen=True)
class MemoryTiming:
    """By net, ns from the clock edge to the data of memories, and setups of what they take."""

    delays: Mapping[int, float] = field(default_factory=dict)
    setups: Mapping[int, float] = field(default_factory=dict)


def fit_sizes(
    netlist: Netlist, library: Library, period_ns: float, memories: MemoryTiming
) -> tuple[Netlist, float]:
    """Size and buffer a netlist; gives it, and its least slack in ns.

    What it computes stays the same.
    """
    sizer = _Sizer(netlist, library)
    sizer.keep_limits()
    best, least = sizer.netlist(), -np.inf
    fruitless = 0
    for _ in range(ROUNDS + 1):
        found = sizer.netlist()
        mapped = MappedNetlist(found, library)
        timing = analyze_timing(mapped, period_ns, memories.delays, memories.setups)
        fruitless = 0 if timing.slack_ns > least + LEAST_GAIN_NS else fruitless + 1
        if timing.slack_ns > least:
            best, least = found, timing.slack_ns
        if timing.slack_ns >= 0 or fruitless == PATIENCE:
            break
        required = required_times(mapped, timing, memories.setups)
        if not sizer.speed_up(mapped, timing, required):
            break
    return best, float(least)


class _Sizer:
    """A netlist whose gates change: `gates`, and by net its driver and the pins that it drives."""

    def __init__(self, netlist: Netlist, library: Library) -> None:
        self.start, self.library = netlist, library
        self.sizes, self.buffers = sizes_of(library), buffers_of(library)
        self.gates = list(netlist.gates)
        self.nets = netlist.nets
        self.sinks: dict[int, list[tuple[int, str]]] = defaultdict(list)
        self.drivers: dict[int, int] = {}
        for index in range(len(self.gates)):
            self._join(index)
        self.fixed = {LOW, HIGH, *MappedNetlist(netlist, library).clocks}
        self.most: dict[tuple[str, str], float] = {}

    def netlist(self) -> Netlist:
        """Give the netlist as it is now."""
        return replace(self.start, nets=self.nets, gates=tuple(self.gates))

    def _join(self, index: int) -> None:
        cell = self.cell(index)
        for pin, net in self.gates[index].nets.items():
            if cell.pins[pin].direction == "output":
                self.drivers[net] = index
            else:
                self.sinks[net].append((index, pin))

    def cell(self, index: int) -> Cell:
        return self.library.cells[self.gates[index].cell]

    def load(self, net: int) -> float:
        """Capacitance of the pins at a net, the most of both edges."""
        return sum(self._capacitance(*sink) for sink in self.sinks[net])

    def _capacitance(self, index: int, pin: str) -> float:
        return max(self.cell(index).pins[pin].edge_capacitances)

    def outputs(self, index: int) -> list[tuple[str, int]]:
        """Output pins of a gate that drive something, with their nets; no clocks."""
        gate, cell = self.gates[index], self.cell(index)
        nets = [(pin, gate.nets[pin]) for pin in cell.outputs if pin in gate.nets]
        return [(pin, net) for pin, net in nets if net not in self.fixed]

    def most_load(self, cell: Cell, name: str) -> float:
        """Load that an output of a cell may have by the library's limits and tables."""
        if (cell.name, name) not in self.most:
            self.most[cell.name, name] = _most_load(cell, name)
        return self.most[cell.name, name]

    def fits(self, index: int, cell: Cell) -> bool:
        """Whether a cell in a gate's place may drive what the gate drives."""
        outputs = self.outputs(index)
        return all(self.load(net) <= self.most_load(cell, pin) for pin, net in outputs)

    def keep_limits(self) -> None:
        """Size and buffer gates that drive too much, from the ends of paths to their starts."""
        levels = MappedNetlist(self.start, self.library).levels
        logic = [int(gate) for group in reversed(levels) for gate in group.gates]
        others = sorted(set(range(len(self.gates))) - set(logic))
        for index in [*logic, *others]:
            self.keep_limit(index)

    def keep_limit(self, index: int) -> None:
        """Give one gate a size that may drive its load, or else its net buffers."""
        while not self.fits(index, self.cell(index)):
            for cell in self.sizes.get(self.gates[index].cell, ()):
                if cell.area >= self.cell(index).area and self.fits(index, cell):
                    self.resize(index, cell)
                    return
            outputs = [net for _, net in self.outputs(index)]
            if not sum(self.split(index, net) for net in outputs):
                return

    def resize(self, index: int, cell: Cell) -> None:
        self.gates[index] = replace(self.gates[index], cell=cell.name)

    def split(self, index: int, net: int) -> bool:
        """Put buffers before the pins of a net, if these are fewer; tells whether it did."""
        if not self.buffers:
            return False
        cell = max(self.buffers, key=lambda one: self._most_of(one) / one.area)
        most = self._most_of(cell)
        bins: list[list[tuple[int, str]]] = []
        room = 0.0
        for sink in self.sinks[net]:
            needed = self._capacitance(*sink)
            if not bins or needed > room:
                bins.append([])
                room = most
            bins[-1].append(sink)
            room -= needed
        if len(bins) >= len(self.sinks[net]):
            return False
        for sinks in bins:
            self.insert(cell, net, sinks, self.gates[index].path)
        return True

    def _most_of(self, buffer: Cell) -> float:
        return self.most_load(buffer, buffer.outputs[0])

    def insert(
        self, cell: Cell, net: int, sinks: Sequence[tuple[int, str]], path: tuple[str, ...]
    ) -> None:
        """Put a buffer between a net and some of the pins that it drives."""
        (source,), (output,) = cell.inputs, cell.outputs
        new, self.nets = self.nets, self.nets + 1
        moved = set(sinks)
        self.sinks[net] = [sink for sink in self.sinks[net] if sink not in moved]
        for sink, pin in sinks:
            gate = self.gates[sink]
            self.gates[sink] = replace(gate, nets={**gate.nets, pin: new})
        self.sinks[new] = list(sinks)
        self.gates.append(Gate(path, cell.name, {source: net, output: new}))
        self._join(len(self.gates) - 1)

    def speed_up(self, mapped: MappedNetlist, timing: Timing, required: Numbers) -> bool:
        """Make gates of the slowest paths faster, no two that are joined; tells whether any was."""
        slacks = (required - timing.arrivals).min(axis=0)
        bound = timing.slack_ns * CRITICAL_SHARE
        critical = [
            (float(slacks[net]), index)
            for index in range(len(self.gates))
            for _, net in self.outputs(index)
            if slacks[net] < bound
        ]
        view = _View(self, timing, slacks, bound)
        touched: set[int] = set()
        changed = False
        for _, index in sorted(critical):
            around = {index, *self._neighbors(index)}
            if around & touched:
                continue
            if view.enlarge(index) or view.relieve(index):
                touched |= around
                changed = True
        return changed

    def _neighbors(self, index: int) -> Iterable[int]:
        cell = self.cell(index)
        for pin, net in self.gates[index].nets.items():
            if net in self.fixed:
                continue
            if cell.pins[pin].direction == "output":
                yield from (sink for sink, _ in self.sinks[net])
            elif net in self.drivers:
                yield self.drivers[net]


@dataclass(frozen=True)
class _View:
    """A netlist being sized, as a timer saw it: slacks by net, and below which they are critical.

    Nets that are put in since are not critical.
    """

    sizer: _Sizer
    timing: Timing
    slacks: Numbers
    bound: float

    def slack(self, net: int) -> float:
        return float(self.slacks[net]) if net < len(self.slacks) else np.inf

    def delay(self, index: int, cell: Cell, extra: float) -> float:
        """Delay of a cell in a gate's place along its slowest way, with `extra` load in pF."""
        slowest = 0.0
        gate, nets = self.sizer.gates[index], len(self.slacks)
        clocked = cell.flip_flop is not None
        for pin, net in self.sizer.outputs(index):
            if self.slack(net) >= self.bound:
                continue
            load = np.array([self.sizer.load(net) + extra])
            for arc in cell.pins[pin].arcs:
                source = gate.nets.get(arc.related, LOW)
                if arc.kind not in ("combinational", "rising_edge") or source >= nets:
                    continue
                if not clocked and self.slack(source) >= self.bound:
                    continue
                slew = np.array([self.timing.slews[:, source].max()])
                for table in arc.delays:
                    if table is not None:
                        slowest = max(slowest, float(table.at(slew, load)[0]))
        return slowest

    def enlarge(self, index: int) -> bool:
        """Take the size that makes the way through a gate and what drives it fastest."""
        sizer = self.sizer
        now = sizer.cell(index)
        best, gain = now, LEAST_GAIN_NS
        for cell in sizer.sizes.get(now.name, ()):
            if cell is now or not sizer.fits(index, cell):
                continue
            found = self.delay(index, now, 0.0) - self.delay(index, cell, 0.0)
            found -= self._slower_before(index, now, cell)
            if found > gain:
                best, gain = cell, found
        sizer.resize(index, best)
        return best is not now

    def _slower_before(self, index: int, now: Cell, cell: Cell) -> float:
        """How much later the slowest of the nets before a gate comes when the gate changes."""
        sizer, later = self.sizer, 0.0
        for pin in now.inputs:
            net = sizer.gates[index].nets.get(pin, LOW)
            if net not in sizer.drivers or self.slack(net) >= self.bound:
                continue
            driver = sizer.drivers[net]
            extra = max(cell.pins[pin].edge_capacitances) - max(now.pins[pin].edge_capacitances)
            before = self.delay(driver, sizer.cell(driver), 0.0)
            later = max(later, self.delay(driver, sizer.cell(driver), extra) - before)
        return later

    def relieve(self, index: int) -> bool:
        """Put what can wait at a gate's nets behind a buffer, where that helps."""
        sizer = self.sizer
        cell = sizer.cell(index)
        done = False
        for _, net in sizer.outputs(index):
            waiting = [sink for sink in sizer.sinks[net] if self._waits(*sink)]
            load = sum(sizer._capacitance(*sink) for sink in waiting)
            for buffer in sizer.buffers if len(waiting) > 1 else ():
                (pin,) = buffer.inputs
                extra = max(buffer.pins[pin].edge_capacitances) - load
                if load > sizer._most_of(buffer) or extra >= 0:
                    continue
                gain = self.delay(index, cell, 0.0) - self.delay(index, cell, extra)
                if gain > LEAST_GAIN_NS:
                    sizer.insert(buffer, net, waiting, sizer.gates[index].path)
                    done = True
                break
        return done

    def _waits(self, index: int, pin: str) -> bool:
        """Whether what a pin leads to has time to spare."""
        outputs = self.sizer.outputs(index)
        if self.sizer.cell(index).flip_flop is not None or not outputs:
            return False
        return all(self.slack(net) > -self.bound for _, net in outputs)


def _most_load(cell: Cell, name: str) -> float:
    """Most that an output may drive: its slews stay within the share of the largest."""
    pin = cell.pins[name]
    arcs = [arc for arc in pin.arcs if arc.kind in ("combinational", "rising_edge")]
    tables = [table for arc in arcs for table in (arc.slews[RISE], arc.slews[FALL]) if table]
    if not tables:
        return pin.most_load
    largest = min(pin.most_slew, *(float(table.slews[-1] or np.inf) for table in tables))
    most = min(pin.most_load, 2 * max(float(table.loads[-1]) for table in tables))
    if not (np.isfinite(largest) and most > 0):
        return pin.most_load
    loads = np.linspace(0.0, most, POINTS)
    slew = np.full(POINTS, SLEW_SHARE * largest / 2)
    worst = np.max([table.at(slew, loads) for table in tables], axis=0)
    fitting = np.flatnonzero(worst <= SLEW_SHARE * largest)
    return float(loads[fitting[-1]]) if len(fitting) else 0.0
