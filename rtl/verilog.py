"""Verilog of a machine, with the files that its memories are initialized from."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from amaranth.back import verilog
from amaranth.lib import wiring

from pilaster.rtl.amaranth_settings import own_settings
from pilaster.rtl.components.memory import ROM_VERILOG, RomFiles
from pilaster.rtl.pipeline import PipelineComponent
from pilaster.rtl.stages.loading import load_beats, loadable
from pilaster.sim.pipeline import Pipeline

__all__ = ["TOP", "Design", "component_verilog", "generate"]

_START = re.compile(r"^  reg (\\\$auto\$verilog_backend\S+ ) = 0;$", re.MULTILINE)
_AT_START = r"  reg \1;\n  initial \1 <= 0;"
"""Yosys has every `always @*` begin by a change of such a register at the start of a simulation.

Where a simulator sets initial values first (Icarus Verilog does), there is none, and what such a
block drives stays unknown unless it is assigned after all blocks wait.
"""

TOP = "pilaster_top"
"""Name of the module that is the whole machine."""


@dataclass(frozen=True)
class Design:
    """A machine in Verilog.

    Attributes
    ----------
    verilog : text of all modules
    memories : contents of memory files, by file name
    beat_bits : by stage, width of a beat of its output stream
    input_bits : width of a beat of the input
    load : beats of the load stream, where weights are loaded
    """

    verilog: str
    memories: Mapping[str, str]
    beat_bits: Mapping[str, int]
    input_bits: int
    load: tuple[int, ...] | None = None


def component_verilog(component: wiring.Component, name: str = TOP) -> str:
    """Write a component as Verilog, with the module that its memories in files stand behind."""
    with own_settings():
        text = verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True)
    return f"{_START.sub(_AT_START, text)}\n{ROM_VERILOG}"


def generate(
    pipeline: Pipeline,
    probes: bool = False,
    loaded: bool = False,
    paired: Collection[str] = (),
    name: str = TOP,
) -> Design:
    """Generate the machine.

    probes : it shows its stamps and actions to a testbench
    loaded : weights and biases come through a stream, and are not in the design
    paired : stages whose lanes are made two by two of one multiplication, where they can be
    name : of the module that is the whole machine; those of its parts begin so
    """
    pipeline.network.check_values()
    names = loadable(pipeline) if loaded else []
    files = RomFiles(names)
    top = PipelineComponent(pipeline, files, probes, paired)
    return Design(
        verilog=component_verilog(top, name),
        memories=files.contents,
        beat_bits=top.beat_bits,
        input_bits=top.i.payload.shape().size,
        load=tuple(load_beats(pipeline, names)) if names else None,
    )
