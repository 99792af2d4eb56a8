"""Useful sizes of a fold: the smallest that does a count in so many turns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["useful_sizes"]


def useful_sizes(count: int, most: int | None = None) -> NDArray[np.int64]:
    """Give the sizes p for which no smaller one has the same ceil(count / p), rising.

    Parameters
    ----------
    most : sizes wanted; where there are more, those nearest to a geometric series are given, with
        1 and `count` among them. None gives all.
    """
    sizes = np.arange(1, count + 1)
    turns = -(-count // sizes)
    useful: NDArray[np.int64] = sizes[np.diff(turns, prepend=count + 1) != 0]
    if most is None or len(useful) <= most:
        return useful
    wanted = np.geomspace(1, count, most)
    nearest = np.abs(np.log(useful)[:, np.newaxis] - np.log(wanted)).argmin(axis=0)
    some: NDArray[np.int64] = useful[np.unique(nearest)]
    return some
