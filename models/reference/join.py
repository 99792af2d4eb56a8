"""Integer sums and concatenations, on whole tensors and column by column."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pilaster.models.joins import AddParameters, ConcatParameters, JoinParameters
from pilaster.models.quantization import TensorQuantization

__all__ = ["ColumnJoin", "join"]

Stream = NDArray[np.int32]


def join(
    values: Sequence[NDArray[np.integer]], parameters: JoinParameters, output: TensorQuantization
) -> Stream:
    """Join stream values, all of one shape but for the channels, which are the last axis."""
    if isinstance(parameters, AddParameters):
        return _add(values, parameters, output)
    return _concat(values, parameters, output)


def _add(
    values: Sequence[NDArray[np.integer]], parameters: AddParameters, output: TensorQuantization
) -> Stream:
    first, second = (
        scale.requantize(value.astype(np.int64) << parameters.left_shift)
        for value, scale in zip(values, parameters.inputs, strict=True)
    )
    total = parameters.output.requantize(first + second)
    return np.clip(total, *output.stream_range).astype(np.int32)


def _concat(
    values: Sequence[NDArray[np.integer]], parameters: ConcatParameters, output: TensorQuantization
) -> Stream:
    scaled = [
        scale.requantize(value.astype(np.int64))
        for value, scale in zip(values, parameters.inputs, strict=True)
    ]
    return np.clip(np.concatenate(scaled, axis=-1), *output.stream_range).astype(np.int32)


class ColumnJoin:
    """A join fed a column at a time: columns of the arm that is ahead wait for the other's."""

    def __init__(self, arms: int, combine: Callable[[Sequence[Stream]], Stream]) -> None:
        self._waiting: list[deque[Stream]] = [deque() for _ in range(arms)]
        self._combine = combine

    def push(self, column: Stream, arm: int) -> Iterator[Stream]:
        """Take a column (N, H, C) of an arm; yield the joined column once every arm has one."""
        self._waiting[arm].append(column)
        if all(self._waiting):
            yield self._combine([waiting.popleft() for waiting in self._waiting])
