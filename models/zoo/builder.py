"""Graphs written layer by layer, with forks and joins."""

from __future__ import annotations

from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.layers import Add, Concat, Conv, FullyConnected, Layer, Pool, Window
from pilaster.models.shape import Padding, Shape, same_padding

__all__ = ["Builder"]


class Builder:
    """A graph that grows. Every method adds a layer and gives the name of its output.

    A layer reads the one added before it, or the one called `source`.
    """

    def __init__(self, name: str, shape: Shape) -> None:
        self._name = name
        self._shapes = {INPUT: shape}
        self._nodes: list[Node] = []
        self.last = INPUT

    def graph(self) -> Graph:
        """Give the graph."""
        return Graph(self._name, self._shapes[INPUT], tuple(self._nodes))

    def conv(
        self,
        name: str,
        channels: int,
        kernel: tuple[int, int] = (1, 1),
        stride: int = 1,
        *,
        source: str | None = None,
        padding: Padding | None = None,
        depthwise: bool = False,
        relu: bool = True,
    ) -> str:
        """Add a convolution; its padding is SAME unless it is given."""
        source = source or self.last
        shape = self._shapes[source]
        if padding is None:
            padding = same_padding(shape, kernel, (stride, stride))
        window = Window(kernel, (stride, stride), padding)
        groups = shape.channels if depthwise else 1
        return self._add(name, Conv(channels, window, groups, relu), source)

    def max_pool(
        self,
        name: str,
        kernel: int,
        stride: int,
        padding: Padding | None = None,
        source: str | None = None,
    ) -> str:
        """Add a max pool, with no padding unless it is given."""
        window = Window((kernel, kernel), (stride, stride), padding or Padding())
        return self._add(name, Pool("max", window), source or self.last)

    def global_average(self, name: str) -> str:
        """Add an average over the whole map."""
        shape = self._shapes[self.last]
        window = Window((shape.height, shape.width))
        return self._add(name, Pool("average", window), self.last)

    def dense(self, name: str, features: int) -> str:
        """Add a fully connected layer without an activation."""
        return self._add(name, FullyConnected(features), self.last)

    def add(self, name: str, first: str, second: str) -> str:
        """Add a sum, with a ReLU."""
        return self._add(name, Add(relu=True), first, second)

    def concat(self, name: str, *sources: str) -> str:
        """Add a concatenation."""
        return self._add(name, Concat(), *sources)

    def _add(self, name: str, layer: Layer, *sources: str) -> str:
        if isinstance(layer, Add | Concat):
            shape = layer.joined_shape(tuple(self._shapes[source] for source in sources))
        else:
            shape = layer.output_shape(self._shapes[sources[0]])
        self._nodes.append(Node(name, layer, sources))
        self._shapes[name] = shape
        self.last = name
        return name
