"""Pilaster: a simulator, RTL generator and energy lab for column-wise CNN accelerators."""

from pilaster.api import (
    default_machine,
    explore,
    load,
    load_machine,
    map,  # noqa: A004 - `pl.map` is the name of what it does
    simulate,
    verify,
    write_exploration,
    write_rtl,
)
from pilaster.models.errors import InputError
from pilaster.sim.mapper import Infeasible

__all__ = [
    "Infeasible",
    "InputError",
    "default_machine",
    "explore",
    "load",
    "load_machine",
    "map",
    "simulate",
    "verify",
    "write_exploration",
    "write_rtl",
]
