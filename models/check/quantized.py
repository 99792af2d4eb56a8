"""What quantizing here costs: a network's integers as reals, beside the reals of the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.models.check.result import LayerError
from pilaster.models.graph import INPUT
from pilaster.models.network import Network
from pilaster.models.reference.network import tensors

__all__ = ["ErrorOfQuantizing"]

PROMISED_WIDTH = 8
"""Bits of weights and activations from which the output's error is promised."""

PROMISED_SHARE = 1 / 32
"""Root mean square of the output's error at most, as a share of the output's range."""


@dataclass
class _Tally:
    values: int = 0
    squares: float = 0.0
    largest: float = 0.0
    beyond: int = 0
    saturated: int = 0


class ErrorOfQuantizing:
    """Compares a network that was quantized here, image by image.

    Attributes
    ----------
    same_class : images so far that both give the same class
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._tallies: dict[str, _Tally] = {}
        self.same_class = 0

    def see(self, theirs: Mapping[str, NDArray[np.float64]], images: NDArray[np.generic]) -> None:
        """Compare the file's reals for an image (1, H, W, C)."""
        network = self._network
        encoded = network.encode(images)
        if INPUT in theirs:
            self._see(INPUT, encoded, theirs[INPUT])
        for name, stream in tensors(network, encoded):
            if name in theirs:
                self._see(name, stream, theirs[name])
            if name == network.graph.outputs[0] and name in theirs:
                self.same_class += int(stream.argmax() == theirs[name].argmax())

    def _see(self, name: str, ours: NDArray[np.int32], theirs: NDArray[np.float64]) -> None:
        tensor = self._network.tensors[name]
        steps = theirs / tensor.scale
        low, high = tensor.stream_range
        distance = np.abs(ours - steps)
        tally = self._tallies.setdefault(name, _Tally())
        tally.values += distance.size
        tally.squares += float(np.square(distance).sum())
        tally.largest = max(tally.largest, float(distance.max()))
        tally.beyond += int((~(distance <= 1)).sum())
        tally.saturated += int(((steps < low - 0.5) | (steps > high + 0.5)).sum())

    def layers(self) -> tuple[LayerError, ...]:
        """Give what was found."""
        return tuple(
            LayerError(
                name,
                tally.values,
                float(np.sqrt(tally.squares / tally.values)),
                tally.largest,
                tally.beyond,
                tally.saturated,
            )
            for name, tally in self._tallies.items()
        )

    @property
    def promised_rms_steps(self) -> float | None:
        """The largest error of the output that is promised; None for narrower widths."""
        network = self._network
        output = network.tensors[network.graph.outputs[0]]
        first = network.tensors[INPUT]
        narrowest = min(
            (p.weight_bits for p in network.precisions.values()), default=PROMISED_WIDTH
        )
        if narrowest < PROMISED_WIDTH or first.maximum - first.minimum < (1 << PROMISED_WIDTH) - 1:
            return None
        return (output.maximum - output.minimum + 1) * PROMISED_SHARE
