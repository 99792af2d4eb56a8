"""Static timing: when every net settles at the latest, with which slew, and the least slack.

Delays and slews are those of the library's tables, at the load of the pins alone. The clock is
ideal: it comes everywhere at once and without slew. Only the latest arrivals are followed, so holds
are not checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.rtl.gates.cells import Arc
from pilaster.rtl.gates.netlist import HIGH, LOW
from pilaster.rtl.gates.nodes import CellGroup, MappedNetlist

__all__ = ["FALL", "RISE", "PathPoint", "Timing", "analyze_timing", "required_times"]

Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]

RISE, FALL = 0, 1
_NEVER = -np.inf


@dataclass(frozen=True)
class PathPoint:
    """A step of a path: a net, what drives it, and when it settles."""

    driver: str
    arrival_ns: float


@dataclass(frozen=True, eq=False)
class Timing:
    """Arrivals and slews of a netlist.

    Attributes
    ----------
    arrivals, slews : (edges, nets) in ns; an arrival of minus infinity where nothing arrives
    slack_ns : least of all setup slacks, at the period analyzed
    path : the path that has it, from its start
    """

    period_ns: float
    arrivals: Numbers
    slews: Numbers
    slack_ns: float
    path: tuple[PathPoint, ...]

    @property
    def fastest_mhz(self) -> float:
        """Clock at which the slack would be nothing."""
        return 1e3 / (self.period_ns - self.slack_ns)


class _Analysis:
    def __init__(self, mapped: MappedNetlist) -> None:
        nets = mapped.netlist.nets
        self.mapped = mapped
        self.arrivals = np.full((2, nets), _NEVER)
        self.slews = np.zeros((2, nets))
        self.sources = np.full((2, nets), -1)  # of each edge, the edge and net that made it
        self.drivers = np.full(nets, -1)
        for group in mapped.groups:
            for pin in group.cell.outputs:
                self.drivers[group.nets[pin][group.joined[pin]]] = group.gates[group.joined[pin]]

    def start(self, nets: Sequence[int]) -> None:
        """Let nets settle with the clock edge, without slew."""
        self.arrivals[:, list(nets)] = 0.0

    def follow(self, group: CellGroup, pin: str, arc: Arc, clocked: bool) -> None:
        """Bring the edges of an arc's input to its output."""
        output, source = group.nets[pin], group.nets[arc.related]
        joined = group.joined[pin]
        output, source = output[joined], source[joined]
        for edge in (RISE, FALL):
            load = self.mapped.edge_loads[edge, output]
            delay, slew = arc.delays[edge], arc.slews[edge]
            if delay is None:
                continue
            for cause in _causes(arc, edge, clocked):
                came = self.arrivals[cause, source]
                slope = self.slews[cause, source]
                arrival = came + delay.at(slope, load)
                after = np.zeros(len(load)) if slew is None else slew.at(slope, load)
                later = arrival > self.arrivals[edge, output]
                where = output[later]
                self.arrivals[edge, where] = arrival[later]
                self.sources[edge, where] = cause * self.mapped.netlist.nets + source[later]
                # The worst slew, whichever input makes it, as a timer has it.
                reached = np.isfinite(arrival)
                worst = np.maximum(self.slews[edge, output], np.where(reached, after, 0.0))
                self.slews[edge, output] = worst

    def path(self, edge: int, net: int) -> tuple[PathPoint, ...]:
        """Steps that brought an edge to a net."""
        points: list[PathPoint] = []
        gates = self.mapped.netlist.gates
        while net >= 0:
            driver = int(self.drivers[net])
            name = self.mapped.source_name(net)
            if driver >= 0:
                name = ".".join([*gates[driver].path, gates[driver].cell])
            points.append(PathPoint(name, float(self.arrivals[edge, net])))
            source = int(self.sources[edge, net])
            if source < 0 or source % self.mapped.netlist.nets in self.mapped.clocks:
                break
            edge, net = divmod(source, self.mapped.netlist.nets)
        return tuple(reversed(points))


def _causes(arc: Arc, edge: int, clocked: bool) -> tuple[int, ...]:
    """Edges of the input that make an edge of the output."""
    if clocked:
        return (FALL,) if arc.kind == "falling_edge" else (RISE,)
    match arc.sense:
        case "positive_unate":
            return (edge,)
        case "negative_unate":
            return (1 - edge,)
    return (RISE, FALL)


