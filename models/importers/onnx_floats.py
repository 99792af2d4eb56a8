"""A float network from the steps of an .onnx file: what one layer alone reads is folded into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.importers.constant_map import constant_map
from pilaster.models.importers.onnx_graph import OnnxGraph
from pilaster.models.importers.steps import Bounds, Offsets, Scaling, Step, Surround
from pilaster.models.importers.values import padding_conv
from pilaster.models.layers import Add, Concat, Conv, Pool, Upsample, Weighted, Window
from pilaster.models.quantizer import FloatNetwork

__all__ = ["FloatLowering", "float_network"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FloatLowering:
    """A float network, and the tensor that holds each value of the file that is still there."""

    network: FloatNetwork
    held: Mapping[str, str]


def float_network(found: OnnxGraph, name: str) -> FloatLowering:
    """Make layers of steps, each step folded into the layer before where no other reads that.

    Raises
    ------
    InputError
        If a step is none that layers can do, or layers do not lead to the output.
    """
    layers = _Layers(found)
    for step in found.steps.values():
        try:
            layers.add(step)
        except InputError as error:
            raise InputError(f"{step.where}: {error}") from error
    graph = Graph(name, found.shape, tuple(layers.nodes.values()))
    network = FloatNetwork(graph, layers.weights, layers.biases)
    return FloatLowering(network, {value: tensor for tensor, value in layers.last.items()})


class _Layers:
    """The layers so far.

    Attributes
    ----------
    place : tensor that holds each value, or the value that it was folded with
    last : value that each tensor holds
    """

    def __init__(self, found: OnnxGraph) -> None:
        self._found = found
        self.nodes: dict[str, Node] = {}
        self.weights: dict[str, Floats] = {}
        self.biases: dict[str, Floats] = {}
        self.place = {INPUT: INPUT}
        self.last = {INPUT: INPUT}

    def add(self, step: Step) -> None:
        action = step.action
        if isinstance(action, Scaling):
            self._scale(step, action)
        elif isinstance(action, Bounds):
            self._bound(step, action)
        elif isinstance(action, Surround):
            self._surround(step, action)
        elif isinstance(action, Offsets):
            self._offset(step, action)
        elif isinstance(action, Pool | Upsample | Add | Concat | Weighted):
            self._put(
                step, Node(step.name, action, tuple(map(self.place.__getitem__, step.sources)))
            )
            if step.name in self._found.weights:
                self.weights[step.name] = self._found.weights[step.name]
                self.biases[step.name] = self._found.biases[step.name]
        else:
            raise InputError("works on integers, of which this network has none")

    def _put(self, step: Step, node: Node) -> None:
        self.nodes[node.name] = node
        self.place[step.name] = node.name
        self.last[node.name] = step.name

    def _alone(self, step: Step) -> Node | None:
        """Give the layer whose output this step alone reads, if nothing is behind it yet."""
        (source,) = step.sources
        node = self.nodes.get(self.place[source])
        return node if node is not None and self._found.readers[source] == 1 else None

    def _surround(self, step: Step, action: Surround) -> None:
        source = step.sources[0]
        layer, taps = padding_conv(self._found.shapes[source], action.padding)
        self._put(step, Node(step.name, layer, (self.place[source],)))
        self.weights[step.name] = taps.astype(np.float64)
        self.biases[step.name] = np.zeros(layer.out_channels)

    def _offset(self, step: Step, action: Offsets) -> None:
        source = self.place[step.sources[0]]
        name = source
        for made in constant_map(action.values, action.values.shape[2]):
            node = Node(f"{step.name}_{made.suffix}", made.layer, (name,))
            name = node.name
            self.nodes[name] = node
            self.weights[name] = made.weight.astype(np.float64)
            self.biases[name] = made.bias.astype(np.float64)
        self._put(step, Node(step.name, Add(), (source, name)))

    def _scale(self, step: Step, action: Scaling) -> None:
        node = self._alone(step)
        if node is None or not isinstance(node.layer, Weighted) or node.layer.relu:
            self._depthwise(step, action)
            return
        name, factor = node.name, action.factor
        self.weights[name] = self.weights[name] * factor[:, None, None, None]
        self.biases[name] = self.biases[name] * factor + action.offset
        self._put(step, node)

    def _bound(self, step: Step, action: Bounds) -> None:
        if action.low != 0 or not action.high > 0:
            raise InputError(f"clips to {action.low:g} to {action.high:g}; it must be from 0 up")
        ceiling = None if np.isinf(action.high) else action.high
        node = self._alone(step)
        if node is None or not isinstance(node.layer, Weighted | Add) or node.layer.relu:
            one = np.ones(self._found.shapes[step.name].channels)
            node = self._depthwise(step, Scaling(one, np.zeros_like(one)))
        assert isinstance(node.layer, Weighted | Add)
        self._put(step, replace(node, layer=replace(node.layer, relu=True, ceiling=ceiling)))

    def _depthwise(self, step: Step, action: Scaling) -> Node:
        """Add a depthwise convolution that multiplies each channel and adds to it."""
        channels = len(action.factor)
        layer = Conv(channels, Window((1, 1)), channels)
        node = Node(step.name, layer, (self.place[step.sources[0]],))
        self._put(step, node)
        self.weights[step.name] = action.factor.reshape(channels, 1, 1, 1)
        self.biases[step.name] = action.offset
        return node
