"""A small run with images and labels: made once, read by every test of the room."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.energy.table import EnergyTable
from pilaster.models.zoo import architectures
from pilaster.models.zoo.synthetic import synthetic
from pilaster.sim.default import default_machine
from pilaster.sim.results import Result
from pilaster.sim.simulate import simulate


@dataclass(frozen=True, eq=False)
class FlatTable(EnergyTable):
    """Every action costs the same, so that a test can say what a sum has to be."""

    price_pj: float = 2.0

    def energy_pj(self, action: Action, attributes: Attributes) -> float:
        return self.price_pj

    def leakage_uw(self, memories: Iterable[Attributes] = (), lanes: int = 0) -> float:
        return self.price_pj


def flat_table(price_pj: float) -> FlatTable:
    real = EnergyTable.load("eyeriss65")
    return FlatTable("flat", "", 65, 1.0, real.entries, real.prices, price_pj=price_pj)


@pytest.fixture(scope="session")
def result() -> Result:
    network = synthetic(architectures.lenet5())
    machine = default_machine(network, 256)
    images = np.random.default_rng(11).integers(0, 256, (3, 32, 32, 1))
    labels = np.array([0, 1, 2])
    data = "three noisy pictures"
    return simulate(
        network, machine, images, labels, table=flat_table(2.0), clock_mhz=100, data=data
    )


@pytest.fixture(scope="session")
def free_result() -> Result:
    """No images, and nothing costs anything."""
    network = synthetic(architectures.digits())
    return simulate(network, default_machine(network, 64), table=flat_table(0.0))


@pytest.fixture(scope="session")
def late_result() -> Result:
    """A machine that does not hold its column interval, and falls behind."""
    network = synthetic(architectures.lenet5())
    machine = replace(default_machine(network, 320), column_interval=64)
    return simulate(network, machine, table=flat_table(2.0), clock_mhz=100)
