"""Pooling layers, as the simulator asks of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pilaster.models.energy.actions import Attributes
from pilaster.models.graph import Node
from pilaster.models.layers import Pool
from pilaster.models.network import Network
from pilaster.sim.beats import Beats
from pilaster.sim.machine import StageSpec
from pilaster.sim.stages.kind import Counted, Kind, Part, Storage, memory
from pilaster.sim.stages.pool import PoolStage
from pilaster.sim.stages.pool_actions import (
    pool_actions,
    pool_column_buffer_bits,
    pool_psum_bits,
    pool_register_bits,
    sum_bits,
)

__all__ = ["PoolKind"]


class PoolKind(Kind[PoolStage]):
    """Max and average pooling."""

    def lay(self, network: Network, node: Node, spec: StageSpec) -> PoolStage:
        """Lay a pooling layer on a stage."""
        assert isinstance(node.layer, Pool)
        shape = network.graph.input_of(node)
        return PoolStage(node.name, node.layer, shape, spec, network.tensors[node.inputs[0]].bits)

    def actions(
        self,
        stage: PoolStage,
        sources: Sequence[Beats],
        images: int,
        nonzero: NDArray[np.int64] | None,
    ) -> Counted:
        """Yield (action, attributes, count): no value changes them."""
        (source,) = sources
        for action, attributes, count in pool_actions(stage, source):
            yield action, attributes, images * count

    def register_bits(self, stage: PoolStage) -> int:
        """Bits of pipeline registers."""
        return pool_register_bits(stage)

    def storage(self, stage: PoolStage) -> Storage:
        """Bits of the memories."""
        return Storage(pool_column_buffer_bits(stage), pool_psum_bits(stage))

    def area_parts(self, stage: PoolStage) -> Iterator[Part]:
        """Yield the adders, dividers, registers and memories."""
        tile, bits = stage.fold.out_channels, sum_bits(stage)
        # Down the column, and across columns.
        yield "add_area", Attributes(bits=bits), tile * stage.layer.window.kernel[0]
        if stage.layer.mode == "average":
            yield "multiply_area", Attributes(activation_bits=bits, weight_bits=bits), tile
        yield "register_area", Attributes(bits=pool_register_bits(stage)), 1
        yield "memory_area", memory(tile * stage.bits, pool_column_buffer_bits(stage)), 1
        waiting = pool_psum_bits(stage)
        if waiting:
            yield "memory_area", memory(tile * bits, waiting), 1
