"""Machines under many prices: actions are counted once, then priced by any table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pilaster.models.energy.actions import Action
from pilaster.models.energy.table import EnergyTable
from pilaster.models.network import Network
from pilaster.sim.actions import ActionCounts, count_actions
from pilaster.sim.energy import stage_energy_pj
from pilaster.sim.machine import Machine
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.stages import ConvStage, Stage

__all__ = ["Counted", "count_machine"]

SAMPLES = 10_000
"""Images over which a share of zeros is counted: a share is exact to a hundredth of a percent."""


@dataclass(frozen=True, eq=False)
class Counted:
    """The stages of a machine and their actions over some images.

    Attributes
    ----------
    actions : by stage
    images : that the counts are of
    image_cycles : cycles between two answers
    """

    stages: tuple[Stage, ...]
    actions: tuple[ActionCounts, ...]
    images: int
    image_cycles: int

    def energies_pj(self, table: EnergyTable, clock_mhz: float | None) -> dict[str, float]:
        """Energy of an image by action, in pJ."""
        total: dict[str, float] = {}
        cycles = self.images * self.image_cycles
        for stage, actions in zip(self.stages, self.actions, strict=True):
            energy = stage_energy_pj(stage, actions, cycles, table, clock_mhz)
            for action, value in energy.items():
                total[action] = total.get(action, 0.0) + value / self.images
        return total

    def power_mw(self, table: EnergyTable, clock_mhz: float) -> float:
        """Power with images back to back, in mW."""
        energy = sum(self.energies_pj(table, clock_mhz).values())
        return energy * clock_mhz / self.image_cycles * 1e-3

    @property
    def dram_weight_bits(self) -> int:
        """Bits of weights read from DRAM for an image."""
        bits = 0
        for actions in self.actions:
            for (action, attributes), count in actions.counts.items():
                if action is Action.DRAM_READ:
                    bits += count * attributes.bits
        return bits // self.images


def count_machine(
    network: Network, machine: Machine, zeros: Mapping[str, float] | None = None
) -> Counted:
    """Count the actions of a machine that holds its column interval.

    Parameters
    ----------
    zeros : share of a layer's input values that are zero, by layer; None for no zeros
    """
    pipeline = Pipeline(network, machine)
    stages = pipeline.stages
    images = SAMPLES if zeros else 1
    counts = []
    for stage, beats in zip(stages, pipeline.beats, strict=True):
        nonzero = None
        if zeros and isinstance(stage, ConvStage):
            shape = stage.geometry.shape
            of_sample = round(SAMPLES * (1 - zeros.get(stage.name, 0.0)))
            nonzero = np.full((shape.height, shape.width, shape.channels), of_sample, np.int64)
        counts.append(count_actions(stage, beats, images, nonzero))
    width = network.graph.input_shape.width
    return Counted(tuple(stages), tuple(counts), images, machine.column_interval * width)
