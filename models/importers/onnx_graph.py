"""The graph of an .onnx file: layers with real weights, and the quantisation that it states.

Source: the ONNX operator specification. Maps are channels first in a file and channels last here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.models.errors import InputError
from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.importers.onnx_file import OnnxModel, OnnxNode
from pilaster.models.importers.values import UNPADDED, Value
from pilaster.models.layers import Conv, Join, Layer, Weighted, Window
from pilaster.models.quantization import TensorQuantization
from pilaster.models.shape import Shape

__all__ = ["Constant", "OnnxGraph"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Constant:
    """A constant of the file.

    Attributes
    ----------
    real : its values
    integers, scales : of a quantised one, ``real = scales * integers``; the scales are one, or one
        for each place along `axis`
    """

    real: NDArray[Any]
    integers: NDArray[np.int64] | None = None
    scales: Floats | None = None
    axis: int = 0


@dataclass
class OnnxGraph:
    """Layers as they are found, with what is known of each.

    Attributes
    ----------
    weights, biases : of the layers, real; weights are (out, rows, columns, in / groups)
    integers, scales : of weights that the file has quantised, by layer; scales by output channel
    tensors : quantisation that the file states, by tensor of the graph
    """

    model: OnnxModel
    shape: Shape
    nodes: list[Node] = field(default_factory=list)
    weights: dict[str, Floats] = field(default_factory=dict)
    biases: dict[str, Floats] = field(default_factory=dict)
    integers: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    scales: dict[str, Floats] = field(default_factory=dict)
    tensors: dict[str, TensorQuantization] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.constants = {name: Constant(a) for name, a in self.model.constants.items()}
        self.values = {self.model.source: Value(INPUT)}
        self.shapes = {INPUT: self.shape}
        self._reads = Counter(name for node in self.model.nodes for name in node.inputs)
        self._reads[self.model.target] += 1

    def graph(self, name: str) -> Graph:
        """Give the layers as a graph, which must lead to the file's output."""
        last = self.values.get(self.model.target)
        if last is None or not self.nodes:
            raise InputError("no layer leads from the input to the output")
        if last.padding != UNPADDED:
            raise InputError("ends with a Pad, must end with a layer")
        graph = Graph(name, self.shape, tuple(self.nodes))
        if graph.outputs[0] != last.name:
            raise InputError(f"layer {graph.outputs[0]} does not lead to the output")
        return graph

    @property
    def host(self) -> tuple[str, ...]:
        """Operators at the end that are left to the host."""
        return self.values[self.model.target].host

    # What operators read.

    def constant(self, node: OnnxNode, index: int) -> Constant | None:
        """Give the constant in an input's place; None where it is left out."""
        if index >= len(node.inputs) or not node.inputs[index]:
            return None
        name = node.inputs[index]
        if name not in self.constants:
            raise InputError(f"input {index} ({name}) must be a constant")
        return self.constants[name]

    def needed(self, node: OnnxNode, index: int) -> Constant:
        """Give the constant in an input's place, which must not be left out."""
        found = self.constant(node, index)
        if found is None:
            raise InputError(f"has no input {index}")
        return found

    def is_constant(self, node: OnnxNode, index: int) -> bool:
        """Whether an operator reads a constant in a place."""
        return index < len(node.inputs) and node.inputs[index] in self.constants

    def value(self, node: OnnxNode, index: int = 0) -> Value:
        """Give what an operator reads, computed by an earlier one."""
        if index >= len(node.inputs) or node.inputs[index] not in self.values:
            name = node.inputs[index] if index < len(node.inputs) else f"input {index}"
            raise InputError(f"reads {name}, which no operator before it computes")
        found = self.values[node.inputs[index]]
        if found.host:
            raise InputError(f"reads the result of {found.host[-1]}, which is left to the host")
        return found

    def map(self, node: OnnxNode, index: int = 0) -> str:
        """Give the name of a map that an operator reads, with no padding around it."""
        value = self.value(node, index)
        if value.padding != UNPADDED:
            raise InputError("reads the result of a Pad; only convolutions may")
        self.unflattened(value)
        return value.name

    def unflattened(self, value: Value) -> Shape:
        """Give the shape of a value that is not flattened."""
        shape = self.shapes[value.name]
        if value.flat and (shape.height, shape.width) != (1, 1):
            raise InputError(f"reads a flattened map of {shape}; only a dense layer may")
        return shape

    # What operators give.

    def set(self, node: OnnxNode, value: Value) -> None:
        """Say what an operator's result is."""
        if not node.outputs or not node.outputs[0]:
            raise InputError("has no output")
        if node.outputs[0] in self.values or node.outputs[0] in self.constants:
            raise InputError(f"gives {node.outputs[0]}, which is there already")
        self.values[node.outputs[0]] = value

    def give(self, node: OnnxNode, constant: Constant) -> None:
        """Say that an operator's result is a constant."""
        if not node.outputs or not node.outputs[0] or node.outputs[0] in self.values:
            raise InputError("has no output of its own")
        self.constants[node.outputs[0]] = constant

    def add(self, node: OnnxNode, layer: Layer, sources: tuple[str, ...]) -> str:
        """Add a layer whose output is the operator's, and give its name."""
        if node.name in self.shapes:
            raise InputError(f"the name {node.name} is used twice")
        if isinstance(layer, Join):
            shape = layer.joined_shape(tuple(self.shapes[source] for source in sources))
        else:
            shape = layer.output_shape(self.shapes[sources[0]])
        self.set(node, Value(node.name))
        self.nodes.append(Node(node.name, layer, sources))
        self.shapes[node.name] = shape
        return node.name

    def add_weighted(
        self, node: OnnxNode, layer: Weighted, source: str, weight: Constant, bias: Floats
    ) -> str:
        """Add a layer with weights (out, rows, columns, in / groups), as floats or integers."""
        name = self.add(node, layer, (source,))
        expected = layer.weight_shape(self.shapes[source])
        if weight.real.shape != expected or bias.shape != expected[:1]:
            raise InputError(
                f"weights {weight.real.shape} and biases {bias.shape} do not fit, must be "
                f"{expected} and {expected[:1]} in rows, columns and channels"
            )
        self.weights[name], self.biases[name] = weight.real.astype(np.float64), bias
        if weight.integers is not None and weight.scales is not None:
            self.integers[name] = weight.integers
            if weight.scales.size != 1 and weight.axis != 0:
                raise InputError("has weight scales along another axis than the outputs")
            if weight.scales.size not in (1, expected[0]):
                raise InputError(
                    f"has {weight.scales.size} weight scales for {expected[0]} outputs"
                )
            self.scales[name] = np.broadcast_to(weight.scales.ravel(), expected[:1])
        return name

    def add_scaling(self, node: OnnxNode, source: str, factor: Floats, offset: Floats) -> str:
        """Add a depthwise convolution that multiplies each channel and adds to it."""
        channels = self.shapes[source].channels
        if factor.shape != (channels,) or offset.shape != (channels,):
            raise InputError(f"has {factor.size} factors for {channels} channels")
        layer = Conv(channels, Window((1, 1)), channels)
        real = factor.reshape(channels, 1, 1, 1)
        weight = Constant(real)
        if (factor == 1).all():
            weight = Constant(real, np.ones(real.shape, np.int64), np.ones(1))
        return self.add_weighted(node, layer, source, weight, offset)

    def fusable(self, node: OnnxNode) -> Node | None:
        """Give the layer that an operator may be fused to: it alone reads the layer's result."""
        if self._reads[node.inputs[0]] != 1:
            return None
        value = self.value(node)
        found = next((n for n in self.nodes if n.name == value.name), None)
        if found is None or value.padding != UNPADDED or found.name in self.tensors:
            return None
        return None if getattr(found.layer, "relu", False) else found

    def replace_layer(self, name: str, **changes: Any) -> None:
        """Change a layer."""
        place = next(i for i, node in enumerate(self.nodes) if node.name == name)
        node = self.nodes[place]
        self.nodes[place] = replace(node, layer=replace(node.layer, **changes))

    # Quantisation.

    def annotate(self, name: str, tensor: TensorQuantization) -> None:
        """State the quantisation of a tensor of the graph."""
        if self.tensors.setdefault(name, tensor) != tensor:
            raise InputError(f"gives {name} a second scale; one is supported")
