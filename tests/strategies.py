"""Test support: Hypothesis strategies for random networks, chains and others, and their inputs.

Structure (layers, windows, groups, widths, which weights are zero) is drawn by Hypothesis and
shrinks; integers are drawn by NumPy from a drawn seed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

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
    Window,
)
from pilaster.models.network import Network, Precision
from pilaster.models.quantization import (
    AVERAGED,
    MULTIPLIER_BITS,
    SCALED,
    ConvParameters,
    TensorQuantization,
    quantize_multiplier,
)
from pilaster.models.shape import Padding, Shape

__all__ = [
    "convolutions",
    "fully_connecteds",
    "graphs",
    "inputs",
    "joined_graphs",
    "networks",
    "pools",
    "seeds",
    "shapes",
    "stream_values",
    "windows",
]

SPARSITIES = ("none", "scattered", "kernel column", "tile", "output channel", "all")
"""Which weights a layer has at zero; see `_sparsify`."""


def seeds() -> st.SearchStrategy[int]:
    """Seeds for NumPy's generators."""
    return st.integers(0, 2**32 - 1)


@st.composite
def shapes(draw: st.DrawFn, height: int = 12, width: int = 12, channels: int = 4) -> Shape:
    """Draw a shape up to the given sizes."""
    return Shape(
        draw(st.integers(1, height)), draw(st.integers(1, width)), draw(st.integers(1, channels))
    )


@st.composite
def windows(draw: st.DrawFn, shape: Shape, kernel: int = 5, stride: int = 3) -> Window:
    """Draw a window that fits `shape`: each side has its own kernel, stride and padding."""
    rows, top, bottom = draw(_extents(shape.height, kernel))
    columns, left, right = draw(_extents(shape.width, kernel))
    strides = (draw(st.integers(1, stride)), draw(st.integers(1, stride)))
    return Window((rows, columns), strides, Padding(top, bottom, left, right))


@st.composite
def _extents(draw: st.DrawFn, size: int, kernel: int) -> tuple[int, int, int]:
    """Kernel extent and the padding before and after: smaller than the kernel, which fits."""
    before, after = draw(st.integers(0, kernel - 1)), draw(st.integers(0, kernel - 1))
    extents = st.integers(max(before, after) + 1, min(kernel, size + before + after))
    return draw(extents), before, after


