"""A convolution as its stage sees it: vertical stride folded away, in rows, taps and columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pilaster.models.layers import Conv
from pilaster.models.shape import Shape

__all__ = ["ConvGeometry"]


@dataclass(frozen=True)
class ConvGeometry:
    """A convolution whose vertical stride is folded into channels, so that a sweep has stride 1.

    Input row h becomes folded row ``(h + offset) // row_fold`` and phase ``(h + offset) %
    row_fold``; folded channel ``phase * channels + c``. Where there is one output row the whole
    kernel height is folded: a fully connected layer is one row of H * C channels.

    Attributes
    ----------
    rows, taps, channels : of the folded input and kernel, channels per group
    rows_out, columns_out : of the output
    """

    layer: Conv
    shape: Shape

    @cached_property
    def row_fold(self) -> int:
        """Rows that become one folded row."""
        kernel_rows = self.layer.window.kernel[0]
        return kernel_rows if self.rows_out == 1 else self.layer.window.stride[0]

    @cached_property
    def output(self) -> Shape:
        """Shape of the output."""
        return self.layer.output_shape(self.shape)

    @property
    def rows_out(self) -> int:
        """Output rows."""
        return self.output.height

    @property
    def columns_in(self) -> int:
        """Input columns."""
        return self.shape.width

    @property
    def columns_out(self) -> int:
        """Output columns."""
        return self.output.width

    @property
    def offset(self) -> int:
        """Padding rows at the top that share a folded row with real ones."""
        return self.layer.window.padding.top % self.row_fold

    @property
    def pad_top(self) -> int:
        """Whole folded rows of padding at the top."""
        return self.layer.window.padding.top // self.row_fold

    @property
    def taps(self) -> int:
        """Taps of a folded kernel column."""
        return -(-self.layer.window.kernel[0] // self.row_fold)

    @property
    def rows(self) -> int:
        """Folded input rows that any output row uses."""
        available = -(-(self.shape.height + self.offset) // self.row_fold)
        return min(available, self.rows_out + self.taps - 1 - self.pad_top)

    @property
    def is_depthwise(self) -> bool:
        """Whether every output channel has one input channel of its own."""
        return self.shape.channels == self.layer.groups and self.layer.groups > 1

    @property
    def channels(self) -> int:
        """Folded input channels of a group."""
        return self.shape.channels // self.layer.groups * self.row_fold

    @property
    def tiled_groups(self) -> int:
        """Groups that tiles must not span; a depthwise layer's channels are lanes of one."""
        return 1 if self.is_depthwise else self.layer.groups

    @property
    def out_channels(self) -> int:
        """Output channels of a tiled group."""
        return self.layer.out_channels // self.tiled_groups

    @property
    def kernel_columns(self) -> int:
        """Kernel columns, K_w."""
        return self.layer.window.kernel[1]

    @property
    def stride(self) -> int:
        """Horizontal stride."""
        return self.layer.window.stride[1]

    @property
    def open_columns(self) -> int:
        """Most output columns that one input column contributes to."""
        return -(-self.kernel_columns // self.stride)

    def fold_weights(self, weight: NDArray[np.integer]) -> NDArray[np.integer]:
        """Lay weights out as (C_out, taps, kernel columns, folded channels)."""
        outputs, kernel_rows, columns, channels = weight.shape
        extra = self.taps * self.row_fold - kernel_rows
        padded = np.pad(weight, ((0, 0), (0, extra), (0, 0), (0, 0)))
        split = padded.reshape(outputs, self.taps, self.row_fold, columns, channels)
        return split.transpose(0, 1, 3, 2, 4).reshape(
            outputs, self.taps, columns, self.row_fold * channels
        )

    @cached_property
    def real_taps(self) -> NDArray[np.bool_]:
        """Where the folded kernel has a weight of the layer's: (taps, folded channels)."""
        tap, channel = np.mgrid[: self.taps, : self.channels]
        phase = channel // (self.channels // self.row_fold)
        real: NDArray[np.bool_] = tap * self.row_fold + phase < self.layer.window.kernel[0]
        return real

    def output_row_uses(self, kernel_rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """How many output rows use each input row through `kernel_rows`, shape (H,)."""
        uses = np.zeros(self.shape.height, np.int64)
        stride, pad = self.layer.window.stride[0], self.layer.window.padding.top
        rows = np.arange(self.rows_out) * stride - pad
        for j in kernel_rows:
            used = rows + j
            used = used[(used >= 0) & (used < self.shape.height)]
            uses[used] += 1
        return uses
