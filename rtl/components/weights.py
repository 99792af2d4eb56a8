"""The weights of a convolution stage on their way to the lanes."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from pilaster.models.quantization import ConvParameters
from pilaster.rtl.components.contents import memory_names, weight_words
from pilaster.rtl.components.lanes import weights_layout
from pilaster.rtl.components.memory import LoadSignature, Rom, RomFiles
from pilaster.rtl.components.program import Program
from pilaster.rtl.components.sequencer import StepFormat, StepSignature
from pilaster.sim.machine import LoopOrder
from pilaster.sim.stages import ConvStage
from pilaster.sim.timing import READ, WINDOW

__all__ = ["WeightFeed"]


class WeightFeed(wiring.Component):
    """Reads the set of weights that each step needs.

    Members
    -------
    token : the step whose row is read from the column buffer in this cycle
    take, weights : a set of weights for the row that stands in the tap window, and later rows
    load : fills the memory, where it is loaded
    reads : the weight memory is read in this cycle

    Attributes
    ----------
    is_loaded : whether there is a memory to be filled
    """

    def __init__(
        self,
        stage: ConvStage,
        program: Program,
        parameters: ConvParameters,
        form: StepFormat,
        files: RomFiles,
    ) -> None:
        self._stage, self._files = stage, files
        self._words = weight_words(stage, program, parameters)
        members = {
            "token": In(StepSignature(form)),
            "take": Out(1),
            "weights": Out(weights_layout(stage)),
            "reads": Out(1),
        }
        self._memory, _ = memory_names(stage)
        self.is_loaded = self._memory in files.loaded
        if self.is_loaded:
            members["load"] = In(LoadSignature(files.load_bits))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Read ahead of the window by as much as a row takes to come there."""
        m = Module()
        stage, words, token = self._stage, self._words, self.token
        width = stage.lanes * stage.widths.weight
        word: Value = Const(words[0] if words else 0, width)
        comes: Value = token.valid
        if len(words) > 1 or self.is_loaded:
            m.submodules.rom = rom = Rom(self._memory, width, words, self._files)
            word = rom.data
            if self.is_loaded:
                wiring.connect(m, wiring.flipped(self.load), rom.load)
        if len(words) > 1:
            held = stage.fold.loop_order is LoopOrder.PSUMS_HELD
            first_row = Const(1) if held else token.row == 0
            m.d.comb += [
                self.reads.eq(token.valid & ~token.step.null & first_row),
                rom.addr.eq(token.step.weight),
                rom.en.eq(self.reads),
            ]
            comes = self.reads
        loads = [comes]
        for index in range(READ + WINDOW):
            load = Signal(name=f"load{index}")
            m.d.sync += load.eq(loads[-1])
            loads.append(load)
        if len(words) > 1:
            later = Signal(width, reset_less=True)
            with m.If(loads[READ]):
                m.d.sync += later.eq(word)
            word = later
        m.d.comb += self.take.eq(loads[-1])
        # Sign-extend the weights of a memory word; one bit stands for -1 or +1.
        bits, index = stage.widths.weight, 0
        for weights in self.weights:
            for weight in weights:
                field = word[index : index + bits]
                m.d.comb += weight.eq(Mux(field, 1, -1) if bits == 1 else field.as_signed())
                index += bits
        return m
