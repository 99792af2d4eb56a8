"""The zoo: networks that come with Pilaster, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pilaster.models.datasets import embedded_digits, fit
from pilaster.models.graph import Graph
from pilaster.models.network import Network
from pilaster.models.quantizer import QuantizerSettings
from pilaster.models.requantizer import requantized
from pilaster.models.zoo import architectures, branching, tiny
from pilaster.models.zoo.synthetic import synthetic
from pilaster.models.zoo.trained import read_network

__all__ = ["ZOO", "ZooEntry", "zoo_entry"]

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class ZooEntry:
    """A network of the zoo.

    Attributes
    ----------
    title : one line for a list
    trained : whether real weights come with it
    """

    title: str
    build: Callable[[], Graph]
    trained: bool

    def load(self, settings: QuantizerSettings | None = None) -> Network:
        """Give the network with its weights: trained where they come with it, else seeded.

        settings : widths of weights and activations other than the 8 bits they come with. Trained
            networks are quantized anew on the embedded digits that they were trained on.
        """
        graph = self.build()
        if not self.trained:
            settings = settings or QuantizerSettings()
            weight_bits, activation_bits = settings.weight_bits, settings.activation_bits
            return synthetic(graph, weight_bits=weight_bits, activation_bits=activation_bits)
        network = read_network(graph, WEIGHTS / f"{graph.name}.npz")
        if settings is None:
            return network
        shape = graph.input_shape
        digits = fit(embedded_digits("train"), shape.height, shape.width, shape.channels)
        return requantized(network, digits.images, settings)


ZOO = {
    "digits": ZooEntry("small CNN for digits", architectures.digits, True),
    "lenet5": ZooEntry("LeNet-5 for digits", architectures.lenet5, True),
    "alexnet": ZooEntry("AlexNet, two groups", architectures.alexnet, False),
    "vgg16": ZooEntry("VGG-16", architectures.vgg16, False),
    "resnet8": ZooEntry("ResNet-8, MLPerf Tiny", tiny.resnet8, False),
    "dscnn": ZooEntry("DS-CNN, MLPerf Tiny", tiny.dscnn, False),
    "mobilenet_v1_025": ZooEntry("MobileNet, MLPerf Tiny", tiny.mobilenet_v1_025, False),
    "squeezenet": ZooEntry("SqueezeNet 1.1", branching.squeezenet, False),
    "googlenet": ZooEntry("GoogLeNet", branching.googlenet, False),
    "resnet18": ZooEntry("ResNet-18", branching.resnet18, False),
}
"""Networks by name."""


def zoo_entry(network: Network) -> ZooEntry | None:
    """Give the entry whose network this is, read along its width; None for any other."""
    entry = ZOO.get(network.name)
    return entry if entry is not None and entry.build() == network.graph else None