def analyze_timing(
    mapped: MappedNetlist,
    period_ns: float,
    memory_delays: Mapping[int, float],
    memory_setups: Mapping[int, float],
) -> Timing:
    """Find arrivals, slews and the least slack.

    Parameters
    ----------
    memory_delays : by net of a memory's read data, ns from the clock edge to them
    memory_setups : by net that a memory reads, ns that it has to settle before the clock edge
    """
    run = _Analysis(mapped)
    netlist = mapped.netlist
    inputs = [net for port in netlist.ports if port.direction == "input" for net in port.nets]
    run.start([*inputs, *mapped.clocks, LOW, HIGH])
    for net, delay in memory_delays.items():
        run.arrivals[:, net] = delay
    for group in mapped.groups:
        if group.cell.flip_flop is not None:
            for pin in group.cell.outputs:
                for arc in group.cell.pins[pin].arcs:
                    if arc.kind in ("rising_edge", "falling_edge"):
                        run.follow(group, pin, arc, clocked=True)
    for group in mapped.levels:
        for pin in group.cell.outputs:
            for arc in group.cell.pins[pin].arcs:
                if arc.kind == "combinational":
                    run.follow(group, pin, arc, clocked=False)
    slack, end = _least_slack(run, period_ns, memory_setups)
    return Timing(period_ns, run.arrivals, run.slews, slack, run.path(*end))


def required_times(
    mapped: MappedNetlist, timing: Timing, memory_setups: Mapping[int, float]
) -> Numbers:
    """When every net must settle for its paths to keep the clock: (edges, nets) in ns.

    Infinite where nothing depends on a net.
    """
    required = np.full(timing.arrivals.shape, np.inf)
    for edge, nets, setup in _ends(mapped, timing.slews, memory_setups):
        np.minimum.at(required[edge], nets, timing.period_ns - setup)
    for group in reversed(mapped.levels):
        for pin in group.cell.outputs:
            joined = group.joined[pin]
            output = group.nets[pin][joined]
            for arc in group.cell.pins[pin].arcs:
                if arc.kind != "combinational":
                    continue
                source = group.nets[arc.related][joined]
                for edge in (RISE, FALL):
                    table = arc.delays[edge]
                    if table is None:
                        continue
                    load = mapped.edge_loads[edge, output]
                    for cause in _causes(arc, edge, clocked=False):
                        delay = table.at(timing.slews[cause, source], load)
                        np.minimum.at(required[cause], source, required[edge, output] - delay)
    return required


def _ends(
    mapped: MappedNetlist, slews: Numbers, memory_setups: Mapping[int, float]
) -> Iterator[tuple[int, Indices, Numbers]]:
    """Nets where paths end, by edge, with the setup that each has to keep."""
    for group in mapped.groups:
        for pin in group.cell.inputs:
            for arc in group.cell.pins[pin].arcs:
                if arc.kind != "setup_rising":
                    continue
                for edge in (RISE, FALL):
                    table = arc.delays[edge]
                    if table is not None:
                        nets = group.nets[pin][group.joined[pin]]
                        yield edge, nets, table.at(slews[edge, nets], np.zeros(len(nets)))
    outputs = [p.nets for p in mapped.netlist.ports if p.direction == "output"]
    for edge in (RISE, FALL):
        for port in outputs:
            yield edge, np.array(port), np.zeros(len(port))
        yield edge, np.array([*memory_setups], int), np.array([*memory_setups.values()], float)


def _least_slack(
    run: _Analysis, period_ns: float, memory_setups: Mapping[int, float]
) -> tuple[float, tuple[int, int]]:
    """Give the least slack, and the edge and net at which it is."""
    least, end = np.inf, (RISE, LOW)
    for edge, nets, setup in _ends(run.mapped, run.slews, memory_setups):
        if not len(nets):
            continue
        slacks = period_ns - setup - run.arrivals[edge, nets]
        index = int(np.argmin(slacks))
        if slacks[index] < least:
            least, end = float(slacks[index]), (edge, int(nets[index]))
    return least, end
