"""What the search is asked: for every stage its options, and the limits that a machine keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.mapper.paths import StampLimits
from pilaster.sim.mapper.space import WorkTable

__all__ = ["ArmCost", "Question", "StageOptions"]

Ints = NDArray[np.int64]
Costs = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ArmCost:
    """What the options of a stage cost by the beats that come to one of its arms.

    Attributes
    ----------
    source : index of the stage that sends them
    cost : (options, widths), by the widths of beats that the source's options send
    """

    source: int
    cost: Costs


@dataclass(frozen=True, eq=False)
class StageOptions:
    """What a stage may be.

    Attributes
    ----------
    work : of every option
    cost : (options,), what does not depend on the beats that come
    arms : of the arms whose beats make a difference
    sends : (options,), index of the width of its own beats
    lanes, small_units : (options,)
    index : (options,), place among the stage's candidates
    """

    name: str
    work: WorkTable
    cost: Costs
    arms: tuple[ArmCost, ...]
    sends: NDArray[np.intp]
    lanes: Ints
    small_units: Ints
    index: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.lanes)

    def of(self, choice: NDArray[np.intp]) -> StageOptions:
        """Leave out all options but some."""
        return replace(
            self,
            work=self.work.of(choice),
            cost=self.cost[choice],
            arms=tuple(ArmCost(arm.source, arm.cost[choice]) for arm in self.arms),
            sends=self.sends[choice],
            lanes=self.lanes[choice],
            small_units=self.small_units[choice],
            index=self.index[choice],
        )


@dataclass(frozen=True, eq=False)
class Question:
    """Choose an option of every stage: the least cost within the limits.

    Attributes
    ----------
    whole_costs : whether every cost is a whole number, and no sum of them lies between two
    """

    stages: tuple[StageOptions, ...]
    limits: StampLimits
    max_lanes: int | None
    whole_costs: bool

    def of(self, choices: Sequence[NDArray[np.intp]]) -> Question:
        """Leave out all options of each stage but some."""
        pairs = zip(self.stages, choices, strict=True)
        return replace(self, stages=tuple(stage.of(choice) for stage, choice in pairs))

    def cost(self, choice: Sequence[int]) -> float:
        """Cost of a machine, an option of every stage."""
        total = 0.0
        for stage, option in zip(self.stages, choice, strict=True):
            total += float(stage.cost[option])
            for arm in stage.arms:
                width = self.stages[arm.source].sends[choice[arm.source]]
                total += float(arm.cost[option, width])
        return total

    def work(self, choice: Sequence[int]) -> list[WorkTable]:
        """Work of every stage of a machine."""
        pairs = zip(self.stages, choice, strict=True)
        return [stage.work.of(np.array([option])) for stage, option in pairs]

    def indices(self, choice: Sequence[int]) -> NDArray[np.intp]:
        """Give a machine's candidates: `choice` has an option of each stage."""
        pairs = zip(self.stages, choice, strict=True)
        return np.array([stage.index[option] for stage, option in pairs], np.intp)
