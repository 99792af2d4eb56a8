"""Result of the mapper: a machine, or the reason that none meets the request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pilaster.base.notebook import html_table
from pilaster.sim.dram import DramTraffic
from pilaster.sim.machine import Machine
from pilaster.sim.results import NO_ZEROS

__all__ = ["Infeasible", "Mapping", "StageMapping"]


class Infeasible(ValueError):  # noqa: N818 - it is an answer, not an error of the program
    """No machine meets the request.

    The message is one line that names the binding limit, its stage, and the nearest feasible
    request. The command line prints it and exits with code 1.

    Attributes
    ----------
    limit : "column_interval", "max_latency" or "max_lanes"
    stage : stage at which the limit binds
    nearest : nearest value of the limit for which a machine was found; None if there is none
    """

    def __init__(self, message: str, limit: str, stage: str, nearest: int | None) -> None:
        super().__init__(" ".join(message.split()))
        self.limit = limit
        self.stage = stage
        self.nearest = nearest


@dataclass(frozen=True)
class StageMapping:
    """One stage of a mapping.

    Attributes
    ----------
    utilization : see `pilaster.sim.utilization`; 0 for a stage without lanes
    busy_cycles : cycles of work per image, not counting waits
    last_column_cycles : minimum cycles from the last input column to the last output column
    slack_cycles : cycles by which the work on each column of this stage could grow without
        violating a limit, if all other stages stay the same
    """

    name: str
    lanes: int
    utilization: float
    busy_cycles: int
    last_column_cycles: int
    slack_cycles: int


@dataclass(frozen=True)
class Mapping:
    """The best machine found for a request.

    Attributes
    ----------
    cost : cost of the machine, in `unit`
    bound : lower bound on the cost of every machine in the search space that meets the limits
    proven : whether the cost equals the bound
    latency_cycles : cycles from when the last column of an image is due to its answer, once the
        pipeline is full; the latency of the first images is not longer
    utilization : see `pilaster.sim.utilization`
    energy_pj : energy of an image in which no activation is zero
    power_uw : mean power over an image; None without a clock
    area_um2 : area; None if the table has no areas
    dram : DRAM traffic; None if all weights are on chip. A machine with DRAM is a model without RTL
    candidates : number of folds considered, over all stages
    """

    network: str
    machine: Machine
    objective: str
    unit: str
    cost: float
    bound: float
    proven: bool
    column_interval_cycles: int
    max_latency_cycles: int | None
    max_lanes: int | None
    policy: str
    schedule: str
    latency_cycles: int
    lanes: int
    utilization: float
    table: str
    clock_mhz: float | None
    energy_pj: float
    power_uw: float | None
    area_um2: float | None
    dram: DramTraffic | None
    not_included: tuple[str, ...]
    candidates: int
    stages: tuple[StageMapping, ...]

    def __repr__(self) -> str:
        within = "" if self.max_latency_cycles is None else f" within {self.max_latency_cycles:,}"
        return (
            f"<Mapping {self.network} every {self.column_interval_cycles:,} cycles{within}: "
            f"{self.lanes:,} lanes, the answer {self.latency_cycles:,} cycles after the last "
            f"column, least {self.objective}{' proven' if self.proven else ''}>"
        )

    def _repr_html_(self) -> str:
        rows = [
            (
                stage.name,
                f"{stage.lanes:,}" if stage.lanes else "-",
                f"{stage.busy_cycles:,}",
                f"{stage.last_column_cycles:,}",
                f"{stage.slack_cycles:,}",
                str(self.machine.stages[stage.name].fold),
            )
            for stage in self.stages
        ]
        titles = ("stage", "lanes", "busy cycles", "last column, cycles", "slack cycles", "fold")
        return html_table(repr(self), titles, rows)

    @property
    def gap(self) -> float:
        """Difference between the cost and the bound, as a share of the cost."""
        return 0.0 if self.proven else (self.cost - self.bound) / self.cost

    def microseconds(self, cycles: float) -> float | None:
        """Convert cycles to microseconds; None without a clock."""
        return None if self.clock_mhz is None else cycles / self.clock_mhz

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; the names include the units."""
        plain = {
            name: value
            for name, value in vars(self).items()
            if name not in ("machine", "stages", "not_included", "dram")
        }
        return {
            **plain,
            "activations": NO_ZEROS,
            "latency_us": self.microseconds(self.latency_cycles),
            "dram": None if self.dram is None else self.dram.as_dict(self.clock_mhz),
            "gap": self.gap,
            "machine": self.machine.name,
            "not_included": list(self.not_included),
            "stages": [dict(vars(stage)) for stage in self.stages],
        }
