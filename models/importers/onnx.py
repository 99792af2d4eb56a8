"""Networks from .onnx files: float ones quantised here, quantised ones in their own integers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pilaster.models.errors import InputError
from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.importers.onnx_file import OnnxModel, read_onnx
from pilaster.models.importers.onnx_graph import OnnxGraph
from pilaster.models.importers.onnx_operators import OPERATORS
from pilaster.models.importers.onnx_qonnx import QONNX
from pilaster.models.importers.onnx_quantized import QUANTIZERS
from pilaster.models.importers.values import UNPADDED, precision
from pilaster.models.joins import JoinParameters, join_parameters
from pilaster.models.layers import Concat, Conv, Join, Pool, Weighted
from pilaster.models.network import ByteScale, Network
from pilaster.models.quantization import (
    ConvParameters,
    Rounding,
    TensorQuantization,
    quantize_multiplier,
    signed_bits,
)
from pilaster.models.quantizer import MOST_BITS, FloatNetwork, QuantizerSettings, quantize
from pilaster.models.requantizer import requantized
from pilaster.models.shape import Shape

__all__ = ["SUPPORTED", "build", "import_onnx"]

HANDLERS = {**OPERATORS, **QUANTIZERS, **QONNX}

SUPPORTED = tuple(sorted(HANDLERS))
"""Operators that the importer takes."""


def import_onnx(
    path: Path,
    calibration: NDArray[np.generic] | None = None,
    settings: QuantizerSettings | None = None,
) -> Network:
    """Import an .onnx file.

    A layer has its node's name. A float network is quantised on calibration images; one with
    QuantizeLinear and DequantizeLinear, with QLinear operators or with those of QONNX keeps its
    integers, and its sums are rounded once, halves up. A last layer whose sums the file does not
    quantise gives them in 16 bits. Softmax and argmax at the end are left to the host, and the
    network's note says so.

    Parameters
    ----------
    calibration : images (N, H, W, C), bytes for 0.0 to 1.0 or reals
    settings : widths to quantise to, also what is quantised already; by default 8 bits for a float
        network, and what the file has for any other

    Raises
    ------
    InputError
        If the file cannot be read, has what is not supported, or calibration images are missing:
        the message names the file and the operator.
    """
    found = build(path)
    try:
        graph = found.graph(path.stem)
        host = "".join(f"; {name} left to the host" for name in found.host)
        if found.tensors:
            if settings is None and calibration is not None:
                raise InputError("is quantised already; leave the calibration images out")
            with np.errstate(over="ignore", invalid="ignore"):
                network = _quantized(found, graph, f"weights of {path.name}{host}")
            return network if settings is None else requantized(network, calibration, settings)
        floats = FloatNetwork(graph, found.weights, found.biases)
        images = _reals(calibration, graph.input_shape)
        note = f"weights of {path.name}, quantised on {len(images)} images{host}"
        with np.errstate(over="ignore", invalid="ignore"):
            return quantize(floats, images, settings or QuantizerSettings(), note)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def build(path: Path) -> OnnxGraph:
    """Read a file and go through its operators.

    Raises
    ------
    InputError
        As `import_onnx` does.
    """
    model = read_onnx(path)
    try:
        found = OnnxGraph(model, _shape(model))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    for node in model.nodes:
        where = f"{path}: node {node.name} ({node.kind})"
        handler = HANDLERS.get(node.kind)
        if handler is None:
            raise InputError(f"{where}: is not supported; supported are {', '.join(SUPPORTED)}")
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused
                handler(found, node)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
            raise InputError(f"{where}: has inputs or attributes of the wrong kind") from error
    return found


def _shape(model: OnnxModel) -> Shape:
    """Shape of the input (images, channels, rows, columns), for any number of images."""
    if len(model.shape) != 4:
        raise InputError(
            f"input {model.source} has the shape {model.shape} and no columns; it must be "
            f"(images, channels, rows, columns)"
        )
    if any(size < 1 for size in model.shape[1:]):
        raise InputError(
            f"input {model.source} has a dynamic shape, {model.shape}; export it with fixed sizes"
        )
    _, channels, rows, columns = model.shape
    return Shape(rows, columns, channels)


def _reals(images: NDArray[np.generic] | None, shape: Shape) -> NDArray[np.float64]:
    if images is None:
        raise InputError(
            "is a float network: give images to quantise it on (--calibration D, or calibration= "
            "in Python)"
        )
    if images.ndim != 4 or images.shape[1:] != (shape.height, shape.width, shape.channels):
        raise InputError(
            f"the calibration images have the shape {images.shape}, "
            f"must be (N, {shape.height}, {shape.width}, {shape.channels})"
        )
    if len(images) == 0:
        raise InputError("there are no calibration images; give at least one")
    real = images.astype(np.float64)
    if not np.isfinite(real).all():
        raise InputError("the calibration images hold values that are not finite")
    return real / 255.0 if images.dtype == np.uint8 else real


def _quantized(found: OnnxGraph, graph: Graph, note: str) -> Network:
    """Make a network of the integers that the file states."""
    tensors = _tensors(found, graph)
    nodes: list[Node] = []
    parameters: dict[str, ConvParameters] = {}
    joins: dict[str, JoinParameters] = {}
    for node in graph.nodes:
        sources, target = tuple(tensors[name] for name in node.inputs), tensors[node.name]
        try:
            if isinstance(node.layer, Join):
                joins[node.name] = join_parameters(node.layer, sources, target)
            elif isinstance(node.layer, Weighted):
                parameters[node.name] = _layer(found, node.name, sources[0], target)
            elif sources[0] != target:
                node = _averaging(node, graph.input_of(node))
                parameters[node.name] = _average(node, sources[0], target)
        except InputError as error:
            raise InputError(f"layer {node.name}: {error}") from error
        nodes.append(node)
    precisions = {name: precision(found) for name, found in parameters.items()}
    first = tensors[INPUT]
    byte_scale = ByteScale()
    if np.issubdtype(found.model.dtype, np.integer):
        byte_scale = ByteScale(first.scale, first.scale * (first.minimum - first.zero_point))
    return Network(
        Graph(graph.name, graph.input_shape, tuple(nodes)),
        tensors,
        parameters,
        precisions,
        False,
        note,
        joins,
        byte_scale,
    )


def _tensors(found: OnnxGraph, graph: Graph) -> dict[str, TensorQuantization]:
    """Quantisation of every tensor; a pool's is that of its input where the file states none."""
    tensors: dict[str, TensorQuantization] = {}
    pools = {node.name: node for node in graph.nodes if isinstance(node.layer, Pool)}
    for name in graph.shapes:
        stated = found.tensors.get(name)
        if stated is None and name == graph.outputs[0] and name in found.integers:
            stated = _sums(found, graph.node(name), tensors)
        if stated is None and name in pools:
            stated = tensors[pools[name].inputs[0]]
        if stated is None:
            raise InputError(
                f"{name} is not quantised: there is no QuantizeLinear and no Quant behind it"
            )
        tensors[name] = stated
        if name != INPUT and name not in pools:
            tensors[name] = _activated(stated, graph.node(name))
        if tensors[name].bits > MOST_BITS:
            raise InputError(f"{name} needs {tensors[name].bits} bits, must be {MOST_BITS} at most")
    for name, node in pools.items():  # the same integers, but for the bounds of an activation
        source = tensors[node.inputs[0]]
        same = (source.scale, source.zero_point)
        if (tensors[name].scale, tensors[name].zero_point) == same:
            tensors[name] = source
    return tensors


