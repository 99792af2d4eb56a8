"""Simulate a network on a machine, and write a report."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pilaster.api.arguments import (
    NetworkLike,
    TableLike,
    as_images,
    as_labels,
    as_network,
    as_table,
)
from pilaster.api.machines import MachineLike, load_machine
from pilaster.base.arguments import as_function, as_path, as_real, refusal
from pilaster.base.errors import InputError
from pilaster.sim import simulate as engine
from pilaster.sim.results import Result

__all__ = ["simulate", "write_report"]


def simulate(
    network: NetworkLike,
    machine: MachineLike | None = None,
    images: NDArray[np.generic] | None = None,
    labels: NDArray[np.integer] | None = None,
    *,
    table: TableLike | None = None,
    clock_mhz: float | None = None,
    data: str = "",
    progress: Callable[[int], None] = lambda images_done: None,
) -> Result:
    """Simulate a network on a machine: integer values, cycles, action counts, and energy.

    Parameters
    ----------
    network : network, or its name or file
    machine : machine, or its name or file; None for the network's default machine, see
        `load_machine`
    images : (N, H, W, C), integers from 0 to 255, which represent 0.0 to 1.0, or real numbers. With
        None or an empty array, the result has times and the energy of one image in which no
        activation is zero
    labels : (N,), expected classes
    table : energy table, or its name or file; None for ``eyeriss65``
    clock_mhz : clock frequency in MHz; required to include leakage energy
    data : description of the images, for reports
    progress : called with the number of images done

    Raises
    ------
    InputError
        If the machine does not fit the network, or the images do not fit its input.

    Examples
    --------
    >>> import pilaster as pl
    >>> digits = pl.load_images("lenet5", count=20)
    >>> result = pl.simulate("lenet5", "lenet5", digits.images, digits.labels)
    >>> result.lanes, result.accuracy
    (87, 1.0)
    """
    loaded = as_network(network)
    laid = load_machine(machine, loaded)
    found = None if images is None else as_images("images", images, loaded)
    known = None if labels is None else as_labels(labels, 0 if found is None else len(found))
    if not isinstance(data, str):
        raise refusal("data", data, "text")
    prices = as_table("table", table)
    result = engine.simulate(
        loaded,
        laid,
        found,
        known,
        table=prices,
        clock_mhz=None if clock_mhz is None else as_real("clock_mhz", clock_mhz),
        data=data,
        progress=as_function("progress", progress),
    )
    if not math.isfinite(result.energy.total_pj):
        raise InputError(f"energy table {prices.name}: prices are too large to add up")
    return result


def write_report(result: Result, directory: str | Path) -> tuple[Path, ...]:
    """Write the report of a result to a directory: a page, plots, a table, and a trace.

    Returns
    -------
    tuple of Path
        The files written: ``report.html``, ``energy.png``, ``timeline.png``, ``stages.csv`` and
        ``trace.json``, which Perfetto and chrome://tracing can open.

    Raises
    ------
    InputError
        If the directory cannot be written; no partial output remains.

    Examples
    --------
    >>> import pilaster as pl
    >>> [path.name for path in pl.write_report(pl.simulate("digits"), "out")]
    ['report.html', 'energy.png', 'timeline.png', 'stages.csv', 'trace.json']
    """
    from pilaster.reports.write import write_report as write

    if not isinstance(result, Result):
        raise refusal("result", result, "what `simulate` returns")
    return write(result, as_path("directory", directory))
