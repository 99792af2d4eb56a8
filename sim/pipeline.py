"""A network on a machine: the stages in order, checked against both."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pilaster.models.errors import InputError
from pilaster.models.graph import Node
from pilaster.models.layers import Join, Pool
from pilaster.models.network import Network
from pilaster.models.quantization import signed_bits
from pilaster.sim.geometry import ConvGeometry
from pilaster.sim.machine import Machine, StageSpec
from pilaster.sim.stages import ConvStage, PoolStage, Stage, Widths

__all__ = ["Pipeline", "build_stage", "check_chain"]


@dataclass(frozen=True, eq=False)
class Pipeline:
    """The stages of `network` as `machine` lays them out, in the graph's order.

    Raises
    ------
    InputError
        If the network is no chain, a stage is missing or unknown, a fold does not fit its layer, or
        the weights kept on chip do not fit the machine's memory.
    """

    network: Network
    machine: Machine

    def __post_init__(self) -> None:
        check_chain(self.network)
        names = [node.name for node in self.network.graph.nodes]
        for name in self.machine.stages:
            if name not in names:
                close = difflib.get_close_matches(name, names, 1)
                hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(names)}"
                raise InputError(f"{self._where}: stage {name} is no layer of the network{hint}")
        for name in names:
            if name not in self.machine.stages:
                raise InputError(f"{self._where}: layer {name} has no stage")
        limit = self.machine.weight_memory_bits
        if limit is not None and self.weight_bits_on_chip > limit:
            raise InputError(
                f"{self._where}: weight_memory_bits: {limit} bits do not hold the "
                f"{self.weight_bits_on_chip} bits of weights kept on chip; give more, or "
                f"dram_bits_per_cycle to some stages"
            )

    @property
    def _where(self) -> str:
        return f"machine {self.machine.name} for {self.network.name}"

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The stages, in the graph's order."""
        try:
            return tuple(
                build_stage(self.network, node, self.machine.stages[node.name])
                for node in self.network.graph.nodes
            )
        except InputError as error:
            raise InputError(f"{self._where}: {error}") from error

    @cached_property
    def consumers(self) -> Mapping[str, int]:
        """Index of the stage that reads each stage's output, by the stage's name."""
        index = {stage.name: i for i, stage in enumerate(self.stages)}
        readers = self.network.graph.consumers
        return {name: index[readers[name][0].name] for name in index if readers[name]}

    @property
    def lanes(self) -> int:
        """Multipliers of all stages."""
        return sum(stage.lanes for stage in self.stages)

    @property
    def weight_bits_on_chip(self) -> int:
        """Bits of weights that stay on chip."""
        return sum(
            stage.weight_sets * stage.lanes * stage.widths.weight
            for stage in self.stages
            if isinstance(stage, ConvStage) and not stage.spec.dram_bits_per_cycle
        )


def check_chain(network: Network) -> None:
    """Check that every layer reads one tensor, and every tensor has one reader.

    Raises
    ------
    InputError
        If not; the message names the first layer or tensor that is otherwise.
    """
    for node in network.graph.nodes:
        if isinstance(node.layer, Join):
            raise InputError(
                f"{network.name}: layer {node.name} joins {len(node.inputs)} tensors; "
                f"machines are for chains of layers as yet"
            )
    for name, readers in network.graph.consumers.items():
        if len(readers) > 1:
            raise InputError(
                f"{network.name}: {name} is read by {' and '.join(n.name for n in readers)}; "
                f"machines are for chains of layers as yet"
            )


def build_stage(network: Network, node: Node, spec: StageSpec) -> Stage:
    """Lay one layer of `network`, which is a chain, on a stage."""
    assert not isinstance(node.layer, Join)
    shape = network.graph.input_of(node)
    source, target = network.tensors[node.inputs[0]], network.tensors[node.name]
    if isinstance(node.layer, Pool):
        return PoolStage(node.name, node.layer, shape, spec, source.bits)
    geometry = ConvGeometry(node.layer.as_conv(shape), shape)
    precision = network.precisions[node.name]
    terms = int(np.prod(node.layer.weight_shape(shape)[1:]))
    largest = max(1, (1 << (precision.weight_bits - 1)) - 1)
    if network.dense:
        # One bit more than the products need, for the bias.
        accumulator = signed_bits(source.magnitude * largest * terms) + 1
    else:
        bound = network.parameters[node.name].accumulator_bound(source.magnitude)
        accumulator = signed_bits(bound)
    widths = Widths(
        activation=source.bits,
        weight=precision.weight_bits,
        accumulator=accumulator,
        scale=precision.scale_bits,
        output=target.bits,
    )
    stage = ConvStage(node.name, node.layer.kind, geometry, spec, widths)
    if network.dense:
        return stage
    present = _present(stage, network.parameters[node.name].weight)
    return ConvStage(node.name, node.layer.kind, geometry, spec, widths, present)


def _present(stage: ConvStage, weight: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Find the tiles of weights that are not all zero."""
    geometry, fold = stage.geometry, stage.fold
    _, outs, ins, taps = stage.tile_shape
    real = geometry.fold_weights(weight != 0)
    tiled = real.reshape(geometry.tiled_groups, geometry.out_channels, *real.shape[1:])
    outs_per_group = outs // geometry.tiled_groups
    padded = np.zeros(
        (
            geometry.tiled_groups,
            outs_per_group * fold.out_channels,
            taps * fold.taps,
            geometry.kernel_columns,
            ins * fold.in_channels,
        ),
        bool,
    )
    padded[:, : tiled.shape[1], : tiled.shape[2], :, : tiled.shape[4]] = tiled
    split = padded.reshape(
        outs, fold.out_channels, taps, fold.taps, geometry.kernel_columns, ins, fold.in_channels
    )
    by_column: NDArray[np.bool_] = np.any(split, axis=(1, 3, 6))  # (outs, taps, columns, ins)
    by_group = [by_column[:, :, list(members)].any(axis=2) for members in stage.groups]
    return np.stack(by_group).transpose(0, 1, 3, 2)
