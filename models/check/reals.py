"""The reals of a float file beside those of its runtime, before anything is quantized."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.models.check.result import LayerCheck
from pilaster.models.quantizer import FloatNetwork, float_tensors

__all__ = ["RealComparison"]

SINGLE_PRECISION = 1e-4
"""Largest difference, as a share of the tensor's largest magnitude, that single precision makes."""


@dataclass
class _Tally:
    values: int = 0
    differing: int = 0
    largest: float = 0.0


class RealComparison:
    """Compares a float network image by image."""

    def __init__(self, network: FloatNetwork) -> None:
        self._network = network
        self._tallies: dict[str, _Tally] = {}

    def see(self, theirs: Mapping[str, NDArray[np.generic]], images: NDArray[np.float64]) -> None:
        """Compare the runtime's tensors for the reals of an image (1, H, W, C)."""
        for name, ours in float_tensors(self._network, images).items():
            if name not in theirs:
                continue
            found = theirs[name].astype(np.float64)
            distance = np.abs(ours - found) / (float(np.abs(found).max()) or 1.0)
            tally = self._tallies.setdefault(name, _Tally())
            tally.values += distance.size
            tally.differing += int((~(distance <= SINGLE_PRECISION)).sum())
            tally.largest = max(tally.largest, float(np.nan_to_num(distance, nan=np.inf).max()))

    def layers(self, tensors: Mapping[str, str]) -> tuple[LayerCheck, ...]:
        """Give what was found; `tensors` names the file's tensor of each of the graph's."""
        return tuple(
            LayerCheck(
                name,
                tensors[name],
                tally.values,
                tally.differing,
                tally.largest,
                tally.differing > 0,
            )
            for name, tally in self._tallies.items()
        )
