"""Test support: networks with more weights than the block RAMs of a small FPGA hold."""

import numpy as np

from pilaster.models.layers import Weighted
from pilaster.models.quantizer import FloatNetwork, QuantizerSettings, quantize
from pilaster.models.shape import Padding, Shape
from pilaster.models.zoo.builder import Builder

SEED = 5


def hidden(side, channels, kernel, features):
    """Digits of side x side: a convolution, a pool, a hidden layer and ten sums; seeded weights."""
    builder = Builder(f"hidden{features}", Shape(side, side, 1))
    builder.conv("conv1", channels, (kernel, kernel), padding=Padding())
    builder.max_pool("pool1", 2, 2)
    builder.dense("fc2", features)
    builder.dense("fc3", 10)
    graph, rng = builder.graph(), np.random.default_rng(SEED)
    weights, biases = {}, {}
    for node in graph.nodes:
        if isinstance(node.layer, Weighted):
            shape = node.layer.weight_shape(graph.input_of(node))
            weights[node.name] = rng.normal(0, np.prod(shape[1:]) ** -0.5, shape)
            biases[node.name] = rng.normal(0, 0.1, shape[0])
    images = rng.random((16, side, side, 1))
    floats = FloatNetwork(graph, weights, biases)
    return quantize(floats, images, QuantizerSettings(scale_bits=8), "seeded weights")
