"""Measure power and energy tables at gate level in a cell library."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pilaster.api.arguments import (
    NetworkLike,
    TableLike,
    as_images,
    as_network,
    as_paths,
    as_table,
)
from pilaster.api.machines import MachineLike, load_machine
from pilaster.api.networks import load_images
from pilaster.base.arguments import (
    as_flag,
    as_function,
    as_path,
    as_real,
    as_whole,
    refusal,
)
from pilaster.base.errors import CheckError, InputError
from pilaster.base.extras import needing
from pilaster.base.output_files import write_files
from pilaster.data import images_for
from pilaster.models.energy import EnergyTable
from pilaster.models.energy.write import table_yaml
from pilaster.sim.machine import Machine
from pilaster.sim.results import Result
from pilaster.sim.simulate import simulate

if TYPE_CHECKING:
    from pilaster.rtl.gates.bill import BillLine
    from pilaster.rtl.gates.measure import PowerMeasurement

__all__ = ["characterize", "compare_bill", "power", "write_power", "write_table"]

DEFAULT_MACHINES = ("digits", "digits-gather")
DEFAULT_IMAGES = 20
DEFAULT_CHARACTERIZE_IMAGES = 10
DEFAULT_SKIP = 100
DEFAULT_MHZ = 25.0
DEFAULT_TABLE = "ihp130"
LARGEST_NODE_NM = 10_000

WORD = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
"""Names of tables."""


def power(
    network: NetworkLike,
    machine: MachineLike | None = None,
    images: NDArray[np.generic] | None = None,
    *,
    liberty: str | Path | Sequence[str | Path],
    sram: str | Path | Sequence[str | Path] = (),
    clock_mhz: float = DEFAULT_MHZ,
    table: TableLike = DEFAULT_TABLE,
    clock_gates: bool = True,
    node_nm: int | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> PowerMeasurement:
    """Measure the power, area, and timing of a machine at gate level.

    Synthesizes the machine to a cell library, simulates the netlist on images, and adds up the
    energy of all gates and memories.

    Parameters
    ----------
    network : network, or its name or file
    machine : machine, or its name or file; None for the network's default machine
    images : (N, H, W, C), as for `simulate`, at least one; None for 20 images from
        `load_images`
    liberty : Liberty file of the standard cells, plain or .gz; several files of one library, or a
        folder that contains them
    sram : Liberty files of single-port SRAM macros
    clock_mhz : clock that the gates must meet
    table : energy table for memories without a matching SRAM macro, or its name or file
    clock_gates : whether registers that share an enable get a clock gate
    node_nm : technology node of the library in nm, which a Liberty file does not state; None uses
        the known node of a public library
    progress : called with a description of each step

    Returns
    -------
    PowerMeasurement
        ``energy_pj`` per image, ``power_mw``, ``area_um2``, and ``slack_ns``; each of the
        ``components`` and ``memories``; ``holds`` is True if the netlist matches the model and
        meets the clock

    Raises
    ------
    InputError
        If a file is invalid, a tool is missing, or neither a macro nor the table covers a memory.

    Examples
    --------
    >>> import pilaster as pl
    >>> images = pl.load_images("digits", count=1).images
    >>> found = pl.power("digits", images=images, liberty="cells.lib", clock_mhz=1)
    >>> found.answers_equal, found.cycles_equal
    (True, True)
    """
    loaded = as_network(network)
    laid = load_machine(machine, loaded)
    cells, srams = as_paths("liberty", liberty, least=1), as_paths("sram", sram)
    clock_mhz = as_real("clock_mhz", clock_mhz)
    clock_gates = as_flag("clock_gates", clock_gates)
    node_nm = _as_node(node_nm)
    as_function("progress", progress)
    with needing("power", "fpga"):
        from pilaster.rtl.gates.liberty import Library, library_files
        from pilaster.rtl.gates.measure import measure_power
        from pilaster.rtl.gates.sram import Macro
    library, macros = Library.read(*library_files(cells)), [*map(Macro.read, srams)]
    prices = as_table("table", table)
    if images is None:
        images = load_images(loaded, count=DEFAULT_IMAGES).images
    found = as_images("images", images, loaded)
    if not len(found):
        raise InputError("images: none; at least one is needed")
    return measure_power(
        loaded,
        laid,
        library,
        found,
        clock_mhz,
        macros=macros,
        table=prices,
        gated=clock_gates,
        node_nm=node_nm,
        say=progress,
    )


def compare_bill(found: PowerMeasurement, result: Result) -> tuple[BillLine, ...]:
    """Compare a simulated energy with the gate-level energy of the same machine, part by part.

    Parameters
    ----------
    found : result of `power`
    result : result of `simulate` on the same images and with the same clock

    Raises
    ------
    InputError
        If the two results are from different machines or images.

    Examples
    --------
    >>> import pilaster as pl
    >>> images = pl.load_images("digits", count=1).images
    >>> found = pl.power("digits", images=images, liberty="cells.lib", clock_mhz=1)
    >>> result = pl.simulate("digits", images=images, table="sg13g2")
    >>> [line.part for line in pl.compare_bill(found, result)][-1]
    'total'
    """
    with needing("power", "fpga"):
        from pilaster.rtl.gates.bill import compare_bill as compare
        from pilaster.rtl.gates.measure import PowerMeasurement
    if not isinstance(found, PowerMeasurement):
        raise refusal("found", found, "what `power` returns")
    if not isinstance(result, Result):
        raise refusal("result", result, "what `simulate` returns")
    ours = (found.network, found.machine, found.images)
    if (result.network, result.machine, result.images) != ours:
        raise InputError(
            f"result: is of {result.network} on {result.machine} and {result.images} images, and "
            f"must be of {found.network} on {found.machine} and {found.images}, as at gates"
        )
    return compare(found, result)


def write_power(
    found: PowerMeasurement, directory: str | Path, bill: Sequence[BillLine] = ()
) -> tuple[Path, ...]:
    """Write ``power.json`` and ``power.csv`` to a directory.

    The CSV file has one line per component or memory.

    Parameters
    ----------
    found : result of `power`
    bill : result of `compare_bill`

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    InputError
        If the directory cannot be written; no partial output remains.

    Examples
    --------
    >>> import pilaster as pl
    >>> images = pl.load_images("digits", count=1).images
    >>> found = pl.power("digits", images=images, liberty="cells.lib", clock_mhz=1)
    >>> [path.name for path in pl.write_power(found, "out")]
    ['power.json', 'power.csv']
    """
    with needing("power", "fpga"):
        from pilaster.rtl.gates.bill import BillLine
        from pilaster.rtl.gates.files import power_files
        from pilaster.rtl.gates.measure import PowerMeasurement
    if not isinstance(found, PowerMeasurement):
        raise refusal("found", found, "what `power` returns")
    if not isinstance(bill, list | tuple) or not all(isinstance(n, BillLine) for n in bill):
        raise refusal("bill", bill, "what `compare_bill` returns")
    return write_files(as_path("directory", directory), power_files(found, bill), "report")


def _as_node(node_nm: object) -> int | None:
    if node_nm is None:
        return None
    found = as_whole("node_nm", node_nm)
    if found > LARGEST_NODE_NM:
        raise InputError(f"node_nm: must be at most {LARGEST_NODE_NM:,} nm, not {found:,}")
    return found


def characterize(
    liberty: str | Path | Sequence[str | Path],
    *,
    machines: MachineLike | Sequence[MachineLike] = DEFAULT_MACHINES,
    images: int = DEFAULT_CHARACTERIZE_IMAGES,
    skip: int = DEFAULT_SKIP,
    sram: str | Path | Sequence[str | Path] = (),
    clock_mhz: float = DEFAULT_MHZ,
    table: TableLike = DEFAULT_TABLE,
    node_nm: int | None = None,
    name: str = "measured",
    progress: Callable[[str], None] = lambda step: None,
) -> EnergyTable:
    """Measure an energy table at gate level.

    Runs machines as `power` does, and divides the energy of each component by its action counts.
    The first machine runs a second time with mostly black pixels, to measure the energy of an idle
    lane. Every entry records how it was measured. Memories that are not built from gates keep their
    entries from `table`.

    Parameters
    ----------
    liberty : Liberty file of the standard cells, plain or .gz; several files of one library, or a
        folder that contains them
    machines : machines to measure, or their names or files; their networks must be in the zoo
    images : number of images per machine
    skip : number of images to skip first, to keep them for evaluating the table
    sram : Liberty files of single-port SRAM macros
    clock_mhz : clock that the gates must meet
    table : energy table for memories that are not built from gates, or its name or file
    node_nm : technology node of the library in nm, which a Liberty file does not state; None uses
        the known node of a public library
    name : name of the new table, one word
    progress : called with a description of each step

    Raises
    ------
    InputError
        If a file is invalid, a tool is missing, or no machine contains a component that the table
        needs.
    CheckError
        If the results of a netlist differ from the model.

    Examples
    --------
    >>> import pilaster as pl
    >>> table = pl.characterize("cells.lib", images=1, clock_mhz=1, node_nm=90, name="mine")
    >>> file = pl.write_table(table, "mine.yaml")
    >>> pl.simulate("lenet5", table="mine.yaml").energy.table
    'mine'
    """
    cells, srams = as_paths("liberty", liberty, least=1), as_paths("sram", sram)
    laid = _as_machines(machines)
    count, skip = as_whole("images", images), as_whole("skip", skip, least=0)
    clock_mhz, node_nm = as_real("clock_mhz", clock_mhz), _as_node(node_nm)
    if not isinstance(name, str) or not re.fullmatch(WORD, name):
        raise refusal("name", name, "one word of letters, digits, '_', '-' and '.'")
    as_function("progress", progress)
    base = as_table("table", table)
    with needing("characterize", "fpga"):
        from pilaster.rtl.gates.characterize import Run, blackened
        from pilaster.rtl.gates.characterize import characterize as fit
        from pilaster.rtl.gates.liberty import Library, library_files
        from pilaster.rtl.gates.measure import measure_power
        from pilaster.rtl.gates.sram import Macro
        from pilaster.rtl.gates.technology import node_of
    library, macros = Library.read(*library_files(cells)), [*map(Macro.read, srams)]
    node = node_of(library) if node_nm is None else node_nm
    if node is None:
        raise InputError(
            f"{library.path}: the technology node of library {library.name} is not known; give it "
            f"as node_nm, or by --node-nm"
        )
    runs = []
    for machine, black in [*((each, False) for each in laid), (laid[0], True)]:
        network = as_network(machine.network)
        dataset = images_for(network, None, skip + count)
        assert dataset is not None
        shown: NDArray[np.generic] = dataset.images[skip:]
        shown = blackened(shown) if black else shown
        measured = measure_power(
            network, machine, library, shown, clock_mhz, macros=macros, table=base, say=progress
        )
        if not measured.answers_equal or not measured.cycles_equal:
            raise CheckError(f"{machine.name}: the netlist differs from the model")
        model = simulate(network, machine, shown, table=base, clock_mhz=clock_mhz)
        runs.append(Run(measured, model, black))
    title = f"{node:g} nm, measured at gates of {library.name}"
    return EnergyTable.of(fit(runs, base, name, title, node), f"energy table {name}")


def _as_machines(machines: object) -> tuple[Machine, ...]:
    given = machines if isinstance(machines, list | tuple) else (machines,)
    if not given:
        raise InputError("machines: name at least one")
    for machine in given:
        if not isinstance(machine, str | Path | Machine):
            raise refusal("machines", machine, "machines, their names, or files' paths")
    return tuple(map(load_machine, given))


def write_table(table: TableLike, path: str | Path) -> Path:
    """Write an energy table to a YAML file, which every function and command accepts as a table.

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
    >>> file = pl.write_table("ihp130", "mine.yaml")
    >>> pl.simulate("digits", table=file).energy.table
    'ihp130'
    """
    path = as_path("path", path)
    text = table_yaml(as_table("table", table).file)
    (written,) = write_files(path.parent, {path.name: text.encode()}, "table")
    return written
