"""What the simulator asks of a kind of stage; `kinds` lists them all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.graph import Node
from pilaster.models.network import Network
from pilaster.sim.beats import Beats
from pilaster.sim.machine import Fold, StageSpec
from pilaster.sim.stages import Stage

__all__ = ["Counted", "Kind", "Part", "Storage", "memory", "powers_of_two"]

AnyStage = TypeVar("AnyStage", bound=Stage)

Counted = Iterator[tuple[Action, Attributes, int]]
"""Actions, their attributes, and how often each happens."""

Part = tuple[str, Attributes, int]
"""Entry of a table of areas, its attributes, and how many."""


@dataclass(frozen=True)
class Storage:
    """Memories of a stage, in bits."""

    column_buffers: int
    psums: int = 0
    weights: int = 0


class Kind(ABC, Generic[AnyStage]):
    """One kind of stage: its geometry, folds, actions, energy and area.

    What has an answer here holds for stages without weights.
    """

    @abstractmethod
    def lay(self, network: Network, node: Node, spec: StageSpec) -> AnyStage:
        """Lay a layer of `network` on a stage.

        Raises
        ------
        InputError
            If the fold does not fit the layer.
        """

    def simple_folds(
        self, network: Network, node: Node, most_lanes: int | None = None
    ) -> Iterator[Fold]:
        """Yield folds of powers of two and whole layers, with one requantizer.

        most_lanes : leaves out the folds with more multipliers
        """
        widest = max(network.graph.shapes[name].channels for name in node.inputs)
        yield from (Fold(out_channels=channels) for channels in powers_of_two(widest))

    def most_requantizers(self, fold: Fold) -> int:
        """Most requantizers that a fold may have."""
        return 1

    def weight_bits(self, network: Network, node: Node) -> int:
        """Bits of the weights of a layer."""
        return 0

    @abstractmethod
    def actions(
        self,
        stage: AnyStage,
        sources: Sequence[Beats],
        images: int,
        nonzero: NDArray[np.int64] | None,
    ) -> Counted:
        """Yield (action, attributes, count) of a stage, see `count_actions`."""

    def lane_slots(self, stage: AnyStage) -> int:
        """Lane operations of an image, zero operands included."""
        return 0

    def fetch_bits(self, stage: AnyStage) -> int:
        """Most bits of weights that come from DRAM in a cycle."""
        return 0

    @abstractmethod
    def register_bits(self, stage: AnyStage) -> int:
        """Bits of a stage's pipeline registers."""

    @abstractmethod
    def storage(self, stage: AnyStage) -> Storage:
        """Bits of a stage's memories; those of weights in DRAM are counted."""

    def memories(
        self, stage: AnyStage, accesses: Iterable[tuple[Action, Attributes]]
    ) -> Iterator[Attributes]:
        """Yield the memories of a stage that do some accesses, each phase and bank by itself."""
        for action, attributes in accesses:
            yield from [attributes] * self.copies(stage, action)

    def copies(self, stage: AnyStage, action: Action) -> int:
        """Memories that an access of a stage is shared among."""
        return 1

    @abstractmethod
    def area_parts(self, stage: AnyStage) -> Iterator[Part]:
        """Yield the parts of a stage that have an area."""


def memory(word: int, bits: int) -> Attributes:
    """Width and depth of a memory of `bits` in words of `word` bits."""
    return Attributes(word, -(-bits // word))


def powers_of_two(count: int) -> list[int]:
    """Powers of two up to `count`, and `count` itself."""
    return [1 << i for i in range(count.bit_length()) if 1 << i < count] + [count]
