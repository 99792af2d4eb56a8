"""Small fixed machines, whose values are a few bits wide."""

from __future__ import annotations

import numpy as np

from pilaster.models.graph import INPUT, Graph
from pilaster.models.layers import Pool
from pilaster.models.network import Network, Precision
from pilaster.models.quantization import ConvParameters, TensorQuantization, quantize_multiplier
from pilaster.sim.machine import Machine
from pilaster.sim.pipeline import Pipeline

__all__ = ["pipeline_of"]


def pipeline_of(shape, layers, zero=()):
    """Lay layers on stages.

    Parameters
    ----------
    layers : (layer, stage) by name
    zero : indices (out, row, column, in) of weights that are zero, in every convolution
    """
    graph = Graph.chain("small", shape, {name: layer for name, (layer, _) in layers.items()})
    tensors = {INPUT: TensorQuantization(1.0, 0, -2, 1)}
    parameters, precisions = {}, {}
    for node in graph.nodes:
        tensors[node.name] = tensors[node.inputs[0]]
        if isinstance(node.layer, Pool):
            continue
        weight = np.ones(node.layer.weight_shape(graph.input_of(node)), np.int16)
        for place in zero:
            weight[place] = 0
        multiplier, shift = quantize_multiplier(np.full(len(weight), 0.5), 4)
        bias = np.zeros(len(weight), np.int64)
        parameters[node.name] = ConvParameters(weight, bias, multiplier, shift)
        precisions[node.name] = Precision(2, 4)
    network = Network(graph, tensors, parameters, precisions, False, "small")
    stages = {name: stage for name, (_, stage) in layers.items()}
    return Pipeline(network, Machine("small", "small", 1, stages))
