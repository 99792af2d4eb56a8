"""What operators of an .onnx file do, one step at a time, before anything is folded into layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.models.layers import Layer
from pilaster.models.quantization import TensorQuantization
from pilaster.models.shape import Padding

__all__ = ["Action", "Bounds", "IntegerBounds", "Quantizer", "Scaling", "Step", "Surround"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scaling:
    """Reals of each channel times a factor, plus an offset, (channels,) each."""

    factor: Floats
    offset: Floats


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

    dtype : of the integers in the file; None where it keeps them as reals
    """

    tensor: TensorQuantization
    dtype: np.dtype[Any] | None = None


@dataclass(frozen=True)
class Surround:
    """Zeros around a map, of reals or of the integers that stand for them."""

    padding: Padding


Action = Layer | Scaling | Bounds | IntegerBounds | Quantizer | Surround


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
