"""Seeded weights for networks whose trained ones are not shipped: real shapes, made-up values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from pilaster.base.errors import InputError
from pilaster.models.graph import INPUT, Graph
from pilaster.models.joins import JoinParameters, join_parameters
from pilaster.models.layers import Add, Join, Weighted
from pilaster.models.network import Network, Precision
from pilaster.models.quantization import (
    MULTIPLIER_BITS,
    ConvParameters,
    TensorQuantization,
    quantize_multiplier,
)

__all__ = ["synthetic"]

WIDTHS = (2, 16)
"""Least and most bits of an operand; a weight that is never zero needs two."""


class _SeededParameters(Mapping[str, ConvParameters]):
    """Parameters drawn when asked for, the same for the same seed, and not kept."""

    def __init__(self, graph: Graph, seed: int, weight_bits: int) -> None:
        self._graph = graph
        self._seed = seed
        self._largest = (1 << (weight_bits - 1)) - 1
        self._dtype = np.int8 if weight_bits <= 8 else np.int16
        self._names = tuple(n.name for n in graph.nodes if isinstance(n.layer, Weighted))

    def __getitem__(self, name: str) -> ConvParameters:
        if name not in self._names:
            raise KeyError(name)
        node = self._graph.node(name)
        assert isinstance(node.layer, Weighted)
        shape = node.layer.weight_shape(self._graph.input_of(node))
        rng = np.random.default_rng([self._seed, self._names.index(name)])
        # Never zero, so that a schedule needs no weights to know that it skips no pass.
        largest = self._largest
        weight = rng.integers(-largest, largest, shape, self._dtype)
        weight[weight >= 0] += 1
        terms = int(np.prod(shape[1:]))
        weight_rms = np.sqrt((largest + 1) * (2 * largest + 1) / 6)
        gain = 1 / (np.sqrt(terms) * weight_rms)
        multiplier, shift = quantize_multiplier(np.full(shape[0], gain))
        bias = rng.integers(-1000, 1001, shape[0])
        return ConvParameters(weight, bias, multiplier, shift)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def synthetic(
    graph: Graph, seed: int = 2023, *, weight_bits: int = 8, activation_bits: int = 8
) -> Network:
    """Give `graph` seeded weights, none of them zero; activations stay in a useful range.

    Raises
    ------
    InputError
        If the seed is negative, or a width is not from 2 to 16 bits.
    """
    if seed < 0:
        raise InputError(f"a seed must not be negative, not {seed}")
    for name, bits in (("weight_bits", weight_bits), ("activation_bits", activation_bits)):
        if not WIDTHS[0] <= bits <= WIDTHS[1]:
            raise InputError(f"{name}: must be from {WIDTHS[0]} to {WIDTHS[1]}, not {bits}")
    half = 1 << (activation_bits - 1)
    unsigned = TensorQuantization(1 / (2 * half - 1), -half, -half, half - 1)
    signed = TensorQuantization(2 / half, 0, -half, half - 1)
    tensors = {INPUT: unsigned}
    joins: dict[str, JoinParameters] = {}
    for node in graph.nodes:
        if isinstance(node.layer, Join):
            sources = tuple(tensors[name] for name in node.inputs)
            tensors[node.name] = _joined(node.layer, sources, unsigned, signed)
            joins[node.name] = join_parameters(node.layer, sources, tensors[node.name])
        elif node.layer.keeps_quantization:
            tensors[node.name] = tensors[node.inputs[0]]
        else:
            assert isinstance(node.layer, Weighted)
            tensors[node.name] = unsigned if node.layer.relu else signed
    parameters = _SeededParameters(graph, seed, weight_bits)
    precisions = dict.fromkeys(parameters, Precision(weight_bits, MULTIPLIER_BITS))
    note = f"synthetic weights (seed {seed}): shapes are real, values are not, classes mean nothing"
    return Network(graph, tensors, parameters, precisions, True, note, joins)


def _joined(
    layer: Join,
    sources: tuple[TensorQuantization, ...],
    unsigned: TensorQuantization,
    signed: TensorQuantization,
) -> TensorQuantization:
    """Give a join's output a range that independent inputs fill."""
    if isinstance(layer, Add):
        scale = math.hypot(*(source.scale for source in sources))
        positive = layer.relu
    else:
        scale = max(source.scale for source in sources)
        positive = all(source.stream_range[0] == 0 for source in sources)
    kind = unsigned if positive else signed
    return replace(kind, scale=scale)
