"""Integers of layers that join tensors: what brings each input to the output's scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.layers import Concat, Join
from pilaster.models.quantization import (
    MULTIPLIER_BITS,
    Rounding,
    TensorQuantization,
    quantize_multiplier,
    requantize,
    significant_bits,
)

__all__ = ["AddParameters", "ConcatParameters", "JoinParameters", "Scale", "join_parameters"]

Integers = NDArray[np.int64]

ADD_LEFT_SHIFT = 20
"""Places that TensorFlow Lite shifts the inputs of an int8 ADD to the left."""


@dataclass(frozen=True)
class Scale:
    """A real factor ``multiplier * 2**(shift - 31)``, see `quantize_multiplier`."""

    multiplier: int
    shift: int
    rounding: Rounding = Rounding.TWICE

    @classmethod
    def of(cls, real: float, bits: int, rounding: Rounding = Rounding.TWICE) -> Scale:
        """Write a positive real with `bits` significant bits."""
        multiplier, shift = quantize_multiplier(np.array([real]), bits)
        return cls(int(multiplier[0]), int(shift[0]), rounding)

    @property
    def bits(self) -> int:
        """Significant bits of the multiplier."""
        return significant_bits(self.multiplier)

    @property
    def is_one(self) -> bool:
        """Whether it changes nothing."""
        return (self.multiplier, self.shift) == (1 << (MULTIPLIER_BITS - 1), 1)

    def requantize(self, values: Integers) -> Integers:
        """Scale values as `requantize` does."""
        return requantize(values, np.array(self.multiplier), np.array(self.shift), self.rounding)


@dataclass(frozen=True)
class AddParameters:
    """Integers of a sum: each input, shifted left, is scaled; their sum is scaled to the output.

    Source: TensorFlow Lite's ADD, whose inputs are scaled to half of one over the larger input
    scale, so that neither grows. In hardware the left shift is no work: it takes places off the
    shift behind the multiplier.

    A sum that is rounded once has its inputs scaled to a power of two of the output's steps, and is
    only shifted: halves are halves wherever the scales' quotients are whole numbers of 2**-20.

    Attributes
    ----------
    left_shift : places that an input is shifted left first
    inputs : scale of each input
    output : scale of the sum
    """

    left_shift: int
    inputs: tuple[Scale, Scale]
    output: Scale

    def __post_init__(self) -> None:
        if any(scale.shift > 0 for scale in self.inputs):
            raise InputError("the inputs of a sum must be scaled by one at most")

    @classmethod
    def between(
        cls,
        sources: tuple[TensorQuantization, TensorQuantization],
        target: TensorQuantization,
        bits: int = MULTIPLIER_BITS,
        rounding: Rounding = Rounding.TWICE,
    ) -> AddParameters:
        """Give TensorFlow Lite's integers, for tensors of at most 11 bits; fewer places for more.

        bits : significant bits of every scale
        rounding : of the sum; the inputs are rounded so too, or once
        """
        widest = max(source.bits for source in sources)
        left = min(ADD_LEFT_SHIFT, MULTIPLIER_BITS - widest)
        larger, inner = 2 * max(source.scale for source in sources), rounding
        if rounding is not Rounding.TWICE:
            larger = target.scale * 2.0 ** np.ceil(np.log2(larger / target.scale))
            inner = Rounding.ONCE
        first, second = (Scale.of(source.scale / larger, bits, inner) for source in sources)
        output = Scale.of(larger / ((1 << left) * target.scale), bits, rounding)
        return cls(left, (first, second), output)


@dataclass(frozen=True)
class ConcatParameters:
    """Integers of a concatenation: the scale of each input. A scale of one changes nothing.

    TensorFlow Lite has only that, all inputs being of the output's scale.
    """

    inputs: tuple[Scale, ...]

    @classmethod
    def between(
        cls,
        sources: tuple[TensorQuantization, ...],
        target: TensorQuantization,
        bits: int = MULTIPLIER_BITS,
        rounding: Rounding = Rounding.ONCE,
    ) -> ConcatParameters:
        """Bring every source to the target's scale."""
        reals = [source.scale / target.scale for source in sources]
        return cls(tuple(Scale.of(real, bits, rounding) for real in reals))


JoinParameters = AddParameters | ConcatParameters
"""Integers of a layer that joins tensors."""


def join_parameters(
    layer: Join,
    sources: tuple[TensorQuantization, ...],
    target: TensorQuantization,
    bits: int = MULTIPLIER_BITS,
    rounding: Rounding = Rounding.TWICE,
) -> JoinParameters:
    """Give a join's integers from the quantization of what it reads and of what it gives.

    bits : significant bits of every scale
    rounding : of what it gives; a concatenation is never rounded twice, but once
    """
    if isinstance(layer, Concat):
        once = Rounding.ONCE if rounding is Rounding.TWICE else rounding
        return ConcatParameters.between(sources, target, bits, once)
    first, second = sources
    return AddParameters.between((first, second), target, bits, rounding)
