"""A quantized network at other widths: its integers as reals, quantized anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.calibration import all_alike, unlike
from pilaster.models.graph import INPUT
from pilaster.models.network import Network
from pilaster.models.quantization import MULTIPLIER_BITS
from pilaster.models.quantizer import FloatNetwork, QuantizerSettings, quantize

__all__ = ["dequantized", "requantized"]


def dequantized(network: Network) -> FloatNetwork:
    """Give the reals that a network's weights and biases stand for.

    A weight's scale is that which the multiplier and the tensors' scales say, so that the reals are
    of what the integers compute. So are ranges: one that ends at zero is a ReLU, whether the
    network calls it so or not.
    """
    weights, biases = {}, {}
    for name, parameters in network.parameters.items():
        source = network.tensors[network.graph.node(name).inputs[0]]
        target = network.tensors[name]
        exponent = parameters.shift.astype(np.float64) - MULTIPLIER_BITS
        unit = parameters.multiplier * np.exp2(exponent) * target.scale
        weights[name] = parameters.weight * (unit / source.scale)[:, None, None, None]
        biases[name] = parameters.bias * unit
    limits = {
        node.name: network.tensors[node.name].real_range
        for node in network.graph.nodes
        if not node.layer.keeps_quantization
    }
    return FloatNetwork(network.graph, weights, biases, limits)


def requantized(
    network: Network, images: NDArray[np.generic] | None, settings: QuantizerSettings
) -> Network:
    """Quantize a network anew, at other widths.

    The significant bits of its scales stay what they are. What a weight or an activation has lost
    already stays lost.

    Parameters
    ----------
    images : (N, H, W, C) to see the ranges of activations on, as for `Network.encode`

    Raises
    ------
    InputError
        If there are no images, or they do not fit the network.
    """
    if images is None or not len(images):
        raise InputError(
            f"{network.name}: other widths need images to quantize it on (--calibration D, or "
            f"calibration= in Python)"
        )
    reals = network.encode(images).astype(np.float64) * network.tensors[INPUT].scale
    scale_bits = max(found.scale_bits for found in network.precisions.values())
    settings = replace(settings, scale_bits=scale_bits)
    note = (
        f"{network.note}; quantized anew to {settings.weight_bits}-bit weights and "
        f"{settings.activation_bits}-bit activations"
    )
    if warning := all_alike(images, network.byte_scale) or unlike(network, images):
        note += f"; {warning}"
    found = quantize(dequantized(network), reals, settings, note)
    return replace(found, byte_scale=network.byte_scale, columns=network.columns)
