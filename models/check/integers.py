"""The integers of a file beside those of its runtime, every layer from what the runtime gives it.

So one layer's difference is not the next one's: the first that departs is the one that is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.models.check.images import reals_of
from pilaster.models.check.result import LayerCheck, OutputCheck
from pilaster.models.check.tolerance import SINGLE, SinglePrecision, error_of, excused
from pilaster.models.graph import INPUT, Node
from pilaster.models.network import Network
from pilaster.models.reference.network import infer, layer_output

__all__ = ["IntegerComparison"]

Floats = NDArray[np.float64]
Integers = NDArray[np.integer]

WHOLE = 1e-3
"""Steps within which a real is an integer of single precision, with its own error."""

CHANCE = 4
"""Times as many excused values as expected, and as many more: what chance may do."""


@dataclass
class _Tally:
    values: int = 0
    differing: int = 0
    largest: float = 0.0
    unexcused: int = 0
    expected: float = 0.0

    @property
    def departs(self) -> bool:
        return self.unexcused > 0 or self.differing > CHANCE * (self.expected + 1)


class IntegerComparison:
    """Compares a network image by image.

    Parameters
    ----------
    exact : whether the runtime computes in integers, so that no value may differ
    """

    def __init__(self, network: Network, *, exact: bool) -> None:
        self._network = network
        self._single = None if exact else SinglePrecision(network)
        self._tallies: dict[str, _Tally] = {}
        self._output = _Tally()

    def see(self, theirs: Mapping[str, NDArray[np.generic]], images: NDArray[np.generic]) -> None:
        """Compare the runtime's tensors, integers or reals, for an image (1, H, W, C)."""
        network = self._network
        differing = self._differing
        encoded = network.encode(images)
        known = {INPUT: self._compared_input(encoded, theirs, images)}
        exact: dict[str, tuple[Floats, Floats]] = {}
        for node in network.graph.nodes:
            sources = [known[name] for name in node.inputs]
            ours = known[node.name] = layer_output(network, node, sources)
            if node.name not in theirs:
                if self._single is not None:
                    exact[node.name] = self._exact(node, known, exact)
                continue
            stream, whole = self._stream(node.name, theirs[node.name])
            tally = self._tallies.setdefault(node.name, _Tally())
            if not whole:
                error = 0.0 if self._single is None else self._exact(node, known, exact)[1]
                _see_reals(tally, ours, stream, 0.5 + WHOLE + error)
                continue
            known[node.name] = stream.astype(np.int32)
            _see(tally, ours, stream)
            if self._single is None or np.array_equal(ours, stream):
                continue
            _excuse(tally, *self._exact(node, known, exact), ours, stream)
        self._see_output(encoded, known, differs=self._differing != differing)

    def _exact(
        self,
        node: Node,
        known: Mapping[str, NDArray[np.int32]],
        exact: Mapping[str, tuple[Floats, Floats]],
    ) -> tuple[Floats, Floats]:
        """Give a layer's exact values and their errors; the file has not all that it reads."""
        assert self._single is not None
        found = [exact.get(name, (known[name], None)) for name in node.inputs]
        return self._single.of(node, [values for values, _ in found], [error for _, error in found])

    @property
    def _differing(self) -> int:
        return sum(tally.differing for tally in self._tallies.values())

    def _compared_input(
        self,
        encoded: NDArray[np.int32],
        theirs: Mapping[str, NDArray[np.generic]],
        images: NDArray[np.generic],
    ) -> NDArray[np.int32]:
        if INPUT not in theirs:
            return encoded
        stream, whole = self._stream(INPUT, theirs[INPUT])
        if not whole:
            return encoded
        tally = self._tallies.setdefault(INPUT, _Tally())
        _see(tally, encoded, stream)
        if self._single is not None and not np.array_equal(encoded, stream):
            exact = reals_of(self._network, images) / self._network.tensors[INPUT].scale
            _excuse(tally, exact, error_of(np.abs(exact)), encoded, stream)
        return stream.astype(np.int32)

    def _stream(self, name: str, found: NDArray[np.generic]) -> tuple[Floats, bool]:
        """Give the runtime's tensor in steps, and whether these are whole."""
        tensor = self._network.tensors[name]
        if np.issubdtype(found.dtype, np.integer):
            return found.astype(np.float64) - tensor.zero_point, True
        steps = found.astype(np.float64) / tensor.scale
        nearest = np.rint(steps)
        whole = bool((np.abs(steps - nearest) <= WHOLE + SINGLE * np.abs(steps)).all())
        return (nearest if whole else steps), whole

    def _see_output(
        self, encoded: NDArray[np.int32], known: Mapping[str, NDArray[np.int32]], *, differs: bool
    ) -> None:
        theirs = known[self._network.graph.outputs[0]]
        _see(self._output, infer(self._network, encoded) if differs else theirs, theirs)

    def layers(self, tensors: Mapping[str, str]) -> tuple[LayerCheck, ...]:
        """Give what was found; `tensors` names the file's tensor of each of the graph's."""
        return tuple(
            LayerCheck(
                name, tensors[name], tally.values, tally.differing, tally.largest, tally.departs
            )
            for name, tally in self._tallies.items()
        )

    @property
    def output(self) -> OutputCheck:
        """What was found of the whole network's answer."""
        return OutputCheck(self._output.values, self._output.differing, int(self._output.largest))


def _see(tally: _Tally, ours: Integers, theirs: NDArray[np.number]) -> None:
    distance = np.abs(ours - theirs)
    tally.values += distance.size
    differing = int((distance != 0).sum())
    tally.differing += differing
    tally.unexcused += differing
    tally.largest = max(tally.largest, float(distance.max()))


def _excuse(tally: _Tally, exact: Floats, error: Floats, ours: Integers, theirs: Floats) -> None:
    tally.unexcused -= int(excused(exact, error, ours, theirs).sum())
    tally.expected += float(np.minimum(2 * error, 1.0).sum())


def _see_reals(tally: _Tally, ours: Integers, theirs: Floats, most: Floats | float) -> None:
    """Compare integers with reals that the file does not quantize: to the nearest, and `most`."""
    distance = np.abs(ours - theirs)
    tally.values += distance.size
    differing = int((~(distance <= most)).sum())
    tally.differing += differing
    tally.unexcused += differing
    tally.largest = max(tally.largest, float(distance.max()))
