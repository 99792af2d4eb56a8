"""A network as a bitstream for an FPGA board."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pilaster.api.arguments import NetworkLike, as_network
from pilaster.api.machines import MachineLike, load_machine
from pilaster.base.arguments import (
    as_choice,
    as_flag,
    as_function,
    as_path,
    as_real,
    as_whole,
    refusal,
)
from pilaster.base.extras import needing
from pilaster.rtl.boards.catalog import BOARDS, Board

if TYPE_CHECKING:
    from pilaster.rtl.boards.bitstream import Bitstream

__all__ = ["bitstream", "write_bitstream"]

LEAST_BAUD = 300


def bitstream(
    network: NetworkLike,
    machine: MachineLike | None = None,
    *,
    board: str | Board,
    clock_mhz: float | None = None,
    baud: int | None = None,
    counters: bool = False,
    progress: Callable[[str], None] = lambda step: None,
) -> Bitstream:
    """Build a bitstream: a machine behind a serial line, synthesized, placed and routed.

    Parameters
    ----------
    network : or its name
    machine : or its name or file; None for the fastest that fits the board, by estimate
    board : a name that `boards` lists
    clock_mhz : clock of the machine, made by a PLL; None for 40 on ECP5 and 12 on iCE40
    baud : of the serial line; None for the board's
    counters : have the device count the machine's actions
    progress : told of each step

    Returns
    -------
    Bitstream
        ``content`` for the FPGA, and ``resources``, ``timing``, ``pins``; `write_bitstream` writes
        it

    Raises
    ------
    InputError
        If a tool is missing, the clock cannot be made, or the machine is not one for the network.
    BuildError
        If there is no such bitstream: the machine is too large or too slow, or a tool fails.

    Examples
    --------
    >>> import pilaster as pl
    >>> found = pl.bitstream("digits", board="icebreaker")
    >>> found.file, found.timing.fmax_mhz > 12
    ('digits.bin', True)
    """
    loaded = as_network(network)
    laid = None if machine is None else load_machine(machine, loaded)
    if not isinstance(board, Board):
        board = BOARDS[as_choice("board", board, BOARDS)]
    clock_hz = None if clock_mhz is None else as_real("clock_mhz", clock_mhz) * 1e6
    rate = None if baud is None else as_whole("baud", baud, least=LEAST_BAUD)
    counters = as_flag("counters", counters)
    as_function("progress", progress)
    with needing("bitstreams", "fpga"):
        from pilaster.rtl.boards.bitstream import build
    return build(loaded, board, laid, clock_hz=clock_hz, baud=rate, counters=counters, say=progress)


def write_bitstream(found: Bitstream, directory: str | Path) -> tuple[Path, ...]:
    """Write a bitstream into a directory, with a page, a report, and what `pilaster host` reads.

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    InputError
        If the directory cannot be written; nothing is left behind.

    Examples
    --------
    >>> import pilaster as pl
    >>> found = pl.bitstream("digits", board="icebreaker")
    >>> [path.name for path in pl.write_bitstream(found, "build")][:2]
    ['digits.bin', 'README.md']
    """
    with needing("bitstreams", "fpga"):
        from pilaster.rtl.boards.bitstream import Bitstream
        from pilaster.rtl.boards.folder import write_build
    if not isinstance(found, Bitstream):
        raise refusal("found", found, "what `bitstream` returns")
    return write_build(found, as_path("directory", directory))
