"""Test support: Hypothesis strategies for .onnx files of ONNX Runtime's QLinear operators."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto

from tests.models.check.onnx_graphs import (
    IMAGE,
    SIZES,
    Drawing,
    Map,
    alias,
    conv_shape,
    flatten,
    window,
)
from tests.models.check.qdq_graphs import Grid, dequantizer, grid, on_integers, quantizer

__all__ = ["qlinear_graphs"]

DOMAIN = "com.microsoft"


class Integers:
    """A graph of integers, all of one type, and the grid of each of its values."""

    def __init__(self, d: Drawing, dtype: type[np.integer[Any]]) -> None:
        self.d = d
        self.dtype = dtype
        self.grids: dict[str, Grid] = {}

    def grid(self, spread: float) -> Grid:
        low, high = int(np.iinfo(self.dtype).min), int(np.iinfo(self.dtype).max)
        found = grid(self.d, spread)
        middle = (low + high + 1) // 2
        return Grid(
            np.float32(3 * spread * self.d.one_of(0.5, 1.0, 2.0) / 255)
            if self.d.chance()
            else found.scale,
            self.d.one_of(middle, low, self.d.number(low, high)),
            self.dtype,
        )

    def put(self, name: str, shape: tuple[int, ...], grid: Grid) -> Map:
        self.grids[name] = grid
        return self.d.put(name, shape)

    def of(self, grid: Grid) -> list[str]:
        return [self.d.constant(grid.scale), self.d.constant(np.array(grid.zero, grid.dtype))]

    def weight(self, shape: tuple[int, ...], axis: int) -> tuple[list[str], NDArray[Any]]:
        d = self.d
        count = shape[axis]
        per_channel = d.chance()
        base = 1 / np.sqrt(np.prod(shape) / count) / 60
        scales = (base * d.rng.uniform(0.5, 1.5, count if per_channel else 1)).astype(np.float32)
        if d.chance():
            scales = np.exp2(np.rint(np.log2(scales))).astype(np.float32)
        dtype = np.int8 if per_channel or self.dtype is np.int8 or d.chance() else np.uint8
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        zero = 0 if dtype is np.int8 else d.one_of(128, 100)
        integers = d.rng.integers(max(low, zero - 127), min(high, zero + 127), shape, dtype, True)
        shape_of = (count,) if per_channel else ()
        names = [
            d.constant(integers),
            d.constant(scales.reshape(shape_of)),
            d.constant(np.full(shape_of, zero, dtype)),
        ]
        return names, np.broadcast_to(scales, (count,))


def conv(g: Integers, source: Map) -> None:
    d, drawn = g.d, window(g.d, source, 3, dilated=True, ceil=False)
    if drawn is None:
        return
    outputs, groups = conv_shape(d, source)
    weight, scales = g.weight((outputs, source.channels // groups, *drawn.kernel), 0)
    out = g.grid(1.0)
    found = g.grids[source.name]
    inputs = [source.name, *g.of(found), *weight, *g.of(out)]
    if d.chance():
        unit = scales.astype(np.float64) * found.scale
        integers = np.rint(d.rng.normal(size=outputs) / 4 / unit).astype(np.int32)
        inputs.append(d.constant(integers))
    attributes = {**drawn.attributes, "group": groups if groups > 1 else None}
    g.put(d.add("QLinearConv", inputs, **attributes), (outputs, *drawn.size), out)


def add(g: Integers, source: Map) -> None:
    d = g.d
    other = d.one_of(*[m for m in d.maps if m.shape == source.shape and m.name in g.grids])
    pair = [source, other] if d.chance() else [other, source]
    out = g.grid(1.4)
    inputs = [name for m in pair for name in (m.name, *g.of(g.grids[m.name]))]
    name = d.add("QLinearAdd", [*inputs, *g.of(out)], domain=DOMAIN)
    g.put(name, source.shape, out)


def concat(g: Integers, source: Map) -> None:
    d = g.d
    same = [
        m
        for m in d.maps
        if len(m.shape) == len(source.shape)
        and m.shape[1:] == source.shape[1:]
        and m.name in g.grids
    ]
    found = [source, *(d.one_of(*same) for _ in range(d.number(0, 2)))]
    if sum(m.channels for m in found) > 16:
        return
    out = d.one_of(g.grid(1.0), g.grids[source.name])
    inputs = [name for m in found for name in (m.name, *g.of(g.grids[m.name]))]
    name = d.add("QLinearConcat", [*g.of(out), *inputs], domain=DOMAIN, axis=1)
    g.put(name, (sum(m.channels for m in found), *source.shape[1:]), out)


def pool(g: Integers, source: Map) -> None:
    d = g.d
    kind = d.one_of("MaxPool", "QLinearAveragePool", "QLinearAveragePool", "Global", "Global")
    found = g.grids[source.name]
    if kind == "Global":
        out = d.one_of(g.grid(0.5), found)
        inputs = [source.name, *g.of(found), *g.of(out)]
        name = d.add("QLinearGlobalAveragePool", inputs, domain=DOMAIN, channels_last=0)
        g.put(name, (source.channels, 1, 1), out)
        return
    drawn = window(d, source, 3, dilated=False, ceil=True)
    if drawn is None:
        return
    attributes = {**drawn.attributes, "kernel_shape": list(drawn.kernel)}
    if kind == "MaxPool":
        name = d.add(kind, [source.name], **attributes)
        out = found
    else:
        out = d.one_of(g.grid(0.8), found)
        inputs = [source.name, *g.of(found), *g.of(out)]
        counted = d.one_of(None, 0, 1)
        name = d.add(kind, inputs, domain=DOMAIN, count_include_pad=counted, **attributes)
    g.put(name, (source.channels, *drawn.size), out)


def dense(g: Integers, source: Map) -> None:
    d = g.d
    flat = source
    if len(source.shape) == 3:
        flat = flatten(d, source)
        g.grids[flat.name] = g.grids[source.name]
    outputs = d.number(1, 4)
    found, out = g.grids[flat.name], g.grid(1.0)
    if d.chance():
        weight, _ = g.weight((flat.shape[0], outputs), 1)
        name = d.add("QLinearMatMul", [flat.name, *g.of(found), *weight, *g.of(out)])
    else:
        transposed = d.one_of(0, 1)
        shape = (outputs, flat.shape[0]) if transposed else (flat.shape[0], outputs)
        weight, scales = g.weight(shape, 0 if transposed else 1)
        bias = ""
        if d.chance():
            unit = scales.astype(np.float64) * found.scale
            bias = d.constant(np.rint(d.rng.normal(size=outputs) / 4 / unit).astype(np.int32))
        inputs = [flat.name, *g.of(found), *weight, bias, *g.of(out)]
        name = d.add("QGemm", inputs, domain=DOMAIN, transB=transposed, alpha=1.0)
    g.put(name, (outputs,), out)


def other_name(g: Integers, source: Map) -> None:
    before = len(g.d.maps)
    alias(g.d, source)
    if len(g.d.maps) > before:
        g.grids[g.d.maps[-1].name] = g.grids[source.name]


def integers(g: Integers, source: Map) -> None:
    found = g.grids[source.name]
    name, shape = on_integers(g.d, source.name, found, source.shape)
    g.put(name, shape, found)


@st.composite
def qlinear_graphs(draw: st.DrawFn) -> tuple[Any, NDArray[np.float32]]:
    """Draw a model, and images (N, H, W, C) for it."""
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 7)), draw(st.integers(1, 7)))
    dtype = draw(st.sampled_from([np.uint8, np.int8]))
    whole = draw(st.integers(0, 3)) == 0
    kind = TensorProto.FLOAT
    if whole:
        kind = TensorProto.UINT8 if dtype is np.uint8 else TensorProto.INT8
    opset = draw(st.sampled_from([13, 15, 17, 20]))
    d = Drawing(draw, shape, opset, (DOMAIN,), kind)
    g = Integers(d, dtype)
    first = g.grid(1.0)
    name = IMAGE if whole else quantizer(d, IMAGE, first)
    g.put(name, shape, first)
    conv(g, d.maps[0])
    for _ in range(draw(st.sampled_from(SIZES))):
        source = d.value()
        maps = (conv, conv, add, add, concat, pool, pool, dense, other_name, integers)
        draw(st.sampled_from(maps if len(source.shape) == 3 else (dense, add, other_name)))(
            g, source
        )
    last = d.maps[-1].name
    if draw(st.booleans()):
        last = dequantizer(d, last, g.grids[last])
        out = TensorProto.FLOAT
    else:
        out = TensorProto.UINT8 if dtype is np.uint8 else TensorProto.INT8
    images = d.rng.uniform(-1.6, 1.6, (6, shape[1], shape[2], shape[0])).astype(np.float32)
    return d.model(last, out), images
