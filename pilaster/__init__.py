"""Pilaster: a simulator, RTL generator and energy model for column-wise CNN accelerators.

From one description of a machine, Pilaster computes cycles and energy, generates RTL, and verifies
that the model and the RTL agree.

>>> import pilaster as pl
>>> network = pl.load("lenet5")
>>> machine = pl.map(network, column_interval=256, max_latency=2_000).machine
>>> result = pl.simulate(network, machine)
>>> result.energy.table
'eyeriss65'

A function that takes a network, a machine, or an energy table also accepts its name or the path of
its file. Invalid input raises an `InputError` with a one-line message.

look        `networks`, `machines`, `tables`, `boards`
load        `load`, `load_images`, `load_machine`, `default_machine`
run         `simulate`, `write_report`
search      `map`, `explore`, `write_machine`, `write_exploration`
import      `check`
hardware    `verify`, `write_rtl`, `bitstream`, `write_bitstream`
gates       `power`, `compare_bill`, `write_power`, `characterize`, `write_table`
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pilaster.api.boards import bitstream, write_bitstream
    from pilaster.api.checks import check
    from pilaster.api.gates import characterize, compare_bill, power, write_power, write_table
    from pilaster.api.listings import boards, machines, networks, operators, tables
    from pilaster.api.machines import default_machine, load_machine, write_machine
    from pilaster.api.networks import load, load_images
    from pilaster.api.rtl import verify, write_rtl
    from pilaster.api.search import explore, write_exploration
    from pilaster.api.search import map as map  # noqa: A004 - `pl.map` is its name
    from pilaster.api.simulate import simulate, write_report
    from pilaster.base.errors import CheckError, InputError
    from pilaster.models.check import Check
    from pilaster.models.energy import EnergyTable
    from pilaster.models.network import Network
    from pilaster.rtl.boards.errors import BuildError
    from pilaster.sim.explore import Exploration
    from pilaster.sim.machine import Fold, LoopOrder, Machine, Schedule, StageSpec
    from pilaster.sim.mapper.result import Infeasible, Mapping
    from pilaster.sim.results import Result

    __version__: str

__all__ = [
    "BuildError",
    "Check",
    "CheckError",
    "EnergyTable",
    "Exploration",
    "Fold",
    "Infeasible",
    "InputError",
    "LoopOrder",
    "Machine",
    "Mapping",
    "Network",
    "Result",
    "Schedule",
    "StageSpec",
    "bitstream",
    "boards",
    "characterize",
    "check",
    "compare_bill",
    "default_machine",
    "explore",
    "load",
    "load_images",
    "load_machine",
    "machines",
    "map",
    "networks",
    "operators",
    "power",
    "simulate",
    "tables",
    "verify",
    "write_bitstream",
    "write_exploration",
    "write_machine",
    "write_power",
    "write_report",
    "write_rtl",
    "write_table",
]

_HOMES = {
    "api.boards": ("bitstream", "write_bitstream"),
    "api.checks": ("check",),
    "api.gates": ("characterize", "compare_bill", "power", "write_power", "write_table"),
    "api.listings": ("boards", "machines", "networks", "operators", "tables"),
    "api.machines": ("default_machine", "load_machine", "write_machine"),
    "api.networks": ("load", "load_images"),
    "api.rtl": ("verify", "write_rtl"),
    "api.search": ("explore", "map", "write_exploration"),
    "api.simulate": ("simulate", "write_report"),
    "base.errors": ("CheckError", "InputError"),
    "models.check": ("Check",),
    "models.energy": ("EnergyTable",),
    "models.network": ("Network",),
    "rtl.boards.errors": ("BuildError",),
    "sim.explore": ("Exploration",),
    "sim.machine": ("Fold", "LoopOrder", "Machine", "Schedule", "StageSpec"),
    "sim.mapper.result": ("Infeasible", "Mapping"),
    "sim.results": ("Result",),
}
"""Public names by module; each is imported on first access."""


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("pilaster")
    for module, names in _HOMES.items():
        if name in names:
            found: object = getattr(import_module(f"{__name__}.{module}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
