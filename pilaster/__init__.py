"""Pilaster: a simulator, RTL generator and energy lab for column-wise CNN accelerators."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pilaster.api import (
    default_machine,
    load,
    load_machine,
    simulate,
    verify,
    write_exploration,
    write_rtl,
)
from pilaster.models.errors import InputError

if TYPE_CHECKING:
    from pilaster.sim.explore import explore_network as explore
    from pilaster.sim.mapper import Infeasible
    from pilaster.sim.mapper import map_network as map  # noqa: A004 - `pl.map` is its name

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

_LATER = {
    "Infeasible": ("pilaster.sim.mapper", "Infeasible"),
    "explore": ("pilaster.sim.explore", "explore_network"),
    "map": ("pilaster.sim.mapper", "map_network"),
}
"""Imported when first asked for: most commands need none of these, and start sooner."""


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _LATER[name]
    return getattr(import_module(module), attribute)
