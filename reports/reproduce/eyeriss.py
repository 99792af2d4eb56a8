"""Compare a column-wise machine that has Eyeriss' budget with measurements of the chip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml

from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.energy.table import EnergyTable
from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.layers import Conv
from pilaster.models.network import Network
from pilaster.models.zoo import ZOO
from pilaster.models.zoo.synthetic import synthetic
from pilaster.reports.reproduce.idle import idle_table
from pilaster.reports.reproduce.price import Counted, count_machine
from pilaster.sim.mapper import Mapping, map_network
from pilaster.sim.stages import ConvStage
from pilaster.sim.stages.kinds import kind_of
from pilaster.sim.utilization import utilization

__all__ = ["NETWORKS", "PIPELINE", "WHOLE", "Chip", "Measured", "Row", "chip", "compare"]

NETWORKS = ("alexnet", "vgg16")
TABLE = "eyeriss65"
WHOLE = "all convolutions"
PIPELINE = "pipeline of all"


@dataclass(frozen=True)
class Measured:
    """One layer on the chip, over a batch."""

    power_mw: float
    total_ms: float
    processing_ms: float
    zeros_percent: float
    buffer_mb: float
    dram_mb: float


@dataclass(frozen=True)
class Chip:
    """The chip: its budget and its measurements.

    Attributes
    ----------
    memory_bits : of all register files and the global buffer
    batches : images in a batch, by network
    layers : by network and layer
    """

    source: str
    clock_mhz: float
    lanes: int
    bits: int
    memory_bits: int
    batches: dict[str, int]
    layers: dict[str, dict[str, Measured]]


@lru_cache
def chip() -> Chip:
    """Read what is published of Eyeriss."""
    file = Path(__file__).with_name("eyeriss.yaml")
    data: dict[str, Any] = yaml.safe_load(file.read_text())
    networks = data["networks"]
    return Chip(
        source=data["source"],
        clock_mhz=float(data["clock_mhz"]),
        lanes=data["lanes"],
        bits=data["bits"],
        memory_bits=8 * (data["lanes"] * data["register_file_bytes"] + data["global_buffer_bytes"]),
        batches={name: network["batch"] for name, network in networks.items()},
        layers={
            name: {layer: Measured(**values) for layer, values in network["layers"].items()}
            for name, network in networks.items()
        },
    )


@dataclass(frozen=True)
class Row:
    """A layer, or all of them, on the chip and on the column-wise machine; all of one image.

    On-chip energies leave DRAM out, as the chip's does; DRAM's is priced by the table for both.

    Attributes
    ----------
    layer : its name, "all convolutions" (one after the other) or "pipeline of all" (all at once,
        the lanes shared out)
    weights_in : "chip" or "DRAM"
    memory_kb : column buffers, partial sums and weights kept on chip
    used : `utilization` of the chip's lanes by the layer's multiplications as they are published:
        products with padding, which the machine does not do, count too
    no_zeros_mj : where no activation is zero; the others have the zeros measured on the chip
    clocked_mj : with every pipeline register clocked in every cycle
    """

    network: str
    layer: str
    lanes: int
    column_interval_cycles: int
    weights_in: str
    memory_kb: float
    used: float
    ms: float
    chip_ms: float
    on_chip_mj: float
    no_zeros_mj: float
    clocked_mj: float
    chip_mj: float
    dram_weights_mb: float
    dram_mb: float
    chip_dram_mb: float
    dram_mj: float
    chip_dram_mj: float

    def as_dict(self) -> dict[str, str | int | float]:
        """Give plain values; units are in the names."""
        return dict(vars(self))


def compare(
    names: Sequence[str] = NETWORKS,
    workers: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[Row, ...]:
    """Lay every convolution on the chip's lanes, one at a time, and all of them at once.

    Parameters
    ----------
    workers : processes that work at the same time
    progress : called with the number of rows done
    """
    asked = [(name, layer) for name in names for layer in (*chip().layers[name], PIPELINE)]
    found: dict[tuple[str, str], Row] = {}
    if workers == 1:
        for each in asked:
            found[each] = _row(*each)
            progress(len(found))
    else:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            waiting = {pool.submit(_row, *each): each for each in reversed(asked)}
            for future in as_completed(waiting):
                found[waiting[future]] = future.result()
                progress(len(found))
    return tuple(row for name in names for row in _rows_of(name, found))


def _rows_of(name: str, found: dict[tuple[str, str], Row]) -> Iterator[Row]:
    layers = [found[name, layer] for layer in chip().layers[name]]
    yield from layers
    yield _total(layers)
    yield found[name, PIPELINE]


def _total(rows: Sequence[Row]) -> Row:
    """Add up layers that run one after the other on lanes of their own fold."""
    added = {
        key: sum(getattr(row, key) for row in rows)
        for key in vars(rows[0])
        if key.endswith(("_mj", "_mb")) or key in ("ms", "chip_ms")
    }
    return replace(
        rows[0],
        layer=WHOLE,
        lanes=max(row.lanes for row in rows),
        column_interval_cycles=0,
        weights_in="",
        memory_kb=max(row.memory_kb for row in rows),
        used=sum(row.used * row.ms for row in rows) / sum(row.ms for row in rows),
        **added,
    )


def _row(name: str, layer: str) -> Row:
    graph = ZOO[name].build()
    last = list(chip().layers[name])[-1]
    graph = graph.until(last) if layer == PIPELINE else _alone(graph, graph.node(layer))
    network = synthetic(graph, weight_bits=chip().bits, activation_bits=chip().bits)
    interval = _least_interval(network)
    mapping, counted = _best(network, interval, layer != PIPELINE)
    return _described(name, layer, network, mapping, counted)


def _alone(graph: Graph, node: Node) -> Graph:
    return Graph(node.name, graph.input_of(node), (replace(node, inputs=(INPUT,)),))


def _least_interval(network: Network) -> int:
    """Find the least column interval that the chip's lanes hold.

    A machine that holds an interval holds every longer one, so that the fewest lanes never grow
    with the interval.
    """
    shape, lanes = network.graph.input_shape, chip().lanes

    def held(interval: int) -> bool:
        return map_network(network, column_interval=interval).lanes <= lanes

    low = shape.height - 1  # a column takes longer to arrive
    high = max(low + 1, network.graph.macs // (lanes * shape.width))
    if held(high):
        while True:
            lower = max(low, 3 * high // 4)
            if lower == low or not held(lower):
                low = lower
                break
            high = lower
    else:
        while not held(high):
            low, high = high, high + high // 16 + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if held(middle) else (middle, high)
    return high


def _best(network: Network, interval: int, weights_may_stay: bool) -> tuple[Mapping, Counted]:
    """Map to the least energy; weights stay on chip where all fits the chip's memories."""
    for most in (None, 1) if weights_may_stay else (1,):
        mapping = map_network(
            network,
            column_interval=interval,
            max_lanes=chip().lanes,
            objective="energy",
            table=TABLE,
            clock_mhz=chip().clock_mhz,
            on_chip_weight_bits=most,
        )
        counted = count_machine(network, mapping.machine)
        if _memory_bits(counted) <= chip().memory_bits:
            break
    return mapping, counted


