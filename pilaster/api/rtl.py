"""Verify a machine's RTL against the model, and write it as Verilog."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pilaster.api.arguments import NetworkLike, as_images, as_network
from pilaster.api.machines import MachineLike, load_machine
from pilaster.api.networks import load_images
from pilaster.base.arguments import as_choice, as_flag, as_path, as_whole, refusal
from pilaster.base.errors import InputError
from pilaster.base.extras import needing

if TYPE_CHECKING:
    from pilaster.models.network import Network
    from pilaster.rtl.verification.verify import Verdict

__all__ = ["verify", "write_rtl"]

DEFAULT_IMAGES = 2
LARGEST_SEED = 2**64 - 1


def verify(
    network: NetworkLike,
    machine: MachineLike | None = None,
    images: NDArray[np.generic] | None = None,
    *,
    until: str | None = None,
    seed: int | None = None,
    waves: str | Path | None = None,
    switching: bool = False,
    saif: str | Path | None = None,
    load_weights: bool = False,
) -> Verdict:
    """Run a machine's RTL on images and compare it with the model.

    Compares every value of every stage, the cycle stamps of every column, and every action count.

    Parameters
    ----------
    network : network, or its name or file
    machine : machine, or its name or file; None for the network's default machine
    images : (N, H, W, C), as for `simulate`, at least one; None for two images from
        `load_images`
    until : name of the last layer to include; None includes all
    seed : random seed for stalls of the source and the sink; None for no stalls
    waves : output file for waveforms (VCD); not with `switching` or `saif`
    switching : whether to count register toggles
    saif : output file for the switching activity of every net
    load_weights : load weights and biases through a stream instead of building them into the design

    Returns
    -------
    Verdict
        ``equal`` is True if everything is equal; ``stages`` lists the differences

    Raises
    ------
    InputError
        If the machine does not fit the network, or a tool is missing.

    Examples
    --------
    >>> import pilaster as pl
    >>> verdict = pl.verify("digits", until="pool1")
    >>> verdict.equal, verdict.rtl_cycles == verdict.model_cycles
    (True, True)
    """
    loaded = as_network(network)
    laid = load_machine(machine, loaded)
    found = _images(images, loaded, "verification")
    if until is not None:
        if not isinstance(until, str):
            raise refusal("until", until, "the name of a layer")
        loaded = loaded.until(until)
        layers = {node.name for node in loaded.graph.nodes}
        stages = {name: spec for name, spec in laid.stages.items() if name in layers}
        laid = replace(laid, stages=stages)
    files = {"waves": waves, "saif": saif}
    places = {name: None if file is None else as_path(name, file) for name, file in files.items()}
    for name, place in places.items():
        if place is not None and not place.absolute().parent.is_dir():
            raise InputError(f"{name}: {place}: its folder does not exist")
    switching, load_weights = as_flag("switching", switching), as_flag("load_weights", load_weights)
    if waves is not None and (switching or saif is not None):
        raise InputError("waves: not with switching or saif; run it once more")
    with needing("RTL", "rtl"):
        from pilaster.rtl.verification.verify import verify as compare
    return compare(
        loaded,
        laid,
        found,
        seed=None if seed is None else as_whole("seed", seed, least=0, most=LARGEST_SEED),
        waves=places["waves"],
        switching=switching,
        saif=places["saif"],
        loaded=load_weights,
    )


def write_rtl(
    network: NetworkLike,
    machine: MachineLike | None,
    directory: str | Path,
    *,
    bus: str = "stream",
    load_weights: bool = False,
    name: str | None = None,
    testbench: bool = False,
    images: NDArray[np.generic] | None = None,
) -> tuple[Path, ...]:
    """Write a machine as Verilog to a directory, with a README on how to connect it.

    With `testbench`, the directory also contains a self-checking testbench: `make sim` runs it in
    Icarus Verilog or Verilator.

    Parameters
    ----------
    network : network, or its name or file
    machine : machine, or its name or file; None for the network's default machine
    bus : type of the ports: "stream" for valid/ready streams, or "axi4-stream"
    load_weights : load weights and biases through a separate stream; `load.hex` contains its beats
    name : name of the top module and prefix of all other modules, so that one design can contain
        several machines; None for `pilaster_top`
    testbench : add a testbench with golden vectors, assertions, a Makefile, a FuseSoC core file,
        constraints, a Vivado script, and a diagram of the ports
    images : (N, H, W, C), as for `simulate`, for the testbench; None for two images from
        `load_images`

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    InputError
        If the RTL cannot be generated, the name is not a valid module name, or the directory cannot
        be written or contains files that `write_rtl` did not write; no partial output remains.

    Examples
    --------
    >>> import pilaster as pl
    >>> [path.name for path in pl.write_rtl("digits", None, "out")][:2]
    ['pilaster_top.v', 'files.f']
    """
    loaded = as_network(network)
    laid = load_machine(machine, loaded)
    path = as_path("directory", directory)
    ports = as_choice("bus", bus, ("stream", "axi4-stream"))
    load_weights = as_flag("load_weights", load_weights)
    if name is not None and not isinstance(name, str):
        raise refusal("name", name, "the name of a module")
    judged_by = None
    if as_flag("testbench", testbench):
        judged_by = _images(images, loaded, "the testbench")
    elif images is not None:
        raise InputError("images: they go with testbench=True")
    with needing("RTL", "rtl"):
        from pilaster.rtl.export import Bus, export
    return export(loaded, laid, path, Bus(ports), load_weights, name, judged_by)


def _images(images: NDArray[np.generic] | None, network: Network, what: str) -> NDArray[np.generic]:
    """Return the given images, or default images for the network."""
    if images is None:
        images = load_images(network, count=DEFAULT_IMAGES).images
    found = as_images("images", images, network)
    if not len(found):
        raise InputError(f"images: none; {what} needs at least one")
    return found
