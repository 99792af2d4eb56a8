"""Convolution and the fully connected layer, which is a convolution with one output position."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from pilaster.base.errors import InputError
from pilaster.models.layers.activation import check_activation
from pilaster.models.layers.window import Window
from pilaster.models.shape import Shape

__all__ = ["Conv", "FullyConnected"]


@dataclass(frozen=True)
class Conv:
    """A two-dimensional convolution with an optional fused ReLU.

    Weights have the shape (out_channels, kernel rows, kernel columns, in_channels / groups). The
    ReLU may have a `ceiling`: 6.0 for ReLU6.
    """

    joins: ClassVar[bool] = False
    """Whether it may read several tensors."""

    keeps_quantization: ClassVar[bool] = False
    """Whether its integers stand for what those of its input do."""

    out_channels: int
    window: Window
    groups: int = 1
    relu: bool = False
    ceiling: float | None = None

    def __post_init__(self) -> None:
        check_activation(self.relu, self.ceiling)
        if self.out_channels < 1 or self.groups < 1:
            raise InputError("a convolution needs at least one output channel and one group")
        if self.out_channels % self.groups:
            raise InputError(
                f"{self.out_channels} output channels do not divide into {self.groups} groups"
            )

    @property
    def kind(self) -> str:
        """Name of the layer kind in reports."""
        return "conv"

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the output over an input of `shape`."""
        if shape.channels % self.groups:
            raise InputError(
                f"{shape.channels} input channels do not divide into {self.groups} groups"
            )
        return Shape(*self.window.output_extents(shape), self.out_channels)

    def weight_shape(self, shape: Shape) -> tuple[int, int, int, int]:
        """Shape of the weights, as in the class."""
        return (self.out_channels, *self.window.kernel, shape.channels // self.groups)

    def joined_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        """Shape of the output over its one input."""
        return self.output_shape(shapes[0])

    def transposed(self) -> Conv:
        """Give the layer for maps whose rows and columns are exchanged."""
        return replace(self, window=self.window.transposed())

    def macs(self, shape: Shape) -> int:
        """Multiply-accumulates per image; products with padding count, as in the literature."""
        _, rows, columns, channels = self.weight_shape(shape)
        return self.output_shape(shape).size * rows * columns * channels

    def as_conv(self, shape: Shape) -> Conv:
        """Give this layer as a convolution: itself."""
        return self


@dataclass(frozen=True)
class FullyConnected:
    """A dense layer over a whole map, with an optional fused ReLU.

    Behind a map of H x W x C its weights have the shape (out_features, H, W, C).
    """

    joins: ClassVar[bool] = False
    """Whether it may read several tensors."""

    keeps_quantization: ClassVar[bool] = False
    """Whether its integers stand for what those of its input do."""

    out_features: int
    relu: bool = False
    ceiling: float | None = None

    def __post_init__(self) -> None:
        check_activation(self.relu, self.ceiling)
        if self.out_features < 1:
            raise InputError("a fully connected layer needs at least one output")

    @property
    def kind(self) -> str:
        """Name of the layer kind in reports."""
        return "fully_connected"

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the output: one position, `out_features` channels."""
        return Shape(1, 1, self.out_features)

    def weight_shape(self, shape: Shape) -> tuple[int, int, int, int]:
        """Shape of the weights: (out_features, H, W, C)."""
        return (self.out_features, shape.height, shape.width, shape.channels)

    def joined_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        """Shape of the output over its one input."""
        return self.output_shape(shapes[0])

    def transposed(self) -> FullyConnected:
        """Give the layer for maps whose rows and columns are exchanged."""
        return self

    def macs(self, shape: Shape) -> int:
        """Multiply-accumulates per image."""
        return self.out_features * shape.size

    def as_conv(self, shape: Shape) -> Conv:
        """Give the convolution with one output position that computes this layer."""
        window = Window((shape.height, shape.width))
        return Conv(self.out_features, window, relu=self.relu, ceiling=self.ceiling)
