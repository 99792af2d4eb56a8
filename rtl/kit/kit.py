"""The kit of a machine: its Verilog under a name, a testbench that judges it, files for tools."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from pilaster.rtl.bus import Bus
from pilaster.rtl.kit.bench import bench_verilog, rules_verilog
from pilaster.rtl.kit.naming import Naming
from pilaster.rtl.kit.picture import ports_svg
from pilaster.rtl.kit.scripts import core_file, makefile, sdc, vivado_script
from pilaster.rtl.kit.vectors import Vectors
from pilaster.rtl.verilog import Design
from pilaster.sim.pipeline import Pipeline

__all__ = ["KIT_ROWS", "bench_files", "machine_files"]

PERIOD_NS = 10.0
"""Period of the clock in constraints and testbench, to be set by whoever knows it."""

KIT_ROWS = """\
| {name}_bench.sv | a testbench that judges itself, on {images} images |
| golden_*.hex | its images, and the model's answers and cycles |
| {name}_rules.sv | assertions of the streams' rules, where `{name}_SVA` is defined |
| Makefile | `make sim`, `make sim SIM=verilator`, `make lint` |
| lint.vlt | waivers for Verilator, each with its reason |
| {name}.core | for FuseSoC |
| {name}.sdc | the clock |
| package_ip.tcl | for Vivado: packages the machine as an IP |
| ports.svg | a picture of the ports |
"""


def machine_files(naming: Naming, design: Design) -> dict[str, str]:
    """Give the files of a machine under a name, by file name."""
    header = naming.header()
    return {
        naming.verilog_file: naming.machine(design.verilog),
        naming.memories_file: naming.memories(),
        **{file: f"{header}{words}" for file, words in design.memories.items()},
        "files.f": f"{naming.verilog_file}\n{naming.memories_file}\n",
    }


def bench_files(
    naming: Naming,
    pipeline: Pipeline,
    design: Design,
    bus: Bus,
    images: NDArray[np.generic],
    load: Mapping[str, str],
) -> dict[str, str]:
    """Give what goes with a machine that is judged and built elsewhere, by file name.

    Parameters
    ----------
    images : (N, H, W, C), to judge it by
    load : the file of the load stream's beats, where there is one
    """
    name = naming.name
    vectors = Vectors.of(pipeline, images, naming.header())
    waivers = resources.files("pilaster.rtl").joinpath("lint.vlt").read_text(encoding="ascii")
    return {
        **vectors.files,
        f"{name}_bench.sv": bench_verilog(naming, pipeline, design, vectors, bus, PERIOD_NS),
        f"{name}_rules.sv": rules_verilog(naming, pipeline, design, bus),
        "Makefile": makefile(naming),
        "lint.vlt": waivers.replace("\n//", f"\n{naming.header()}//", 1),
        f"{name}.core": core_file(naming, [*design.memories], [*vectors.files, *load]),
        f"{name}.sdc": sdc(naming, bus.clock, PERIOD_NS),
        "package_ip.tcl": vivado_script(naming, [*design.memories], bus is Bus.AXI4_STREAM),
        "ports.svg": ports_svg(naming, design.verilog),
    }
