"""Test support: Hypothesis strategies for int8 .tflite files of random graphs.

Chains and graphs with forks, whose values are read through other shapes; scales that make ties and
others, zero points anywhere, every fused activation, constants of every shape, and inputs of floats
and of uint8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.models import tflite_file as file
from tests.models.check.onnx_graphs import SIZES
from tests.strategies import seeds

__all__ = ["tflite_graphs"]

IMAGE = "image"
NONE, RELU, RELU_N1, RELU6 = 0, 1, 2, 3


@dataclass(frozen=True)
class Map:
    """A tensor of a shape without the images' axis, its scale and zero point."""

    name: str
    shape: tuple[int, ...]
    scale: np.float32
    zero: int


class Drawing:
    """A file that grows by what Hypothesis draws."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(draw(seeds()))
        self.tensors: list[file.Tensor] = []
        self.operators: list[file.Operator] = []
        self.maps: list[Map] = []
        self.options: dict[str, dict[str, Any]] = {}

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def one_of(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def chance(self) -> bool:
        return self.draw(st.booleans())

    def value(self) -> Map:
        """Draw a tensor to read, the last ones more often."""
        return self.maps[-1 - min(self.one_of(0, 0, 0, 1, 2, 3), len(self.maps) - 1)]

    def scale(self, spread: float) -> np.float32:
        """Draw a scale, at times a power of two."""
        scale = spread * self.one_of(0.5, 1.0, 2.0) / 60
        if self.chance():
            return np.float32(2.0 ** np.rint(np.log2(scale)))
        return np.float32(scale * self.rng.uniform(0.6, 1.5))

    def zero(self) -> int:
        return self.one_of(0, -128, 127, self.number(-128, 127))

    def tensor(
        self, shape: tuple[int, ...], scale: np.float32, zero: int, dtype: str = "int8"
    ) -> Map:
        """Add a computed tensor."""
        name = f"t{len(self.tensors)}"
        scales = np.array([scale] if dtype != "float32" else [], np.float32)
        shift = 128 if dtype == "uint8" else 0
        self.tensors.append(file.Tensor(name, (1, *shape), scales, zero + shift, dtype=dtype))
        return Map(name, shape, scale, zero)

    def constant(self, data: NDArray[Any], scales: Any = (), zero: int = 0, axis: int = 0) -> str:
        name = f"c{len(self.tensors)}"
        found = np.array(scales, np.float32)
        self.tensors.append(
            file.Tensor(name, data.shape, found, zero, data=data, channel_axis=axis)
        )
        return name

    def give(self, kind: str, inputs: list[str], table: str, made: Map, **options: Any) -> Map:
        """Add an operator that gives a tensor."""
        self.operators.append(file.operator(kind, tuple(inputs), made.name, table, **options))
        self.maps.append(made)
        self.options[made.name] = options
        return made

    def like(self, source: Map, shape: tuple[int, ...]) -> Map:
        return self.tensor(shape, source.scale, source.zero)

    def fused(self) -> int:
        return self.one_of(*[NONE, RELU, RELU6] * 4, RELU_N1)

    def written(self) -> bytes:
        """Write the file, without the operators that do not lead to the last one's result."""
        output = self.maps[-1].name
        needed, operators = {output}, []
        for operator in reversed(self.operators):
            if operator.output in needed:
                operators.append(operator)
                needed.update(operator.inputs)
        tensors = [t for t in self.tensors if t.name in needed or t.name == self.tensors[0].name]
        return file.tflite_file(tensors, operators[::-1], self.tensors[0].name, output)


