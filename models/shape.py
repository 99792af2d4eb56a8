"""Shapes of tensors and the padding around them."""

from __future__ import annotations

from dataclasses import dataclass

from pilaster.base.errors import InputError

__all__ = ["Padding", "Shape", "output_extent", "same_padding"]


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


def same_padding(
    shape: Shape, kernel: tuple[int, ...], stride: tuple[int, ...], *, odd_first: bool = False
) -> Padding:
    """Padding that gives as many outputs as strides fit in the input.

    odd_first : whether the odd zero is at the top and left; else it is at the bottom and right
    """
    if min(*kernel, *stride) < 1:
        raise InputError(f"kernel and stride must be positive: {kernel}, {stride}")
    amounts = []
    for size, extent, step in zip((shape.height, shape.width), kernel, stride, strict=True):
        total = max(0, (-(-size // step) - 1) * step + extent - size)
        less, more = total // 2, total - total // 2
        amounts += [more, less] if odd_first else [less, more]
    return Padding(*amounts)
