"""Test support: Hypothesis strategies for .onnx files with QuantizeLinear and DequantizeLinear.

Values are quantized behind most operators, with scales that make ties and others, types of 8 and 16
bits, zero points anywhere, and none stated; between quantizers operators work on integers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto

from tests.models.check.onnx_graphs import (
    IMAGE,
    OPSETS,
    SIZES,
    Drawing,
    Map,
    alias,
    batch_norm,
    clip,
    conv_shape,
    enlarge,
    flatten,
    join,
    pad,
    pool,
    reduce,
    relu,
    window,
)

__all__ = ["Grid", "qdq_graphs"]


@dataclass(frozen=True)
class Grid:
    """Scale, zero point and type that integers have."""

    scale: np.float32
    zero: int
    dtype: type[np.integer[Any]]

    @property
    def limits(self) -> tuple[int, int]:
        found = np.iinfo(self.dtype)
        return int(found.min), int(found.max)


def grid(d: Drawing, spread: float, *, positive: bool = False) -> Grid:
    """Draw a grid that numbers of a spread fill, more or less."""
    kinds = [np.uint8, np.int8]
    if d.opset >= 21:
        kinds += [np.uint16, np.int16]
    dtype = d.one_of(*kinds)
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    levels = high - low
    scale = np.float32(3 * spread * d.one_of(0.5, 1.0, 2.0) / levels)
    if d.chance():  # sums of such steps tie
        scale = np.float32(2.0 ** np.rint(np.log2(scale)))
    middle = (low + high + 1) // 2
    zero = d.one_of(middle, low if positive else middle, d.number(low, high))
    return Grid(scale, zero, dtype)


def quantizer(d: Drawing, name: str, grid: Grid, axis: int | None = None) -> str:
    """Write a QuantizeLinear."""
    inputs = [name, d.constant(grid.scale)]
    attributes: dict[str, Any] = {"axis": axis}
    if grid.zero == 0 and grid.dtype is np.uint8 and d.chance():
        pass
    elif grid.zero == 0 and d.opset >= 21 and d.chance():
        attributes["output_dtype"] = {
            np.int8: TensorProto.INT8,
            np.uint8: TensorProto.UINT8,
            np.int16: TensorProto.INT16,
            np.uint16: TensorProto.UINT16,
        }[grid.dtype]
    else:
        inputs.append(d.constant(np.array(grid.zero, grid.dtype)))
    return d.add("QuantizeLinear", inputs, **attributes)


def dequantizer(d: Drawing, name: str, grid: Grid) -> str:
    """Write a DequantizeLinear."""
    inputs = [name, d.constant(grid.scale)]
    if grid.zero or grid.dtype is not np.uint8 or d.chance():
        inputs.append(d.constant(np.array(grid.zero, grid.dtype)))
    return d.add("DequantizeLinear", inputs)


class Quantized:
    """What is known of values behind a DequantizeLinear: their grid, and their integers' name."""

    def __init__(self) -> None:
        self.grids: dict[str, Grid] = {}


