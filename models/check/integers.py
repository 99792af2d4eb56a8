"""The integers of a file beside those of its runtime, every layer from what the runtime gives it.

So one layer's difference is not the next one's: the first that departs is the one that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

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

HALF = 0.5 + WHOLE
"""Steps within which an integer stands for a real that the file does not quantize."""

TIE = 1e-9
"""Steps from the middle of two integers within which a value lies in it, in double precision."""

RULES: tuple[Callable[[float], float], ...] = (
    lambda tie: np.floor(tie),
    lambda tie: np.ceil(tie),
    lambda tie: np.trunc(tie),
    lambda tie: np.trunc(tie) + np.sign(tie),
    lambda tie: 2 * np.floor(tie / 2 + 0.5),
    lambda tie: 2 * np.floor(tie / 2) + 1,
)
"""Where a value in the middle of two integers may go: down, up, to and from 0, to even, to odd."""

FEWEST_TIES, MOST_TIES = 8, 0.95
"""Ties that another rule would move, and the share of them that it does move if it is the rule."""


@dataclass
class _Tally:
    """Counts of a tensor.

    excused : differences that rounding in single precision explains
    ties : exact values in the middle of two integers: ours, and those of the runtime
    """

    values: int = 0
    differing: int = 0
    largest: float = 0.0
    excused: int = 0
    ties: dict[float, tuple[int, set[float]]] = field(default_factory=dict)

    @property
    def departs(self) -> bool:
        """Whether differences are more than single precision explains.

        Single precision moves some ties, this way and that; another rule moves all that it must.
        """
        return self.differing > self.excused or any(map(self._follows, RULES))

    def _follows(self, rule: Callable[[float], float]) -> bool:
        """Whether the runtime takes ties where a rule does that is not ours."""
        others = [
            (rule(tie), theirs) for tie, (ours, theirs) in self.ties.items() if rule(tie) != ours
        ]
        followed = sum(theirs == {goal} for goal, theirs in others)
        return len(others) >= FEWEST_TIES and followed >= MOST_TIES * len(others)


class IntegerComparison:
    """Compares a network image by image.

    Parameters
    ----------
    whole : tensors that are integers in the file, at times as the reals that these stand for
    rounded_biases : layers whose biases are not the file's, but rounded to units of a sum
    exact : whether the runtime computes in integers, so that no value may differ
    """

    def __init__(
        self,
        network: Network,
        whole: Collection[str],
        rounded_biases: Collection[str],
        *,
        exact: bool,
    ) -> None:
        self._network = network
        self._whole = whole
        self._rounded_biases = rounded_biases
        self._single = None if exact else SinglePrecision(network, rounded_biases)
        self._tallies: dict[str, _Tally] = {}
        self._output = _Tally()

    def see(self, theirs: Mapping[str, NDArray[np.generic]], images: NDArray[np.generic]) -> None:
        """Compare the runtime's tensors, integers or reals, for an image (1, H, W, C)."""
        network = self._network
        differing = self._differing
        encoded = network.encode(images)
        known = {INPUT: self._compared_input(encoded, theirs, images)}
        exact: dict[str, tuple[Floats, Floats | None]] = {}
        for node in network.graph.nodes:
            sources = [known[name] for name in node.inputs]
            ours = known[node.name] = layer_output(network, node, sources)
            if node.name not in theirs:
                if self._single is not None:
                    values, error = self._exact(node, known, exact)
                    exact[node.name] = (values, error + _rounded(ours, values))
                continue
            tally = self._tallies.setdefault(node.name, _Tally())
            steps = self._steps(node.name, theirs[node.name])
            nearest = np.rint(steps)
            if not self._is_whole(node.name, theirs[node.name]):
                most = HALF if self._single is None else HALF + self._exact(node, known, exact)[1]
                _see_reals(tally, ours, steps, most)
                exact[node.name] = (steps, _rounded(ours, steps))
                if not (np.abs(steps - nearest) > WHOLE + SINGLE * np.abs(steps)).any():
                    known[node.name] = nearest.astype(np.int32)
                    exact[node.name] = (steps, None)
                continue
            known[node.name] = nearest.astype(np.int32)
            _see(tally, ours, nearest)
            if self._single is None:
                continue
            values, error = self._exact(node, known, exact)
            values = np.clip(values, *network.tensors[node.name].stream_range)
            _excuse(tally, values, error, ours, nearest, self._is_certain(node, exact))
        self._see_output(encoded, known, differs=self._differing != differing)

    def _exact(
        self,
        node: Node,
        known: Mapping[str, NDArray[np.int32]],
        exact: Mapping[str, tuple[Floats, Floats | None]],
    ) -> tuple[Floats, Floats]:
        """Give a layer's exact values and their errors; the file has not all that it reads."""
        assert self._single is not None
        found = [exact.get(name, (known[name], None)) for name in node.inputs]
        return self._single.of(node, [values for values, _ in found], [error for _, error in found])

    def _is_certain(self, node: Node, exact: Mapping[str, tuple[Floats, Floats | None]]) -> bool:
        """Whether a layer's exact values are the file's, so that one in the middle is so there."""
        read = [exact[name][1] for name in node.inputs if name in exact]
        return node.name not in self._rounded_biases and all(error is None for error in read)

    @property
    def _differing(self) -> int:
        return sum(tally.differing for tally in self._tallies.values())

    def _compared_input(
        self,
        encoded: NDArray[np.int32],
        theirs: Mapping[str, NDArray[np.generic]],
        images: NDArray[np.generic],
    ) -> NDArray[np.int32]:
        if INPUT not in theirs or not self._is_whole(INPUT, theirs[INPUT]):
            return encoded
        nearest = np.rint(self._steps(INPUT, theirs[INPUT]))
        tally = self._tallies.setdefault(INPUT, _Tally())
        _see(tally, encoded, nearest)
        if self._single is not None:
            tensor = self._network.tensors[INPUT]
            exact = np.clip(reals_of(self._network, images) / tensor.scale, *tensor.stream_range)
            _excuse(tally, exact, error_of(np.abs(exact)), encoded, nearest, True)
        return nearest.astype(np.int32)

    def _is_whole(self, name: str, found: NDArray[np.generic]) -> bool:
        return name in self._whole or np.issubdtype(found.dtype, np.integer)

    def _steps(self, name: str, found: NDArray[np.generic]) -> Floats:
        """Give the runtime's tensor in steps from the zero point."""
        tensor = self._network.tensors[name]
        steps: Floats = found.astype(np.float64)
        if np.issubdtype(found.dtype, np.integer):
            return steps - tensor.zero_point
        return steps / tensor.scale

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


