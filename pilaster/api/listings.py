"""What comes with Pilaster: networks, machines, energy tables and boards, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pilaster.models.energy import EnergyTable
    from pilaster.models.importers.operators import SupportedOperator
    from pilaster.models.shape import Shape
    from pilaster.rtl.boards.catalog import Board

__all__ = [
    "ListedMachine",
    "ListedNetwork",
    "boards",
    "machines",
    "networks",
    "operators",
    "tables",
]


@dataclass(frozen=True)
class ListedNetwork:
    """A network that `load` knows by name.

    Attributes
    ----------
    input_shape : shape of an image
    macs : multiply-accumulates per image, including products with padding
    trained : True if the network has trained weights; otherwise its weights are seeded noise
    """

    title: str
    input_shape: Shape
    layers: int
    macs: int
    trained: bool


@dataclass(frozen=True)
class ListedMachine:
    """A machine that `load_machine` knows by name.

    Attributes
    ----------
    schedules : schedules that its stages use
    column_interval_cycles : cycles between two input columns
    lanes : number of multipliers in all stages
    """

    network: str
    schedules: tuple[str, ...]
    column_interval_cycles: int
    lanes: int


def networks() -> Mapping[str, ListedNetwork]:
    """Return the networks that come with Pilaster, by name.

    Examples
    --------
    >>> import pilaster as pl
    >>> pl.networks()["lenet5"].macs
    416520
    """
    from pilaster.models.zoo import ZOO

    listed = {}
    for name, entry in ZOO.items():
        graph = entry.build()
        listed[name] = ListedNetwork(
            entry.title, graph.input_shape, len(graph.nodes), graph.macs, entry.trained
        )
    return listed


def machines() -> Mapping[str, ListedMachine]:
    """Return the machines that come with Pilaster, by name.

    Examples
    --------
    >>> import pilaster as pl
    >>> pl.machines()["lenet5"].lanes
    87
    """
    from pilaster.models.layers import Weighted
    from pilaster.models.zoo import ZOO
    from pilaster.sim.machine_file import load_machine, machine_names

    listed = {}
    for name in machine_names():
        machine = load_machine(name)
        nodes = ZOO[machine.network].build().nodes
        laned = [node.name for node in nodes if isinstance(node.layer, Weighted)]
        listed[name] = ListedMachine(
            machine.network,
            tuple(sorted({str(spec.schedule) for spec in machine.stages.values()})),
            machine.column_interval,
            sum(machine.stages[layer].fold.lanes for layer in laned),
        )
    return listed


def tables() -> Mapping[str, EnergyTable]:
    """Return the energy tables that come with Pilaster, by name.

    Examples
    --------
    >>> import pilaster as pl
    >>> [name for name, table in pl.tables().items() if table.has_area]
    ['horowitz45', 'ihp130']
    """
    from pilaster.models.energy import EnergyTable, table_names

    return {name: EnergyTable.load(name) for name in table_names()}


def boards() -> Mapping[str, Board]:
    """Return the boards that `bitstream` supports, by name.

    Examples
    --------
    >>> import pilaster as pl
    >>> pl.boards()["icebreaker"].device.luts
    5280
    """
    from pilaster.rtl.boards.catalog import BOARDS

    return dict(BOARDS)


def operators() -> tuple[SupportedOperator, ...]:
    """Return the operators that `load` supports in files, by format and name.

    Examples
    --------
    >>> import pilaster as pl
    >>> [o.name for o in pl.operators() if o.format == ".tflite" and o.support == "host"][:2]
    ['ARG_MAX', 'DEQUANTIZE']
    """
    from pilaster.models.importers.operators import supported_operators

    return supported_operators()
