"""Post-training quantization: a float network and calibration images become integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.joins import JoinParameters, join_parameters
from pilaster.models.layers import (
    Add,
    Concat,
    Conv,
    FullyConnected,
    Join,
    Layer,
    Pool,
    Upsample,
    Weighted,
)
from pilaster.models.network import Network, Precision
from pilaster.models.quantization import (
    MULTIPLIER_BITS,
    ConvParameters,
    TensorQuantization,
    quantize_multiplier,
)
from pilaster.models.reference.upsample import upsample
from pilaster.models.shape import Shape

__all__ = [
    "MOST_BITS",
    "FloatNetwork",
    "QuantizerSettings",
    "float_layer",
    "float_tensors",
    "quantize",
    "quantize_to",
]

Floats = NDArray[np.float64]

Range = tuple[float, float]
"""Least and largest real of a tensor."""

MOST_BITS = 16
"""Of a weight or an activation."""

LARGEST_BIAS = 1 << 29
"""Largest bias in accumulator units, which leaves room for the sums."""


@dataclass(frozen=True)
class FloatNetwork:
    """A graph with real weights.

    weights : by layer, (out_channels, kernel rows, kernel columns, in_channels / groups)
    biases : by layer, (out_channels,)
    limits : smallest and largest value of tensors that are kept within, by layer

    Raises
    ------
    InputError
        If a shape is wrong or a value not finite; the message names the layer.
    """

    graph: Graph
    weights: Mapping[str, Floats]
    biases: Mapping[str, Floats]
    limits: Mapping[str, Range] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        for node in self.graph.nodes:
            if not isinstance(node.layer, Weighted):
                continue
            expected = node.layer.weight_shape(self.graph.input_of(node))
            for what, values, shape in (
                ("weights", self.weights, expected),
                ("biases", self.biases, expected[:1]),
            ):
                if node.name not in values:
                    raise InputError(f"layer {node.name}: has no {what}")
                found = values[node.name]
                if found.shape != shape:
                    raise InputError(
                        f"layer {node.name}: {what} have the shape {found.shape}, not {shape}"
                    )
                if not np.isfinite(found).all():
                    raise InputError(f"layer {node.name}: {what} are not all finite")


@dataclass(frozen=True)
class QuantizerSettings:
    """Widths to quantize to: 1 to 16 bits, and the significant bits of the scale (1 to 31)."""

    weight_bits: int = 8
    activation_bits: int = 8
    scale_bits: int = MULTIPLIER_BITS

    def __post_init__(self) -> None:
        for name, most in (
            ("weight_bits", MOST_BITS),
            ("activation_bits", MOST_BITS),
            ("scale_bits", MULTIPLIER_BITS),
        ):
            if not 1 <= getattr(self, name) <= most:
                raise InputError(f"{name} must be 1 to {most}, not {getattr(self, name)}")


def float_tensors(network: FloatNetwork, images: Floats) -> dict[str, Floats]:
    """Compute every tensor of a float network for images (N, H, W, C), the input included."""
    known = {INPUT: images}
    for node in network.graph.nodes:
        known[node.name] = float_layer(network, node, [known[name] for name in node.inputs])
    return known


def float_layer(network: FloatNetwork, node: Node, sources: Sequence[Floats]) -> Floats:
    """Compute one layer of a float network from what it reads, (N, H, W, C) each."""
    found = _FORMS[type(node.layer)](network, node, sources)
    limits = network.limits.get(node.name)
    return found if limits is None else np.clip(found, *limits)


def quantize(
    network: FloatNetwork, calibration: Floats, settings: QuantizerSettings, note: str
) -> Network:
    """Quantize `network` with activation ranges seen on `calibration` images (N, H, W, C).

    Activations are affine per tensor over the range seen, zero included; weights are symmetric
    per output channel; one bit of weight stands for -1 or +1 times the channel's mean magnitude.
    """
    seen = {
        name: (float(values.min()), float(values.max()))
        for name, values in float_tensors(network, calibration).items()
    }
    return quantize_to(network, seen, settings, note)


def quantize_to(
    network: FloatNetwork, ranges: Mapping[str, Range], settings: QuantizerSettings, note: str
) -> Network:
    """Quantize `network` with activations of known ranges, by tensor, as `quantize` does."""
    graph = network.graph
    tensors: dict[str, TensorQuantization] = {}
    parameters: dict[str, ConvParameters] = {}
    for name, (low, high) in ranges.items():
        if name != INPUT and graph.node(name).layer.keeps_quantization:
            tensors[name] = tensors[graph.node(name).inputs[0]]
        else:
            tensors[name] = _affine(low, high, settings)
    joins: dict[str, JoinParameters] = {}
    for node in graph.nodes:
        source, target = tensors[node.inputs[0]], tensors[node.name]
        if isinstance(node.layer, Join):
            sources = tuple(tensors[name] for name in node.inputs)
            joins[node.name] = join_parameters(node.layer, sources, target, settings.scale_bits)
            continue
        if node.layer.keeps_quantization:
            continue
        # No scale so small that a bias in its units would leave 31 bits.
        least = np.abs(network.biases[node.name]) / (source.scale * LARGEST_BIAS)
        weight, scale = _symmetric(network.weights[node.name], settings.weight_bits, least)
        bias = np.rint(network.biases[node.name] / (source.scale * scale)).astype(np.int64)
        real = source.scale * scale / target.scale
        try:
            multiplier, shift = quantize_multiplier(real, settings.scale_bits)
        except InputError as error:
            raise InputError(f"layer {node.name}: {error}; calibrate on other images") from error
        found = ConvParameters(weight, bias, multiplier, shift)
        if found.accumulator_bound(source.magnitude) >= 1 << 31:
            raise InputError(
                f"layer {node.name}: sums need more than 32 bits; "
                f"use narrower weights or activations"
            )
        parameters[node.name] = found
    precision = Precision(settings.weight_bits, settings.scale_bits)
    precisions = dict.fromkeys(parameters, precision)
    return Network(graph, tensors, parameters, precisions, False, note, joins)


def _affine(low: float, high: float, settings: QuantizerSettings) -> TensorQuantization:
    low, high = min(low, 0.0), max(high, 0.0)
    levels = (1 << settings.activation_bits) - 1
    minimum = -(1 << (settings.activation_bits - 1))
    scale = (high - low) / levels or 1.0
    zero_point = int(np.clip(np.rint(minimum - low / scale), minimum, minimum + levels))
    return TensorQuantization(scale, zero_point, minimum, minimum + levels)


def _symmetric(weight: Floats, bits: int, least_scale: Floats) -> tuple[NDArray[np.int16], Floats]:
    """Integers and the scale of each output channel; a channel of zeros has the scale 1."""
    flat = np.abs(weight.reshape(len(weight), -1))
    top = max(1, (1 << (bits - 1)) - 1)
    scale = flat.mean(axis=1) if bits == 1 else flat.max(axis=1) / top
    scale = np.maximum(scale, least_scale)
    scale[scale == 0] = 1.0
    if bits == 1:
        return np.where(weight < 0, -1, 1).astype(np.int16), scale
    return np.rint(weight / scale[:, None, None, None]).astype(np.int16), scale


def _conv(values: Floats, layer: Conv, weight: Floats, bias: Floats) -> Floats:
    pad, stride = layer.window.padding, layer.window.stride
    source = np.pad(values, ((0, 0), (pad.top, pad.bottom), (pad.left, pad.right), (0, 0)))
    windows = sliding_window_view(source, layer.window.kernel, axis=(1, 2))
    windows = windows[:, :: stride[0], :: stride[1]]  # (N, H_out, W_out, C, rows, columns)
    count, rows, columns = windows.shape[:3]
    grouped = windows.reshape(count, rows, columns, layer.groups, -1, *layer.window.kernel)
    per_group = weight.reshape(layer.groups, -1, *weight.shape[1:])
    sums = np.einsum("nrqgcjk,gojkc->nrqgo", grouped, per_group, optimize=True)
    result: Floats = sums.reshape(count, rows, columns, layer.out_channels) + bias
    return _activated(result, layer.relu, layer.ceiling)


def _activated(values: Floats, relu: bool, ceiling: float | None) -> Floats:
    return np.clip(values, 0.0, ceiling) if relu else values


def _pool(values: Floats, layer: Pool) -> Floats:
    shape = Shape(*values.shape[1:])
    pad, stride = layer.window.padding, layer.window.stride
    rows, columns = layer.window.output_extents(shape)
    padding = ((0, 0), (pad.top, pad.bottom), (pad.left, pad.right), (0, 0))
    source = np.pad(values, padding, constant_values=np.nan)
    windows = sliding_window_view(source, layer.window.kernel, axis=(1, 2))
    windows = windows[:, :: stride[0], :: stride[1]][:, :rows, :columns]
    reduce = np.nanmax if layer.mode == "max" else np.nanmean
    result: Floats = reduce(windows, axis=(-2, -1))
    return result


def _weighted_form(network: FloatNetwork, node: Node, sources: Sequence[Floats]) -> Floats:
    assert isinstance(node.layer, Weighted)
    layer = node.layer.as_conv(network.graph.input_of(node))
    return _conv(sources[0], layer, network.weights[node.name], network.biases[node.name])


def _pool_form(network: FloatNetwork, node: Node, sources: Sequence[Floats]) -> Floats:
    assert isinstance(node.layer, Pool)
    return _pool(sources[0], node.layer)


def _upsample_form(network: FloatNetwork, node: Node, sources: Sequence[Floats]) -> Floats:
    assert isinstance(node.layer, Upsample)
    return upsample(sources[0], node.layer)


def _add_form(network: FloatNetwork, node: Node, sources: Sequence[Floats]) -> Floats:
    assert isinstance(node.layer, Add)
    return _activated(sources[0] + sources[1], node.layer.relu, node.layer.ceiling)


def _concat_form(network: FloatNetwork, node: Node, sources: Sequence[Floats]) -> Floats:
    return np.concatenate(sources, axis=-1)


_FORMS: Mapping[type[Layer], Callable[[FloatNetwork, Node, Sequence[Floats]], Floats]] = {
    Conv: _weighted_form,
    FullyConnected: _weighted_form,
    Pool: _pool_form,
    Upsample: _upsample_form,
    Add: _add_form,
    Concat: _concat_form,
}
