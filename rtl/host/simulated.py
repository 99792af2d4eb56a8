"""A board without a board: its host top in Verilator, behind a pseudo-terminal."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Collection
from importlib import resources
from pathlib import Path
from types import TracebackType

from pilaster.base.errors import InputError
from pilaster.rtl.components.memory import RomFiles
from pilaster.rtl.host.top import HostTop
from pilaster.rtl.host.uart import divisor_for
from pilaster.rtl.host.wire_format import LINK_LOAD_BITS
from pilaster.rtl.toolchain.compiler import LoggedError
from pilaster.rtl.toolchain.verilator import build
from pilaster.rtl.toolchain.workplace import make_workplace
from pilaster.rtl.verilog import component_verilog
from pilaster.sim.pipeline import Pipeline

__all__ = ["TOP", "SimulatedBoard"]

TOP = "host_top"
"""Name of the module that is simulated."""


class SimulatedBoard:
    """A running simulation of a machine behind its UART; `port` is where a host finds it.

    The clock and the rate of the line are those of the board: what was simulated is what runs.

    Parameters
    ----------
    loaded : names of the memories that are loaded over the line
    mutate : what is done to the Verilog before it is built, in a folder of its own; a netlist of it
    counts, paired : as of `HostTop`

    Raises
    ------
    InputError
        If a tool is missing, or pseudo-terminals are.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        clock_hz: int,
        baud: int,
        mutate: Callable[[str, Path], str] = lambda text, folder: text,
        loaded: frozenset[str] = frozenset(),
        counts: bool = False,
        paired: Collection[str] = (),
    ) -> None:
        try:
            import tty
        except ImportError as error:
            raise InputError("--simulate: this system has no pseudo-terminals") from error
        pipeline.network.check_values()
        self._folder = make_workplace()
        try:
            files = RomFiles(loaded, LINK_LOAD_BITS)
            top = HostTop(pipeline, files, clock_hz, baud, counts, paired)
            program = _build(top, files, self._folder, mutate)
            master, self._slave = os.openpty()
            tty.setraw(self._slave)
            self.port = os.ttyname(self._slave)
            self._process = subprocess.Popen(
                [program, str(master), str(divisor_for(clock_hz, baud))],
                cwd=self._folder,
                pass_fds=(master,),
                stdin=subprocess.DEVNULL,
            )
            os.close(master)
        except LoggedError:
            raise  # it names a log in the folder
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def __enter__(self) -> SimulatedBoard:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._slave)
        shutil.rmtree(self._folder, ignore_errors=True)


def _build(top: HostTop, files: RomFiles, folder: Path, mutate: Callable[[str, Path], str]) -> Path:
    text = component_verilog(top, TOP)
    for name, content in files.contents.items():
        (folder / name).write_text(content, encoding="ascii")
    text = mutate(text, folder)
    (folder / f"{TOP}.v").write_text(text, encoding="utf-8")
    main = resources.files("pilaster.rtl.host") / "simulated.cpp"
    return build([f"{TOP}.v"], TOP, main.read_text(encoding="ascii"), folder)
