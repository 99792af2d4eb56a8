"""Test support: Hypothesis strategies for .onnx files of random graphs of real numbers.

Chains and graphs with forks, whose values are read through other names, with constants of every
shape, attributes of every kind and operator sets 8 to 22. Many are refused; that is no fault. What
an exporter would not write but the standard allows is drawn too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.strategies import seeds

__all__ = ["IMAGE", "OPSETS", "SIZES", "Drawing", "Map", "float_graphs"]

IMAGE = "x"
SIZES = (1, 2, 3, 4, 5, 6, 8, 10)
"""Operators and blocks of a graph, of which those that do not lead to its output are left out."""

OPSETS = (8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 20, 21, 22)


@dataclass(frozen=True)
class Map:
    """A value of the graph: a map (channels, rows, columns), or one that is flattened.

    spread : about how large its numbers are
    """

    name: str
    shape: tuple[int, ...]
    spread: float = 1.0

    @property
    def channels(self) -> int:
        return self.shape[0]


@dataclass
class Drawing:
    """A graph that grows by what Hypothesis draws."""

    draw: st.DrawFn
    shape: tuple[int, int, int]
    opset: int
    domains: tuple[str, ...] = ()
    dtype: int = TensorProto.FLOAT
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    maps: list[Map] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.draw(seeds()))
        self.names = 0

    # What is drawn.

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def one_of(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def chance(self) -> bool:
        return self.draw(st.booleans())

    def value(self, *, flat: bool | None = None) -> Map:
        """Draw a value to read, the last ones more often."""
        known = [m for m in self.maps if flat is None or (len(m.shape) == 1) == flat]
        if not known:
            known = self.maps
        return known[-1 - min(self.one_of(0, 0, 0, 0, 1, 2, 3, 5), len(known) - 1)]

    # What is written.

    def new(self) -> str:
        self.names += 1
        return f"t{self.names}"

    def constant(self, values: NDArray[Any] | np.generic) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def reals(self, *shape: int, scale: float = 1.0) -> str:
        return self.constant((self.rng.normal(size=shape) * scale).astype(np.float32))

    def add(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        """Add an operator; attributes that are None are left out."""
        name = self.new()
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"n{name}", **given))
        return name

    def put(self, name: str, shape: tuple[int, ...], spread: float = 1.0) -> Map:
        found = Map(name, shape, spread)
        self.maps.append(found)
        return found

    def model(self, output: str, kind: int = TensorProto.FLOAT) -> Any:
        """Give the model, without the operators that do not lead to its output."""
        needed, nodes = {output}, []
        for node in reversed(self.nodes):
            if needed & set(node.output):
                nodes.append(node)
                needed.update(node.input)
        constants = [c for c in self.constants if c.name in needed]
        images = self.one_of("n", 1)
        graph = helper.make_graph(
            nodes[::-1],
            "drawn",
            [helper.make_tensor_value_info(IMAGE, self.dtype, [images, *self.shape])],
            [helper.make_tensor_value_info(output, kind, None)],
            constants,
        )
        opsets = [helper.make_opsetid("", self.opset)]
        opsets += [helper.make_opsetid(domain, 1) for domain in self.domains]
        made = helper.make_model(graph, opset_imports=opsets)
        made.ir_version = 8
        return made


def extents(
    size: tuple[int, int], kernel: Any, strides: Any, dilations: Any, pads: Any, ceil: bool = False
) -> tuple[int, int] | None:
    """Give the rows and columns of a window's result; None where it does not fit."""
    found = []
    for i in range(2):
        reach = (kernel[i] - 1) * dilations[i] + 1
        room = size[i] + pads[i] + pads[i + 2] - reach
        if room < 0:
            return None
        out = -(-room // strides[i]) + 1 if ceil else room // strides[i] + 1
        if ceil and (out - 1) * strides[i] >= size[i] + pads[i]:
            out -= 1
        found.append(out)
    return (found[0], found[1])


@dataclass(frozen=True)
class WindowDrawn:
    attributes: dict[str, Any]
    kernel: tuple[int, int]
    size: tuple[int, int]


def window(d: Drawing, source: Map, most: int, *, dilated: bool, ceil: bool) -> WindowDrawn | None:
    """Draw a window over a map with its attributes; None where none fits."""
    size = (source.shape[1], source.shape[2])
    if d.number(0, 2) == 0:  # a window that keeps the map's extents
        side = d.one_of(1, 1, 3)
        kept = {} if side == 1 else {"pads": [1, 1, 1, 1]}
        return WindowDrawn(kept, (side, side), size)
    kernel = (d.number(1, most), d.number(1, most))
    strides = (d.number(1, 3), d.number(1, 3)) if d.chance() else (1, 1)
    dilations = (d.number(1, 2), d.number(1, 2)) if dilated and d.chance() else (1, 1)
    mode = d.one_of("NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
    attributes: dict[str, Any] = {}
    if strides != (1, 1) or d.chance():
        attributes["strides"] = list(strides)
    if dilations != (1, 1):
        attributes["dilations"] = list(dilations)
    up = ceil and d.chance()
    if up:
        attributes["ceil_mode"] = 1
    if mode.startswith("SAME"):
        attributes["auto_pad"] = mode
        reach = [(k - 1) * s + 1 for k, s in zip(kernel, dilations, strict=True)]
        if any(r > n for r, n in zip(reach, size, strict=True)):
            return None
        out = (-(-size[0] // strides[0]), -(-size[1] // strides[1]))
        return WindowDrawn(attributes, kernel, out)
    pads = (0, 0, 0, 0)
    if mode == "NOTSET" and d.chance():
        pads = tuple(d.number(0, kernel[i % 2] - 1) for i in range(4))  # type: ignore[assignment]
        attributes["pads"] = list(pads)
    elif mode == "VALID":
        attributes["auto_pad"] = "VALID"
        up = False
        attributes.pop("ceil_mode", None)
    found = extents(size, kernel, strides, dilations, pads, up)
    return None if found is None or min(found) < 1 else WindowDrawn(attributes, kernel, found)


def conv_shape(d: Drawing, source: Map) -> tuple[int, int]:
    """Draw outputs and groups of a convolution; often as many outputs as there are inputs."""
    if d.chance():
        return source.channels, d.one_of(1, source.channels)
    groups = d.one_of(*[g for g in range(1, source.channels + 1) if source.channels % g == 0])
    return groups * d.number(1, 3), groups


def conv(d: Drawing, source: Map) -> None:
    drawn = window(d, source, 4, dilated=True, ceil=False)
    if drawn is None:
        return
    outputs, groups = conv_shape(d, source)
    weight = (outputs, source.channels // groups, *drawn.kernel)
    reach = 1 / np.sqrt(np.prod(weight[1:]))
    inputs = [source.name, d.reals(*weight, scale=reach)]
    if d.chance():
        inputs.append(d.reals(outputs, scale=0.5))
    attributes = dict(drawn.attributes)
    if groups > 1:
        attributes["group"] = groups
    if d.chance():
        attributes["kernel_shape"] = list(drawn.kernel)
    d.put(d.add("Conv", inputs, **attributes), (outputs, *drawn.size))


def batch_norm(d: Drawing, source: Map) -> None:
    count = source.channels
    numbers = [d.rng.normal(size=count), d.rng.normal(size=count), d.rng.normal(size=count)]
    variance = d.rng.uniform(0.3, 2, count)
    inputs = [d.constant(v.astype(np.float32)) for v in (*numbers, variance)]
    epsilon = d.one_of(None, 1e-3, 0.1)
    mode = d.one_of(None, None, 0) if d.opset >= 14 else None
    name = d.add("BatchNormalization", [source.name, *inputs], epsilon=epsilon, training_mode=mode)
    d.put(name, source.shape)


def relu(d: Drawing, source: Map) -> None:
    d.put(d.add("Relu", [source.name]), source.shape)


def clip(d: Drawing, source: Map) -> None:
    low = d.one_of(0.0, 0.0, 0.0, None, -0.5)
    high = d.one_of(6.0, 0.7, None)
    if d.opset < 11:
        name = d.add("Clip", [source.name], min=low, max=high)
    else:
        limits = ["" if v is None else d.constant(np.float32(v)) for v in (low, high)]
        while limits and not limits[-1]:
            limits.pop()
        name = d.add("Clip", [source.name, *limits])
    d.put(name, source.shape)


def constant_shape(d: Drawing, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Draw the shape of a constant that broadcasts to a value's, the images' axis included."""
    kept = [size if d.chance() else 1 for size in shape]
    if d.chance():  # one a channel
        kept = [shape[0], *[1] * (len(shape) - 1)]
    full = [1, *kept]
    lead = 0
    while lead < len(full) and full[lead] == 1 and d.chance():
        lead += 1
    return tuple(full[lead:])


def arithmetic(d: Drawing, source: Map) -> None:
    kind = d.one_of("Add", "Add", "Add", "Mul", "Sub", "Div")
    shape = constant_shape(d, source.shape)
    numbers = d.rng.uniform(0.5, 1.5, shape) * d.rng.choice([1.0, 1.0, -1.0], shape)
    inputs = [source.name, d.constant(numbers.astype(np.float32))]
    if d.chance() and kind != "Div":
        inputs.reverse()
    d.put(d.add(kind, inputs), source.shape)


def join(d: Drawing, source: Map, others: Sequence[Map] = ()) -> None:
    """Join a value with others, of some or of all."""
    others = others or d.maps
    kind = d.one_of(*["Add", "Sum", "Concat"] * 4, "Sub", "Mul")
    if kind == "Concat":
        axis = d.one_of(1, 1, 1, -3, 2, -1) if len(source.shape) == 3 else 1
        same = [m for m in (source, *others) if len(m.shape) == len(source.shape)]
        if len(source.shape) == 3:
            at = {1: 0, -3: 0, 2: 1, -1: 2}[axis]
            rest = [i for i in range(3) if i != at]
            same = [m for m in same if all(m.shape[i] == source.shape[i] for i in rest)]
        else:
            at = 0
        found = [source, *(d.one_of(*same) for _ in range(d.number(0, 2)))]
        shape = list(source.shape)
        shape[at] = sum(m.shape[at] for m in found)
        if shape[at] <= 24:
            d.put(d.add("Concat", [m.name for m in found], axis=axis), tuple(shape))
        return
    same = [m for m in others if m.shape == source.shape] or [source]
    other = d.one_of(*same)
    inputs = [source.name, other.name]
    if kind == "Sum" and d.chance():
        inputs = inputs[: d.one_of(1, 2)] + [d.one_of(*same).name] * d.number(0, 1)
    if d.chance():
        inputs.reverse()
    d.put(d.add(kind, inputs), source.shape)


def pool(d: Drawing, source: Map) -> None:
    kind = d.one_of("MaxPool", "AveragePool")
    modern = d.opset >= (10 if kind == "MaxPool" else 19)
    drawn = window(d, source, 3, dilated=modern and d.number(0, 4) == 0, ceil=d.opset >= 10)
    if drawn is None:
        return
    counted = d.one_of(None, 0, 1) if kind == "AveragePool" else None
    name = d.add(
        kind,
        [source.name],
        kernel_shape=list(drawn.kernel),
        count_include_pad=counted,
        **drawn.attributes,
    )
    d.put(name, (source.channels, *drawn.size))


LARGEST = 12
"""Rows and columns that a map may be enlarged to."""


def enlarge(d: Drawing, source: Map) -> None:
    """Draw Resize or Upsample; a quarter takes other values than nearest neighbors."""
    height, width = source.shape[1:]
    factors = [d.number(1, 3) if size <= LARGEST // 3 else 1 for size in (height, width)]
    shape = (source.channels, height * factors[0], width * factors[1])
    scales = d.constant(np.float32([1, 1, *factors]))
    if d.opset < 9:
        d.put(d.add("Upsample", [source.name], scales=[1.0, 1.0, *map(float, factors)]), shape)
        return
    if d.opset < 11:
        kind = "Upsample" if d.opset == 9 else "Resize"
        d.put(d.add(kind, [source.name, scales], mode="nearest"), shape)
        return
    inputs = [source.name, "" if d.opset >= 13 else d.constant(np.float32([])), scales]
    if d.chance():
        sizes = d.constant(np.array([1, *shape]))
        inputs = [*inputs[:2], "" if d.opset >= 13 else d.constant(np.float32([])), sizes]
    places = d.one_of("asymmetric", "asymmetric", "half_pixel", "pytorch_half_pixel", None)
    rounding = d.one_of("floor", "floor", "round_prefer_floor", "round_prefer_ceil", "ceil", None)
    name = d.add(
        "Resize",
        inputs,
        mode=d.one_of("nearest", "nearest", "nearest", None),
        coordinate_transformation_mode=places,
        nearest_mode=rounding,
    )
    d.put(name, shape)


def reduce(d: Drawing, source: Map) -> None:
    kind = d.one_of("GlobalAveragePool", *["ReduceMean"] * 4, "GlobalMaxPool")
    if kind != "ReduceMean":
        d.put(d.add(kind, [source.name]), (source.channels, 1, 1))
        return
    axes = d.one_of([2, 3], [2, 3], [3, 2], [-1, -2], [-2, 3], [2], [3], [1])
    keep = d.one_of(0, 1) if sorted(a % 4 for a in axes) == [2, 3] else 1
    if d.opset < 18:
        name = d.add("ReduceMean", [source.name], axes=axes, keepdims=keep)
    else:
        inputs = [source.name, d.constant(np.array(axes))]
        name = d.add("ReduceMean", inputs, keepdims=keep)
    shape = tuple(1 if i + 1 in [a % 4 for a in axes] else n for i, n in enumerate(source.shape))
    d.put(name, shape if keep else (source.channels,))


def pad(d: Drawing, source: Map) -> None:
    before, after = [0, 0, d.number(0, 2), d.number(0, 2)], [0, 0, d.number(0, 2), d.number(0, 2)]
    fill = d.one_of(None, 0.0, 0.0, 1.0)
    mode = d.one_of(None, None, None, "constant", "constant", "edge")
    pads = before + after
    if d.opset < 11:
        name = d.add("Pad", [source.name], pads=pads, value=fill, mode=mode)
    else:
        inputs = [source.name, d.constant(np.array(pads))]
        if fill is not None:
            inputs.append(d.constant(np.float32(fill)))
        if d.opset >= 18 and d.chance():
            axes = d.one_of([2, 3], [-2, -1], [3, 2])
            order = [before[a % 4] for a in axes] + [after[a % 4] for a in axes]
            inputs[1] = d.constant(np.array(order))
            inputs = [*inputs[:2], inputs[2] if len(inputs) > 2 else "", d.constant(np.array(axes))]
        name = d.add("Pad", inputs, mode=mode)
    shape = tuple(n + before[i + 1] + after[i + 1] for i, n in enumerate(source.shape))
    d.put(name, shape)


def alias(d: Drawing, source: Map) -> None:
    """Another name of a value."""
    kind = d.one_of("Identity", "Dropout", "Reshape", "Reshape", "Squeeze")
    shape = source.shape
    if kind == "Identity":
        name = d.add("Identity", [source.name])
    elif kind == "Dropout":
        if d.opset < 12:
            name = d.add("Dropout", [source.name], ratio=d.one_of(None, 0.3))
        else:
            inputs = [source.name]
            if d.chance():
                inputs.append(d.constant(np.float32(0.3)))
                if d.chance():
                    inputs.append(d.constant(np.bool_(False)))
            name = d.add("Dropout", inputs)
    elif kind == "Reshape":
        sizes = [1, *shape]
        way = d.number(0, 3)
        if way == 1:
            sizes = [0] * len(sizes)
        elif way == 2:
            sizes[d.number(0, len(sizes) - 1)] = -1
        elif way == 3:
            sizes[0] = -1
        name = d.add("Reshape", [source.name, d.constant(np.array(sizes))])
    elif len(shape) == 3 and shape[1:] == (1, 1):
        axes = d.one_of([2, 3], [-1, -2])
        if d.opset < 13:
            name = d.add("Squeeze", [source.name], axes=axes)
        else:
            name = d.add("Squeeze", [source.name, d.constant(np.array(axes))])
        shape = shape[:1]
    else:
        return
    d.put(name, shape, source.spread)


def flatten(d: Drawing, source: Map) -> Map:
    """Flatten a map by one of the ways to."""
    size = int(np.prod(source.shape))
    if d.chance():
        axis = d.one_of(None, 1, -len(source.shape))
        if d.opset < 11 and axis is not None and axis < 0:
            axis = 1
        name = d.add("Flatten", [source.name], axis=axis)
    else:
        sizes = d.one_of([1, -1], [-1, size], [0, -1], [1, size])
        name = d.add("Reshape", [source.name, d.constant(np.array(sizes))])
    return d.put(name, (size,), source.spread)


def dense(d: Drawing, source: Map) -> None:
    flat = source if len(source.shape) == 1 else flatten(d, source)
    inputs, outputs = flat.shape[0], d.number(1, 4)
    scale = 1 / np.sqrt(inputs)
    if d.chance():
        name = d.add("MatMul", [flat.name, d.reals(inputs, outputs, scale=scale)])
    else:
        transposed = d.one_of(None, 0, 1)
        shape = (outputs, inputs) if transposed else (inputs, outputs)
        given = [flat.name, d.reals(*shape, scale=scale)]
        bias = d.one_of((outputs,), (1, outputs), (1,), (), None)
        if bias is not None:
            given.append(d.reals(*bias, scale=0.5))
        elif d.opset < 11:
            given.append(d.reals(outputs))
        name = d.add(
            "Gemm",
            given,
            transB=transposed,
            alpha=d.one_of(None, None, 0.5),
            beta=d.one_of(None, None, 2.0),
        )
    d.put(name, (outputs,))


def skip(d: Drawing, source: Map) -> None:
    """Change a value, at times behind other names of it, and join the result with what it was."""
    if d.chance() and len(source.shape) == 3:
        conv(d, source)
    before = [d.maps[-1]]
    for _ in range(d.number(1, 3)):
        kinds = (alias, alias, relu, clip, batch_norm, arithmetic)
        d.one_of(*kinds)(d, d.one_of(d.maps[-1], d.one_of(*before)))
        before.append(d.maps[-1])
    join(d, d.maps[-1], before)


Operator = Callable[[Drawing, Map], Any]

MAPS: tuple[Operator, ...] = (
    *(conv, conv, conv, relu, alias, alias, join, join, arithmetic, arithmetic),
    *(batch_norm, clip, pool, pool, enlarge, pad, reduce, flatten, dense, skip, skip, skip, skip),
)

FLATS: tuple[Operator, ...] = (dense, dense, relu, clip, alias, join, arithmetic, batch_norm, skip)


@st.composite
def float_graphs(draw: st.DrawFn) -> tuple[Any, NDArray[np.float32]]:
    """Draw a model, and images (N, H, W, C) for it."""
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 7)), draw(st.integers(1, 7)))
    if draw(st.booleans()):  # no axis tells itself from another
        shape = (shape[0], shape[0], shape[0])
    d = Drawing(draw, shape, draw(st.sampled_from(OPSETS)))
    d.put(IMAGE, shape)
    conv(d, d.maps[0])
    for _ in range(draw(st.sampled_from(SIZES))):
        source = d.value()
        operator = draw(st.sampled_from(MAPS if len(source.shape) == 3 else FLATS))
        operator(d, source)
    last = d.maps[-1].name
    if draw(st.integers(0, 5)) == 0 and len(d.maps[-1].shape) == 1:
        last = d.add("Softmax", [last])
    images = d.rng.uniform(-1, 1, (6, shape[1], shape[2], shape[0])).astype(np.float32)
    return d.model(last), images
