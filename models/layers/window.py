"""What a convolution and a pooling share: a window that moves over a map."""

from __future__ import annotations

from dataclasses import dataclass, field

from pilaster.base.errors import InputError
from pilaster.models.shape import Padding, Shape, output_extent

__all__ = ["Window"]


@dataclass(frozen=True)
class Window:
    """A window of `kernel` (rows, columns), moved by `stride` (rows, columns)."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: Padding = field(default_factory=Padding)

    def __post_init__(self) -> None:
        if min(*self.kernel, *self.stride) < 1:
            raise InputError(f"kernel and stride must be positive: {self.kernel}, {self.stride}")
        pad = self.padding
        if max(pad.top, pad.bottom) >= self.kernel[0] or max(pad.left, pad.right) >= self.kernel[1]:
            raise InputError(f"padding must be smaller than the kernel {self.kernel}: {pad}")

    def output_extents(self, shape: Shape) -> tuple[int, int]:
        """Rows and columns of the output over an input of `shape`."""
        pad = self.padding
        rows = output_extent(shape.height, self.kernel[0], self.stride[0], pad.top, pad.bottom)
        columns = output_extent(shape.width, self.kernel[1], self.stride[1], pad.left, pad.right)
        if rows < 1 or columns < 1:
            raise InputError(f"kernel {self.kernel} with {pad} is larger than its input {shape}")
        return rows, columns

    def transposed(self) -> Window:
        """Give the window over maps whose rows and columns are exchanged."""
        pad = self.padding
        exchanged = Padding(pad.left, pad.right, pad.top, pad.bottom)
        return Window(self.kernel[::-1], self.stride[::-1], exchanged)

    def completing_column(self, output_column: int, columns_in: int) -> int:
        """Input column whose contribution completes `output_column` (design: scatter)."""
        last = output_column * self.stride[1] + self.kernel[1] - 1 - self.padding.left
        return min(last, columns_in - 1)
