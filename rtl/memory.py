"""Read-only memories: small ones in the netlist, large ones in a file beside it.

Every table and weight memory of a stage goes through `Rom`, so that what stands behind it can be
chosen in one place.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import ClockSignal, Instance, Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from pilaster.rtl.shapes import index_shape

__all__ = ["ROM_VERILOG", "Rom", "RomFiles"]

INLINE_BITS = 1 << 14
"""Contents up to this many bits stand in the netlist; larger ones in a file."""

ROM_VERILOG = """\
// A memory initialised from a file; the data come one cycle after the address.
module pilaster_rom #(parameter WIDTH = 8, parameter DEPTH = 2, parameter FILE = "") (
    input wire clk,
    input wire en,
    input wire [(DEPTH > 1 ? $clog2(DEPTH) : 1) - 1:0] addr,
    output reg [WIDTH - 1:0] data
);
    reg [WIDTH - 1:0] mem [0:DEPTH - 1];
    generate if (FILE != "") begin : contents
        initial $readmemh(FILE, mem);
    end endgenerate
    always @(posedge clk) if (en) data <= mem[addr];
endmodule
"""


class RomFiles:
    """Contents of the memories of one design that stand in files, by file name."""

    def __init__(self) -> None:
        self.contents: dict[str, str] = {}

    def add(self, name: str, width: int, words: Sequence[int]) -> str:
        """Keep the contents of a memory; gives its file name."""
        file = f"{name}.hex"
        digits = -(-width // 4)
        self.contents[file] = "".join(f"{word:0{digits}x}\n" for word in words)
        return file


class Rom(wiring.Component):
    """A memory that is only read; the data come one cycle after the address.

    Parameters
    ----------
    name : name of the file, should the contents need one
    width : bits of a word
    words : contents
    files : where the design's files are kept
    """

    def __init__(self, name: str, width: int, words: Sequence[int], files: RomFiles) -> None:
        self._name = name
        self._words = list(words)
        self._files = files
        super().__init__({"addr": In(index_shape(len(words))), "en": In(1), "data": Out(width)})

    def elaborate(self, platform: object) -> Module:
        """Choose what holds the contents."""
        m = Module()
        width, depth = len(self.data), len(self._words)
        if depth == 1:
            m.d.comb += self.data.eq(self._words[0])
        elif width * depth <= INLINE_BITS:
            m.submodules.memory = memory = Memory(shape=width, depth=depth, init=self._words)
            port = memory.read_port()
            m.d.comb += [port.addr.eq(self.addr), port.en.eq(self.en), self.data.eq(port.data)]
        else:
            m.submodules.memory = Instance(
                "pilaster_rom",
                p_WIDTH=width,
                p_DEPTH=depth,
                p_FILE=self._files.add(self._name, width, self._words),
                i_clk=ClockSignal(),
                i_en=self.en,
                i_addr=self.addr,
                o_data=self.data,
            )
        return m