def window(d: Drawing, source: Map, most: int, dilated: bool) -> Any:
    """Draw kernel, stride, dilation, padding and the extents of the result; None where none fit."""
    size = source.shape[:2]
    kernel = (d.number(1, most), d.number(1, most))
    stride = (d.number(1, 3), d.number(1, 3)) if d.chance() else (1, 1)
    dilation = (1, 1)
    if dilated and d.number(0, 3) == 0:
        dilation = (d.number(1, 2), d.number(1, 2))
    same = d.chance()
    found = []
    for n, k, s, w in zip(size, kernel, stride, dilation, strict=True):
        reach = (k - 1) * w + 1
        if not same and reach > n:
            return None
        found.append(-(-n // s) if same else (n - reach) // s + 1)
    return kernel, stride, dilation, same, (found[0], found[1])


def steps(stride: Any, same: bool, fused: int) -> dict[str, int]:
    return {
        "Padding": 0 if same else 1,
        "StrideH": stride[0],
        "StrideW": stride[1],
        "FusedActivationFunction": fused,
    }


def weighted(
    d: Drawing, source: Map, shape: tuple[int, ...], axis: int, *, biased: bool = False
) -> tuple[list[str], float]:
    """Write weights and at times biases; give their names and about how large sums are."""
    outputs = shape[axis]
    terms = float(np.prod(shape)) / outputs
    per_channel = d.chance()
    scales = 10 ** d.rng.uniform(-2.5, -1.5) * d.rng.uniform(0.5, 1, outputs if per_channel else 1)
    if d.chance():
        scales = np.exp2(np.rint(np.log2(scales)))
    scales = scales.astype(np.float32)
    data = d.rng.integers(-127, 128, shape).astype(np.int8)
    inputs = [source.name, d.constant(data, scales, 0, axis)]
    spread = 50 * 60 * float(source.scale) * float(scales.max()) * np.sqrt(terms)
    if biased or d.chance():
        unit = source.scale * scales
        reach = int(spread / float(unit.max())) + 1
        inputs.append(d.constant(d.rng.integers(-reach, reach + 1, outputs).astype(np.int32), unit))
    return inputs, spread


def conv(d: Drawing, source: Map) -> None:
    drawn = window(d, source, 3, True)
    if drawn is None:
        return
    kernel, stride, dilation, same, size = drawn
    channels = source.shape[2]
    depthwise = d.number(0, 2) == 0
    fused = d.fused()
    spread_h = {"DilationHFactor": dilation[0], "DilationWFactor": dilation[1]}
    if depthwise:
        multiplier = d.number(1, 2)
        outputs = channels * multiplier
        inputs, spread = weighted(d, source, (1, *kernel, outputs), 3)
        made = d.tensor((*size, outputs), d.scale(spread), d.zero())
        options = {**steps(stride, same, fused), **spread_h, "DepthMultiplier": multiplier}
        d.give("DEPTHWISE_CONV_2D", inputs, "DepthwiseConv2DOptions", made, **options)
        return
    groups = d.one_of(*[g for g in range(1, channels + 1) if channels % g == 0], 1, 1)
    outputs = groups * d.number(1, 3)
    shape = (outputs, *kernel, channels // groups)
    inputs, spread = weighted(d, source, shape, 0, biased=True)
    made = d.tensor((*size, outputs), d.scale(spread), d.zero())
    d.give("CONV_2D", inputs, "Conv2DOptions", made, **steps(stride, same, fused), **spread_h)


def dense(d: Drawing, source: Map) -> None:
    if len(source.shape) == 3 and d.number(0, 3):
        source = reshape(d, source, (int(np.prod(source.shape)),))
    size, outputs = int(np.prod(source.shape)), d.number(1, 4)
    keep = int(len(source.shape) == 3 and d.chance())
    if keep:
        size = source.shape[-1]
    inputs, spread = weighted(d, source, (outputs, size), 0)
    shape = (*source.shape[:-1], outputs) if keep else (outputs,)
    made = d.tensor(shape, d.scale(spread), d.zero())
    d.give(
        "FULLY_CONNECTED",
        inputs,
        "FullyConnectedOptions",
        made,
        FusedActivationFunction=d.fused(),
        KeepNumDims=keep,
    )


def pool(d: Drawing, source: Map) -> None:
    drawn = window(d, source, 3, False)
    if drawn is None:
        return
    kernel, stride, _, same, size = drawn
    kind = d.one_of("MAX_POOL_2D", "AVERAGE_POOL_2D")
    made = d.like(source, (*size, source.shape[2]))
    if d.number(0, 9) == 0:
        made = d.tensor(made.shape, d.scale(float(source.scale) * 60), d.zero())
    fused = d.one_of(NONE, NONE, NONE, NONE, RELU, RELU6)
    options = {**steps(stride, same, fused), "FilterHeight": kernel[0], "FilterWidth": kernel[1]}
    d.give(kind, [source.name], "Pool2DOptions", made, **options)


def enlarge(d: Drawing, source: Map) -> None:
    height, width, channels = source.shape
    factors = [d.number(1, 3) if size <= 4 else 1 for size in (height, width)]
    size = (height * factors[0], width * factors[1])
    made = d.like(source, (*size, channels))
    inputs = [source.name, d.constant(np.array(size, np.int32))]
    table = "ResizeNearestNeighborOptions"
    corners = d.number(0, 4) == 0
    options = {"AlignCorners": int(corners), "HalfPixelCenters": int(not corners and d.chance())}
    d.give("RESIZE_NEAREST_NEIGHBOR", inputs, table, made, **options)


def mean(d: Drawing, source: Map) -> None:
    axes = d.one_of([1, 2], [1, 2], [2, 1], [-3, -2], [1], [2], [3], [-2])
    keep = d.one_of(0, 1)
    at = [a % 4 - 1 for a in axes]
    shape = tuple(1 if i in at else n for i, n in enumerate(source.shape) if keep or i not in at)
    made = d.tensor(shape, d.scale(float(source.scale) * 40), d.zero())
    if d.number(0, 3) == 0:
        made = d.like(source, shape)
    inputs = [source.name, d.constant(np.array(axes, np.int32))]
    d.give("MEAN", inputs, "ReducerOptions", made, KeepDims=keep)


def arithmetic(d: Drawing, source: Map) -> None:
    kind, table = d.one_of(
        ("ADD", "AddOptions"), ("ADD", "AddOptions"), ("SUB", "SubOptions"), ("MUL", "MulOptions")
    )
    spread = 60 * float(source.scale)
    if d.chance():
        same = [m for m in d.maps if m.shape == source.shape]
        other = d.one_of(*same)
        name, scale = other.name, other.scale
    else:
        full = source.shape
        shape = [n if d.chance() else 1 for n in full]
        if d.chance():
            shape = [*[1] * (len(full) - 1), full[-1]]
        shape = [1, *shape]
        while len(shape) > 1 and shape[0] == 1 and d.chance():
            shape.pop(0)
        scale = d.scale(spread)
        data = d.rng.integers(-128, 128, shape).astype(np.int8)
        name = d.constant(data, [scale], d.zero())
    inputs = [source.name, name]
    if d.chance():
        inputs.reverse()
    result = spread * 60 * float(scale) if kind == "MUL" else np.hypot(spread, 60 * float(scale))
    made = d.tensor(source.shape, d.scale(result), d.zero())
    d.give(kind, inputs, table, made, FusedActivationFunction=d.fused())


def concat(d: Drawing, source: Map) -> None:
    rank = len(source.shape)
    axis = d.one_of(rank, -1, rank, -1, 1)
    at = axis % (rank + 1) - 1
    same = [
        m
        for m in d.maps
        if len(m.shape) == rank
        and all(m.shape[i] == source.shape[i] for i in range(rank) if i != at)
    ]
    alike = [m for m in same if (m.scale, m.zero) == (source.scale, source.zero)]
    found = [source]
    for _ in range(d.number(0, 2)):
        found.append(d.one_of(*(alike if d.number(0, 4) else same)))
    shape = list(source.shape)
    shape[at] = sum(m.shape[at] for m in found)
    if shape[at] > 24:
        return
    names = [m.name for m in found]
    made = d.like(source, tuple(shape))
    d.give("CONCATENATION", names, "ConcatenationOptions", made, Axis=axis)


def pad(d: Drawing, source: Map) -> None:
    pairs = [(d.number(0, 2), d.number(0, 2)) for _ in range(2)]
    amounts = np.array([(0, 0), *pairs, (0, 0)], np.int32)
    shape = (*(n + sum(p) for n, p in zip(source.shape, pairs, strict=False)), source.shape[2])
    inputs = [source.name, d.constant(amounts)]
    made = d.like(source, shape)
    if d.number(0, 3) == 0:
        fill = d.one_of(source.zero, d.number(-128, 127))
        inputs.append(d.constant(np.array([fill], np.int8), [source.scale], source.zero))
        d.give("PADV2", inputs, "PadV2Options", made)
    else:
        d.give("PAD", inputs, "PadOptions", made)


def rescale(d: Drawing, source: Map) -> None:
    kind = d.one_of("QUANTIZE", "QUANTIZE", "RELU", "RELU6")
    table = "QuantizeOptions" if kind == "QUANTIZE" else "ReshapeOptions"
    made = d.tensor(source.shape, d.scale(60 * float(source.scale)), d.zero())
    if d.number(0, 2) == 0:
        made = d.like(source, source.shape)
    d.give(kind, [source.name], table, made)


def reshape(d: Drawing, source: Map, shape: tuple[int, ...]) -> Map:
    sizes = np.array([d.one_of(1, -1), *shape], np.int32)
    made = d.like(source, shape)
    return d.give("RESHAPE", [source.name, d.constant(sizes)], "ReshapeOptions", made)


def alias(d: Drawing, source: Map) -> None:
    """Another shape of a value."""
    shape = source.shape
    kind = d.one_of("same", "flat", "expand", "transpose", "rows", "back")
    if kind == "same":
        reshape(d, source, shape)
    elif kind == "flat":
        reshape(d, source, (int(np.prod(shape)),))
    elif kind == "expand" and len(shape) == 1:
        axis = np.array(1, np.int32)
        made = d.like(source, (1, *shape))
        d.give("EXPAND_DIMS", [source.name, d.constant(axis)], "ExpandDimsOptions", made)
    elif kind == "transpose" and len(shape) == 3:
        axes = d.one_of((0, 2, 1, 3), (0, 3, 1, 2), (0, 1, 2, 3), (0, 2, 3, 1))
        made = d.like(source, tuple(shape[a - 1] for a in axes[1:]))
        inputs = [source.name, d.constant(np.array(axes, np.int32))]
        d.give("TRANSPOSE", inputs, "TransposeOptions", made)
    elif kind == "rows" and len(shape) == 3:
        reshape(d, source, (1, shape[0] * shape[1], shape[2]))
    elif kind == "back":
        same = [m for m in d.maps if np.prod(m.shape) == np.prod(shape)]
        reshape(d, source, d.one_of(*same).shape)


Operator = Callable[[Drawing, Map], Any]

MAPS: tuple[Operator, ...] = (
    *(conv, conv, conv, conv, arithmetic, arithmetic, arithmetic, concat, concat, pool, pool),
    enlarge,
    *(mean, pad, pad, rescale, rescale, alias, alias, dense),
)

FLATS: tuple[Operator, ...] = (dense, dense, rescale, alias, arithmetic, concat)


@st.composite
def tflite_graphs(draw: st.DrawFn) -> tuple[bytes, str]:
    """Draw a file's bytes, and what it is for a failure."""
    d = Drawing(draw)
    shape = (d.number(1, 7), d.number(1, 7), d.number(1, 4))
    if d.chance():
        shape = (shape[2], shape[2], shape[2])
    dtype = d.one_of("int8", "int8", "int8", "uint8", "float32")
    scale, zero = d.scale(1.0), d.zero()
    first = d.tensor(shape, scale, zero, dtype)
    if dtype == "int8":
        d.maps.append(first)
    else:
        d.give("QUANTIZE", [first.name], "QuantizeOptions", d.tensor(shape, scale, zero))
    if d.number(0, 3):
        conv(d, d.maps[0])
    for _ in range(d.one_of(*SIZES)):
        source = d.value()
        d.one_of(*(MAPS if len(source.shape) == 3 else FLATS))(d, source)
    last = d.maps[-1]
    end = d.number(0, 7)
    if end == 0 and len(last.shape) == 1:
        d.give(
            "SOFTMAX",
            [last.name],
            "SoftmaxOptions",
            d.tensor(last.shape, np.float32(1 / 256), -128),
            Beta=1.0,
        )
    elif end == 1:
        d.give(
            "DEQUANTIZE",
            [last.name],
            "DequantizeOptions",
            d.tensor(last.shape, scale, 0, "float32"),
        )
    return d.written(), shown(d)


def shown(d: Drawing) -> str:
    """Tell tensors and operators."""
    kinds = {value: name for name, value in vars(file.tflite.BuiltinOperator).items()}
    lines = [
        f"{t.name}: {t.shape} {t.dtype} scale {t.scales.tolist()} zero {t.zero_point}"
        + ("" if t.data is None else f" = {t.data.ravel().tolist()}")
        for t in d.tensors
    ]
    lines += [
        f"{kinds[o.code]} {o.inputs} -> {o.output} {d.options[o.output]}" for o in d.operators
    ]
    return "\n".join(lines)
