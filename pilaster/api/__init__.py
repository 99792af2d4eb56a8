"""The public interface in Python: load a network, lay it on a machine, simulate it."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pilaster.models.columns import read_along
from pilaster.models.errors import InputError
from pilaster.models.importers import SUFFIXES, import_network
from pilaster.models.network import Columns, Network
from pilaster.models.quantizer import QuantizerSettings
from pilaster.models.zoo import ZOO, zoo_entry
from pilaster.sim.default import default_machine
from pilaster.sim.machine import Machine
from pilaster.sim.machine_file import machine_names, machine_path, read_machine
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.simulate import simulate

if TYPE_CHECKING:
    from pilaster.rtl.verify import Verdict
    from pilaster.sim.explore import Exploration

__all__ = [
    "default_machine",
    "load",
    "load_machine",
    "simulate",
    "verify",
    "write_exploration",
    "write_rtl",
]


DEFAULT_LANES = 64
"""Lanes that a machine would need, were they never idle, for a network with no machine of its own:
by this its column interval is chosen."""

LONGEST_INTERVAL = 1 << 40
"""Cycles that no layer needs for a column."""


def load(
    network: str | Path,
    *,
    columns: Columns = "width",
    calibration: NDArray[np.generic] | None = None,
    bits: int | tuple[int, int] | None = None,
) -> Network:
    """Load a network of the zoo by name, or import one from a .tflite or .onnx file.

    Parameters
    ----------
    columns : axis of an image that arrives a column at a time, ``"width"`` or ``"height"``
    calibration : images (N, H, W, C) to quantise a network of a file on, as for `simulate`: one of
        floats, or one that is to have other `bits`
    bits : of weights and activations, or of each, 1 to 16; None for what the network comes with

    Raises
    ------
    InputError
        If there is no such network, or the file cannot be used.
    """
    name = str(network)
    if columns not in ("width", "height"):
        raise InputError(f"columns: must be width or height, not {columns!r}")
    settings = None if bits is None else _widths(bits)
    if Path(name).suffix in SUFFIXES:
        return read_along(import_network(Path(name), calibration, settings), columns)
    if name not in ZOO:
        close = difflib.get_close_matches(name, ZOO, 1)
        names = f"there are {', '.join(ZOO)}, and {' and '.join(SUFFIXES)} files"
        hint = f"did you mean {close[0]}?" if close else names
        raise InputError(f"network {name}: not known; {hint}")
    if calibration is not None:
        raise InputError(f"network {name}: is quantised already; leave the calibration images out")
    return read_along(ZOO[name].load(settings), columns)


def _widths(bits: int | tuple[int, int]) -> QuantizerSettings:
    weight_bits, activation_bits = (bits, bits) if isinstance(bits, int) else bits
    return QuantizerSettings(weight_bits, activation_bits)


def load_machine(machine: str | Path | None, network: Network) -> Machine:
    """Load a machine by name or from a YAML file; None gives the network's default machine.

    For a network with no machine of its own that is `default_machine`'s, with a column interval at
    which the layers need about 64 lanes; a longer one where a layer cannot keep up with that.

    Raises
    ------
    InputError
        If there is no such machine, or it is not one for `network`; the message names the file.
    """
    if machine is None:
        if zoo_entry(network) is None or network.name not in machine_names():
            return _machine_for(network)
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


def _machine_for(network: Network) -> Machine:
    shape, macs = network.graph.input_shape, network.graph.macs
    interval = max(shape.height, macs // (DEFAULT_LANES * shape.width))
    while True:
        try:
            return default_machine(network, interval)
        except InputError:
            if interval > LONGEST_INTERVAL:
                raise
            interval *= 2


def verify(
    network: Network,
    machine: Machine,
    images: NDArray[np.generic],
    *,
    until: str | None = None,
    seed: int | None = None,
    waves: Path | None = None,
    switching: bool = False,
    saif: Path | None = None,
    load_weights: bool = False,
) -> Verdict:
    """Run a machine's RTL on images and compare it with the model.

    Parameters
    ----------
    images : (N, H, W, C), as for `simulate`, at least one
    until : name of the last layer to take; None takes all
    seed : seed of random hesitations of source and sink; None for none
    waves : file to write the waves to; not with `switching` or `saif`
    switching : count how often registers change
    saif : file to write the activity of every net to
    load_weights : load weights and biases through a stream, instead of having them in the design

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
    return compare(
        network,
        machine,
        images,
        seed=seed,
        waves=waves,
        switching=switching,
        saif=saif,
        loaded=load_weights,
    )


def write_rtl(
    network: Network,
    machine: Machine,
    directory: str | Path,
    *,
    bus: str = "stream",
    load_weights: bool = False,
) -> tuple[Path, ...]:
    """Write a machine as Verilog into a directory, with a page on how to connect it.

    Parameters
    ----------
    bus : the ports: "stream" for valid and ready, or "axi4-stream"
    load_weights : weights and biases come through a stream of their own, whose beats are written to
        `load.hex`

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
        from pilaster.rtl.export import Bus, export
    except ImportError as error:
        raise InputError("needs the RTL extra: pip install 'pilaster[rtl]'") from error
    if bus not in list(Bus):
        raise InputError(f"bus: must be one of {', '.join(Bus)}, not {bus}")
    return export(network, machine, Path(directory), Bus(bus), load_weights)


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
