"""Requantization lanes: accumulators to activations, bit-exact to the integer reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Const, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.joins import Scale
from pilaster.models.quantization import (
    MULTIPLIER_BITS,
    ConvParameters,
    Rounding,
    significant_bits,
)
from pilaster.rtl.components.shapes import index_shape
from pilaster.sim.timing import REQUANTIZE

__all__ = ["Requantizer", "ScaleFormat", "Scales"]


@dataclass(frozen=True, eq=False)
class Scales:
    """Scales side by side, (count,) each; see `requantize`."""

    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    rounding: Rounding

    @classmethod
    def of(cls, scales: Sequence[Scale]) -> Scales:
        """Put scales of one rounding side by side."""
        (rounding,) = {scale.rounding for scale in scales}
        multipliers = np.array([scale.multiplier for scale in scales], np.int64)
        return cls(multipliers, np.array([scale.shift for scale in scales], np.int64), rounding)


@dataclass(frozen=True)
class ScaleFormat:
    """How a layer's scales are laid out for its requantization lanes.

    A scale is a multiplier of `bits` significant bits, the shift of the first rounding, and that
    of the second; the first is a constant where all channels share it.
    """

    rounding: Rounding
    bits: int
    first_shifts: tuple[int, ...]
    most_second: int
    left_shift: int

    @classmethod
    def of(cls, scales: ConvParameters | Scales, left_shift: int = 0) -> ScaleFormat:
        """Find the format of a layer's scales.

        left_shift : places by which what is scaled is shifted to the left first
        """
        largest = left_shift - int(_shifts(scales, 0)[0].min())
        if largest >= MULTIPLIER_BITS:
            raise InputError(f"a scale of 2**{largest} is too large for RTL")
        significant = significant_bits(int(np.bitwise_or.reduce(scales.multiplier)))
        bits = max(significant, largest + 1)  # so that the first shift is to the right
        first, second = _shifts(scales, bits - left_shift)
        shifts = tuple(sorted(set(first.tolist())))
        return cls(scales.rounding, bits, shifts, int(second.max()), left_shift)

    @property
    def layout(self) -> data.StructLayout:
        """Layout of one channel's scale in a memory."""
        return data.StructLayout(
            {
                "multiplier": self.bits,
                "first": index_shape(len(self.first_shifts)),
                "second": index_shape(self.most_second + 1),
            }
        )

    def constants(self, scales: ConvParameters | Scales) -> list[dict[str, int]]:
        """Scales of all channels, as values of `layout`."""
        first, second = _shifts(scales, self.bits - self.left_shift)
        multipliers = scales.multiplier >> (MULTIPLIER_BITS - self.bits)
        return [
            {"multiplier": m, "first": self.first_shifts.index(f), "second": s}
            for m, f, s in zip(multipliers.tolist(), first.tolist(), second.tolist(), strict=True)
        ]


def _shifts(
    scales: ConvParameters | Scales, bits: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the right shifts of the first rounding and of the second, by output channel."""
    if scales.rounding is not Rounding.TWICE:
        return bits - scales.shift, np.zeros_like(scales.shift)
    return bits - np.maximum(scales.shift, 0), np.maximum(-scales.shift, 0)


class Requantizer(wiring.Component):
    """One requantization lane: multiply, round, clamp; a register after each.

    Members
    -------
    accumulator, scale : operands
    valid : whether they are here in this cycle, and in each of the two before; registers are held
        where nothing is
    result : the activation on the stream, three cycles later
    """

    def __init__(
        self, accumulator_bits: int, scale: ScaleFormat, output: Shape, low: int, high: int
    ) -> None:
        self._format = scale
        self._range = (low, high)
        super().__init__(
            {
                "valid": In(REQUANTIZE),
                "accumulator": In(signed(accumulator_bits)),
                "scale": In(scale.layout),
                "result": Out(output),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Three registered steps."""
        m = Module()
        scale, low, high = self._format, *self._range
        product = Signal(signed(len(self.accumulator) + scale.bits + 1), reset_less=True)
        first = Signal.like(self.scale.first, reset_less=True)
        second = Signal.like(self.scale.second, reset_less=True)
        with m.If(self.valid[0]):
            m.d.sync += product.eq(self.accumulator * self.scale.multiplier)
            m.d.sync += [first.eq(self.scale.first), second.eq(self.scale.second)]

        rounded = Signal(signed(len(product) + 1), reset_less=True)
        second_later = Signal.like(second)
        with m.If(self.valid[1]):
            m.d.sync += second_later.eq(second)
            with m.Switch(first):
                for index, shift in enumerate(scale.first_shifts):
                    with m.Case(index):
                        added = (1 << (shift - 1)) - self._less_than_half(product >> shift)
                        m.d.sync += rounded.eq((product + added) >> shift)

        shifted = Signal.like(rounded)
        half = Signal(signed(scale.most_second + 2))
        m.d.comb += half.eq((Const(1) << second_later) >> 1)
        correction = (rounded < 0) & (second_later != 0)
        m.d.comb += shifted.eq((rounded + half - correction) >> second_later)
        with m.If(self.valid[2]):
            m.d.sync += self.result.eq(Mux(shifted < low, low, Mux(shifted > high, high, shifted)))
        return m

    def _less_than_half(self, below: Value) -> Value | int:
        """Give what is to be added less than a half, so that halves go to the right side.

        below : the integer below the product
        """
        if self._format.rounding is Rounding.EVEN:
            return ~below[0]
        if self._format.rounding is Rounding.ODD:
            return below[0]
        return 0
