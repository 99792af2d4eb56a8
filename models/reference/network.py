"""Whole networks in integers: every tensor at once, or a column at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pilaster.models.graph import INPUT, Node
from pilaster.models.layers import (
    Add,
    Concat,
    Conv,
    FullyConnected,
    Layer,
    Pool,
    Upsample,
    Weighted,
)
from pilaster.models.network import Network
from pilaster.models.reference.conv import ColumnConv, conv
from pilaster.models.reference.join import ColumnJoin, join
from pilaster.models.reference.pool import ColumnPool, pool
from pilaster.models.reference.upsample import ColumnUpsample, upsample

__all__ = ["classify", "infer", "infer_by_columns", "layer_output", "one_thread", "tensors"]

Stream = NDArray[np.int32]

BATCH = 128
"""Images inferred together: enough to feed a matrix product, little enough to stay in cache."""


def tensors(network: Network, values: Stream) -> Iterator[tuple[str, Stream]]:
    """Yield (name, stream values) of every layer's output, in the graph's order.

    values : stream values of the input, (N, H, W, C), from `Network.encode`
    """
    known: dict[str, Stream] = {INPUT: values}
    waiting = {name: len(readers) for name, readers in network.graph.consumers.items()}
    for node in network.graph.nodes:
        result = layer_output(network, node, [known[name] for name in node.inputs])
        known[node.name] = result
        for name in dict.fromkeys(node.inputs):
            waiting[name] -= 1
            if not waiting[name]:
                del known[name]
        yield node.name, result


def layer_output(network: Network, node: Node, sources: Sequence[Stream]) -> Stream:
    """Compute one layer from the stream values (N, H, W, C) of what it reads."""
    return _KINDS[type(node.layer)].whole(network, node, sources)


def one_thread() -> AbstractContextManager[object]:
    """Keep matrix products on one thread: these are small, and threads that wait cost more."""
    limits: AbstractContextManager[object] = threadpool_limits(1, "blas")
    return limits


def infer(network: Network, values: Stream) -> Stream:
    """Compute the output (N, H_out, W_out, C_out) for stream values of the input."""
    shape = network.graph.output_shape
    result: Stream = np.empty((len(values), shape.height, shape.width, shape.channels), np.int32)
    with one_thread():
        for first in range(0, len(values), BATCH):
            batch = slice(first, first + BATCH)
            for name, tensor in tensors(network, values[batch]):
                if name == network.graph.outputs[0]:
                    result[batch] = tensor
    return result


def classify(output: Stream) -> NDArray[np.int64]:
    """Class of each image: the largest output, the first where several are equal."""
    classes: NDArray[np.int64] = output.reshape(len(output), -1).argmax(axis=1)
    return classes


def infer_by_columns(network: Network, values: Stream) -> dict[str, Stream]:
    """Compute every layer's output from columns that arrive one at a time.

    Every column is used when it arrives and passed on as soon as it is complete; the result
    equals that of `tensors` for every layer.
    """
    graph = network.graph
    engines = {
        node.name: _KINDS[type(node.layer)].by_columns(network, node) for node in graph.nodes
    }
    outputs: dict[str, list[Stream]] = {node.name: [] for node in graph.nodes}

    def push(tensor: str, column: Stream) -> None:
        for node in graph.consumers[tensor]:
            for arm, name in enumerate(node.inputs):
                if name != tensor:
                    continue
                for finished in engines[node.name].push(column, arm):
                    outputs[node.name].append(finished)
                    push(node.name, finished)

    for w in range(graph.input_shape.width):
        push(INPUT, values[:, :, w])
    return {name: np.stack(columns, axis=2) for name, columns in outputs.items()}


class _Engine(Protocol):
    """A layer that takes a column of an arm, and gives the columns that it completes."""

    def push(self, column: Stream, arm: int) -> Iterable[Stream]: ...


class _Kind(Protocol):
    """A kind of layer: all at once, and a column at a time."""

    def whole(self, network: Network, node: Node, sources: Sequence[Stream]) -> Stream: ...
    def by_columns(self, network: Network, node: Node) -> _Engine: ...


class _Convs:
    def whole(self, network: Network, node: Node, sources: Sequence[Stream]) -> Stream:
        assert isinstance(node.layer, Weighted)
        layer = node.layer.as_conv(network.graph.input_of(node))
        magnitude = network.tensors[node.inputs[0]].magnitude
        parameters, target = network.parameters[node.name], network.tensors[node.name]
        return conv(sources[0], layer, parameters, target, magnitude)

    def by_columns(self, network: Network, node: Node) -> _Engine:
        assert isinstance(node.layer, Weighted)
        shape = network.graph.input_of(node)
        parameters, target = network.parameters[node.name], network.tensors[node.name]
        return ColumnConv(node.layer.as_conv(shape), shape, parameters, target)


class _Pools:
    def whole(self, network: Network, node: Node, sources: Sequence[Stream]) -> Stream:
        assert isinstance(node.layer, Pool)
        return pool(sources[0], node.layer, network.tensors[node.name])

    def by_columns(self, network: Network, node: Node) -> _Engine:
        assert isinstance(node.layer, Pool)
        return ColumnPool(node.layer, network.graph.input_of(node), network.tensors[node.name])


class _Upsamples:
    def whole(self, network: Network, node: Node, sources: Sequence[Stream]) -> Stream:
        assert isinstance(node.layer, Upsample)
        return upsample(sources[0], node.layer)

    def by_columns(self, network: Network, node: Node) -> _Engine:
        assert isinstance(node.layer, Upsample)
        return ColumnUpsample(node.layer)


class _Joins:
    def whole(self, network: Network, node: Node, sources: Sequence[Stream]) -> Stream:
        return join(sources, network.joins[node.name], network.tensors[node.name])

    def by_columns(self, network: Network, node: Node) -> _Engine:
        parameters, target = network.joins[node.name], network.tensors[node.name]
        combine = partial(join, parameters=parameters, output=target)
        return ColumnJoin(len(node.inputs), combine)


_KINDS: Mapping[type[Layer], _Kind] = {
    Conv: _Convs(),
    FullyConnected: _Convs(),
    Pool: _Pools(),
    Upsample: _Upsamples(),
    Add: _Joins(),
    Concat: _Joins(),
}
