"""Test support: Hypothesis strategies for QONNX files of 1 to 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.models.check.onnx_graphs import (
    IMAGE,
    SIZES,
    Drawing,
    Map,
    alias,
    batch_norm,
    conv_shape,
    enlarge,
    flatten,
    join,
    pool,
    reduce,
    relu,
    window,
)

__all__ = ["qonnx_graphs"]

DOMAIN = "qonnx.custom_op.general"


def quant(d: Drawing, source: str, scale: Any, bits: int, **attributes: Any) -> str:
    scales = np.asarray(scale, np.float32)
    inputs = [source, d.constant(scales), d.constant(np.float32(0)), d.constant(np.float32(bits))]
    mode = d.one_of(None, "ROUND", "HALF_EVEN")
    return d.add("Quant", inputs, domain=DOMAIN, rounding_mode=mode, **attributes)


def activation(d: Drawing, source: Map) -> Map:
    """Quantize an activation, at times behind a ReLU."""
    if d.number(0, 3) == 0:
        return d.put(source.name, source.shape)
    bits = d.number(2, 8)
    signed = d.one_of(0, 1)
    narrow = d.one_of(0, 0, 1)
    scale = 3 / 2.0**bits
    if d.chance():
        scale = 2.0 ** np.rint(np.log2(scale))
    else:
        scale *= d.rng.uniform(0.7, 1.4)
    name = quant(d, source.name, scale, bits, signed=signed, narrow=narrow)
    return d.put(name, source.shape)


def weight(d: Drawing, shape: tuple[int, ...], axis: int) -> str:
    bits = d.number(1, 8)
    count = shape[axis]
    spread = [1] * len(shape)
    if d.chance():
        spread[axis] = count
    top = max(1, 2 ** (bits - 1) - 1)
    reach = 1 / np.sqrt(np.prod(shape) / count)
    scale = d.rng.uniform(0.7, 1.3, spread) * reach / top
    if d.chance():
        scale = np.exp2(np.rint(np.log2(scale)))
    real = d.reals(*shape, scale=reach)
    if bits == 1:
        return d.add("BipolarQuant", [real, d.constant(np.float32(scale))], domain=DOMAIN)
    return quant(d, real, scale, bits, signed=1, narrow=d.one_of(0, 1))


def settle(d: Drawing, made: Map) -> None:
    d.put(made.name, made.shape)
    for _ in range(d.one_of(0, 0, 1, 2)):
        d.one_of(batch_norm, relu, relu, alias)(d, d.maps[-1])
    activation(d, d.maps.pop())


def conv(d: Drawing, source: Map) -> None:
    drawn = window(d, source, 3, dilated=True, ceil=False)
    if drawn is None:
        return
    outputs, groups = conv_shape(d, source)
    inputs = [source.name, weight(d, (outputs, source.channels // groups, *drawn.kernel), 0)]
    if d.chance():
        inputs.append(d.reals(outputs, scale=0.5))
    attributes = {**drawn.attributes, "group": groups if groups > 1 else None}
    settle(d, Map(d.add("Conv", inputs, **attributes), (outputs, *drawn.size)))


def dense(d: Drawing, source: Map) -> None:
    flat = source if len(source.shape) == 1 else flatten(d, source)
    outputs = d.number(1, 4)
    if d.chance():
        name = d.add("MatMul", [flat.name, weight(d, (flat.shape[0], outputs), 1)])
    else:
        transposed = d.one_of(0, 1)
        shape = (outputs, flat.shape[0]) if transposed else (flat.shape[0], outputs)
        inputs = [flat.name, weight(d, shape, 0 if transposed else 1)]
        if d.chance() or d.opset < 11:
            inputs.append(d.reals(outputs, scale=0.5))
        name = d.add("Gemm", inputs, transB=transposed)
    settle(d, Map(name, (outputs,)))


def joined(d: Drawing, source: Map) -> None:
    before = len(d.maps)
    join(d, source)
    if len(d.maps) > before:
        settle(d, d.maps.pop())


def pooled(d: Drawing, source: Map) -> None:
    before = len(d.maps)
    d.one_of(pool, pool, reduce, enlarge)(d, source)
    if len(d.maps) > before and d.chance():
        settle(d, d.maps.pop())


@st.composite
def qonnx_graphs(draw: st.DrawFn) -> tuple[Any, NDArray[np.float32]]:
    """Draw a model, and images (N, H, W, C) for it."""
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 7)), draw(st.integers(1, 7)))
    d = Drawing(draw, shape, draw(st.sampled_from([11, 13, 16, 19])), (DOMAIN,))
    name = quant(d, IMAGE, 2**-7 * d.one_of(1.0, 1.01), 8, signed=1, narrow=0)
    d.put(name, shape)
    conv(d, d.maps[0])
    for _ in range(draw(st.sampled_from(SIZES))):
        source = d.value()
        maps = (conv, conv, conv, joined, joined, pooled, alias, dense, relu, activation)
        flats = (dense, joined, alias, relu, activation)
        draw(st.sampled_from(maps if len(source.shape) == 3 else flats))(d, source)
    images = d.rng.uniform(-1.1, 1.1, (6, shape[1], shape[2], shape[0])).astype(np.float32)
    return d.model(d.maps[-1].name), images
