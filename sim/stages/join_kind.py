"""Additions and concatenations, as the simulator asks of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.graph import Node
from pilaster.models.layers import Join
from pilaster.models.network import Network
from pilaster.sim.beats import Beats
from pilaster.sim.machine import StageSpec
from pilaster.sim.stages.join import JoinStage
from pilaster.sim.stages.join_actions import (
    arm_buffer_bits,
    arm_memories,
    join_actions,
    join_register_bits,
    join_requantizers,
)
from pilaster.sim.stages.kind import Counted, Kind, Part, Storage

__all__ = ["JoinKind"]


class JoinKind(Kind[JoinStage]):
    """Layers that read several tensors."""

    def lay(self, network: Network, node: Node, spec: StageSpec) -> JoinStage:
        """Lay a join on a stage."""
        assert isinstance(node.layer, Join)
        return JoinStage(
            name=node.name,
            layer=node.layer,
            shapes=tuple(network.graph.shapes[name] for name in node.inputs),
            spec=spec,
            arm_columns=spec.arm_columns,
            sources=tuple(network.tensors[name] for name in node.inputs),
            target=network.tensors[node.name],
            parameters=network.joins[node.name],
        )

    def actions(
        self,
        stage: JoinStage,
        sources: Sequence[Beats],
        images: int,
        nonzero: NDArray[np.int64] | None,
    ) -> Counted:
        """Yield (action, attributes, count): no value changes them."""
        for action, attributes, count in join_actions(stage, sources):
            yield action, attributes, images * count

    def register_bits(self, stage: JoinStage) -> int:
        """Bits of pipeline registers."""
        return join_register_bits(stage)

    def storage(self, stage: JoinStage) -> Storage:
        """Bits of the column buffers of all arms."""
        return Storage(sum(arm_buffer_bits(stage)))

    def memories(
        self, stage: JoinStage, accesses: Iterable[tuple[Action, Attributes]]
    ) -> Iterator[Attributes]:
        """Yield every arm's column buffers, as they are read."""
        yield from arm_memories(stage)

    def area_parts(self, stage: JoinStage) -> Iterator[Part]:
        """Yield the requantizers, adders, registers and memories."""
        tile = stage.fold.out_channels
        for scale in join_requantizers(stage):
            width = scale.accumulator_bits
            operands = Attributes(activation_bits=width, weight_bits=scale.scale_bits)
            yield "multiply_area", operands, tile
            yield "add_area", Attributes(bits=width), tile  # that rounds
        if stage.adds:
            yield "add_area", Attributes(bits=stage.sum_bits), tile
        yield "register_area", Attributes(bits=join_register_bits(stage)), 1
        for each in arm_memories(stage):
            yield "memory_area", each, 1
