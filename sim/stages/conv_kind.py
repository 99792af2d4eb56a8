"""Convolutions and fully connected layers, as the simulator asks of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.graph import Node
from pilaster.models.layers import Weighted
from pilaster.models.network import Network
from pilaster.models.quantization import signed_bits
from pilaster.sim.beats import Beats
from pilaster.sim.geometry import ConvGeometry
from pilaster.sim.machine import Fold, LoopOrder, StageSpec
from pilaster.sim.stages.conv import ConvStage, Widths
from pilaster.sim.stages.conv_actions import (
    column_buffer_bits,
    column_phase_bits,
    conv_actions,
    lane_slots,
    psum_banks,
    psum_bits,
    register_bits,
    row_bits,
    row_sum_bits,
    weight_bits,
)
from pilaster.sim.stages.kind import Counted, Kind, Part, Storage, memory, powers_of_two

__all__ = ["ConvKind"]


_OF_BANKS = (Action.PSUM_READ, Action.PSUM_WRITE, Action.ROW_SUM_READ, Action.ROW_SUM_WRITE)


class ConvKind(Kind[ConvStage]):
    """Layers with weights."""

    def lay(self, network: Network, node: Node, spec: StageSpec) -> ConvStage:
        """Lay a convolution or a fully connected layer on a stage."""
        assert isinstance(node.layer, Weighted)
        shape = network.graph.input_of(node)
        source, target = network.tensors[node.inputs[0]], network.tensors[node.name]
        precision = network.precisions[node.name]
        terms = prod(node.layer.weight_shape(shape)[1:])
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
        geometry = ConvGeometry(node.layer.as_conv(shape), shape)
        stage = ConvStage(node.name, node.layer.kind, geometry, spec, widths)
        if network.dense:
            return stage
        return replace(stage, present=_present(stage, network.parameters[node.name].weight))

    def simple_folds(
        self, network: Network, node: Node, most_lanes: int | None = None
    ) -> Iterator[Fold]:
        """Yield folds of one kernel column at a time, so that deferred ones take several cycles."""
        assert isinstance(node.layer, Weighted)
        shape = network.graph.input_of(node)
        geometry = ConvGeometry(node.layer.as_conv(shape), shape)
        for order in [LoopOrder.PSUMS_HELD] if geometry.rows_out == 1 else LoopOrder:
            held = order is LoopOrder.PSUMS_HELD
            for taps in [1] if held else sorted({1, geometry.taps}):
                for ins in powers_of_two(geometry.channels):
                    for outs in powers_of_two(geometry.out_channels):
                        fold = Fold(taps, ins, outs, 1, 1, order)
                        if most_lanes is None or fold.lanes <= most_lanes:
                            yield fold

    def most_requantizers(self, fold: Fold) -> int:
        """Most requantizers that a fold may have: one for each output channel in parallel."""
        return fold.out_channels

    def weight_bits(self, network: Network, node: Node) -> int:
        """Bits of the weights of a layer."""
        assert isinstance(node.layer, Weighted)
        weights = prod(node.layer.weight_shape(network.graph.input_of(node)))
        return weights * network.precisions[node.name].weight_bits

    def actions(
        self,
        stage: ConvStage,
        sources: Sequence[Beats],
        images: int,
        nonzero: NDArray[np.int64] | None,
    ) -> Counted:
        """Yield (action, attributes, count)."""
        (source,) = sources
        if nonzero is None:
            shape = stage.geometry.shape
            nonzero = np.full((shape.height, shape.width, shape.channels), images, np.int64)
        return conv_actions(stage, source, images, nonzero)

    def lane_slots(self, stage: ConvStage) -> int:
        """Lane operations of an image, zero operands included."""
        return lane_slots(stage)

    def fetch_bits(self, stage: ConvStage) -> int:
        """Most bits of weights that come from DRAM in a cycle."""
        return stage.fetch_bits

    def register_bits(self, stage: ConvStage) -> int:
        """Bits of pipeline registers."""
        return register_bits(stage)

    def storage(self, stage: ConvStage) -> Storage:
        """Bits of the memories."""
        sums = psum_bits(stage) + row_sum_bits(stage)
        return Storage(column_buffer_bits(stage), sums, weight_bits(stage))

    def copies(self, stage: ConvStage, action: Action) -> int:
        """Phases of the column buffers, and banks of partial sums and of row sums."""
        if action in (Action.COLUMN_READ, Action.COLUMN_WRITE):
            return stage.geometry.row_fold
        return psum_banks(stage) if action in _OF_BANKS else 1

    def area_parts(self, stage: ConvStage) -> Iterator[Part]:
        """Yield the lanes, adders, requantizers, registers and memories."""
        fold, widths = stage.fold, stage.widths
        banks = psum_banks(stage)
        add = Attributes(bits=widths.accumulator)
        operands = Attributes(activation_bits=widths.activation, weight_bits=widths.weight)
        scale = Attributes(activation_bits=widths.accumulator, weight_bits=widths.scale)
        yield "multiply_area", operands, stage.lanes
        yield "multiply_area", scale, fold.requantizers
        # A lane adds its product; each sum adds to what waits; a requantizer rounds.
        yield "add_area", add, stage.lanes + fold.out_channels * banks + fold.requantizers
        yield "register_area", Attributes(bits=register_bits(stage)), 1
        phases = stage.geometry.row_fold
        phase = memory(-(-row_bits(stage) // phases), column_phase_bits(stage))
        yield "memory_area", phase, phases
        if stage.weight_sets > 1 and not stage.spec.dram_bits_per_cycle:
            yield "memory_area", Attributes(stage.lanes * widths.weight, stage.weight_sets), 1
        bits, word = psum_bits(stage), fold.out_channels * widths.accumulator
        if bits:
            yield "memory_area", Attributes(word, max(1, bits // word // banks)), banks
        if stage.row_sum_words:
            yield "memory_area", Attributes(word, stage.row_sum_words), banks


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