def _sums(
    found: OnnxGraph, node: Node, tensors: dict[str, TensorQuantization]
) -> TensorQuantization:
    """Give a range of the most bits that a layer's sums never leave."""
    source = tensors[node.inputs[0]]
    weight = np.abs(found.integers[node.name] * found.scales[node.name][:, None, None, None])
    largest = weight.sum(axis=(1, 2, 3)) * source.magnitude * source.scale
    half = 1 << (MOST_BITS - 1)
    scale = float((largest + np.abs(found.biases[node.name])).max() / (half - 1))
    return TensorQuantization(scale or 1.0, 0, -half, half - 1)


def _activated(tensor: TensorQuantization, node: Node) -> TensorQuantization:
    """Bound a tensor by its layer's ReLU."""
    if isinstance(node.layer, Pool | Concat) or not node.layer.relu:
        return tensor
    maximum = tensor.maximum
    if node.layer.ceiling is not None:
        maximum = int(min(maximum, tensor.zero_point + np.rint(node.layer.ceiling / tensor.scale)))
    return replace(tensor, minimum=tensor.zero_point, maximum=maximum)


def _layer(
    found: OnnxGraph, name: str, source: TensorQuantization, target: TensorQuantization
) -> ConvParameters:
    """Give a layer's integers."""
    if name not in found.integers:
        raise InputError("its weights are not quantised, though activations are")
    weight, scales = found.integers[name], found.scales[name]
    if signed_bits(int(np.abs(weight).max())) > MOST_BITS:
        raise InputError(f"its weights need more than {MOST_BITS} bits")
    unit = source.scale * scales
    bias = np.rint(found.biases[name] / unit)
    if not (np.abs(bias) < 1 << 31).all():
        raise InputError("its biases need more than 32 bits")
    multiplier, shift = quantize_multiplier(unit / target.scale)
    parameters = ConvParameters(
        weight.astype(np.int16), bias.astype(np.int64), multiplier, shift, Rounding.ONCE
    )
    if parameters.accumulator_bound(source.magnitude) >= 1 << 31:
        raise InputError("its sums may need more than 32 bits")
    return parameters


def _averaging(node: Node, shape: Shape) -> Node:
    """Give the depthwise convolution of ones for an average that changes the scale."""
    layer = node.layer
    if not isinstance(layer, Pool) or layer.mode != "average":
        raise InputError("changes the scale; only an average may")
    if layer.window.padding != UNPADDED:
        raise InputError("changes the scale, and has padding; only one of these is supported")
    return replace(node, layer=Conv(shape.channels, layer.window, shape.channels))


def _average(node: Node, source: TensorQuantization, target: TensorQuantization) -> ConvParameters:
    assert isinstance(node.layer, Conv)
    channels, kernel = node.layer.out_channels, node.layer.window.kernel
    real = np.full(channels, source.scale / (target.scale * kernel[0] * kernel[1]))
    weight, zero = np.ones((channels, *kernel, 1), np.int8), np.zeros(channels, np.int64)
    return ConvParameters(weight, zero, *quantize_multiplier(real), Rounding.ONCE)
