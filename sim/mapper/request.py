"""Request of the mapper."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pilaster.base.errors import InputError
from pilaster.models.energy.table import EnergyTable
from pilaster.models.network import Network
from pilaster.sim.machine import Schedule

__all__ = ["DEFAULT_TABLES", "SCHEDULES", "Objective", "Policy", "Request", "check_chain"]


class Objective(StrEnum):
    """What a machine is to have least of."""

    LANES = "lanes"
    """Multipliers; of equal ones, the fewest requantizers and pooled channels in parallel."""
    ENERGY = "energy"
    """Energy of an image in which no activation is zero."""
    POWER = "power"
    """The same over the time of an image, which the interval fixes."""
    AREA = "area"

    @property
    def unit(self) -> str:
        """Unit of the cost."""
        return {"lanes": "lanes", "energy": "pJ", "power": "uW", "area": "um2"}[self]


DEFAULT_TABLES = {
    Objective.LANES: "eyeriss65",
    Objective.ENERGY: "sg13g2",
    Objective.POWER: "sg13g2",
    Objective.AREA: "ihp130",
}
"""Energy tables that can answer each question, where none is named."""


class Policy(StrEnum):
    """How long the kernel columns that complete no output may take."""

    MULTI_CYCLE = "multi-cycle"
    """Until they are needed; the completing one alone is on the critical path."""
    IMMEDIATE = "immediate"
    """As long as the completing one: all open kernel columns are done at once."""


SCHEDULES = {
    "scatter": (Schedule.SCATTER,),
    "gather": (Schedule.GATHER,),
    "both": (Schedule.SCATTER, Schedule.GATHER),
}
"""Schedules that the stages may have, by the name of the choice."""


@dataclass(frozen=True)
class Request:
    """A network and the limits of its machine.

    Attributes
    ----------
    column_interval : cycles between two columns at the input
    max_latency : cycles from when the last column is due to the answer, of every image
    max_lanes : None for any
    clock_mhz : needed for power, and for leakage to be an energy
    schedule : a key of `SCHEDULES`
    on_chip_weight_bits : a layer with more bits of weights takes them from DRAM, in one cycle for
        all lanes; None keeps all on chip
    free_idling : whether the least energy may be asked for by a table in which lanes that wait
        cost nothing, whatever their number
    row_sums : whether stages keep row sums, see `StageSpec`

    Raises
    ------
    InputError
        If a limit is not positive, or the objective needs what is not given.
    """

    network: Network
    column_interval: int
    max_latency: int | None
    max_lanes: int | None
    objective: Objective
    table: EnergyTable
    clock_mhz: float | None
    policy: Policy
    schedule: str
    on_chip_weight_bits: int | None
    free_idling: bool = False
    row_sums: bool = False

    def __post_init__(self) -> None:
        limits = {
            "column_interval": (self.column_interval, "cycle"),
            "max_latency": (self.max_latency, "cycle"),
            "max_lanes": (self.max_lanes, "lane"),
            "on_chip_weight_bits": (self.on_chip_weight_bits, "bit"),
        }
        for name, (value, unit) in limits.items():
            if value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool):
                raise InputError(f"{name}: must be a whole number, not {value!r}")
            if value < 1:
                raise InputError(f"{name}: must be at least 1 {unit}, not {value}")
        if self.clock_mhz is not None and not 0 < self.clock_mhz < float("inf"):
            raise InputError(f"clock_mhz: must be above 0, not {self.clock_mhz:g}")
        if self.schedule not in SCHEDULES:
            raise InputError(
                f"schedule: {self.schedule!r} is not known; use {', '.join(SCHEDULES)}"
            )
        if self.objective is Objective.POWER and self.clock_mhz is None:
            raise InputError("objective: power needs a clock; give clock_mhz")
        if self.objective is Objective.AREA and not self.table.has_area:
            raise InputError(f"objective: {self.table.why_no_area}")
        self._check_idling()

    def _check_idling(self) -> None:
        """Refuse to look for the least energy where no lane is too many."""
        bounded = self.max_lanes is not None or self.free_idling
        if self.objective not in (Objective.ENERGY, Objective.POWER) or bounded:
            return
        why = self.table.why_idle_is_free(self.clock_mhz)
        if why:
            raise InputError(f"objective: {why}, or limit the lanes with max_lanes")

    @property
    def image_cycles(self) -> int:
        """Cycles in which an image's columns arrive."""
        return self.column_interval * self.network.graph.input_shape.width

    @property
    def machine_name(self) -> str:
        """Name of the machine that is made."""
        name = f"{self.network.name} every {self.column_interval}"
        return name if self.max_latency is None else f"{name} within {self.max_latency}"


def check_chain(network: Network) -> None:
    """Check that every layer reads one tensor, and every tensor has one reader.

    Raises
    ------
    InputError
        If not: stages are searched one behind the other.
    """
    if not network.graph.is_chain:
        raise InputError(
            f"network {network.name}: forks or joins; an exploration is of chains of layers "
            f"only; map finds a machine for any network"
        )
