"""A network ready to run: its graph, with the quantized parameters of each layer and tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pilaster.base.arguments import as_array, refusal
from pilaster.base.errors import InputError
from pilaster.base.notebook import html_table
from pilaster.models.graph import INPUT, Graph
from pilaster.models.joins import AddParameters, ConcatParameters, JoinParameters
from pilaster.models.layers import Add, Concat, Weighted
from pilaster.models.quantization import ConvParameters, Rounding, TensorQuantization
from pilaster.models.shape import Shape

__all__ = ["ByteScale", "Columns", "Network", "Precision"]

Columns = Literal["width", "height"]
"""Axis of an image that arrives a column at a time."""


@dataclass(frozen=True)
class Precision:
    """Widths of one layer's parameters, in bits: what its hardware is built for."""

    weight_bits: int
    scale_bits: int


@dataclass(frozen=True)
class ByteScale:
    """What an unsigned byte of an image stands for: ``scale * byte + offset``."""

    scale: float = 1 / 255
    offset: float = 0.0


@dataclass(frozen=True)
class Network:
    """A graph, the quantization of each tensor, and the parameters of each conv and dense layer.

    Attributes
    ----------
    tensors : quantization by tensor name, including the input
    parameters : integers by layer name; may be created on first access
    precisions : widths by layer name, available without the parameters
    dense : True if no weight is zero by construction, so that a schedule skips no pass
    note : origin of the weights, printed with every output that depends on them
    joins : integers of the layers that join tensors, by layer name
    byte_scale : real numbers that the bytes of an image represent
    columns : image axis that is the width of the graph
    encoding : how real images are quantized in single precision, as the file's runtime does it;
        None for double precision with rounding of halves to even
    checked : whether the network was compared with the runtime of its file; empty for a network
        that is not from a file
    uncalibrated : file of a float network whose activation ranges are assumed, so that results that
        depend on values are not meaningful; empty if the ranges are stated or calibrated
    """

    graph: Graph
    tensors: Mapping[str, TensorQuantization]
    parameters: Mapping[str, ConvParameters]
    precisions: Mapping[str, Precision]
    dense: bool
    note: str
    joins: Mapping[str, JoinParameters] = field(default_factory=lambda: MappingProxyType({}))
    byte_scale: ByteScale = ByteScale()
    columns: Columns = "width"
    encoding: Rounding | None = None
    checked: str = ""
    uncalibrated: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.graph, Graph):
            raise refusal("graph", self.graph, "a Graph; `load` gives networks")
        for name in self.graph.shapes:
            if name not in self.tensors:
                raise InputError(f"{self.name}: tensor {name} has no quantization")
        for node in self.graph.nodes:
            if isinstance(node.layer, Weighted) and node.name not in self.precisions:
                raise InputError(f"{self.name}: layer {node.name} has no parameters")
            join = self.joins.get(node.name)
            if isinstance(node.layer, Add) and not isinstance(join, AddParameters):
                raise InputError(f"{self.name}: layer {node.name} has no parameters of a sum")
            if isinstance(node.layer, Concat) and not (
                isinstance(join, ConcatParameters) and len(join.inputs) == len(node.inputs)
            ):
                raise InputError(f"{self.name}: layer {node.name} has no scale for each input")

    def __repr__(self) -> str:
        across = "" if self.columns == "width" else ", columns along the height"
        return (
            f"<Network {self.name}: {len(self.graph.nodes)} layers, images of {self.image_shape}"
            f"{across}, {self.graph.macs:,} MACs>"
        )

    def _repr_html_(self) -> str:
        rows = [
            (
                node.name,
                type(node.layer).__name__,
                ", ".join(node.inputs),
                str(self.graph.shapes[node.name]),
                f"{node.layer.macs(self.graph.input_of(node)):,}",
                str(self.precisions[node.name].weight_bits)
                if node.name in self.precisions
                else "-",
                str(self.tensors[node.name].bits),
            )
            for node in self.graph.nodes
        ]
        titles = ("layer", "kind", "reads", "output", "MACs", "weight bits", "activation bits")
        return html_table(f"{self!r}; {self.note}", titles, rows)

    @property
    def name(self) -> str:
        """Name of the network."""
        return self.graph.name

    @property
    def image_shape(self) -> Shape:
        """Shape of an image as stored: the input of the graph, or its transpose."""
        shape = self.graph.input_shape
        if self.columns == "width":
            return shape
        return Shape(shape.width, shape.height, shape.channels)

    def until(self, layer: str) -> Network:
        """Return the network up to `layer`: only the layers that it depends on, and itself."""
        if not isinstance(layer, str):
            raise refusal("layer", layer, "the name of a layer")
        graph = self.graph.until(layer)
        return replace(self, graph=graph)

    def encode(self, images: NDArray[np.generic]) -> NDArray[np.int32]:
        """Quantize images (N, H, W, C) of shape `image_shape` to stream values of the input.

        Unsigned bytes represent real numbers by `byte_scale`; other types are real numbers.

        Returns
        -------
        NDArray
            (N, rows, columns, channels), with the axis along which columns arrive second to last

        Raises
        ------
        InputError
            If the shape differs from `image_shape`, or a value is not finite.
        """
        shape = self.image_shape
        images = as_array("images", images, "an array (N, H, W, C)")
        if images.ndim != 4 or images.shape[1:] != (shape.height, shape.width, shape.channels):
            raise InputError(
                f"{self.name}: images have the shape {images.shape}, "
                f"must be (N, {shape.height}, {shape.width}, {shape.channels})"
            )
        if self.columns == "height":
            images = images.transpose(0, 2, 1, 3)
        return self._encoded(images)

    def encode_column(self, column: NDArray[np.generic]) -> NDArray[np.int32]:
        """Quantize a column (rows, channels) of an image, as `encode` quantizes a whole image.

        Raises
        ------
        InputError
            If the shape is not the shape of a column, or a value is not finite.
        """
        shape = self.graph.input_shape
        column = as_array("column", column, "an array (rows, channels)")
        if column.shape != (shape.height, shape.channels):
            raise InputError(
                f"{self.name}: a column has the shape {column.shape}, "
                f"must be ({shape.height}, {shape.channels})"
            )
        return self._encoded(column)

    def check_values(self) -> None:
        """Check that the values of this network are meaningful.

        Raises
        ------
        InputError
            If its activation ranges are assumed.
        """
        if self.uncalibrated:
            raise InputError(
                f"{self.uncalibrated}: is a float network: give images to quantize it on "
                f"(--calibration D, or calibration= in Python); without them only its shapes, "
                f"times and costs are known (--images 0)"
            )

    def _encoded(self, images: NDArray[np.generic]) -> NDArray[np.int32]:
        self.check_values()
        tensor = self.tensors[INPUT]
        if not (
            np.issubdtype(images.dtype, np.integer) or np.issubdtype(images.dtype, np.floating)
        ):
            raise refusal("images", images, "bytes or reals")
        if images.dtype == np.uint8:
            bytes_as_reals = (
                np.arange(256, dtype=np.float64) * self.byte_scale.scale + self.byte_scale.offset
            )
            by_byte = _to_stream(bytes_as_reals, tensor, self.encoding)
            stream: NDArray[np.int32] = by_byte[images.astype(np.uint8, copy=False)]
            return stream
        real = images.astype(np.float64)
        if not np.isfinite(real).all():
            raise InputError(f"{self.name}: images hold values that are not finite")
        return _to_stream(real, tensor, self.encoding)


def _to_stream(
    real: NDArray[np.float64], tensor: TensorQuantization, encoding: Rounding | None
) -> NDArray[np.int32]:
    if encoding is None:
        stream = np.rint(real / tensor.scale)
    else:
        with np.errstate(over="ignore"):  # what is too large is the largest
            single = real.astype(np.float32) / np.float32(tensor.scale)
        steps = single.astype(np.float64)
        if encoding is Rounding.AWAY:
            stream = np.copysign(np.floor(np.abs(steps) + 0.5), steps)
        elif encoding is Rounding.ODD:
            stream = np.rint(steps + 1) - 1
        else:
            stream = np.rint(steps)
    return np.clip(stream, *tensor.stream_range).astype(np.int32)
