"""Seeded weights for networks whose trained ones are not shipped: real shapes, made-up values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from pilaster.models.errors import InputError
from pilaster.models.graph import INPUT, Graph
from pilaster.models.layers import Pool
from pilaster.models.network import Network, Precision
from pilaster.models.quantization import (
    MULTIPLIER_BITS,
    ConvParameters,
    TensorQuantization,
    quantize_multiplier,
)

__all__ = ["synthetic"]

UNSIGNED = TensorQuantization(1 / 255, -128, -128, 127)
SIGNED = TensorQuantization(1 / 64, 0, -128, 127)


class _SeededParameters(Mapping[str, ConvParameters]):
    """Parameters drawn when asked for, the same for the same seed, and not kept."""

    def __init__(self, graph: Graph, seed: int) -> None:
        self._graph = graph
        self._seed = seed
        self._names = tuple(n.name for n in graph.nodes if not isinstance(n.layer, Pool))

    def __getitem__(self, name: str) -> ConvParameters:
        if name not in self._names:
            raise KeyError(name)
        node = self._graph.node(name)
        assert not isinstance(node.layer, Pool)
        shape = node.layer.weight_shape(self._graph.input_of(node))
        rng = np.random.default_rng([self._seed, self._names.index(name)])
        # Never zero, so that a schedule needs no weights to know that it skips no pass.
        weight = rng.integers(-127, 127, shape, np.int8)
        weight[weight >= 0] += 1
        terms = int(np.prod(shape[1:]))
        weight_rms = np.sqrt((127 + 1) * (2 * 127 + 1) / 6)
        gain = 1 / (np.sqrt(terms) * weight_rms)
        multiplier, shift = quantize_multiplier(np.full(shape[0], gain))
        bias = rng.integers(-1000, 1001, shape[0])
        return ConvParameters(weight, bias, multiplier, shift)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def synthetic(graph: Graph, seed: int = 2023) -> Network:
    """Give `graph` seeded int8 weights, none of them zero; activations stay in a useful range."""
    if seed < 0:
        raise InputError(f"a seed must not be negative, not {seed}")
    tensors = {INPUT: UNSIGNED}
    for node in graph.nodes:
        if isinstance(node.layer, Pool):
            tensors[node.name] = tensors[node.inputs[0]]
        else:
            tensors[node.name] = UNSIGNED if node.layer.relu else SIGNED
    parameters = _SeededParameters(graph, seed)
    precisions = dict.fromkeys(parameters, Precision(8, MULTIPLIER_BITS))
    note = f"synthetic weights (seed {seed}): shapes are real, values are not, classes mean nothing"
    return Network(graph, tensors, parameters, precisions, True, note)
