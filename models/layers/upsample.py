"""Enlarging by nearest neighbors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pilaster.base.errors import InputError
from pilaster.models.shape import Shape

__all__ = ["Upsample"]


@dataclass(frozen=True)
class Upsample:
    """Each value, `factor` (rows, columns) times as large: nearest-neighbor upsampling."""

    joins: ClassVar[bool] = False
    """Whether it may read several tensors."""

    keeps_quantization: ClassVar[bool] = True
    """Whether its integers stand for what those of its input do."""

    factor: tuple[int, int]

    def __post_init__(self) -> None:
        if min(self.factor) < 1:
            raise InputError(f"factors of an upsampling must be positive: {self.factor}")

    @property
    def kind(self) -> str:
        """Name of the layer kind in reports."""
        return "upsample"

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the output over an input of `shape`."""
        rows, columns = self.factor
        return Shape(shape.height * rows, shape.width * columns, shape.channels)

    def joined_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        """Shape of the output over its one input."""
        return self.output_shape(shapes[0])

    def transposed(self) -> Upsample:
        """Give the layer for maps whose rows and columns are exchanged."""
        return Upsample(self.factor[::-1])

    def macs(self, shape: Shape) -> int:
        """Multiply-accumulates per image: none."""
        return 0
