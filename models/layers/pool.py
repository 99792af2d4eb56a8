"""Max and average pooling."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from pilaster.base.errors import InputError
from pilaster.models.layers.window import Window
from pilaster.models.quantization import AVERAGED, Rounding
from pilaster.models.shape import Shape

__all__ = ["Pool"]


@dataclass(frozen=True)
class Pool:
    """The maximum or the average over a window; padding takes part in neither.

    rounding : of an average
    """

    joins: ClassVar[bool] = False
    """Whether it may read several tensors."""

    keeps_quantization: ClassVar[bool] = True
    """Whether its integers stand for what those of its input do."""

    mode: Literal["max", "average"]
    window: Window
    rounding: Rounding = Rounding.AWAY

    def __post_init__(self) -> None:
        if self.mode not in ("max", "average"):
            raise InputError(f"a pool is 'max' or 'average', not {self.mode!r}")
        if self.rounding not in AVERAGED:
            raise InputError(f"an average is not rounded {self.rounding.value}")

    @property
    def kind(self) -> str:
        """Name of the layer kind in reports."""
        return f"{self.mode}_pool"

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the output over an input of `shape`."""
        return Shape(*self.window.output_extents(shape), shape.channels)

    def joined_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        """Shape of the output over its one input."""
        return self.output_shape(shapes[0])

    def transposed(self) -> Pool:
        """Give the layer for maps whose rows and columns are exchanged."""
        return replace(self, window=self.window.transposed())

    def macs(self, shape: Shape) -> int:
        """Multiply-accumulates per image: none."""
        return 0
