"""Pareto-optimal candidates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["front"]


def front(quantities: NDArray[np.number]) -> NDArray[np.intp]:
    """Find the columns that no other column beats, of equal ones the first, in rising order.

    Parameters
    ----------
    quantities : (quantities, candidates), of each the less the better
    """
    rows = _distinct(quantities)
    if not len(rows):
        return np.arange(min(1, quantities.shape[1]))
    if len(rows) <= 2:
        order = np.lexsort(rows[::-1])
        least = np.minimum.accumulate(rows[-1, order])
        return np.sort(order[np.append(True, least[1:] < least[:-1])])
    # One with less in every quantity comes first in this order, so that what is kept stays kept.
    order = np.lexsort((*rows[::-1], _ranks(rows)))
    left = np.ascontiguousarray(rows[:, order].T)
    kept = []
    while len(left):
        kept.append(order[0])
        beaten = (left >= left[0]).all(axis=1)
        left, order = left[~beaten], order[~beaten]
    return np.sort(np.array(kept, np.intp))


def _distinct(quantities: NDArray[np.number]) -> NDArray[np.number]:
    """Leave out rows that never decide: those that differ from another only by a constant."""
    if not quantities.shape[1]:
        return quantities[:0]
    varied = quantities[np.ptp(quantities, axis=1) > 0]
    shifted = {(row - row[0]).tobytes(): row for row in varied}
    return np.array(list(shifted.values()))


def _ranks(rows: NDArray[np.number]) -> NDArray[np.float64]:
    """Sum of the quantities, each over its mean distance from the least: rises with each."""
    above = rows - rows.min(axis=1, keepdims=True)
    sums: NDArray[np.float64] = (above / above.mean(axis=1, keepdims=True)).sum(axis=0)
    return sums
