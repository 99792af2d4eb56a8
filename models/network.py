"""A network ready to run: its graph with the integers of every layer and tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pilaster.models.errors import InputError
from pilaster.models.graph import INPUT, Graph
from pilaster.models.layers import Pool
from pilaster.models.quantization import ConvParameters, TensorQuantization

__all__ = ["Network", "Precision"]


@dataclass(frozen=True)
class Precision:
    """Widths of one layer's parameters, in bits: what its hardware is built for."""

    weight_bits: int
    scale_bits: int


@dataclass(frozen=True)
class Network:
    """A graph, the quantisation of every tensor, and the parameters of every conv and dense layer.

    Attributes
    ----------
    tensors : quantisation by tensor name, the input included
    parameters : integers by layer name; may be made when asked for
    precisions : widths by layer name, known without the parameters
    dense : True where no weight is zero by construction, so that a schedule skips no pass
    note : where the weights come from, for every output that uses them
    """

    graph: Graph
    tensors: Mapping[str, TensorQuantization]
    parameters: Mapping[str, ConvParameters]
    precisions: Mapping[str, Precision]
    dense: bool
    note: str

    def __post_init__(self) -> None:
        for name in self.graph.shapes:
            if name not in self.tensors:
                raise InputError(f"{self.name}: tensor {name} has no quantisation")
        for node in self.graph.nodes:
            if not isinstance(node.layer, Pool) and node.name not in self.precisions:
                raise InputError(f"{self.name}: layer {node.name} has no parameters")

    @property
    def name(self) -> str:
        """Name of the network."""
        return self.graph.name

    def until(self, layer: str) -> Network:
        """Leave out the layers after `layer`."""
        graph = self.graph.until(layer)
        return replace(self, graph=graph)

    def encode(self, images: NDArray[np.generic]) -> NDArray[np.int32]:
        """Quantise images (N, H, W, C) to stream values of the input.

        Unsigned bytes stand for reals from 0 to 1 (byte / 255); anything else is taken as reals.

        Raises
        ------
        InputError
            If the shape is not the network's input shape, or a value is not finite.
        """
        shape = self.graph.input_shape
        if images.ndim != 4 or images.shape[1:] != (shape.height, shape.width, shape.channels):
            raise InputError(
                f"{self.name}: images have the shape {images.shape}, "
                f"must be (N, {shape.height}, {shape.width}, {shape.channels})"
            )
        tensor = self.tensors[INPUT]
        if images.dtype == np.uint8:
            by_byte = _to_stream(np.arange(256) / 255.0, tensor)
            stream: NDArray[np.int32] = by_byte[images.astype(np.uint8, copy=False)]
            return stream
        real = images.astype(np.float64)
        if not np.isfinite(real).all():
            raise InputError(f"{self.name}: images hold values that are not finite")
        return _to_stream(real, tensor)


def _to_stream(real: NDArray[np.float64], tensor: TensorQuantization) -> NDArray[np.int32]:
    stream = np.rint(real / tensor.scale)
    return np.clip(stream, *tensor.stream_range).astype(np.int32)
