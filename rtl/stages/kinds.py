"""The kinds of stages in gates: one for every stage of the simulator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from amaranth.lib import wiring

from pilaster.models.energy.actions import Action
from pilaster.models.network import Network
from pilaster.rtl.components.contents import bias_words, memory_names, weight_words
from pilaster.rtl.components.program import Program
from pilaster.rtl.stages.conv import ConvComponent, conv_most
from pilaster.rtl.stages.join import JoinComponent, join_most
from pilaster.rtl.stages.kind import Kind, LoadedMemory, Surroundings
from pilaster.rtl.stages.pool import PoolComponent, pool_most
from pilaster.rtl.stages.upsample import UpsampleComponent, upsample_most
from pilaster.sim.stages import ConvStage, JoinStage, PoolStage, Stage, UpsampleStage

__all__ = ["kind_of", "most_actions"]


class ConvKind(Kind[ConvStage]):
    """Layers with weights."""

    def component(self, stage: ConvStage, around: Surroundings) -> wiring.Component:
        """Make a convolution stage."""
        network, node = around.network, around.node
        return ConvComponent(
            stage,
            network.parameters[node.name],
            network.tensors[node.inputs[0]],
            network.tensors[node.name],
            around.beats[0].tiles,
            around.files,
            around.probes,
            around.behind,
            around.paired,
        )

    def most_actions(self, stage: ConvStage) -> Mapping[Action, int]:
        """Most of each action that a stage does in a cycle."""
        return conv_most(stage)

    def memories(self, stage: ConvStage, network: Network) -> Iterator[LoadedMemory]:
        """Yield the sets of weights, where there are any, and the biases of the output tiles."""
        parameters = network.parameters[stage.name]
        weights, bias = memory_names(stage)
        if words := weight_words(stage, Program.of(stage), parameters):
            yield weights, words, stage.lanes * stage.widths.weight
        width = stage.fold.out_channels * stage.widths.accumulator
        yield bias, bias_words(stage, parameters), width


class PoolKind(Kind[PoolStage]):
    """Max and average pooling."""

    def component(self, stage: PoolStage, around: Surroundings) -> wiring.Component:
        """Make a pooling stage."""
        target = around.network.tensors[around.node.name]
        return PoolComponent(stage, target, around.beats[0].tiles, around.probes, around.behind)

    def most_actions(self, stage: PoolStage) -> Mapping[Action, int]:
        """Most of each action that a stage does in a cycle."""
        return pool_most(stage)


class UpsampleKind(Kind[UpsampleStage]):
    """Nearest-neighbor upsampling."""

    def component(self, stage: UpsampleStage, around: Surroundings) -> wiring.Component:
        """Make an upsampling stage."""
        target = around.network.tensors[around.node.name]
        beats = around.beats[0].tiles
        return UpsampleComponent(stage, target, beats, around.probes, around.behind)

    def most_actions(self, stage: UpsampleStage) -> Mapping[Action, int]:
        """Most of each action that a stage does in a cycle."""
        return upsample_most(stage)


class JoinKind(Kind[JoinStage]):
    """Layers that read several tensors."""

    def component(self, stage: JoinStage, around: Surroundings) -> wiring.Component:
        """Make a join."""
        return JoinComponent(stage, around.beats, around.probes, around.behind)

    def most_actions(self, stage: JoinStage) -> Mapping[Action, int]:
        """Most of each action that a stage does in a cycle."""
        return join_most(stage)


_KINDS: Mapping[type[Stage], Kind[Any]] = {
    ConvStage: ConvKind(),
    PoolStage: PoolKind(),
    UpsampleStage: UpsampleKind(),
    JoinStage: JoinKind(),
}


def kind_of(stage: Stage) -> Kind[Any]:
    """Give the kind of a stage."""
    return _KINDS[type(stage)]


def most_actions(stage: Stage) -> Mapping[Action, int]:
    """Most of each action that a stage does in a cycle; what it never does is left out."""
    return kind_of(stage).most_actions(stage)
