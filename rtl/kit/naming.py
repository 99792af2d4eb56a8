"""A machine under a name: what its modules, files and macros are called."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import version

from pilaster.base.errors import InputError
from pilaster.rtl.components.memory import ROM_VERILOG
from pilaster.rtl.names import KEYWORDS, MOST_LETTERS

__all__ = ["LICENSE", "Naming", "check_name"]

LICENSE = "Apache-2.0"
"""SPDX identifier of what Pilaster writes."""

_MEMORIES = """\
{header}
// Memories of the machine {name}. Files of contents lie in the folder {name}_DIR, or where the
// simulator runs. Replace these modules to use macros.

`ifndef {name}_DIR
`define {name}_DIR "."
`endif

// A memory initialized from a file; the data come one cycle after the address.
module {name}_rom #(parameter WIDTH = 8, parameter DEPTH = 2, parameter FILE = "") (
    input wire clk,
    input wire en,
    input wire [(DEPTH > 1 ? $clog2(DEPTH) : 1) - 1:0] addr,
    output reg [WIDTH - 1:0] data
);
    localparam PATH = {{`{name}_DIR, "/", FILE}};
    reg [WIDTH - 1:0] mem [0:DEPTH - 1];
`ifndef SYNTHESIS
    integer file;
    initial begin
        file = $fopen(PATH, "r");
        if (file == 0) begin
            $display("ERROR: %0s cannot be read: define {name}_DIR as its folder", PATH);
            $fatal(1);
        end
        $fclose(file);
    end
`endif
    initial $readmemh(PATH, mem);
    always @(posedge clk) if (en) data <= mem[addr];
endmodule
"""

_RAM = ROM_VERILOG[ROM_VERILOG.index("// A memory without contents") :]


def check_name(name: str) -> None:
    """Check that a name can be that of a module, in Verilog, SystemVerilog and VHDL.

    Raises
    ------
    InputError
        If it is no identifier, a keyword, or too long.
    """
    if not re.fullmatch(r"[A-Za-z](_?[A-Za-z0-9])*", name) or len(name) > MOST_LETTERS:
        raise InputError(
            f"name {name!r}: not a name of a module; a letter, then letters, digits and single "
            f"underscores, at most {MOST_LETTERS} in all"
        )
    if name.lower() in KEYWORDS:
        raise InputError(f"name {name!r}: a keyword of Verilog, SystemVerilog or VHDL")


@dataclass(frozen=True)
class Naming:
    """What a machine called `name` is made of.

    Attributes
    ----------
    origin : what it was made from, for the head of every file
    """

    name: str
    origin: str

    def header(self, comment: str = "//") -> str:
        """Give the head of a file whose comments begin so."""
        origin = " ".join(self.origin.split()).encode("ascii", "backslashreplace").decode()
        return (
            f"{comment} {self.name}: {origin}. Made by Pilaster {version('pilaster')}.\n"
            f"{comment} SPDX-License-Identifier: {LICENSE}\n"
        )

    @property
    def verilog_file(self) -> str:
        """File of the machine."""
        return f"{self.name}.v"

    @property
    def memories_file(self) -> str:
        """File of the modules behind its memories."""
        return f"{self.name}_memories.sv"

    def machine(self, verilog: str) -> str:
        """Give a design's modules but those behind its memories, which it calls by their names."""
        text = verilog.removesuffix(ROM_VERILOG).rstrip() + "\n"
        return f"{self.header()}\n{self._called(text)}"

    def memories(self) -> str:
        """Give the modules behind its memories."""
        rom = _MEMORIES.format(header=self.header(), name=self.name)
        return f"{rom}\n{self._called(_RAM)}"

    def _called(self, text: str) -> str:
        return re.sub(r"\bpilaster_(rom|ram)\b", rf"{self.name}_\1", text)
