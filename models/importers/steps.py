"""What operators of an .onnx file do, one step at a time, before anything is folded into layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.models.layers import Layer
from pilaster.models.quantization import Rounding, TensorQuantization
from pilaster.models.shape import Padding

__all__ = [
    "Action",
    "Bounds",
    "IntegerBounds",
    "Offsets",
    "Quantizer",
    "Scaling",
    "Step",
    "Surround",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scaling:
    """Reals of each channel times a factor, plus an offset, (channels,) each."""

    factor: Floats
    offset: Floats


@dataclass(frozen=True, eq=False)
class Offsets:
    """Reals plus constants that differ by row or column, (rows, columns, channels).

    scale : of which the constants are whole multiples in the file; None where they are not
    """

    values: Floats
    scale: float | None


@dataclass(frozen=True)
class Bounds:
    """Reals kept from `low` to `high`."""

    low: float
    high: float


@dataclass(frozen=True)
class IntegerBounds:
    """Integers kept from `low` to `high`: of the file's integers, whose zero is no real zero."""

    low: int
    high: int


@dataclass(frozen=True)
class Quantizer:
    """Reals made integers; who reads these knows what they stand for.

    rounding : in one step, of the integers without their zero point
    dtype : of the integers in the file; None where it keeps them as reals
    sums : whether what is made integers are the integer sums of a layer, which the runtime
        multiplies by one scale in single precision; else it computes with reals
    carries : whether it is none of the file's: it carries reals that nothing quantizes to a layer
    """

    tensor: TensorQuantization
    rounding: Rounding = Rounding.EVEN
    dtype: np.dtype[Any] | None = None
    sums: bool = False
    carries: bool = False

    def of_raw(self) -> Quantizer:
        """Give the quantizer that rounds when the zero point is added already."""
        odd = self.tensor.zero_point % 2
        return replace(self, rounding=Rounding.ODD if odd else Rounding.EVEN)


@dataclass(frozen=True)
class Surround:
    """Zeros around a map, of reals or of the integers that stand for them."""

    padding: Padding


Action = Layer | Scaling | Offsets | Bounds | IntegerBounds | Quantizer | Surround


@dataclass(frozen=True)
class Step:
    """An operator's share of the work.

    Attributes
    ----------
    name : of the step and of the value that it gives
    where : the file's node, for messages
    sources : values that it reads
    """

    name: str
    where: str
    action: Action
    sources: tuple[str, ...]
