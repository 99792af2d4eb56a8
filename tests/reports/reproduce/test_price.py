"""Laws: a machine's actions, counted once, come to the simulator's energy; zeros gate lanes."""

from __future__ import annotations

import pytest

from pilaster.models.energy.table import EnergyTable
from pilaster.models.zoo import architectures
from pilaster.models.zoo.synthetic import synthetic
from pilaster.reports.reproduce.price import count_machine
from pilaster.sim.mapper import map_network
from pilaster.sim.simulate import simulate


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_power_is_the_simulators(bits: int) -> None:
    network = synthetic(architectures.digits(), weight_bits=bits, activation_bits=bits)
    machine = map_network(network, column_interval=100).machine
    table = EnergyTable.load("ihp130")
    counted = count_machine(network, machine)
    result = simulate(network, machine, table=table, clock_mhz=50.0)
    energies = counted.energies_pj(table, 50.0)
    assert energies == pytest.approx(result.energy.by_action)
    assert counted.image_cycles == result.cycles_per_image
    power = result.energy_per_image_pj / (result.cycles_per_image / 50.0) * 1e-3
    assert counted.power_mw(table, 50.0) == pytest.approx(power)


def test_zeros_gate_that_share_of_the_lanes() -> None:
    network = synthetic(architectures.digits())
    machine = map_network(network, column_interval=100).machine
    table = EnergyTable.load("eyeriss65")
    names = [node.name for node in network.graph.nodes]
    full = count_machine(network, machine).energies_pj(table, None)
    half = count_machine(network, machine, dict.fromkeys(names, 0.5)).energies_pj(table, None)
    assert half.pop("mac") == pytest.approx(0.5 * full.pop("mac"))
    assert half == pytest.approx(full)
