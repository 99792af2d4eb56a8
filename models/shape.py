"""Shapes of tensors and the padding around them."""

from __future__ import annotations

from dataclasses import dataclass

from pilaster.models.errors import InputError

__all__ = ["Padding", "Shape", "output_extent"]


@dataclass(frozen=True)
class Shape:
    """Height, width and channels of a tensor. Columns run along the width."""

    height: int
    width: int
    channels: int

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.channels) < 1:
            raise InputError(f"a shape needs positive sizes, not {self}")

    def __str__(self) -> str:
        return f"{self.height}x{self.width}x{self.channels}"

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.height * self.width * self.channels

    @property
    def column_size(self) -> int:
        """Number of elements of one column."""
        return self.height * self.channels


@dataclass(frozen=True)
class Padding:
    """Rows and columns of real zeros around a tensor."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def __post_init__(self) -> None:
        if min(self.top, self.bottom, self.left, self.right) < 0:
            raise InputError(f"padding must not be negative: {self}")

    @classmethod
    def same(cls, amount: int) -> Padding:
        """Give the same amount on all four sides."""
        return cls(amount, amount, amount, amount)


def output_extent(size: int, kernel: int, stride: int, before: int, after: int) -> int:
    """Positions of a window of `kernel` that moves by `stride` over a padded `size`."""
    return (size + before + after - kernel) // stride + 1
