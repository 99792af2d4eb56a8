"""Memories of weights and biases: in the netlist, in a file beside it, or loaded by a stream.

Each goes through `Rom`, so that what stands behind it is chosen in one place.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from amaranth.hdl import Cat, ClockSignal, Instance, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from pilaster.rtl.components.shapes import index_shape

__all__ = ["LOAD_BITS", "ROM_VERILOG", "LoadSignature", "Rom", "RomFiles"]

INLINE_BITS = 1 << 14
"""Contents up to this many bits stand in the netlist; larger ones in a file."""

ROM_VERILOG = """\
// A memory initialized from a file; the data come one cycle after the address.
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

// A memory without contents, of one port: a word is written, or read as above. Yosys makes it of
// iCE40 SPRAM where PILASTER_SPRAM is defined.
module pilaster_ram #(parameter WIDTH = 8, parameter DEPTH = 2) (
    input wire clk,
    input wire write,
    input wire en,
    input wire [(DEPTH > 1 ? $clog2(DEPTH) : 1) - 1:0] addr,
    input wire [WIDTH - 1:0] word,
    output reg [WIDTH - 1:0] data
);
`ifdef PILASTER_SPRAM
    (* ram_style = "huge" *)
`endif
    reg [WIDTH - 1:0] mem [0:DEPTH - 1];
    always @(posedge clk) begin
        if (write) mem[addr] <= word;
        else if (en) data <= mem[addr];
    end
endmodule
"""
"""What stands behind memories that are too large for the netlist, or loaded."""


LOAD_BITS = 32
"""Width of a beat of the load stream, where it is a machine's port."""


class LoadSignature(wiring.Signature):
    """A memory's end of the load stream.

    Members
    -------
    valid, data : a beat for this memory; it is never refused
    full : the memory holds all of its words
    """

    def __init__(self, bits: int) -> None:
        super().__init__({"valid": Out(1), "data": Out(bits), "full": In(1)})


class RomFiles:
    """Contents of the memories of one design that stand in files, by file name.

    Parameters
    ----------
    loaded : names of the memories without contents, which are filled through the load stream
    load_bits : width of a beat of that stream
    """

    def __init__(self, loaded: Collection[str] = (), load_bits: int = LOAD_BITS) -> None:
        self.loaded, self.load_bits = frozenset(loaded), load_bits
        self.contents: dict[str, str] = {}

    def add(self, name: str, width: int, words: Sequence[int]) -> str:
        """Keep the contents of a memory; gives its file name."""
        file = f"{name}.hex"
        digits = -(-width // 4)
        self.contents[file] = "".join(f"{word:0{digits}x}\n" for word in words)
        return file


class Rom(wiring.Component):
    """A memory that is only read; the data come one cycle after the address.

    Where a design's memories are loaded, `load` fills it, from its first word to its last. A memory
    of one word is a constant, or a register that is loaded: its data are there at once.

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
        members = {"addr": In(index_shape(len(words))), "en": In(1), "data": Out(width)}
        if name in files.loaded:
            members["load"] = In(LoadSignature(files.load_bits))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Choose what holds the contents."""
        m = Module()
        width, depth = len(self.data), len(self._words)
        if self._name in self._files.loaded:
            self._loaded(m)
        elif depth == 1:
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

    def _loaded(self, m: Module) -> None:
        """Gather the beats of a word, and write word after word until all are there.

        Only the reset of the whole design forgets them, not that of a machine inside it.
        """
        width, depth, beat_bits = len(self.data), len(self._words), self._files.load_bits
        beats = -(-width // beat_bits)
        place = Signal(range(depth + 1), reset_less=True)
        beat = Signal(index_shape(beats), reset_less=True)
        word = Signal(beats * beat_bits)
        takes, whole = Signal(), Signal()
        m.d.comb += [
            self.load.full.eq(place == depth),
            takes.eq(self.load.valid & ~self.load.full),
            whole.eq(takes & (beat == beats - 1)),
            word.eq(self.load.data),
        ]
        if beats > 1:
            earlier = Signal((beats - 1) * beat_bits, reset_less=True)
            m.d.comb += word.eq(Cat(earlier, self.load.data))
            with m.If(takes):
                m.d.sync += earlier.eq(word[beat_bits:])
                m.d.sync += beat.eq(Mux(whole, 0, beat + 1))
        m.d.sync += place.eq(place + whole)
        with m.If(ResetSignal()):
            m.d.sync += [place.eq(0), beat.eq(0)]
        if depth == 1:
            kept = Signal(width, reset_less=True)
            with m.If(whole):
                m.d.sync += kept.eq(word)
            m.d.comb += self.data.eq(kept)
        else:
            m.submodules.memory = Instance(
                "pilaster_ram",
                p_WIDTH=width,
                p_DEPTH=depth,
                i_clk=ClockSignal(),
                i_write=whole,
                i_en=self.en,
                i_addr=Mux(self.load.full, self.addr, place[: len(self.addr)]),
                i_word=word[:width],
                o_data=self.data,
            )
