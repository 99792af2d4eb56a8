"""The public interface in Python: load a network, lay it on a machine, simulate it."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pilaster.models.errors import InputError
from pilaster.models.network import Network
from pilaster.models.zoo import ZOO
from pilaster.sim.default import default_machine
from pilaster.sim.explore import Exploration
from pilaster.sim.explore import explore_network as explore
from pilaster.sim.machine import Machine
from pilaster.sim.machine_file import machine_names, machine_path, read_machine
from pilaster.sim.mapper import map_network as map  # noqa: A004 - `pl.map` is its name
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.simulate import simulate

if TYPE_CHECKING:
    from pilaster.rtl.verify import Verdict

__all__ = [
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
    """Load a machine by name or from a YAML file; None gives the network's default machine.

    Raises
    ------
    InputError
        If there is no such machine, or it is not one for `network`; the message names the file.
    """
    if machine is None:
        if network.name not in machine_names():
            raise InputError(f"network {network.name}: no default machine; give one")
        machine = network.name
    found = read_machine(machine_path(machine))
    if found.network != network.name:
        raise InputError(
            f"machine {machine}: is for the network {found.network}, not for {network.name}; "
            f"give one for {network.name}"
        )
    try:
        _ = Pipeline(network, found).stages
    except InputError as error:
        raise InputError(f"{machine}: {error}") from error
    return found


def verify(
    network: Network,
    machine: Machine,
    images: NDArray[np.generic],
    *,
    until: str | None = None,
    seed: int | None = None,
    waves: Path | None = None,
) -> Verdict:
    """Run a machine's RTL on images and compare it with the model.

    Parameters
    ----------
    images : (N, H, W, C), as for `simulate`, at least one
    until : name of the last layer to take; None takes all
    seed : seed of random hesitations of source and sink; None for none
    waves : file to write the waves to

    Raises
    ------
    InputError
        If the machine does not fit the network, or a tool is missing.
    """
    try:
        from pilaster.rtl.verify import verify as compare
    except ImportError as error:
        raise InputError(f"RTL needs {error.name}: pip install 'pilaster[rtl]'") from error
    if until is not None:
        network = network.until(until)
        layers = [node.name for node in network.graph.nodes]
        stages = {name: spec for name, spec in machine.stages.items() if name in layers}
        machine = replace(machine, stages=stages)
    return compare(network, machine, images, seed=seed, waves=waves)


def write_rtl(network: Network, machine: Machine, directory: str | Path) -> tuple[Path, ...]:
    """Write a machine as Verilog into a directory, with a page on how to connect it.

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    InputError
        If the machine cannot be generated, or the directory cannot be written; nothing is left
        behind.
    """
    try:
        from pilaster.rtl.export import export
    except ImportError as error:
        raise InputError("needs the RTL extra: pip install 'pilaster[rtl]'") from error
    return export(network, machine, Path(directory))


def write_exploration(explored: Exploration, directory: str | Path) -> tuple[Path, ...]:
    """Write an exploration's front into a directory: tables, a picture, machines as YAML files.

    Returns
    -------
    tuple of Path
        The files written, without the machines'.

    Raises
    ------
    InputError
        If the directory cannot be written.
    """
    from pilaster.reports.explore import write_exploration as write

    return write(explored, Path(directory))
