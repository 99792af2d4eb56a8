"""From trained floats to the zoo's integers: ``python -m pilaster.models.zoo.quantized``."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from pilaster.models.datasets import embedded_digits, fit, load
from pilaster.models.layers import Weighted
from pilaster.models.network import Network
from pilaster.models.quantizer import FloatNetwork, QuantizerSettings, quantize
from pilaster.models.reference.network import classify, infer
from pilaster.models.zoo import ZOO
from pilaster.models.zoo.trained import write_network

__all__ = ["quantize_trained"]

SETTINGS = QuantizerSettings(weight_bits=8, activation_bits=8, scale_bits=8)


def quantize_trained(name: str, floats: Path) -> Network:
    """Quantize the float weights of a zoo network, calibrated on embedded digits it was trained on.

    floats : file that `pilaster.models.zoo.train` wrote
    """
    graph = ZOO[name].build()
    shape = graph.input_shape
    with np.load(floats, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    weights, biases = {}, {}
    for node in graph.nodes:
        if isinstance(node.layer, Weighted):
            expected = node.layer.weight_shape(graph.input_of(node))
            weights[node.name] = arrays[f"{node.name}.weight"].reshape(expected).astype(np.float64)
            biases[node.name] = arrays[f"{node.name}.bias"].astype(np.float64)
    calibration = fit(embedded_digits("train"), shape.height, shape.width, shape.channels)
    note = f"weights trained by {arrays['provenance']}; quantized to int8, scales of 8 bits"
    network = FloatNetwork(graph, weights, biases)
    reals = calibration.images.astype(np.float64) / 255.0
    return quantize(network, reals, SETTINGS, note)


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pilaster.models.zoo.quantized")
    parser.add_argument("network", choices=[name for name, entry in ZOO.items() if entry.trained])
    parser.add_argument("--floats", type=Path, required=True, help="the .npz that training wrote")
    parser.add_argument("--out", type=Path, required=True, help="the .npz to write")
    parser.add_argument("--mnist", type=Path, help="MNIST's IDX files, to measure on")
    options = parser.parse_args()
    network = quantize_trained(options.network, options.floats)
    write_network(network, options.out)
    shape = network.graph.input_shape
    tests = [embedded_digits("test")] + ([load(options.mnist, "test")] if options.mnist else [])
    for test in tests:
        images = fit(test, shape.height, shape.width, shape.channels)
        right = classify(infer(network, network.encode(images.images))) == images.labels
        print(f"{test.name}: {right.mean():.4f} of {len(right)}")


if __name__ == "__main__":
    _main()