def on_integers(d: Drawing, name: str, grid: Grid, shape: tuple[int, ...]) -> tuple[str, Any]:
    """Write operators on integers, between quantizers."""
    eight = grid.dtype in (np.int8, np.uint8)
    for _ in range(d.one_of(0, 0, 0, 1, 2)):
        kind = d.one_of("Relu", "Clip", "MaxPool", "Pad", "Identity", "Reshape", "Min", "Max")
        low, high = grid.limits
        if kind == "Relu" and d.opset >= 14 and grid.dtype is np.int8:
            name = d.add("Relu", [name])
        elif kind == "Clip" and d.opset >= 12 and eight:
            limits = sorted(d.one_of(grid.zero, d.number(low, high)) for _ in range(2))
            given = [d.constant(np.array(v, grid.dtype)) for v in limits]
            if d.chance():
                given[d.number(0, 1)] = ""
            while given and not given[-1]:
                given.pop()
            name = d.add("Clip", [name, *given])
        elif kind in ("Min", "Max") and d.opset >= 12 and eight:
            given = [
                name,
                d.constant(np.array(d.one_of(grid.zero, d.number(low, high)), grid.dtype)),
            ]
            if d.chance():
                given.reverse()
            name = d.add(kind, given)
        elif kind == "MaxPool" and d.opset >= 12 and eight and len(shape) == 3:
            drawn = window(d, Map(name, shape), 3, dilated=False, ceil=True)
            if drawn is not None:
                name = d.add(kind, [name], kernel_shape=list(drawn.kernel), **drawn.attributes)
                shape = (shape[0], *drawn.size)
        elif kind == "Pad" and d.opset >= 13 and len(shape) == 3:
            sides = [d.number(0, 1) for _ in range(4)]
            pads = [0, 0, sides[0], sides[1], 0, 0, sides[2], sides[3]]
            given = [name, d.constant(np.array(pads))]
            if d.chance() or grid.zero:
                fill = d.one_of(grid.zero, grid.zero, 0)
                given.append(d.constant(np.array(np.clip(fill, low, high), grid.dtype)))
            name = d.add("Pad", given)
            shape = (shape[0], shape[1] + sides[0] + sides[2], shape[2] + sides[1] + sides[3])
        elif kind == "Identity" and d.opset >= 13:
            name = d.add(kind, [name])
        elif kind == "Reshape":
            name = d.add(kind, [name, d.constant(np.array([1, *shape]))])
    return name, shape


def requantized(d: Drawing, source: Map, positive: bool = False) -> Map:
    """Quantize a value, and give it behind a DequantizeLinear."""
    drawn = grid(d, source.spread, positive=positive)
    whole, shape = on_integers(d, quantizer(d, source.name, drawn), drawn, source.shape)
    found = d.put(dequantizer(d, whole, drawn), shape, source.spread)
    if d.number(0, 7) == 0:  # a second reader of the integers
        d.put(dequantizer(d, whole, drawn), shape, source.spread)
    return found