@st.composite
def convolutions(draw: st.DrawFn, shape: Shape, out_channels: int = 6) -> Conv:
    """Draw a convolution over `shape`; every divisor of the channels may be its groups."""
    groups = draw(st.sampled_from([g for g in _divisors(shape.channels) if g <= out_channels]))
    outputs = groups * draw(st.integers(1, out_channels // groups))
    return Conv(outputs, draw(windows(shape)), groups, relu=draw(st.booleans()))


def pools(shape: Shape) -> st.SearchStrategy[Pool]:
    """Max and average pools over `shape`."""
    modes, roundings = st.sampled_from(["max", "average"]), st.sampled_from(AVERAGED)
    return st.builds(Pool, modes, windows(shape, kernel=3), roundings)


@st.composite
def upsamples(draw: st.DrawFn, shape: Shape, height: int, width: int) -> Upsample:
    """Draw an upsampling of `shape` to `height` and `width` at most, where it is no larger yet."""
    rows = draw(st.integers(1, max(1, min(3, height // shape.height))))
    return Upsample((rows, draw(st.integers(1, max(1, min(3, width // shape.width))))))


def fully_connecteds(out_features: int = 6) -> st.SearchStrategy[FullyConnected]:
    """Fully connected layers."""
    return st.builds(FullyConnected, st.integers(1, out_features), st.booleans())


@st.composite
def graphs(
    draw: st.DrawFn,
    max_layers: int = 5,
    height: int = 12,
    width: int = 12,
    channels: int = 4,
    out_channels: int = 6,
) -> Graph:
    """Draw a chain: convolutions and pools, then perhaps fully connected layers."""
    count = draw(st.integers(1, max_layers))
    dense = draw(st.integers(0, min(2, count)))
    source = draw(shapes(height, width, channels))
    layers: dict[str, Layer] = {}
    shape = source
    for index in range(count):
        layer: Layer
        if index >= count - dense:
            layer = draw(fully_connecteds(out_channels))
            name = f"fc{index}"
        elif draw(st.integers(0, 2)):
            layer = draw(convolutions(shape, out_channels))
            name = f"conv{index}"
        elif draw(st.integers(0, 2)):
            layer = draw(pools(shape))
            name = f"pool{index}"
        else:
            layer = draw(upsamples(shape, height, width))
            name = f"upsample{index}"
        layers[name] = layer
        shape = layer.output_shape(shape)
    return Graph.chain("random", source, layers)


@st.composite
def joined_graphs(draw: st.DrawFn, max_blocks: int = 3, height: int = 8, width: int = 8) -> Graph:
    """Draw a graph with forks and joins: residual and inception blocks, and layers between."""
    source = draw(shapes(height, width, 3))
    nodes: list[Node] = []
    last, shape = INPUT, source

    def put(kind: str, layer: Layer, *inputs: str) -> str:
        nodes.append(Node(f"{kind}{len(nodes)}", layer, inputs))
        return nodes[-1].name

    def same(kernel: int) -> Window:
        before = draw(st.integers(0, kernel - 1))
        after = kernel - 1 - before
        return Window((kernel, kernel), padding=Padding(before, after, after, before))

    def arm(channels: int) -> str:
        kernels = draw(st.lists(st.integers(1, 3), min_size=1, max_size=2))
        name = last
        for kernel in kernels:
            name = put("conv", Conv(channels, same(kernel), relu=draw(st.booleans())), name)
        return name

    for _ in range(draw(st.integers(1, max_blocks))):
        block = draw(st.sampled_from(["residual", "projected", "twice", "concat", "layer"]))
        if block == "layer":
            larger = upsamples(shape, height, width)
            layer = draw(st.one_of(convolutions(shape, 4), pools(shape), larger))
            last = put("layer", layer, last)
            shape = layer.output_shape(shape)
        elif block == "concat":
            arms = [arm(draw(st.integers(1, 3))) for _ in range(draw(st.integers(1, 3)))]
            arms.append(last)
            widths = {
                node.name: node.layer.out_channels for node in nodes if node.name in arms[:-1]
            }
            channels = shape.channels + sum(widths[name] for name in arms[:-1])
            last = put("concat", Concat(), *draw(st.permutations(arms)))
            shape = Shape(shape.height, shape.width, channels)
        else:
            first = arm(shape.channels)
            second = {"residual": last, "twice": first}.get(block) or arm(shape.channels)
            pair = draw(st.permutations([first, second]))
            last = put("add", Add(draw(st.booleans())), *pair)
    if draw(st.booleans()):
        put("fc", FullyConnected(draw(st.integers(1, 4))), last)
    return Graph("random", source, tuple(nodes))


@st.composite
def networks(
    draw: st.DrawFn, graph: st.SearchStrategy[Graph] | None = None, max_bits: int = 8
) -> Network:
    """Draw a network with integers of 1 to `max_bits` bits and, at times, zero tiles: a chain."""
    drawn = draw(graphs() if graph is None else graph)
    rng = np.random.default_rng(draw(seeds()))
    tensors = {INPUT: draw(_quantizations(max_bits))}
    parameters: dict[str, ConvParameters] = {}
    precisions: dict[str, Precision] = {}
    joins: dict[str, JoinParameters] = {}
    for node in drawn.nodes:
        source = tensors[node.inputs[0]]
        if isinstance(node.layer, Join):
            sources = tuple(tensors[name] for name in node.inputs)
            relu = isinstance(node.layer, Add) and node.layer.relu
            tensors[node.name] = draw(_quantizations(max_bits, relu=relu))
            joins[node.name] = join_parameters(
                node.layer, sources, tensors[node.name], rounding=draw(st.sampled_from(SCALED))
            )
            continue
        if node.layer.keeps_quantization:
            tensors[node.name] = source
            continue
        assert isinstance(node.layer, Weighted)
        target = draw(_quantizations(max_bits, relu=node.layer.relu))
        precision = Precision(draw(st.integers(1, max_bits)), draw(st.integers(1, MULTIPLIER_BITS)))
        sparsity = "none" if precision.weight_bits == 1 else draw(st.sampled_from(SPARSITIES))
        shape = node.layer.weight_shape(drawn.input_of(node))
        weight = _sparsify(_weights(rng, shape, precision.weight_bits), sparsity, rng)
        tensors[node.name] = target
        scaled = _scaled(rng, weight, source, target, precision.scale_bits)
        parameters[node.name] = replace(scaled, rounding=draw(st.sampled_from(SCALED)))
        precisions[node.name] = precision
    return Network(drawn, tensors, parameters, precisions, False, "random integers", joins)


@st.composite
def inputs(draw: st.DrawFn, network: Network, max_images: int = 2) -> NDArray[np.int32]:
    """Draw stream values (N, H, W, C) for a network's input."""
    rng = np.random.default_rng(draw(seeds()))
    count = draw(st.integers(1, max_images))
    return stream_values(rng, network.tensors[INPUT], count, network.graph.input_shape)


def stream_values(
    rng: np.random.Generator, tensor: TensorQuantization, count: int, shape: Shape
) -> NDArray[np.int32]:
    """Give stream values (N, H, W, C) over a tensor's whole range, a quarter of them zero."""
    low, high = tensor.stream_range
    size = (count, shape.height, shape.width, shape.channels)
    values = rng.integers(low, high, size, np.int32, endpoint=True)
    values[rng.random(size) < 0.25] = 0
    return values


def _divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


@st.composite
def _quantizations(draw: st.DrawFn, max_bits: int, relu: bool = False) -> TensorQuantization:
    bits = draw(st.integers(1, max_bits))
    minimum = -(1 << (bits - 1))
    maximum = minimum + (1 << bits) - 1
    zero_point = draw(st.integers(minimum, maximum - 1))
    scale = draw(st.sampled_from([1 / 16, 0.05, 0.07, 0.2]))
    return TensorQuantization(scale, zero_point, zero_point if relu else minimum, maximum)


def _weights(rng: np.random.Generator, shape: tuple[int, ...], bits: int) -> NDArray[np.integer]:
    """Symmetric weights of `bits` bits; one bit stands for -1 or +1."""
    if bits == 1:
        return rng.choice(np.array([-1, 1], np.int16), shape)
    top = (1 << (bits - 1)) - 1
    return rng.integers(-top, top, shape, np.int16, endpoint=True)


def _sparsify(
    weight: NDArray[np.integer], sparsity: str, rng: np.random.Generator
) -> NDArray[np.integer]:
    """Set weights (out, rows, columns, in) to zero in the way a pruned network has them."""
    outputs, _, columns, channels = weight.shape
    output, channel = rng.integers(outputs), rng.integers(channels)
    if sparsity == "scattered":
        weight[rng.random(weight.shape) < 0.5] = 0
    elif sparsity == "kernel column":
        weight[:, :, rng.integers(columns)] = 0
    elif sparsity == "tile":
        weight[output : output + 2, :, rng.integers(columns), channel : channel + 2] = 0
    elif sparsity == "output channel":
        weight[output] = 0
    elif sparsity == "all":
        weight[:] = 0
    return weight


def _scaled(
    rng: np.random.Generator,
    weight: NDArray[np.integer],
    source: TensorQuantization,
    target: TensorQuantization,
    scale_bits: int,
) -> ConvParameters:
    """Give biases and multipliers that spread the sums over the target's range, a little beyond."""
    outputs = len(weight)
    terms = weight[0].size
    spread = max(1.0, float(np.abs(weight).max()) * source.magnitude * np.sqrt(terms) / 3)
    bias = np.rint(rng.uniform(-spread, spread, outputs)).astype(np.int64)
    real = target.magnitude / spread * rng.uniform(0.25, 1.5, outputs)
    return ConvParameters(weight, bias, *quantize_multiplier(real, scale_bits))
