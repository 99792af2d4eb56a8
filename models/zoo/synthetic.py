"""Seeded weights for networks whose trained ones are not shipped: real shapes, made-up values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from pilaster.models.errors import InputError
from pilaster.models.graph import INPUT, Graph
from pilaster.models.joins import JoinParameters, join_parameters
from pilaster.models.layers import Add, Join, Pool, Weighted
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
        self._names = tuple(n.name for n in graph.nodes if isinstance(n.layer, Weighted))

    def __getitem__(self, name: str) -> ConvParameters:
        if name not in self._names:
            raise KeyError(name)
        node = self._graph.node(name)
        assert isinstance(node.layer, Weighted)
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
    joins: dict[str, JoinParameters] = {}
    for node in graph.nodes:
        if isinstance(node.layer, Join):
            sources = tuple(tensors[name] for name in node.inputs)
            tensors[node.name] = _joined(node.layer, sources)
            joins[node.name] = join_parameters(node.layer, sources, tensors[node.name])
        elif isinstance(node.layer, Pool):
            tensors[node.name] = tensors[node.inputs[0]]
        else:
            tensors[node.name] = UNSIGNED if node.layer.relu else SIGNED
    parameters = _SeededParameters(graph, seed)
    precisions = dict.fromkeys(parameters, Precision(8, MULTIPLIER_BITS))
    note = f"synthetic weights (seed {seed}): shapes are real, values are not, classes mean nothing"
    return Network(graph, tensors, parameters, precisions, True, note, joins)


def _joined(layer: Join, sources: tuple[TensorQuantization, ...]) -> TensorQuantization:
    """Give a join's output a range that independent inputs fill."""
    if isinstance(layer, Add):
        scale = math.hypot(*(source.scale for source in sources))
        unsigned = layer.relu
    else:
        scale = max(source.scale for source in sources)
        unsigned = all(source.stream_range[0] == 0 for source in sources)
    kind = UNSIGNED if unsigned else SIGNED
    return replace(kind, scale=scale)
