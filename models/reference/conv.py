"""Integer convolution, on whole tensors and column by column."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pilaster.models.layers import Conv
from pilaster.models.quantization import ConvParameters, TensorQuantization
from pilaster.models.shape import Shape

__all__ = ["ColumnConv", "conv", "conv_accumulators"]

Integers = NDArray[np.int64]

PATCH_ELEMENTS = 1 << 19
"""Patch matrix entries worked on at a time: small enough to stay in a processor's cache."""

EXACT_FLOAT32 = 1 << 24
"""Every integer below this magnitude is exact in single precision."""


def conv(
    values: NDArray[np.integer],
    layer: Conv,
    parameters: ConvParameters,
    output: TensorQuantization,
    magnitude: int,
) -> NDArray[np.int32]:
    """Convolve a batch of stream values of shape (N, H, W, C) into (N, H_out, W_out, C_out).

    `magnitude` bounds the stream values; it decides the floating-point format in which the
    matrix product is exact.
    """
    count = values.shape[0]
    shape = layer.output_shape(Shape(*values.shape[1:]))
    result = np.empty((count, shape.height, shape.width, shape.channels), np.int32)
    low, high = output.stream_range
    for images, rows, sums in _blocks(values, layer, parameters, magnitude):
        scaled = parameters.requantize(sums)
        np.clip(scaled, low, high, out=result[images, rows], casting="unsafe")
    return result


def conv_accumulators(
    values: NDArray[np.integer], layer: Conv, parameters: ConvParameters, magnitude: int
) -> Integers:
    """Sums with bias before requantization, shape (N, H_out, W_out, C_out)."""
    shape = layer.output_shape(Shape(*values.shape[1:]))
    result = np.empty((values.shape[0], shape.height, shape.width, shape.channels), np.int64)
    for images, rows, sums in _blocks(values, layer, parameters, magnitude):
        result[images, rows] = sums
    return result


def _blocks(
    values: NDArray[np.integer], layer: Conv, parameters: ConvParameters, magnitude: int
) -> Iterator[tuple[slice, slice, Integers]]:
    """Yield (images, output rows, accumulators) block by block."""
    shape = Shape(*values.shape[1:])
    out = layer.output_shape(shape)
    (kernel_rows, kernel_columns), (step_v, step_h) = layer.window.kernel, layer.window.stride
    pad = layer.window.padding
    exact = parameters.accumulator_bound(magnitude) < EXACT_FLOAT32
    dtype = np.float32 if exact else np.float64
    padding = ((0, 0), (pad.top, pad.bottom), (pad.left, pad.right), (0, 0))
    in_group = shape.channels // layer.groups
    out_group = layer.out_channels // layer.groups
    terms = kernel_rows * kernel_columns * in_group
    matrices = [
        parameters.weight[g * out_group : (g + 1) * out_group].reshape(out_group, terms).T
        for g in range(layer.groups)
    ]
    matrices = [np.ascontiguousarray(matrix, dtype) for matrix in matrices]
    row_terms = out.width * terms * layer.groups
    row_block = max(1, min(out.height, PATCH_ELEMENTS // row_terms))
    image_block = max(1, PATCH_ELEMENTS // (row_terms * out.height))
    for first in range(0, values.shape[0], image_block):
        images = slice(first, min(first + image_block, values.shape[0]))
        source = values[images].astype(dtype)
        if any(amount for pair in padding for amount in pair):
            source = np.pad(source, padding)
        windows = sliding_window_view(source, (kernel_rows, kernel_columns), axis=(1, 2))
        windows = windows[:, ::step_v, ::step_h].transpose(0, 1, 2, 4, 5, 3)
        for row in range(0, out.height, row_block):
            rows = slice(row, min(row + row_block, out.height))
            part = windows[:, rows, : out.width]
            lead = part.shape[:3]
            sums = np.empty((*lead, layer.out_channels), np.int64)
            for g, matrix in enumerate(matrices):
                patch = part[..., g * in_group : (g + 1) * in_group].reshape(-1, terms)
                product = patch @ matrix
                sums[..., g * out_group : (g + 1) * out_group] = product.reshape(*lead, out_group)
            sums += parameters.bias
            yield images, rows, sums


class ColumnConv:
    """A convolution fed a column at a time, in the scatter order of the hardware.

    Each column is used the moment it arrives: kernel column by kernel column, into the pending
    output columns' partial sums, the completing one first.
    """

    def __init__(
        self, layer: Conv, shape: Shape, parameters: ConvParameters, output: TensorQuantization
    ) -> None:
        self._layer = layer
        self._shape = shape
        self._parameters = parameters
        self._range = output.stream_range
        self._columns_out = layer.output_shape(shape).width
        self._column = 0
        self._pending: dict[int, Integers] = {}

    def push(self, column: NDArray[np.integer], arm: int = 0) -> Iterator[NDArray[np.int32]]:
        """Take an input column (N, H, C); yield the (N, H_out, C_out) it completes."""
        window, last = self._layer.window, self._shape.width - 1
        for offset in reversed(range(window.kernel[1])):
            position = self._column + window.padding.left - offset
            target, remainder = divmod(position, window.stride[1])
            if remainder or not 0 <= target < self._columns_out:
                continue
            partial = self._kernel_column(column, offset)
            if target in self._pending:
                partial += self._pending.pop(target)
            else:
                partial += self._parameters.bias
            if window.completing_column(target, last + 1) == self._column:
                yield self._finish(partial)
            else:
                self._pending[target] = partial
        self._column = (self._column + 1) % (last + 1)

    def _kernel_column(self, column: NDArray[np.integer], offset: int) -> Integers:
        """Contribution (N, H_out, C_out) of one input column through one kernel column."""
        layer, pad = self._layer, self._layer.window.padding
        padded = np.pad(column.astype(np.int64), ((0, 0), (pad.top, pad.bottom), (0, 0)))
        taps = sliding_window_view(padded, layer.window.kernel[0], axis=1)
        taps = taps[:, :: layer.window.stride[0]]  # (N, H_out, C, taps)
        weight = self._parameters.weight[:, :, offset, :].astype(np.int64)
        count, rows = taps.shape[:2]
        grouped = taps.reshape(count, rows, layer.groups, -1, layer.window.kernel[0])
        per_group = weight.reshape(layer.groups, -1, *weight.shape[1:])
        sums: Integers = np.einsum("nrgcj,gojc->nrgo", grouped, per_group)
        return sums.reshape(count, rows, layer.out_channels)

    def _finish(self, accumulators: Integers) -> NDArray[np.int32]:
        scaled = self._parameters.requantize(accumulators)
        return np.clip(scaled, *self._range).astype(np.int32)
