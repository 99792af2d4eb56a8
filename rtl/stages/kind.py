"""What the generator asks of a kind of stage; `kinds` lists them all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from amaranth.lib import wiring

from pilaster.models.energy.actions import Action
from pilaster.models.graph import Node
from pilaster.models.network import Network
from pilaster.rtl.components.memory import RomFiles
from pilaster.sim.beats import Beats
from pilaster.sim.stages import Stage

__all__ = ["Kind", "LoadedMemory", "Surroundings"]

AnyStage = TypeVar("AnyStage", bound=Stage)

LoadedMemory = tuple[str, list[int], int]
"""Name of a memory that may be loaded, its words, and their width in bits."""


@dataclass(frozen=True)
class Surroundings:
    """What a stage in gates has around it.

    Attributes
    ----------
    beats : of the streams that it reads
    files : of its read-only memories
    probes : whether it shows its stamps and actions
    behind : fewest column buffers of those that read it
    paired : whether its lanes are made two by two of one multiplication
    """

    network: Network
    node: Node
    beats: tuple[Beats, ...]
    files: RomFiles
    probes: bool
    behind: int
    paired: bool


class Kind(ABC, Generic[AnyStage]):
    """One kind of stage in gates. A component has `inputs`, `o`, `room`, `freed`, `is_loaded`."""

    @abstractmethod
    def component(self, stage: AnyStage, around: Surroundings) -> wiring.Component:
        """Make a stage."""

    @abstractmethod
    def most_actions(self, stage: AnyStage) -> Mapping[Action, int]:
        """Most of each action that a stage does in a cycle; what it never does is left out."""

    def memories(self, stage: AnyStage, network: Network) -> Iterator[LoadedMemory]:
        """Yield the memories that may be loaded, in the order of the load stream."""
        yield from ()
