"""The graph of an .onnx file: what its operators do, each to a value that never changes.

A value is what one operator gives; names that stand for the same value, behind Identity or Flatten,
are one value here, so that its readers can be counted. What is folded into a layer is decided when
all readers are known: see `onnx_floats` and `onnx_integers`.

Source: the ONNX operator specification. Maps are channels first in a file and channels last here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.graph import INPUT
from pilaster.models.importers.layout import CHANNELS_FIRST, Axes, Layout, extents
from pilaster.models.importers.onnx_file import OnnxModel, OnnxNode
from pilaster.models.importers.steps import Action, IntegerBounds, Quantizer, Step, Surround
from pilaster.models.importers.values import UNPADDED, Value, padded
from pilaster.models.layers import Concat, Join, Layer, Pool, Upsample, Weighted
from pilaster.models.quantization import TensorQuantization
from pilaster.models.shape import Shape

__all__ = ["Constant", "OnnxGraph"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Constant:
    """A constant of the file.

    Attributes
    ----------
    real : its values
    integers, scales : of a quantized one, ``real = scales * integers``; the scales are one, or one
        for each place along `axis`
    """

    real: NDArray[Any]
    integers: NDArray[np.int64] | None = None
    scales: Floats | None = None
    axis: int = 0


@dataclass
class OnnxGraph:
    """Steps as they are found, with what is known of each.

    Attributes
    ----------
    reading : the map's axes along each of the input's
    shapes : of the values, by the step that gives them
    weights, biases : of the layers, real; weights are (out, rows, columns, in / groups)
    integers, scales : of weights that the file has quantized, by layer; scales by output channel
    stated : quantization of integers by those who read them, by value
    fills : (node, value, integer) of integers that are padded with: must be their zero points
    """

    model: OnnxModel
    reading: Axes
    steps: dict[str, Step] = field(default_factory=dict)
    weights: dict[str, Floats] = field(default_factory=dict)
    biases: dict[str, Floats] = field(default_factory=dict)
    integers: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    scales: dict[str, Floats] = field(default_factory=dict)
    stated: dict[str, TensorQuantization] = field(default_factory=dict)
    fills: list[tuple[str, str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.constants = {name: Constant(a) for name, a in self.model.constants.items()}
        whole = np.issubdtype(self.model.dtype, np.integer)
        sizes = (max(1, self.model.shape[0]), *self.model.shape[1:])
        size = dict.fromkeys("NHWC", 1) | dict(zip(self.reading, sizes, strict=True))
        layout = Layout.of(self.reading, size)
        self.images = size["N"]
        self.values = {self.model.source: Value(INPUT, layout, whole=bool(whole))}
        self.shapes = {INPUT: Shape(size["H"], size["W"], size["C"])}

    @property
    def shape(self) -> Shape:
        """Shape of the input."""
        return self.shapes[INPUT]

    def finish(self) -> None:
        """Say that there are no more operators."""
        last = self.values.get(self.model.target)
        if last is not None:
            self.values[self.model.target] = self.padded(last)

    @property
    def target(self) -> Value:
        """What the file's output is."""
        last = self.values.get(self.model.target)
        if last is None or not self.steps:
            raise InputError("no layer leads from the input to the output")
        return last

    @property
    def host(self) -> tuple[str, ...]:
        """Operators at the end that are left to the host."""
        return self.target.host

    @property
    def quantized(self) -> bool:
        """Whether the file states integers of activations."""
        return bool(self.stated) or any(
            isinstance(s.action, Quantizer) for s in self.steps.values()
        )

    @cached_property
    def readers(self) -> Mapping[str, int]:
        """How many read each value, the file's output among them, once all operators are there.

        Raises
        ------
        InputError
            If nothing reads what a step gives.
        """
        found = Counter(name for step in self.steps.values() for name in step.sources)
        found[self.target.name] += 1
        for step in self.steps.values():
            if not found[step.name]:
                raise InputError(f"{step.where}: does not lead to the output")
        return found

    # What operators read.

    def constant(self, node: OnnxNode, index: int) -> Constant | None:
        """Give the constant in an input's place; None where it is left out."""
        if index >= len(node.inputs) or not node.inputs[index]:
            return None
        name = node.inputs[index]
        if name not in self.constants:
            raise InputError(f"input {index} ({name}) must be a constant")
        return self.constants[name]

    def needed(self, node: OnnxNode, index: int) -> Constant:
        """Give the constant in an input's place, which must not be left out."""
        found = self.constant(node, index)
        if found is None:
            raise InputError(f"has no input {index}")
        return found

    def is_constant(self, node: OnnxNode, index: int) -> bool:
        """Whether an operator reads a constant in a place."""
        return index < len(node.inputs) and node.inputs[index] in self.constants

    def value(self, node: OnnxNode, index: int = 0) -> Value:
        """Give what an operator reads, computed by an earlier one."""
        if index >= len(node.inputs) or node.inputs[index] not in self.values:
            name = node.inputs[index] if index < len(node.inputs) else f"input {index}"
            raise InputError(f"reads {name}, which no operator before it computes")
        found = self.values[node.inputs[index]]
        if found.host:
            raise InputError(f"reads the result of {found.host[-1]}, which is left to the host")
        return found

    def real(self, node: OnnxNode, index: int = 0) -> Value:
        """Give reals that an operator reads."""
        value = self.value(node, index)
        if value.whole:
            raise InputError("reads integers as reals; put DequantizeLinear before it")
        return value

    def all(self, node: OnnxNode, index: int = 0) -> Value:
        """Give what an operator reads, with no padding around it; reals or integers."""
        return self.padded(self.value(node, index))

    def all_reals(self, node: OnnxNode, index: int = 0) -> Value:
        """Give reals, with no padding around them."""
        return self.padded(self.real(node, index))

    def padded(self, value: Value) -> Value:
        """Give a value with its padding written out."""
        if value.padding == UNPADDED:
            return value
        name, where = value.padded_by, f"node {value.padded_by} (Pad)"
        while name in self.steps and self.steps[name].sources != (value.name,):
            name += "+"  # around the integers of what it was around
        if name not in self.steps:
            self.steps[name] = Step(name, where, Surround(value.padding), (value.name,))
            self.shapes[name] = padded(self.shapes[value.name], value.padding)
        return replace(value, name=name, padding=UNPADDED, padded_by="")

    def size(self, value: Value) -> Mapping[str, int]:
        """Give the size of each axis of a map, with its padding."""
        return extents(padded(self.shapes[value.name], value.padding), self.images)

    def axes(self, value: Value) -> Axes:
        """Give the axes of a map, which must be images, channels, rows and columns."""
        return value.layout.axes_of(CHANNELS_FIRST, self.size(value))

    # What operators give.

    def set(self, node: OnnxNode, value: Value) -> None:
        """Say what an operator's result is."""
        if not node.outputs or not node.outputs[0]:
            raise InputError("has no output")
        if node.outputs[0] in self.values or node.outputs[0] in self.constants:
            raise InputError(f"gives {node.outputs[0]}, which is there already")
        self.values[node.outputs[0]] = value

    def give(self, node: OnnxNode, constant: Constant) -> None:
        """Say that an operator's result is a constant."""
        if not node.outputs or not node.outputs[0] or node.outputs[0] in self.values:
            raise InputError("has no output of its own")
        self.constants[node.outputs[0]] = constant

    def step(self, node: OnnxNode, action: Action, sources: tuple[str, ...], shape: Shape) -> str:
        """Add a step, and give the name of its value: the node's, and more behind a first one."""
        name, where = node.name, f"node {node.name} ({node.kind})"
        while name in self.steps:
            name += "+"
        self.steps[name] = Step(name, where, action, sources)
        self.shapes[name] = shape
        return name

    def change(self, node: OnnxNode, value: Value, action: Action) -> Value:
        """Add a step from a value to another of its shape, and give that."""
        name = self.step(node, action, (value.name,), self.shapes[value.name])
        return replace(value, name=name)

    def add(
        self, node: OnnxNode, layer: Layer, sources: tuple[str, ...], layout: Layout | Axes
    ) -> Value:
        """Add a layer, and give the reals that it computes.

        layout : of these; or the map's axes along each of the file's
        """
        shapes = tuple(self.shapes[source] for source in sources)
        if isinstance(layer, Join):
            shape = layer.joined_shape(shapes)
        else:
            shape = layer.output_shape(shapes[0])
        if not isinstance(layout, Layout):
            layout = Layout.of(layout, extents(shape, self.images))
        return Value(self.step(node, layer, sources, shape), layout)

    def add_weighted(
        self,
        node: OnnxNode,
        layer: Weighted,
        source: str,
        layout: Layout | Axes,
        weight: Constant,
        bias: Floats,
    ) -> Value:
        """Add a layer with weights (out, rows, columns, in / groups), as floats or integers."""
        value = self.add(node, layer, (source,), layout)
        expected = layer.weight_shape(self.shapes[source])
        if weight.real.shape != expected or bias.shape != expected[:1]:
            raise InputError(
                f"weights {weight.real.shape} and biases {bias.shape} do not fit, must be "
                f"{expected} and {expected[:1]} in rows, columns and channels"
            )
        name = value.name
        self.weights[name], self.biases[name] = weight.real.astype(np.float64), bias
        if weight.integers is not None and weight.scales is not None:
            self.integers[name] = weight.integers
            if weight.scales.size != 1 and weight.axis != 0:
                raise InputError("has weight scales along another axis than the outputs")
            if weight.scales.size not in (1, expected[0]):
                raise InputError(
                    f"has {weight.scales.size} weight scales for {expected[0]} outputs"
                )
            self.scales[name] = np.broadcast_to(weight.scales.ravel(), expected[:1])
        return value

    # Quantization.

    def integer_type(self, value: Value) -> np.dtype[Any] | None:
        """Type that the integers of a value have in the file; None of reals."""
        if not value.whole:
            return None
        name = value.name
        while name in self.steps:
            step = self.steps[name]
            if isinstance(step.action, Quantizer):
                return step.action.dtype
            name = step.sources[0]
        return self.model.dtype

    def state(self, value: Value, tensor: TensorQuantization) -> None:
        """State what the integers of a value stand for, and those that it is made of."""
        if not value.whole:
            raise InputError("reads reals as integers; there is no QuantizeLinear before it")
        names = [value.name]
        for name in names:
            step = self.steps.get(name)
            known = self.stated.get(name, tensor)
            if step is not None and isinstance(step.action, Quantizer):
                known = step.action.tensor
            if known != tensor:
                raise InputError(f"gives {name} a second scale; one is supported")
            self.stated[name] = tensor
            if step is not None and isinstance(
                step.action, IntegerBounds | Pool | Upsample | Concat | Surround
            ):
                names.extend(step.sources)