def _memory_bits(counted: Counted) -> int:
    bits = 0
    for stage in counted.stages:
        storage = kind_of(stage).storage(stage)
        bits += storage.column_buffers + storage.psums
        bits += 0 if stage.spec.dram_bits_per_cycle else storage.weights
    return bits


def _described(name: str, layer: str, network: Network, mapping: Mapping, counted: Counted) -> Row:
    facts, graph = chip(), network.graph
    convolutions = [node.name for node in graph.nodes if isinstance(node.layer, Conv)]
    measured = [facts.layers[name][each] for each in convolutions]
    batch = facts.batches[name]
    zeros = {each: facts.layers[name][each].zeros_percent / 100 for each in convolutions}
    table = EnergyTable.load(TABLE)
    clocked = idle_table(table, facts.bits, facts.bits)
    with_zeros = count_machine(network, mapping.machine, zeros)

    def on_chip_mj(of: Counted, by: EnergyTable) -> float:
        energies = of.energies_pj(by, facts.clock_mhz)
        return 1e-9 * sum(value for key, value in energies.items() if key != Action.DRAM_READ)

    def dram_mj(megabytes: float) -> float:
        return 8e-3 * megabytes * table.energy_pj(Action.DRAM_READ, Attributes(bits=1))

    moved = graph.input_shape.size + graph.output_shape.size
    weights_mb = counted.dram_weight_bits / 8e6
    if all(isinstance(s, ConvStage) and not s.spec.dram_bits_per_cycle for s in counted.stages):
        # They stay while the layer works on an image, and make room for the next layer's.
        weights_mb = _weight_bits(network) / 8e6
    dram_mb = weights_mb + moved * facts.bits / 8e6
    chip_dram_mb = sum(each.dram_mb for each in measured) / batch
    cycles = counted.image_cycles
    in_dram = any(spec.dram_bits_per_cycle for spec in mapping.machine.stages.values())
    return Row(
        network=name,
        layer=layer,
        lanes=mapping.lanes,
        column_interval_cycles=mapping.column_interval_cycles,
        weights_in="DRAM" if in_dram else "chip",
        memory_kb=_memory_bits(counted) / 8192,
        used=utilization(graph.macs, facts.lanes, cycles),
        ms=cycles / facts.clock_mhz * 1e-3,
        chip_ms=sum(each.total_ms for each in measured) / batch,
        on_chip_mj=on_chip_mj(with_zeros, table),
        no_zeros_mj=on_chip_mj(counted, table),
        clocked_mj=on_chip_mj(with_zeros, clocked),
        chip_mj=sum(each.power_mw * each.total_ms for each in measured) / batch * 1e-3,
        dram_weights_mb=weights_mb,
        dram_mb=dram_mb,
        chip_dram_mb=chip_dram_mb,
        dram_mj=dram_mj(dram_mb),
        chip_dram_mj=dram_mj(chip_dram_mb),
    )


def _weight_bits(network: Network) -> int:
    graph, bits = network.graph, 0
    for node in graph.nodes:
        if isinstance(node.layer, Conv):
            count = 1
            for size in node.layer.weight_shape(graph.input_of(node)):
                count *= size
            bits += count * chip().bits
    return bits
