"""The reals of a float file beside those of its runtime, before anything is quantized."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.models.check.result import LayerCheck
from pilaster.models.check.tolerance import Magnitudes
from pilaster.models.graph import INPUT
from pilaster.models.quantizer import FloatNetwork, float_layer

__all__ = ["RealComparison"]

Floats = NDArray[np.float64]

SINGLE_PRECISION = 1e-4
"""Largest difference that single precision makes, as a share of the largest sum of magnitudes."""


@dataclass
class _Tally:
    values: int = 0
    differing: int = 0
    largest: float = 0.0


class RealComparison:
    """Compares a float network image by image."""

    def __init__(self, network: FloatNetwork) -> None:
        self._network = network
        self._magnitudes = Magnitudes(network)
        self._tallies: dict[str, _Tally] = {}

    def see(self, theirs: Mapping[str, NDArray[np.generic]], images: NDArray[np.float64]) -> None:
        """Compare the runtime's tensors for the reals of an image (1, H, W, C).

        Every layer is computed from what the runtime gives it, where the file has that.
        """
        known = {INPUT: self._compared(INPUT, images, theirs, np.abs(images))}
        for node in self._network.graph.nodes:
            sources = [known[name] for name in node.inputs]
            ours = float_layer(self._network, node, sources)
            magnitudes = self._magnitudes.of(node, sources)
            known[node.name] = self._compared(node.name, ours, theirs, magnitudes)

    def _compared(
        self,
        name: str,
        ours: Floats,
        theirs: Mapping[str, NDArray[np.generic]],
        magnitudes: Floats,
    ) -> Floats:
        """Compare a tensor; give the runtime's, or ours where the file has it not."""
        if name not in theirs:
            return ours
        found = theirs[name].astype(np.float64)
        scale = max(float(np.abs(found).max()), float(magnitudes.max()))
        distance = np.abs(ours - found) / (scale or 1.0)
        tally = self._tallies.setdefault(name, _Tally())
        tally.values += distance.size
        tally.differing += int((~(distance <= SINGLE_PRECISION)).sum())
        tally.largest = max(tally.largest, float(np.nan_to_num(distance, nan=np.inf).max()))
        return found

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
