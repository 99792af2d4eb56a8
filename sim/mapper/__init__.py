"""The mapper: the least hardware that meets the deadlines."""

from pilaster.sim.mapper.map import map_network, map_request
from pilaster.sim.mapper.request import DEFAULT_TABLES, SCHEDULES, Objective, Policy, Request
from pilaster.sim.mapper.result import Infeasible, Mapping, StageMapping

__all__ = [
    "DEFAULT_TABLES",
    "SCHEDULES",
    "Infeasible",
    "Mapping",
    "Objective",
    "Policy",
    "Request",
    "StageMapping",
    "map_network",
    "map_request",
]
