"""Upsampling by nearest neighbors, on whole tensors and column by column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pilaster.models.layers import Upsample

__all__ = ["ColumnUpsample", "upsample"]

Number = TypeVar("Number", bound=np.generic)


def upsample(values: NDArray[Number], layer: Upsample) -> NDArray[Number]:
    """Enlarge a batch (N, H, W, C), integers or reals."""
    rows, columns = layer.factor
    return values.repeat(rows, axis=1).repeat(columns, axis=2)


class ColumnUpsample:
    """Upsampling fed a column at a time."""

    def __init__(self, layer: Upsample) -> None:
        self._layer = layer

    def push(self, column: NDArray[np.int32], arm: int = 0) -> Iterator[NDArray[np.int32]]:
        """Take an input column (N, H, C); yield the output columns (N, H_out, C)."""
        rows, columns = self._layer.factor
        yield from [column.repeat(rows, axis=1)] * columns
