"""The network graph: layers as nodes of a directed acyclic graph, with their shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from pilaster.base.errors import InputError
from pilaster.models.layers import Layer
from pilaster.models.shape import Shape

__all__ = ["INPUT", "Graph", "Node"]

INPUT = "input"
"""Name of the tensor that enters a graph."""


@dataclass(frozen=True)
class Node:
    """One layer and the names of the tensors it reads. A node's output has the node's name."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """A network's structure. Nodes are in an order in which each comes after what it reads.

    Raises
    ------
    InputError
        If a name is used twice or unknown, or if shapes do not fit; the message names the layer.
    """

    name: str
    input_shape: Shape
    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        if not self.nodes:
            raise InputError(f"{self.name}: a network needs at least one layer")
        _ = self.shapes
        if len(self.outputs) != 1:
            raise InputError(f"{self.name}: one output is needed, there are {self.outputs}")

    def __repr__(self) -> str:
        ends = f"{self.input_shape} to {self.output_shape}"
        return f"<Graph {self.name}: {len(self.nodes)} layers, {ends}, {self.macs:,} MACs>"

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """Shape of every tensor, by name."""
        shapes = {INPUT: self.input_shape}
        for node in self.nodes:
            where = f"{self.name}: layer {node.name}"
            if node.name in shapes:
                raise InputError(f"{where}: the name is used twice")
            if not node.inputs or (len(node.inputs) > 1 and not node.layer.joins):
                raise InputError(f"{where}: reads {len(node.inputs)} tensors, must read one")
            for name in node.inputs:
                if name not in shapes:
                    raise InputError(f"{where}: reads {name!r}, which does not come before")
            sources = tuple(shapes[name] for name in node.inputs)
            try:
                shapes[node.name] = node.layer.joined_shape(sources)
            except InputError as error:
                raise InputError(f"{where}: {error}") from error
        return MappingProxyType(shapes)

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """Nodes that read each tensor, by the tensor's name; each once."""
        readers: dict[str, list[Node]] = {name: [] for name in self.shapes}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                readers[name].append(node)
        return MappingProxyType({name: tuple(nodes) for name, nodes in readers.items()})

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the tensors that nothing reads."""
        return tuple(name for name, readers in self.consumers.items() if not readers)

    @property
    def output_shape(self) -> Shape:
        """Shape of the network's output."""
        return self.shapes[self.outputs[0]]

    def input_of(self, node: Node) -> Shape:
        """Shape of what `node` reads; of the first where it reads several."""
        return self.shapes[node.inputs[0]]

    def node(self, name: str) -> Node:
        """Give the node called `name`."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise InputError(
            f"{self.name}: no layer {name!r}; there are {[n.name for n in self.nodes]}"
        )

    def until(self, layer: str) -> Graph:
        """Leave out the layers that `layer` does not depend on."""
        needed = {self.node(layer).name}
        for node in reversed(self.nodes):
            if node.name in needed:
                needed.update(node.inputs)
        nodes = tuple(node for node in self.nodes if node.name in needed)
        return Graph(self.name, self.input_shape, nodes)

    @property
    def is_chain(self) -> bool:
        """Whether every layer reads one tensor, and every tensor has one reader at most."""
        return all(len(readers) <= 1 for readers in self.consumers.values()) and not any(
            node.layer.joins for node in self.nodes
        )

    @property
    def macs(self) -> int:
        """Multiply-accumulates per image; products with padding count, as in the literature."""
        return sum(node.layer.macs(self.input_of(node)) for node in self.nodes)

    @classmethod
    def chain(cls, name: str, input_shape: Shape, layers: Mapping[str, Layer]) -> Graph:
        """Build a graph in which each layer reads the one before it."""
        sources = [INPUT, *layers][: len(layers)]
        nodes = tuple(
            Node(node_name, layer, (source,))
            for (node_name, layer), source in zip(layers.items(), sources, strict=True)
        )
        return cls(name, input_shape, nodes)
