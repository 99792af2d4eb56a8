"""The kinds of stages: one for every type of layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilaster.models.graph import Node
from pilaster.models.layers import Add, Concat, Conv, FullyConnected, Layer, Pool, Upsample
from pilaster.models.network import Network
from pilaster.sim.machine import StageSpec
from pilaster.sim.stages import ConvStage, JoinStage, PoolStage, Stage, UpsampleStage
from pilaster.sim.stages.conv_kind import ConvKind
from pilaster.sim.stages.join_kind import JoinKind
from pilaster.sim.stages.kind import Kind
from pilaster.sim.stages.pool_kind import PoolKind
from pilaster.sim.stages.upsample_kind import UpsampleKind

__all__ = ["build_stage", "kind_of", "kind_of_layer"]

_STAGES: Mapping[type[Stage], Kind[Any]] = {
    ConvStage: ConvKind(),
    PoolStage: PoolKind(),
    UpsampleStage: UpsampleKind(),
    JoinStage: JoinKind(),
}

_LAYERS: Mapping[type[Layer], Kind[Any]] = {
    Conv: _STAGES[ConvStage],
    FullyConnected: _STAGES[ConvStage],
    Pool: _STAGES[PoolStage],
    Upsample: _STAGES[UpsampleStage],
    Add: _STAGES[JoinStage],
    Concat: _STAGES[JoinStage],
}


def kind_of(stage: Stage) -> Kind[Any]:
    """Give the kind of a stage."""
    return _STAGES[type(stage)]


def kind_of_layer(layer: Layer) -> Kind[Any]:
    """Give the kind of the stage that a layer is laid on."""
    return _LAYERS[type(layer)]


def build_stage(network: Network, node: Node, spec: StageSpec) -> Stage:
    """Lay one layer of `network` on a stage."""
    stage: Stage = kind_of_layer(node.layer).lay(network, node, spec)
    return stage