def _rounded(ours: Integers, exact: Floats) -> Floats:
    """Give what rounding to integers takes from reals that the file does not round, in steps."""
    lost: Floats = np.minimum(np.abs(ours - exact), HALF)
    return lost


def _see(tally: _Tally, ours: Integers, theirs: NDArray[np.number]) -> None:
    distance = np.abs(ours - theirs)
    tally.values += distance.size
    differing = int((distance != 0).sum())
    tally.differing += differing
    tally.largest = max(tally.largest, float(distance.max()))


def _excuse(
    tally: _Tally,
    exact: Floats,
    error: Floats,
    ours: Integers,
    theirs: Floats,
    certain: bool,
) -> None:
    """Count the differences that rounding explains; ties only where exact values are certain."""
    found = excused(exact, error, ours, theirs)
    tally.excused += int(found.sum())
    if not certain:
        return
    tied = np.abs(exact - np.floor(exact) - 0.5) <= TIE
    for tie, mine, other in zip(
        exact[tied].tolist(), ours[tied].tolist(), theirs[tied].tolist(), strict=True
    ):
        tally.ties.setdefault(tie, (mine, set()))[1].add(other)


def _see_reals(tally: _Tally, ours: Integers, theirs: Floats, most: Floats | float) -> None:
    """Compare integers with reals that the file does not quantize: to the nearest, and `most`."""
    distance = np.abs(ours - theirs)
    tally.values += distance.size
    differing = int((~(distance <= most)).sum())
    tally.differing += differing
    tally.largest = max(tally.largest, float(distance.max()))
