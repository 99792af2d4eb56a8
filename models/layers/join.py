"""Layers that join several tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pilaster.base.errors import InputError
from pilaster.models.layers.activation import check_activation
from pilaster.models.shape import Shape

__all__ = ["Add", "Concat"]


@dataclass(frozen=True)
class Add:
    """The sum of two tensors of one shape, with an optional fused ReLU (see `Conv`)."""

    joins: ClassVar[bool] = True
    """Whether it may read several tensors."""

    keeps_quantization: ClassVar[bool] = False
    """Whether its integers stand for what those of its input do."""

    relu: bool = False
    ceiling: float | None = None

    def __post_init__(self) -> None:
        check_activation(self.relu, self.ceiling)

    @property
    def kind(self) -> str:
        """Name of the layer kind in reports."""
        return "add"

    def joined_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        """Shape of the output over inputs of `shapes`."""
        if len(shapes) != 2:
            raise InputError(f"an addition reads two tensors, not {len(shapes)}")
        if shapes[0] != shapes[1]:
            raise InputError(f"an addition needs equal shapes, not {shapes[0]} and {shapes[1]}")
        return shapes[0]

    def transposed(self) -> Add:
        """Give the layer for maps whose rows and columns are exchanged."""
        return self

    def macs(self, shape: Shape) -> int:
        """Multiply-accumulates per image: none."""
        return 0


@dataclass(frozen=True)
class Concat:
    """Tensors of one height and width, one behind the other along the channels."""

    joins: ClassVar[bool] = True
    """Whether it may read several tensors."""

    keeps_quantization: ClassVar[bool] = False
    """Whether its integers stand for what those of its input do."""

    @property
    def kind(self) -> str:
        """Name of the layer kind in reports."""
        return "concat"

    def joined_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        """Shape of the output over inputs of `shapes`."""
        if not shapes:
            raise InputError("a concatenation reads one tensor or more, not none")
        first = shapes[0]
        for shape in shapes:
            if (shape.height, shape.width) != (first.height, first.width):
                raise InputError(f"a concatenation needs equal maps, not {first} and {shape}")
        return Shape(first.height, first.width, sum(shape.channels for shape in shapes))

    def transposed(self) -> Concat:
        """Give the layer for maps whose rows and columns are exchanged."""
        return self

    def macs(self, shape: Shape) -> int:
        """Multiply-accumulates per image: none."""
        return 0
