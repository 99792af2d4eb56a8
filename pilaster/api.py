"""The public interface in Python: load a network, lay it on a machine, simulate it."""

from __future__ import annotations

import difflib
from pathlib import Path

from pilaster.models.errors import InputError
from pilaster.models.network import Network
from pilaster.models.zoo import ZOO
from pilaster.sim.default import default_machine
from pilaster.sim.machine import Machine
from pilaster.sim.machine_file import load_machine as _load_machine
from pilaster.sim.machine_file import machine_names
from pilaster.sim.simulate import simulate

__all__ = ["default_machine", "load", "load_machine", "simulate"]


def load(network: str | Path) -> Network:
    """Load a network of the zoo by name.

    Raises
    ------
    InputError
        If there is no such network.
    """
    name = str(network)
    if name not in ZOO:
        close = difflib.get_close_matches(name, ZOO, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(ZOO)}"
        raise InputError(f"network {name}: not known; {hint}")
    return ZOO[name].load()


def load_machine(machine: str | Path | None, network: Network) -> Machine:
    """Load a machine by name or from a YAML file; None gives the network's default machine."""
    if machine is None:
        if network.name not in machine_names():
            raise InputError(f"network {network.name}: no default machine; give one")
        machine = network.name
    return _load_machine(machine)
