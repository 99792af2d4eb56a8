"""Names of layers in hardware: a layer may be called anything, and a module may not.

A name becomes an identifier of Verilog, SystemVerilog and VHDL that is no word of theirs and none
of our own modules, and that differs from the others in more than case: files are named after it,
too. A name that is one already stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from pilaster.models.graph import INPUT, Graph
from pilaster.rtl.parts import FORKS, OUTPUT, TOP_STAGE
from pilaster.sim.pipeline import Pipeline

__all__ = ["hardware_names", "in_hardware", "reported_names"]

MOST_LETTERS = 48
"""Longest name; more is cut, for file systems and for readers."""

LINES = (OUTPUT, TOP_STAGE, "host link", "total")
"""Lines of reports beside those of stages."""

OWN = (*LINES, INPUT, FORKS, "machine", "load", "clk", "rst", "signature")
"""What stands beside the stages: these lines, modules and ports."""

_OF_VERILOG = """
accept_on alias always always_comb always_ff always_latch and assert assign assume automatic
before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle
checker class clocking cmos config const constraint context continue cover covergroup
coverpoint cross deassign default defparam design disable dist do edge else end endcase
endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface
endmodule endpackage endprimitive endprogram endproperty endspecify endsequence endtable
endtask enum event eventually expect export extends extern final first_match for force foreach
forever fork forkjoin function generate genvar global highz0 highz1 if iff ifnone ignore_bins
illegal_bins implements implies import incdir include initial inout input inside instance int
integer interconnect interface intersect join join_any join_none large let liblist library
local localparam logic longint macromodule matches medium modport module nand negedge nettype
new nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter
pmos posedge primitive priority program property protected pull0 pull1 pulldown pullup
pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real
realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1
s_always s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal
showcancelled signed small soft solve specify specparam static string strong strong0 strong1
struct super supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout
time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef
union unique unique0 unsigned until until_with untyped use uwire var vectored virtual void wait
wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
"""
"""Words of IEEE 1364-2005 and of IEEE 1800-2017, annex B of both."""

_OF_VHDL = """
abs access after alias all and architecture array assert assume assume_guarantee attribute
begin block body buffer bus case component configuration constant context cover default
disconnect downto else elsif end entity exit fairness file for force function generate generic
group guarded if impure in inertial inout is label library linkage literal loop map mod nand
new next nor not null of on open or others out package parameter port postponed procedure
process property protected pure range record register reject release rem report restrict
restrict_guarantee return rol ror select sequence severity shared signal sla sll sra srl strong
subtype then to transport type unaffected units until use variable vmode vprop vunit wait when
while with xnor xor
"""
"""Words of IEEE 1076-2008, 15.10."""

KEYWORDS = frozenset((_OF_VERILOG + _OF_VHDL).split())

_RESERVED = KEYWORDS | {name.lower() for name in OWN}

Item = TypeVar("Item")


def hardware_names(layers: Sequence[str]) -> tuple[str, ...]:
    """Give the name of each layer's module, in their order. Names that are fine are given first."""
    given: dict[str, str] = {}
    taken: set[str] = set()
    for layer in sorted(layers, key=lambda name: _plain(name) != name):
        name = plain = _plain(layer)
        number = 2
        while name.lower() in taken:
            name = f"{plain}_{number}"
            number += 1
        taken.add(name.lower())
        given[layer] = name
    return tuple(given[layer] for layer in layers)


def _plain(layer: str) -> str:
    """Make an identifier of a name; two names may give the same."""
    name = re.sub(r"_{2,}", "_", re.sub(r"[^A-Za-z0-9]", "_", layer)).strip("_")[:MOST_LETTERS]
    if not name or not name[0].isalpha() or name.lower() in _RESERVED:
        name = f"layer_{name}".rstrip("_")
    return name


def in_hardware(pipeline: Pipeline) -> Pipeline:
    """Give a pipeline whose layers have the names of their modules; itself where they have."""
    layers = [node.name for node in pipeline.network.graph.nodes]
    names = hardware_names(layers)
    if names == tuple(layers):
        return pipeline
    renamed = {INPUT: INPUT, **dict(zip(layers, names, strict=True))}
    network, machine = pipeline.network, pipeline.machine
    nodes = tuple(
        replace(node, name=renamed[node.name], inputs=tuple(renamed[name] for name in node.inputs))
        for node in network.graph.nodes
    )
    return Pipeline(
        replace(
            network,
            graph=Graph(network.graph.name, network.graph.input_shape, nodes),
            tensors=_Renamed(network.tensors, renamed),
            parameters=_Renamed(network.parameters, renamed),
            precisions=_Renamed(network.precisions, renamed),
            joins=_Renamed(network.joins, renamed),
        ),
        replace(machine, stages={renamed[name]: machine.stages[name] for name in machine.stages}),
    )


def reported_names(layers: Sequence[str]) -> Mapping[str, str]:
    """Give what reports of hardware call the layers, by the names of their modules.

    That is the layer's own name, but the module's where a line of such reports is called so.
    """
    pairs = zip(hardware_names(layers), layers, strict=True)
    return MappingProxyType({name: name if layer in LINES else layer for name, layer in pairs})


class _Renamed(Mapping[str, Item]):
    """What stood under the old names; made when asked for, as that may be."""

    def __init__(self, old: Mapping[str, Item], renamed: Mapping[str, str]) -> None:
        self._old = old
        self._names = {renamed[name]: name for name in old if name in renamed}

    def __getitem__(self, name: str) -> Item:
        return self._old[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
