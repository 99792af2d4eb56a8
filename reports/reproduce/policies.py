"""Immediate against multi-cycle at equal latency after the last column and equal interval."""

from __future__ import annotations

from dataclasses import dataclass

from pilaster.models.energy.table import EnergyTable
from pilaster.models.network import Network
from pilaster.reports.reproduce.price import Counted, count_machine
from pilaster.sim.mapper import (
    DEFAULT_TABLES,
    Mapping,
    Objective,
    Policy,
    Request,
    map_network,
    map_request,
)

__all__ = ["Pair", "least_lanes_latency", "map_pair"]


@dataclass(frozen=True, eq=False)
class Pair:
    """Two machines for one request, one by each policy.

    Attributes
    ----------
    share : of the latency of the immediate machine with the fewest lanes, that both may have
    objective : what both have least of
    """

    network: Network
    share: float
    objective: str
    immediate: Mapping
    deferred: Mapping

    @property
    def lanes_saved(self) -> float:
        """Share of the lanes that the multi-cycle machine does without."""
        return 1 - self.deferred.lanes / self.immediate.lanes

    def counted(self) -> tuple[Counted, Counted]:
        """Count the actions of both."""
        immediate = count_machine(self.network, self.immediate.machine)
        return immediate, count_machine(self.network, self.deferred.machine)


def least_lanes_latency(network: Network, interval: int) -> int:
    """Latency of the immediate machine that has the fewest lanes of all, in cycles."""
    found = map_network(network, column_interval=interval, policy=str(Policy.IMMEDIATE))
    return found.latency_cycles


def map_pair(
    network: Network,
    interval: int,
    latency: int,
    share: float,
    objective: str = "lanes",
    table: EnergyTable | None = None,
    clock_mhz: float | None = None,
) -> Pair:
    """Map a network by both policies.

    Parameters
    ----------
    latency : of the immediate machine that has the fewest lanes of all
    share : of it, that both machines may have
    """
    # Asked for as it stands: a table by which lanes that wait are free is one of what is studied.
    found = [
        map_request(
            Request(
                network=network,
                column_interval=interval,
                max_latency=int(latency * share),
                max_lanes=None,
                objective=Objective(objective),
                table=table or EnergyTable.load(DEFAULT_TABLES[Objective(objective)]),
                clock_mhz=clock_mhz,
                policy=policy,
                schedule="scatter",
                on_chip_weight_bits=None,
                free_idling=True,
            )
        )
        for policy in (Policy.IMMEDIATE, Policy.MULTI_CYCLE)
    ]
    return Pair(network, share, objective, *found)
