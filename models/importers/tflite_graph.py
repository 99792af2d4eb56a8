"""The graph of a .tflite file, as far as it is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.importers.layout import CHANNELS_LAST, Axes, Layout, extents, readings
from pilaster.models.importers.tflite_file import Operator, TensorInfo, TfliteModel
from pilaster.models.importers.tflite_tensors import (
    LOW,
    activated,
    described,
    edge_quantization,
    elements,
    quantization,
)
from pilaster.models.importers.values import (
    UNPADDED,
    Value,
    check_sums,
    ones,
    padded,
    padding_conv,
    precision,
)
from pilaster.models.joins import JoinParameters
from pilaster.models.layers import Join, Layer, Window
from pilaster.models.network import ByteScale, Network
from pilaster.models.quantization import (
    ConvParameters,
    Rounding,
    TensorQuantization,
    quantize_multiplier,
)
from pilaster.models.shape import Shape

__all__ = ["TfliteGraph"]


@dataclass
class TfliteGraph:
    """Layers as they are found, with the integers of each.

    Attributes
    ----------
    reading : the map's axes along each of the input's; None for an input that is reshaped first
    constants : tensors of the file that are known before an image comes, by number
    values : what the file's tensors are in the graph, by number
    """

    model: TfliteModel
    reading: Axes | None
    constants: dict[int, NDArray[np.generic]] = field(default_factory=dict)
    values: dict[int, Value] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    tensors: dict[str, TensorQuantization] = field(default_factory=dict)
    parameters: dict[str, ConvParameters] = field(default_factory=dict)
    joins: dict[str, JoinParameters] = field(default_factory=dict)

    def network(self, name: str, file: str) -> Network:
        """Give the layers as a network, which must lead to the file's output."""
        last = self.values.get(self.model.outputs[0])
        if last is None or not self.nodes:
            raise InputError("no layer leads from the input to the output")
        last = self.padded(last)
        graph = Graph(name, self.shapes[INPUT], tuple(self.nodes))
        if graph.outputs[0] != last.name:
            raise InputError(f"layer {graph.outputs[0]} does not lead to the output")
        if INPUT not in self.tensors:
            raise InputError("nothing quantizes the input")
        first, source = self.tensors[INPUT], self.model.tensors[self.model.inputs[0]]
        note = f"weights of {file}"
        if last.host:
            note += f"; {' and '.join(last.host)} left to the host"
        return Network(
            graph,
            self.tensors,
            self.parameters,
            {layer: precision(found) for layer, found in self.parameters.items()},
            False,
            note,
            self.joins,
            ByteScale(first.scale, first.scale * (LOW - first.zero_point)),
            encoding=Rounding.AWAY if source.dtype == "FLOAT32" else None,
        )

    # What operators read.

    def info(self, operator: Operator, index: int) -> TensorInfo:
        """Give the tensor that an operator reads in a place, with its values if it is constant."""
        if index >= len(operator.inputs) or operator.inputs[index] < 0:
            raise InputError(f"has no input {index}")
        number = operator.inputs[index]
        found = self.model.tensors[number]
        return replace(found, data=self.constants[number]) if number in self.constants else found

    def result(self, operator: Operator) -> TensorInfo:
        """Give the one tensor that an operator writes."""
        if len(operator.outputs) != 1 or operator.outputs[0] < 0:
            raise InputError(f"has {len(operator.outputs)} outputs, must have one")
        return self.model.tensors[operator.outputs[0]]

    def is_constant(self, operator: Operator, index: int) -> bool:
        """Whether an operator reads a constant in a place."""
        number = operator.inputs[index] if index < len(operator.inputs) else -1
        return (
            number >= 0
            and number not in self.values
            and self.info(operator, index).data is not None
        )

    def moved(self, operator: Operator, index: int = 0) -> Value:
        """Give what an operator moves, computed by an earlier one; it may be the file's reals."""
        info = self.info(operator, index)
        number = operator.inputs[index]
        if number == self.model.inputs[0] and number not in self.values:
            self._start(number)
        value = self.values.get(number)
        if value is None:
            what = "a constant" if info.data is not None else "what no operator before it gives"
            raise InputError(f"reads {what} ({info.name})")
        if value.host:
            raise InputError(f"reads the result of {value.host[-1]}, which is left to the host")
        return value

    def value(self, operator: Operator, index: int = 0) -> Value:
        """Give the int8 values that an operator reads, computed by an earlier one."""
        value = self.moved(operator, index)
        quantization(self.info(operator, index))
        return value

    def whole(self, operator: Operator, index: int = 0) -> Value:
        """Give what an operator reads, with no padding around it."""
        return self.padded(self.value(operator, index))

    def size(self, value: Value) -> Mapping[str, int]:
        """Give the size of each axis of a value, with its padding."""
        images = dict(value.layout.order).get("N", 1)
        return extents(padded(self.shapes[value.name], value.padding), images)

    def axes(self, value: Value) -> Axes:
        """Give the axes of a map, which must be images, rows, columns and channels."""
        return value.layout.axes_of(CHANNELS_LAST, self.size(value))

    def _start(self, number: int) -> None:
        """Take the file's input as the graph's, its axes being those that it is read with."""
        info = self.model.tensors[number]
        if self.reading is None:
            raise InputError(
                f"the input has the shape {info.shape} and no columns; it must be (images, rows, "
                f"columns, channels) or (images, columns, channels)"
            )
        if any(size < 0 for size in info.shape[1:]):
            raise InputError(
                f"the input has a dynamic shape, {info.shape}; export it with fixed sizes"
            )
        self._take(number, info, self.reading)

    def start_behind(self, operator: Operator) -> None:
        """Take what an operator reshapes the file's input to as the graph's."""
        target = self.result(operator)
        number = operator.inputs[0]
        if self.reading is None and number == self.model.inputs[0] and INPUT not in self.shapes:
            info = self.model.tensors[number]
            found = readings(CHANNELS_LAST, len(target.shape))
            if not found or elements(info) != elements(target):
                raise InputError(f"does not keep the size: {info.shape} to {target.shape}")
            self._take(number, target, found[0])
            sizes = tuple(max(1, size) for size in info.shape)
            value = self.values[number]
            self.values[number] = replace(value, layout=value.layout.reshaped(sizes))

    def _take(self, number: int, info: TensorInfo, axes: Axes) -> None:
        sizes = (max(1, info.shape[0]), *info.shape[1:])
        size = dict.fromkeys("NHWC", 1) | dict(zip(axes, sizes, strict=True))
        self.shapes[INPUT] = Shape(size["H"], size["W"], size["C"])
        if info.dtype != "FLOAT32":
            self.tensors[INPUT] = edge_quantization(info)
        self.values[number] = Value(INPUT, Layout.of(axes, size))

    # What operators give.

    def add(
        self,
        operator: Operator,
        kind: str,
        layer: Layer,
        sources: tuple[str, ...],
        layout: Layout | Axes,
        fused: int,
    ) -> str:
        """Add a layer whose output is the operator's, and give its name.

        layout : of the output; or the map's axes along each of the file's
        """
        info = self.result(operator)
        name = f"{kind}_{operator.index}"
        shapes = tuple(self.shapes[source] for source in sources)
        if isinstance(layer, Join):
            shape = layer.joined_shape(shapes)
        else:
            shape = layer.output_shape(shapes[0])
        if not isinstance(layout, Layout):
            images = dict(self.values[operator.inputs[0]].layout.order).get("N", 1)
            layout = Layout.of(layout, extents(shape, images))
        stated = tuple(size for size in info.shape[1:] if size != 1)
        if stated != tuple(size for size in layout.sizes[1:] if size != 1):
            raise InputError(f"gives the shape {info.shape} by the file, and {shape} by its inputs")
        kind_of = edge_quantization if operator.kind == "QUANTIZE" else quantization
        tensor = activated(kind_of(info), fused)
        self.nodes.append(Node(name, layer, sources))
        self.shapes[name], self.tensors[name] = shape, tensor
        self.values[operator.outputs[0]] = Value(name, layout)
        return name

    def settle(self, number: int, constant: NDArray[np.generic]) -> None:
        """Say that a tensor is known before an image comes."""
        shape = self.model.tensors[number].shape
        if len(shape) != constant.ndim or any(
            stated not in (-1, size) for stated, size in zip(shape, constant.shape, strict=True)
        ):
            raise InputError(
                f"gives the shape {shape} by the file, and {constant.shape} by its inputs"
            )
        self.constants[number] = constant

    def set(self, operator: Operator, value: Value) -> None:
        """Say that an operator's result is a value that is there already."""
        info = self.result(operator)
        if len(info.shape) != len(value.layout.sizes) or any(
            found not in (-1, size)
            for found, size in zip(info.shape, value.layout.sizes, strict=True)
        ):
            raise InputError(
                f"gives the shape {info.shape} by the file, and {value.layout.sizes} by its inputs"
            )
        self.values[operator.outputs[0]] = value

    def give(self, name: str, parameters: ConvParameters) -> None:
        """Give a layer its integers."""
        source = self.tensors[next(n for n in self.nodes if n.name == name).inputs[0]]
        check_sums(parameters, source)
        self.parameters[name] = parameters

    def padded(self, value: Value) -> Value:
        """Give a value with its padding written out, by a layer with the name of the PAD."""
        if value.padding == UNPADDED:
            return value
        name = value.padded_by
        if name not in self.shapes:
            layer, taps = padding_conv(self.shapes[value.name], value.padding)
            self.nodes.append(Node(name, layer, (value.name,)))
            self.shapes[name] = layer.output_shape(self.shapes[value.name])
            self.tensors[name] = self.tensors[value.name]
            one = quantize_multiplier(np.ones(1))
            self.parameters[name] = replace(
                ones(layer.out_channels, Window((1, 1)), *one), weight=taps
            )
        return Value(name, value.layout)

    def quantized_alike(self, first: TensorInfo, second: TensorInfo) -> bool:
        """Whether two tensors of the file have one scale and one zero point."""
        return (first.scales.tolist(), first.zero_points.tolist()) == (
            second.scales.tolist(),
            second.zero_points.tolist(),
        )

    def described(self, operator: Operator, index: int) -> str:
        """Say in an error what an operator reads."""
        return described(self.info(operator, index))
