"""The other reading of a network: an image's rows arrive as columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pilaster.models.graph import Graph, Node
from pilaster.models.network import Columns, Network
from pilaster.models.quantization import ConvParameters
from pilaster.models.shape import Shape

__all__ = ["read_along"]


class _Transposed(Mapping[str, ConvParameters]):
    """Parameters whose weights have rows and columns exchanged, made when asked for."""

    def __init__(self, parameters: Mapping[str, ConvParameters]) -> None:
        self._parameters = parameters

    def __getitem__(self, name: str) -> ConvParameters:
        found = self._parameters[name]
        return replace(found, weight=found.weight.transpose(0, 2, 1, 3))

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)


def read_along(network: Network, columns: Columns) -> Network:
    """Give `network` with its columns along an axis of the image.

    It computes the same: maps, windows and weights have rows and columns exchanged, and `encode`
    takes images as they are stored. A fully connected layer's weights know the place of every
    value, so the order in which a map is flattened changes with it.

    Parameters
    ----------
    columns : ``"width"`` or ``"height"``
    """
    if columns == network.columns:
        return network
    graph = network.graph
    nodes = tuple(Node(node.name, node.layer.transposed(), node.inputs) for node in graph.nodes)
    shape = graph.input_shape
    transposed = Graph(graph.name, Shape(shape.width, shape.height, shape.channels), nodes)
    parameters = _Transposed(network.parameters)
    return replace(network, graph=transposed, parameters=parameters, columns=columns)