def weight(d: Drawing, shape: tuple[int, ...], outputs_axis: int) -> tuple[str, NDArray[Any]]:
    """Write a quantized constant; give it, and its scales along the outputs."""
    per_channel = d.opset >= 13 and d.chance()
    count = shape[outputs_axis]
    terms = float(np.prod(shape)) / count
    base = 1 / np.sqrt(terms) / 60
    scales = (base * d.rng.uniform(0.5, 1.5, count if per_channel else 1)).astype(np.float32)
    if d.chance():
        scales = np.exp2(np.rint(np.log2(scales))).astype(np.float32)
    dtype = np.int8 if per_channel or d.chance() else np.uint8
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    zero = 0 if per_channel else d.one_of((low + high + 1) // 2, (low + high + 1) // 2, low + 100)
    integers = d.rng.integers(max(low, zero - 127), min(high, zero + 127), shape, dtype, True)
    inputs = [d.constant(integers), d.constant(scales if per_channel else scales[0])]
    if zero or d.chance():
        zeros = np.full(count if per_channel else (), zero, dtype)
        inputs.append(d.constant(zeros))
    elif dtype is np.uint8:
        inputs.append(d.constant(np.array(zero, dtype)))
    name = d.add("DequantizeLinear", inputs, axis=outputs_axis if per_channel else None)
    return name, np.broadcast_to(scales, (count,))


def bias(d: Drawing, unit: NDArray[Any], spread: float) -> str:
    """Write biases: integers in units of a sum, or reals."""
    count = len(unit)
    if d.chance():
        return d.reals(count, scale=spread / 4)
    integers = np.rint(d.rng.normal(size=count) * spread / 4 / unit).astype(np.int32)
    if d.opset >= 13:
        inputs = [d.constant(integers), d.constant(unit.astype(np.float32))]
        return d.add("DequantizeLinear", inputs, axis=0)
    return d.constant((integers * unit).astype(np.float32))


def conv(d: Drawing, source: Map) -> None:
    drawn = window(d, source, 3, dilated=True, ceil=False)
    if drawn is None:
        return
    outputs, groups = conv_shape(d, source)
    shape = (outputs, source.channels // groups, *drawn.kernel)
    name, scales = weight(d, shape, 0)
    inputs = [source.name, name]
    if d.chance():
        inputs.append(bias(d, scales.astype(np.float64) * source.spread / 80, source.spread))
    made = Map(
        d.add("Conv", inputs, group=groups if groups > 1 else None, **drawn.attributes),
        (outputs, *drawn.size),
        source.spread,
    )
    settle(d, made)


def dense(d: Drawing, source: Map) -> None:
    flat = source if len(source.shape) == 1 else flatten(d, source)
    outputs = d.number(1, 4)
    if d.chance():
        name, _ = weight(d, (flat.shape[0], outputs), 1)
        made = d.add("MatMul", [flat.name, name])
    else:
        transposed = d.one_of(0, 1)
        shape = (outputs, flat.shape[0]) if transposed else (flat.shape[0], outputs)
        name, scales = weight(d, shape, 0 if transposed else 1)
        inputs = [flat.name, name]
        if d.chance() or d.opset < 11:
            inputs.append(bias(d, scales.astype(np.float64) * source.spread / 80, source.spread))
        made = d.add("Gemm", inputs, transB=transposed)
    settle(d, Map(made, (outputs,), source.spread))


def settle(d: Drawing, source: Map) -> None:
    """Do what is done before a quantizer, and quantize."""
    if d.number(0, 15) == 0:  # read raw, too
        d.maps.append(source)
    positive = d.chance()
    d.put(source.name, source.shape, source.spread)
    for _ in range(d.one_of(0, 0, 0, 1)):
        d.one_of(batch_norm, alias, relu, clip)(d, d.maps[-1])
    if positive:
        d.one_of(relu, relu, clip)(d, d.maps[-1])
    last = d.maps[-1]
    del d.maps[-1]
    if d.number(0, 15):
        requantized(d, last, positive)
    else:
        d.maps.append(last)


def joined(d: Drawing, source: Map) -> None:
    join(d, source)
    last = d.maps.pop()
    settle(d, Map(last.name, last.shape, last.spread * 1.4))


def pooled(d: Drawing, source: Map) -> None:
    before = len(d.maps)
    d.one_of(pool, pool, reduce, enlarge)(d, source)
    if len(d.maps) > before and d.chance():
        settle(d, d.maps.pop())


def added(d: Drawing, source: Map) -> None:
    """Add a constant, real or quantized, of a shape that broadcasts."""
    from tests.models.check.onnx_graphs import constant_shape

    shape = constant_shape(d, source.shape)
    numbers = (d.rng.normal(size=shape) * source.spread).astype(np.float32)
    inputs = [source.name, d.constant(numbers)]
    if d.chance():
        inputs.reverse()
    settle(d, Map(d.add("Add", inputs), source.shape, source.spread))


Operator = Callable[[Drawing, Map], Any]

MAPS: tuple[Operator, ...] = (
    *(conv, conv, conv, conv, joined, joined, joined, pooled, pooled, alias, alias, pad),
    *(requantized, dense, relu, added, flatten),
)

FLATS: tuple[Operator, ...] = (dense, dense, joined, alias, requantized, relu)


@st.composite
def qdq_graphs(draw: st.DrawFn) -> tuple[Any, NDArray[np.float32]]:
    """Draw a model, and images (N, H, W, C) for it."""
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 7)), draw(st.integers(1, 7)))
    if draw(st.booleans()):
        shape = (shape[0], shape[0], shape[0])
    opset = draw(st.sampled_from([o for o in OPSETS if o >= 10]))
    d = Drawing(draw, shape, opset)
    image = Map(IMAGE, shape, 1.0)
    requantized(d, image)
    conv(d, d.maps[0])
    for _ in range(draw(st.sampled_from(SIZES))):
        source = d.value()
        draw(st.sampled_from(MAPS if len(source.shape) == 3 else FLATS))(d, source)
    images = d.rng.uniform(-1.6, 1.6, (6, shape[1], shape[2], shape[0])).astype(np.float32)
    return d.model(d.maps[-1].name), images
