"""Where output columns leave a convolution stage: sums become activations."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from pilaster.models.quantization import ConvParameters, TensorQuantization
from pilaster.rtl.components.contents import scale_words
from pilaster.rtl.components.requantize import Requantizer, ScaleFormat
from pilaster.rtl.components.shapes import index_shape
from pilaster.sim.stages import ConvStage
from pilaster.sim.timing import REQUANTIZE

__all__ = ["Emitter"]


class Emitter(wiring.Component):
    """Requantizes a row's sums, `requantizers` at a time, and sends the beat when all are done.

    Members
    -------
    leaving, tile, total : sums leave; of which output tile; (outputs), what they are
    beat, valid : values of a beat, and whether there is one
    fires, turn : requantizers are at work in this cycle; on which part of the outputs
    """

    def __init__(
        self,
        stage: ConvStage,
        parameters: ConvParameters,
        target: TensorQuantization,
        value: Shape,
    ) -> None:
        self._stage, self._parameters = stage, parameters
        self._range, self._value = target.stream_range, value
        outputs = stage.fold.out_channels
        super().__init__(
            {
                "leaving": In(1),
                "tile": In(index_shape(stage.tile_shape[1])),
                "total": In(data.ArrayLayout(signed(stage.widths.accumulator), outputs)),
                "beat": Out(data.ArrayLayout(value, outputs)),
                "valid": Out(1),
                "fires": Out(1),
                "turn": Out(index_shape(stage.requantize_cycles)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Scale memory, requantizers, and registers for the results of earlier turns."""
        m = Module()
        stage, outputs = self._stage, self._stage.fold.out_channels
        lanes, turns = stage.fold.requantizers, stage.requantize_cycles
        scale = ScaleFormat.of(self._parameters)
        words = scale_words(stage, scale, self._parameters)
        memory = Memory(shape=scale.layout.size * lanes, depth=max(2, len(words)), init=words)
        m.submodules.scales = memory
        port = memory.read_port(domain="comb")
        next_turn = Signal(index_shape(turns))
        going = Signal()
        m.d.comb += [
            self.fires.eq(self.leaving | going),
            self.turn.eq(Mux(self.leaving, 0, next_turn)),
            port.addr.eq(self.tile * turns + self.turn),
        ]
        last_turn = self.turn == turns - 1
        with m.If(self.fires):
            m.d.sync += next_turn.eq(Mux(last_turn, 0, self.turn + 1))
            m.d.sync += going.eq(~last_turn)
        # Results come later; those of earlier turns wait for the last.
        fired, turned = [self.fires], [self.turn]
        for index in range(REQUANTIZE):
            later = Signal(name=f"fired{index}")
            place = Signal.like(self.turn, name=f"turned{index}", reset_less=True)
            m.d.sync += later.eq(fired[-1])
            with m.If(fired[-1]):
                m.d.sync += place.eq(turned[-1])
            fired.append(later)
            turned.append(place)
        low, high = self._range
        results = []
        for lane in range(lanes):
            requantizer = Requantizer(stage.widths.accumulator, scale, self._value, low, high)
            m.submodules[f"requantizer{lane}"] = requantizer
            mine = range(lane, lanes * turns, lanes)
            sums = Array([self.total[o] if o < outputs else Const(0) for o in mine])
            m.d.comb += [
                requantizer.valid.eq(Cat(*fired[:REQUANTIZE])),
                requantizer.accumulator.eq(sums[self.turn]),
                requantizer.scale.eq(port.data.word_select(lane, scale.layout.size)),
            ]
            results.append(requantizer.result)
        kept = Signal.like(self.beat, reset_less=True)
        for o in range(outputs):
            turn, lane = divmod(o, lanes)
            result = Mux(turned[-1] == turn, results[lane], kept[o]) if turns > 1 else results[lane]
            m.d.comb += self.beat[o].eq(result)
        with m.If(fired[-1]):
            m.d.sync += kept.eq(self.beat)
        m.d.comb += self.valid.eq(fired[-1] & (turned[-1] == turns - 1))
        return m
