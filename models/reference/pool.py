"""Integer pooling, on whole tensors and column by column."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pilaster.models.layers import Pool
from pilaster.models.quantization import Rounding, TensorQuantization
from pilaster.models.shape import Shape

__all__ = ["ColumnPool", "divide_half_away", "pool", "valid_rows"]

Integers = NDArray[np.int64]


def pool(values: NDArray[np.integer], layer: Pool, tensor: TensorQuantization) -> NDArray[np.int32]:
    """Pool a batch of stream values (N, H, W, C) into (N, H_out, W_out, C)."""
    shape = Shape(*values.shape[1:])
    out = layer.output_shape(shape)
    (kernel_rows, kernel_columns), (step_v, step_h) = layer.window.kernel, layer.window.stride
    pad = layer.window.padding
    neutral = np.iinfo(np.int32).min if layer.mode == "max" else 0
    source = values.astype(np.int32, copy=False)
    padding = ((0, 0), (pad.top, pad.bottom), (pad.left, pad.right), (0, 0))
    if any(amount for pair in padding for amount in pair):
        source = np.pad(source, padding, constant_values=neutral)
    combine = np.maximum if layer.mode == "max" else np.add
    result: NDArray[np.int32] | None = None
    for j, k in np.ndindex(kernel_rows, kernel_columns):
        rows = slice(j, j + step_v * (out.height - 1) + 1, step_v)
        columns = slice(k, k + step_h * (out.width - 1) + 1, step_h)
        part = source[:, rows, columns]
        result = part.copy() if result is None else combine(result, part, out=result)
    assert result is not None
    if layer.mode == "max":
        return result
    valid_columns = [len(_columns_of(layer, q, shape.width)) for q in range(out.width)]
    count = np.outer(valid_rows(layer, shape.height), valid_columns)[:, :, np.newaxis]
    return _average(result.astype(np.int64), count, tensor, layer.rounding)


class ColumnPool:
    """Pooling fed a column at a time: reduced down the column, then across columns."""

    def __init__(self, layer: Pool, shape: Shape, tensor: TensorQuantization) -> None:
        self._layer = layer
        self._shape = shape
        self._tensor = tensor
        self._columns_out = layer.output_shape(shape).width
        self._column = 0
        self._pending: dict[int, Integers] = {}

    def push(self, column: NDArray[np.integer], arm: int = 0) -> Iterator[NDArray[np.int32]]:
        """Take an input column (N, H, C); yield the output columns (N, H_out, C) it completes."""
        reduced = _reduce_rows(column, self._layer, self._shape)
        combine = np.maximum if self._layer.mode == "max" else np.add
        for target in range(self._columns_out):
            used = _columns_of(self._layer, target, self._shape.width)
            if self._column not in used:
                continue
            if target in self._pending:
                value = combine(self._pending.pop(target), reduced)
            else:
                value = reduced
            if self._column == used[-1]:
                yield self._finish(value, len(used))
            else:
                self._pending[target] = value
        self._column = (self._column + 1) % self._shape.width

    def _finish(self, value: Integers, columns: int) -> NDArray[np.int32]:
        if self._layer.mode == "max":
            return value.astype(np.int32)
        count = (valid_rows(self._layer, self._shape.height) * columns)[:, np.newaxis]
        return _average(value, count, self._tensor, self._layer.rounding)


def valid_rows(layer: Pool, height: int) -> Integers:
    """Rows of each output row's window that are not padding, shape (H_out,)."""
    return np.array([len(rows) for rows in _windows(layer, height)])


def divide_half_away(total: Integers, count: Integers) -> Integers:
    """Divide integers, halves rounded away from zero."""
    half = count // 2
    quotient: Integers = np.where(total > 0, (total + half) // count, -((-total + half) // count))
    return quotient


def _windows(layer: Pool, height: int) -> list[range]:
    """Input rows of each output row's window, padding left out."""
    window = layer.window
    rows_out, _ = window.output_extents(Shape(height, layer.window.kernel[1], 1))
    starts = [r * window.stride[0] - window.padding.top for r in range(rows_out)]
    return [range(max(0, s), min(height, s + window.kernel[0])) for s in starts]


def _columns_of(layer: Pool, output_column: int, width: int) -> range:
    """Input columns of an output column's window, padding left out."""
    start = output_column * layer.window.stride[1] - layer.window.padding.left
    return range(max(0, start), min(width, start + layer.window.kernel[1]))


def _reduce_rows(column: NDArray[np.integer], layer: Pool, shape: Shape) -> Integers:
    """Reduce a column (N, H, C) down its rows to (N, H_out, C)."""
    column = column.astype(np.int64)
    parts = [column[:, rows.start : rows.stop] for rows in _windows(layer, shape.height)]
    if layer.mode == "max":
        return np.stack([part.max(axis=1) for part in parts], axis=1)
    return np.stack([part.sum(axis=1) for part in parts], axis=1)


def _average(
    total: Integers, count: Integers, tensor: TensorQuantization, rounding: Rounding
) -> NDArray[np.int32]:
    """Average stream values; TensorFlow Lite rounds the average of the raw integers."""
    if rounding is Rounding.AWAY:
        raw = divide_half_away(total + count * tensor.zero_point, count)
        return (raw - tensor.zero_point).astype(np.int32)
    up, rest = np.divmod(2 * total + count, 2 * count)
    down = (rest == 0) & ((up & 1) == (rounding is Rounding.EVEN))
    nearest: NDArray[np.int32] = (up - down).astype(np.int32)
    return nearest
