"""Load, create, and write machines."""

from __future__ import annotations

from pathlib import Path

from pilaster.api.arguments import NetworkLike, as_network
from pilaster.base.arguments import as_choice, as_path, as_whole, refusal
from pilaster.base.errors import InputError
from pilaster.base.output_files import write_files
from pilaster.models.network import Network
from pilaster.models.zoo import zoo_entry
from pilaster.sim import default
from pilaster.sim.machine import Machine, Schedule
from pilaster.sim.machine_file import machine_names, machine_path, machine_yaml, read_machine
from pilaster.sim.pipeline import Pipeline

__all__ = ["MachineLike", "default_machine", "load_machine", "write_machine"]

MachineLike = str | Path | Machine
"""A machine, the name of one that comes with Pilaster, or the path of a YAML file."""

DEFAULT_LANES = 64
"""Lanes that a machine would need, were they never idle, for a network with no machine of its own:
by this its column interval is chosen."""

LONGEST_INTERVAL = 1 << 40
"""Cycles that no layer needs for a column."""


def load_machine(machine: MachineLike | None = None, network: NetworkLike | None = None) -> Machine:
    """Load a machine by name or from a YAML file, and check that it fits its network.

    Parameters
    ----------
    machine : name or file; None loads the network's default machine. If the network has no machine
        of its own, `default_machine` creates one, at the column interval for which the layers need
        about 64 lanes, or at a longer interval if a layer cannot keep up
    network : network of the machine, or its name or file; None for the zoo network that the machine
        names

    Raises
    ------
    InputError
        If the machine does not exist or does not fit `network`; the message names the file.

    Examples
    --------
    >>> import pilaster as pl
    >>> machine = pl.load_machine("lenet5")
    >>> machine.column_interval, machine.stages["conv1"].fold.lanes
    (320, 30)
    """
    if machine is None and network is None:
        raise InputError("machine: name one, or give a network for its default machine")
    known = None if network is None else as_network(network)
    if machine is None:
        assert known is not None
        if zoo_entry(known) is None or known.name not in machine_names():
            return _machine_for(known)
        machine = known.name
    if isinstance(machine, Machine):
        found, where = machine, ""
    elif isinstance(machine, str | Path):
        as_path("machine", machine)
        found, where = read_machine(machine_path(machine)), f"{machine}: "
    else:
        raise refusal("machine", machine, "a machine, its name, or a file's path")
    if known is None:
        known = as_network(found.network)
    elif where and found.network != known.name:
        raise InputError(
            f"machine {where}is for the network {found.network}, not for {known.name}; "
            f"give one for {known.name}"
        )
    try:
        _ = Pipeline(known, found).stages
    except InputError as error:
        raise InputError(f"{where}{error}") from error
    return found


def _machine_for(network: Network) -> Machine:
    shape, macs = network.graph.input_shape, network.graph.macs
    interval = max(shape.height, macs // (DEFAULT_LANES * shape.width))
    while True:
        try:
            return default.default_machine(network, interval)
        except InputError:
            if interval > LONGEST_INTERVAL:
                raise
            interval *= 2


def default_machine(
    network: NetworkLike,
    column_interval: int,
    schedule: str = "scatter",
    on_chip_weight_bits: int | None = None,
) -> Machine:
    """Create a machine for a network: the cheapest simple folds that keep up with the columns.

    Each stage finishes the work of an image within the time of the image's columns, and joins get
    enough column buffers to avoid stalls. It is a starting point; `map` finds the best machine.

    Parameters
    ----------
    network : network, or its name or file
    column_interval : cycles between two input columns
    schedule : schedule of all stages, "scatter" or "gather"
    on_chip_weight_bits : layers with more bits of weights keep them in DRAM, which delivers the
        weights of all lanes in one cycle; None keeps all weights on chip

    Raises
    ------
    InputError
        If a stage cannot keep up even when it processes everything in parallel.

    Examples
    --------
    >>> import pilaster as pl
    >>> machine = pl.default_machine("digits", 512)
    >>> machine.name
    'digits every 512'
    """
    bits = on_chip_weight_bits
    return default.default_machine(
        as_network(network),
        as_whole("column_interval", column_interval, unit="cycle"),
        Schedule(as_choice("schedule", schedule, Schedule)),
        None if bits is None else as_whole("on_chip_weight_bits", bits, unit="bit"),
    )


def write_machine(machine: MachineLike, path: str | Path) -> Path:
    """Write a machine to a YAML file, which `load_machine` and the commands can read.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the file cannot be written; no partial output remains.

    Examples
    --------
    >>> import pilaster as pl
    >>> file = pl.write_machine(pl.default_machine("digits", 512), "mine.yaml")
    >>> pl.load_machine(file).column_interval
    512
    """
    if not isinstance(machine, Machine):
        machine = load_machine(machine)
    path = as_path("path", path)
    (written,) = write_files(path.parent, {path.name: machine_yaml(machine).encode()}, "machine")
    return written
