"""Where rounding cannot be told from single precision: what a difference of one may come from.

A runtime that computes in single precision may round a sum to the integer above or below where
the sum lies in the middle between the two, but for the error of its own arithmetic.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pilaster.models.graph import Node
from pilaster.models.joins import AddParameters
from pilaster.models.layers import Add, Weighted
from pilaster.models.network import Network
from pilaster.models.quantization import MULTIPLIER_BITS
from pilaster.models.quantizer import FloatNetwork, float_layer
from pilaster.models.requantizer import dequantized

__all__ = ["SINGLE", "Magnitudes", "SinglePrecision", "error_of", "excused"]

Floats = NDArray[np.float64]
Integers = NDArray[np.integer]

SINGLE = 2.0**-21
"""Relative error of a sum in single precision: its last place, and what many of these add up to."""

LEAST_STEPS = 2.0**-12
"""Error of the fixed-point multipliers, and of sums in fixed point, in steps."""


class Magnitudes:
    """Gives how large the terms of a float network's sums are: what their rounding goes by."""

    def __init__(self, network: FloatNetwork) -> None:
        weights = {name: np.abs(weight) for name, weight in network.weights.items()}
        biases = {name: np.abs(bias) for name, bias in network.biases.items()}
        self._network = FloatNetwork(network.graph, weights, biases)

    def of(self, node: Node, sources: Sequence[Floats]) -> Floats:
        """Give the magnitudes of a layer's terms, summed, from what it reads (N, H, W, C)."""
        return float_layer(self._network, unbounded(node), [np.abs(values) for values in sources])


def unbounded(node: Node) -> Node:
    """Give a layer without its ceiling, which would bound magnitudes too."""
    if isinstance(node.layer, Weighted | Add):
        return replace(node, layer=replace(node.layer, ceiling=None))
    return node


class SinglePrecision:
    """Gives the values of a network's layers in steps, not rounded, with the error of each.

    rounded_biases : layers whose biases are not the file's, but rounded to units of a sum
    """

    def __init__(self, network: Network, rounded_biases: Collection[str] = ()) -> None:
        self._network = network
        self._rounded_biases = rounded_biases
        self._reals = dequantized(network)
        none = {name: np.zeros_like(bias) for name, bias in self._reals.biases.items()}
        self._magnitudes = Magnitudes(self._reals)
        self._spread = Magnitudes(replace(self._reals, biases=none))

    def of(
        self, node: Node, sources: Sequence[NDArray[np.number]], errors: Sequence[Floats | None]
    ) -> tuple[Floats, Floats]:
        """Give a layer's exact values and their errors, in steps.

        Parameters
        ----------
        sources : stream values of what it reads; or the exact ones of a tensor that the file has
            not, so that the runtime rounds nothing there
        errors : of each, None where it is the runtime's own
        """
        tensors = self._network.tensors
        node = unbounded(node)
        scale = tensors[node.name].scale
        inputs = [
            values.astype(np.float64) * tensors[name].scale
            for values, name in zip(sources, node.inputs, strict=True)
        ]
        exact = float_layer(self._reals, node, inputs) / scale
        error = error_of(self._magnitudes.of(node, inputs) / scale)
        if any(found is not None for found in errors):
            spread = [
                (np.zeros_like(values) if found is None else found * tensors[name].scale)
                for values, found, name in zip(inputs, errors, node.inputs, strict=True)
            ]
            error = error + self._spread.of(node, spread) / scale
        if node.name in self._rounded_biases:  # to units of a sum
            found = self._network.parameters[node.name]
            exponent = found.shift.astype(np.float64) - MULTIPLIER_BITS
            error = error + found.multiplier * np.exp2(exponent) / 2
        join = self._network.joins.get(node.name)
        if isinstance(join, AddParameters):  # both of its terms are rounded to units of the sum
            error = error + join.output.multiplier * 2.0 ** (join.output.shift - MULTIPLIER_BITS)
        return exact, error


def error_of(magnitude: Floats) -> Floats:
    """Give the error, in steps, of sums whose terms have a magnitude in steps."""
    error: Floats = LEAST_STEPS + SINGLE * magnitude
    return error


def excused(exact: Floats, error: Floats, ours: Integers, theirs: Floats) -> NDArray[np.bool_]:
    """Say which differences of integers come from the errors of exact values.

    Both integers are the nearest to what the exact value may be.
    """
    found: NDArray[np.bool_] = (
        (ours != theirs)
        & (np.abs(exact - ours) <= 0.5 + error)
        & (np.abs(exact - theirs) <= 0.5 + error)
    )
    return found
