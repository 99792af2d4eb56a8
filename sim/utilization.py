"""Definition of lane utilization."""

from __future__ import annotations

from typing import overload

import numpy as np
from numpy.typing import NDArray

__all__ = ["utilization"]

Numbers = NDArray[np.int64]


@overload
def utilization(lane_operations: float, lanes: int, cycles: float) -> float: ...
@overload
def utilization(
    lane_operations: Numbers, lanes: Numbers, cycles: Numbers
) -> NDArray[np.float64]: ...
def utilization(
    lane_operations: float | Numbers, lanes: int | Numbers, cycles: float | Numbers
) -> float | NDArray[np.float64]:
    """Share of the cycles of some lanes in which they work: 0 to 1, and 0 without lanes.

    Parameters
    ----------
    lane_operations : products of an activation and a weight of the layer that the schedule has for
        an image, those held because the activation is zero included
    cycles : between two images, once the pipeline is full
    """
    there = lanes * cycles
    return (
        lane_operations / np.maximum(there, 1)
        if isinstance(there, np.ndarray)
        else (lane_operations / there if there else 0.0)
    )
