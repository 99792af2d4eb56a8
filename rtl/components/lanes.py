"""The lane array: products of a window of values with the weights held, and their sums."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from pilaster.rtl.components.products import pack, unpack
from pilaster.sim.machine import Schedule
from pilaster.sim.stages import ConvStage
from pilaster.sim.timing import MULTIPLY, OPERAND, TREE_RADIX, tree_levels

__all__ = ["LaneArray", "weights_layout"]


def weights_layout(stage: ConvStage) -> data.ArrayLayout:
    """Layout of a set of weights: (slots * outputs, terms). One bit is held as -1 or +1."""
    fold = stage.fold
    terms, sets = fold.taps * fold.in_channels, fold.out_channels
    if stage.spec.schedule is Schedule.SCATTER:
        sets *= fold.kernel_columns
    else:
        terms *= fold.kernel_columns
    weight = signed(max(2, stage.widths.weight))
    return data.ArrayLayout(data.ArrayLayout(weight, terms), sets)


class LaneArray(wiring.Component):
    """Lanes for `windows` windows of values times `slots` x `outputs` sets of weights.

    A lane whose value is zero or not enabled holds its operand and its product, and adds nothing;
    sums are held while no row is there. A window is shared by all slots, and by all outputs, unless
    each has values of its own (depthwise). Sums of several windows, of a gather stage, are added.

    Parameters
    ----------
    weights : (slots * outputs, terms), layout of a set of weights; a sum takes `terms` values:
        windows times taps times input channels
    outputs : sums of a slot
    shared : whether all outputs take the same values
    value : shape of a value
    sum_bits : width of a sum
    paired : whether the products of a value for two outputs are made by one multiplication, where
        outputs share values

    Members
    -------
    values, enables : (terms), or (outputs * terms), in the cycle before the operand registers
    valid : whether the window is at work in this cycle, and in each of the cycles before it, to the
        last whose sums are not there yet
    load, weights : the weights for the values of this cycle and later ones
    nonzero : which operands are enabled and not zero
    sums : (slots * outputs), the tree's depth and two cycles later
    """

    def __init__(
        self,
        weights: data.ArrayLayout,
        outputs: int,
        shared: bool,
        value: Shape,
        sum_bits: int,
        paired: bool = False,
    ) -> None:
        self._sets, terms = weights.length, weights.elem_shape.length
        self._outputs, self._terms, self._shared = outputs, terms, shared
        self._operands = terms if shared else outputs * terms
        self._sum_bits, self._paired = sum_bits, paired and shared
        super().__init__(
            {
                "valid": In(OPERAND + MULTIPLY + tree_levels(terms)),
                "values": In(data.ArrayLayout(value, self._operands)),
                "enables": In(self._operands),
                "load": In(1),
                "weights": In(weights),
                "nonzero": Out(self._operands),
                "sums": Out(data.ArrayLayout(signed(sum_bits), self._sets)),
            }
        )

    @classmethod
    def of(cls, stage: ConvStage, value: Shape, paired: bool = False) -> LaneArray:
        """Lay out the lanes of a stage."""
        shared = not stage.geometry.is_depthwise
        outputs, bits = stage.fold.out_channels, stage.widths.accumulator
        return cls(weights_layout(stage), outputs, shared, value, bits, paired)

    def elaborate(self, platform: object) -> Module:
        """Operand registers, products, and a registered tree for each set of weights."""
        m = Module()
        operands, live, adds = [], [], []
        for index in range(self._operands):
            value = self.values[index]
            operand = Signal.like(value, name=f"operand{index}", reset_less=True)
            nonzero, added = Signal(name=f"live{index}"), Signal(name=f"adds{index}")
            here = self.enables[index] & (value != 0)
            m.d.comb += self.nonzero[index].eq(here)
            with m.If(self.valid[0]):
                m.d.sync += nonzero.eq(here)
            with m.If(self.valid[OPERAND]):
                m.d.sync += added.eq(nonzero)
            with m.If(here):
                m.d.sync += operand.eq(value)
            operands.append(operand)
            live.append(nonzero & self.valid[OPERAND])
            adds.append(added)
        held = Signal(self.weights.shape(), reset_less=True)
        with m.If(self.load):
            m.d.sync += held.eq(self.weights)
        step = 2 if self._paired else 1
        for index in range(0, self._sets, step):
            sets = range(index, min(index + step, self._sets))
            products: list[list[Value]] = [[] for _ in sets]
            first = 0 if self._shared else index % self._outputs * self._terms
            mine = slice(first, first + self._terms)
            for lane, operand in enumerate(operands[mine]):
                weights = [held[each][lane] for each in sets]
                made = self._multiply(m, f"p{index}_{lane}", operand, weights, live[mine][lane])
                for product, terms in zip(made, products, strict=True):
                    terms.append(Mux(adds[mine][lane], product, 0))
            for each, terms in zip(sets, products, strict=True):
                m.d.comb += self.sums[each].eq(self._tree(m, terms, f"t{each}"))
        return m

    def _multiply(
        self, m: Module, name: str, operand: Value, weights: Sequence[Value], live: Value
    ) -> Sequence[Value]:
        """Products of an operand with a weight or with two, in registers that `live` writes."""
        bits = len(operand) + len(weights[0])
        factor, width = weights[0], bits + 1
        if len(weights) > 1:
            factor = pack(weights[0], weights[1], len(operand))
            width += bits
        product = Signal(signed(width), name=name, reset_less=True)
        with m.If(live):
            m.d.sync += product.eq(operand * factor)
        return [product] if len(weights) == 1 else unpack(product, bits)

    def _tree(self, m: Module, terms: Sequence[Value], name: str) -> Value:
        """Sum terms, a registered level for every `TREE_RADIX` of them."""
        level = 0
        while len(terms) > 1:
            sums = []
            for first in range(0, len(terms), TREE_RADIX):
                shape, place = signed(self._sum_bits), f"{name}_{level}_{first}"
                total = Signal(shape, name=place, reset_less=True)
                with m.If(self.valid[OPERAND + MULTIPLY + level]):
                    m.d.sync += total.eq(sum(terms[first + 1 : first + TREE_RADIX], terms[first]))
                sums.append(total)
            terms = sums
            level += 1
        return terms[0]
