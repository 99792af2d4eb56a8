"""The multi-cycle scheme of Liu, Cao and Duan (Sensors 2023, 23(4), 2045), evaluated.

Published is how much less power the scheme needs, and that this grows with depth, kernel size and
channels. Its clock, widths, baseline and equations are not public: `ASSUMPTIONS` says what is taken
in their place. Nothing here is tuned to the published figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context

from pilaster.models.energy.table import EnergyTable
from pilaster.models.graph import Graph
from pilaster.models.layers import Conv, Window
from pilaster.models.network import Network
from pilaster.models.shape import Padding, Shape
from pilaster.models.zoo import ZOO
from pilaster.models.zoo.synthetic import synthetic
from pilaster.reports.reproduce.idle import study_tables
from pilaster.reports.reproduce.policies import Pair, least_lanes_latency, map_pair

__all__ = [
    "ASSUMPTIONS",
    "FAMILIES",
    "PUBLISHED",
    "Reduction",
    "StageSlack",
    "Study",
    "Task",
    "run_study",
    "tasks",
]

SOURCE = "Liu, Cao, Duan, Sensors 2023, 23(4), 2045, doi 10.3390/s23042045, abstract"
PUBLISHED = {"lenet5": 0.0845, "alexnet": 0.4941, "vgg16": 0.5064}
"""Largest power reduction that `SOURCE` gives."""

INTERVALS = {
    "lenet5": (128, 256, 512, 1024, 2048),
    "alexnet": (2048, 4096, 8192, 16384, 32768),
    "vgg16": (8192, 16384, 32768, 65536, 131072),
}
"""Column intervals in cycles; that in the middle is the one of the other sensitivities."""

TABLES = ("eyeriss65", "horowitz45", "ihp130")
CLOCKED = tuple(f"{name}-clocked" for name in TABLES)
POWER_TABLE = CLOCKED[0]
"""The published node."""
LEAKING_TABLE = "horowitz45-clocked"
"""The table in which leakage of lanes makes the clock matter."""

CLOCK_MHZ = 200.0
MORE_CLOCKS_MHZ = (10.0, 1000.0)
BITS = 8
MORE_BITS = (4, 16)
LANE_SHARES = (1.0, 0.25)
MORE_SHARES = (0.25, 0.125, 0.0625)

FAMILIES = {
    "depth": (1, 2, 3, 4, 6, 8),
    "kernel": (3, 5, 7, 9, 11),
    "channels": (4, 8, 16, 32, 64),
}
"""Synthetic networks: what varies, and its values. The others are those of `FAMILY_CENTER`."""

FAMILY_CENTER = {"depth": 3, "kernel": 3, "channels": 16}
FAMILY_SIDE = 32
FAMILY_INTERVALS = (256, 2048)

ASSUMPTIONS = (
    "the published clock, widths, baseline, equations and layer tables are unknown",
    "the scheme is this project's own reading of its abstract: only the kernel column that "
    "completes an output column is on the critical path, the others may take until they are needed",
    "the baseline (immediate) has all open kernel columns of a stage in parallel, so that each has "
    "the time of the completing one; both are the mapper's best machines of one space",
    "both take a column at the same interval and may have the same latency after the last column: "
    "a share of that of the immediate machine with the fewest lanes of all",
    "networks: LeNet-5 for 32x32, AlexNet with two groups and no normalization, VGG-16; fully "
    "connected layers included; shapes are real, weights are seeded, none is zero",
    "no activation is zero; all weights are on chip; the schedule is scatter",
    "8-bit weights and activations unless a row says otherwise; the clock is 200 MHz likewise",
    "a table as shipped makes hardware that waits free; a clocked one clocks every pipeline "
    "register in every cycle; no table has the clock tree, wires, control or input and output",
)


@dataclass(frozen=True)
class Reduction:
    """Two machines for one request under one table: what the multi-cycle one does without.

    Attributes
    ----------
    study : what varies: "interval", "free idling", "slack", "widths", "clock", or a family's name
    network : a name of the zoo, or the value that varies in a family
    objective : what both machines have least of: "lanes", or "power" by the row's table
    latency_share : of the latency of the immediate machine with the fewest lanes of all
    proven : whether no machine of the space is better, for both
    lanes_saved, power_saved : shares of the immediate machine's
    """

    study: str
    network: str
    objective: str
    column_interval_cycles: int
    latency_share: float
    max_latency_cycles: int
    bits: int
    clock_mhz: float
    table: str
    immediate_lanes: int
    multi_cycle_lanes: int
    proven: bool
    immediate_mw: float
    multi_cycle_mw: float

    @property
    def lanes_saved(self) -> float:
        """Share of the lanes that the multi-cycle machine does without."""
        return 1 - self.multi_cycle_lanes / self.immediate_lanes

    @property
    def power_saved(self) -> float:
        """Share of the power that the multi-cycle machine saves; below 0 if it needs more."""
        return 1 - self.multi_cycle_mw / self.immediate_mw

    def as_dict(self) -> dict[str, str | int | float]:
        """Give plain values; units are in the names."""
        return {**vars(self), "lanes_saved": self.lanes_saved, "power_saved": self.power_saved}


@dataclass(frozen=True)
class StageSlack:
    """A stage of a machine: its lanes, work and slack, as in `StageMapping`."""

    network: str
    policy: str
    column_interval_cycles: int
    max_latency_cycles: int
    stage: str
    lanes: int
    busy_cycles: int
    last_column_cycles: int
    slack_cycles: int

    def as_dict(self) -> dict[str, str | int | float]:
        """Give plain values; units are in the names."""
        return dict(vars(self))


@dataclass(frozen=True)
class Study:
    """All results: every reduction, and the stages by interval."""

    reductions: tuple[Reduction, ...]
    stages: tuple[StageSlack, ...]


@dataclass(frozen=True)
class Task:
    """Two machines to be mapped.

    Attributes
    ----------
    study : as in `Reduction`
    name : a name of the zoo, or a family
    size : the value that varies in the family; None for a network of the zoo
    table : that power is least by; None for the fewest lanes, priced by every table
    """

    study: str
    name: str
    size: int | None
    interval: int
    table: str | None = None
    share: float = 1.0
    bits: int = BITS
    clock_mhz: float = CLOCK_MHZ

    def network(self) -> Network:
        """Build the network."""
        graph = ZOO[self.name].build() if self.size is None else _family(self.name, self.size)
        return synthetic(graph, weight_bits=self.bits, activation_bits=self.bits)


def _family(name: str, size: int) -> Graph:
    """Build convolutions one after the other; they keep the side of their input."""
    sizes = {**FAMILY_CENTER, name: size}
    kernel, channels = sizes["kernel"], sizes["channels"]
    window = Window((kernel, kernel), padding=Padding.same(kernel // 2))
    layers = {
        f"conv{number}": Conv(channels, window, relu=True)
        for number in range(1, sizes["depth"] + 1)
    }
    return Graph.chain(f"{name}{size}", Shape(FAMILY_SIDE, FAMILY_SIDE, channels), layers)


def tasks(names: Iterable[str] = (*INTERVALS, *FAMILIES)) -> list[Task]:
    """List what the study maps, for some networks and families."""
    listed = []
    for name in names:
        if name in FAMILIES:
            for size in FAMILIES[name]:
                for interval in FAMILY_INTERVALS:
                    listed.append(Task(name, name, size, interval))
                    listed.append(Task(name, name, size, interval, POWER_TABLE))
            continue
        for interval in INTERVALS[name]:
            listed += [Task("interval", name, None, interval, share=s) for s in LANE_SHARES]
            listed += [Task("interval", name, None, interval, table) for table in CLOCKED]
        middle = _middle(name).interval
        listed += [Task("free idling", name, None, middle, table) for table in TABLES]
        listed += [Task("slack", name, None, middle, POWER_TABLE, s) for s in MORE_SHARES]
        listed += [Task("widths", name, None, middle, POWER_TABLE, bits=b) for b in MORE_BITS]
        listed += [
            Task("clock", name, None, middle, LEAKING_TABLE, clock_mhz=c) for c in MORE_CLOCKS_MHZ
        ]
    return listed


def _middle(name: str) -> Task:
    return Task("interval", name, None, INTERVALS[name][len(INTERVALS[name]) // 2])


def run_study(
    listed: Iterable[Task], workers: int = 1, progress: Callable[[int], None] = lambda done: None
) -> Study:
    """Map and price every task.

    Parameters
    ----------
    workers : processes that work at the same time
    progress : called with the number of tasks done
    """
    listed = list(listed)
    found: dict[Task, Study] = {}
    if workers == 1:
        for task in listed:
            found[task] = _run(task)
            progress(len(found))
    else:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            # Large networks first, so that none is left alone at the end.
            order = sorted(listed, key=lambda task: -task.network().graph.macs)
            waiting = {pool.submit(_run, task): task for task in order}
            for future in as_completed(waiting):
                found[waiting[future]] = future.result()
                progress(len(found))
    return Study(
        tuple(row for task in listed for row in found[task].reductions),
        tuple(row for task in listed for row in found[task].stages),
    )


@lru_cache
def _longest(name: str, size: int | None, interval: int) -> int:
    """Latency of the immediate machine with the fewest lanes: the same for all widths."""
    return least_lanes_latency(Task("", name, size, interval).network(), interval)


def _run(task: Task) -> Study:
    longest = _longest(task.name, task.size, task.interval)
    tables = study_tables(TABLES, task.bits, task.bits)
    objective, table = "lanes", None
    if task.table is not None:
        tables = tuple(each for each in tables if each.name == task.table)
        objective, table = "power", tables[0]
    pair = map_pair(
        task.network(), task.interval, longest, task.share, objective, table, task.clock_mhz
    )
    shown = task.name in INTERVALS and task == replace(_middle(task.name), share=LANE_SHARES[-1])
    return Study(tuple(_price(task, pair, tables)), tuple(_stages(task, pair)) if shown else ())


def _price(task: Task, pair: Pair, tables: Iterable[EnergyTable]) -> Iterator[Reduction]:
    immediate, deferred = pair.counted()
    latency = pair.immediate.max_latency_cycles
    assert latency is not None
    for table in tables:
        yield Reduction(
            study=task.study,
            network=task.name if task.size is None else str(task.size),
            objective=pair.objective,
            column_interval_cycles=task.interval,
            latency_share=task.share,
            max_latency_cycles=latency,
            bits=task.bits,
            clock_mhz=task.clock_mhz,
            table=table.name,
            immediate_lanes=pair.immediate.lanes,
            multi_cycle_lanes=pair.deferred.lanes,
            proven=pair.immediate.proven and pair.deferred.proven,
            immediate_mw=immediate.power_mw(table, task.clock_mhz),
            multi_cycle_mw=deferred.power_mw(table, task.clock_mhz),
        )


def _stages(task: Task, pair: Pair) -> Iterator[StageSlack]:
    for found in (pair.immediate, pair.deferred):
        for stage in found.stages:
            yield StageSlack(
                network=task.name,
                policy=found.policy,
                column_interval_cycles=task.interval,
                max_latency_cycles=found.max_latency_cycles or 0,
                stage=stage.name,
                lanes=stage.lanes,
                busy_cycles=stage.busy_cycles,
                last_column_cycles=stage.last_column_cycles,
                slack_cycles=stage.slack_cycles,
            )
