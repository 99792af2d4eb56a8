"""A network of integers from the steps of an .onnx file whose activations are quantized.

A quantizer reads a layer, through factors, bounds and max pools, which all grow with what they are
given: quantized first and bounded then, the integers are the same. So each quantizer makes a layer
of its own: two that read one convolution make two convolutions, and what other layers read of it
must be quantized.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.importers.constant_map import constant_map
from pilaster.models.importers.onnx_graph import OnnxGraph
from pilaster.models.importers.onnx_grids import (
    carried_beside,
    carrier,
    contains,
    narrowed,
    on_grid,
    quantized_bounds,
    same_grid,
)
from pilaster.models.importers.onnx_parameters import (
    are_whole,
    average_sums,
    averaging,
    layer_sums,
    scale_between,
)
from pilaster.models.importers.onnx_paths import ReadPath, commutes, path_to
from pilaster.models.importers.steps import (
    Bounds,
    IntegerBounds,
    Offsets,
    Quantizer,
    Scaling,
    Step,
    Surround,
)
from pilaster.models.importers.values import UNPADDED, ones, padding_conv, precision
from pilaster.models.joins import ConcatParameters, JoinParameters, join_parameters
from pilaster.models.layers import Add, Concat, Conv, Join, Layer, Pool, Upsample, Weighted, Window
from pilaster.models.network import ByteScale, Network
from pilaster.models.quantization import (
    ConvParameters,
    Rounding,
    TensorQuantization,
    quantize_multiplier,
)
from pilaster.models.quantizer import MOST_BITS
from pilaster.models.shape import Shape

__all__ = ["IntegerLowering", "integer_network"]

Floats = NDArray[np.float64]

LARGEST_CONSTANT = (1 << 15) - 1
"""Of what is added where it differs by row or column."""

MOST_CARRIED_BITS = 22
"""Of two values that nothing quantizes before their sum: enough that it is rounded as reals are."""

FINE_BITS = 14
"""Places behind the point of a factor's weight, so that its offset is rounded finely too."""


@dataclass(frozen=True)
class IntegerLowering:
    """A network of integers from a file.

    Attributes
    ----------
    held : tensor that holds each value of the file that is still there
    rounded_biases : layers whose biases are no whole numbers of units of a sum, and rounded to such
    """

    network: Network
    held: Mapping[str, str]
    rounded_biases: frozenset[str]


def integer_network(found: OnnxGraph, name: str, note: str) -> IntegerLowering:
    """Make a network of the integers that a file states.

    Raises
    ------
    InputError
        If a layer reads what is not quantized, or integers are too wide.
    """
    layers = _Layers(found)
    for step in found.steps.values():
        try:
            layers.add(step)
        except InputError as error:
            raise InputError(f"{step.where}: {error}") from error
    last = layers.finish()
    graph = Graph(name, found.shape, tuple(layers.nodes.values()))
    if graph.outputs[0] != last:
        raise InputError(f"layer {graph.outputs[0]} does not lead to the output")
    first = layers.tensors[INPUT]
    byte_scale = ByteScale()
    if np.issubdtype(found.model.dtype, np.integer):
        byte_scale = ByteScale(first.scale, first.scale * (first.minimum - first.zero_point))
    network = Network(
        graph,
        layers.tensors,
        layers.parameters,
        {name: precision(parameters) for name, parameters in layers.parameters.items()},
        False,
        note,
        layers.joins,
        byte_scale,
        encoding=layers.encoding,
    )
    return IntegerLowering(network, layers.held, frozenset(layers.rounded_biases))


class _Layers:
    """The layers so far.

    Attributes
    ----------
    held : tensor that holds a value, by value; others are reals that no tensor holds
    encoding : how the image is made integers, if the file has it as reals
    """

    def __init__(self, found: OnnxGraph) -> None:
        self._found = found
        self._made: dict[tuple[object, ...], str] = {}
        self._alone: dict[str, bool] = {}
        self.nodes: dict[str, Node] = {}
        self.tensors: dict[str, TensorQuantization] = {}
        self.parameters: dict[str, ConvParameters] = {}
        self.joins: dict[str, JoinParameters] = {}
        self.held: dict[str, str] = {}
        self.rounded_biases: set[str] = set()
        self.encoding: Rounding | None = None
        if INPUT in found.stated:
            self._put(INPUT, found.stated[INPUT])
            self.held[INPUT] = INPUT

    def add(self, step: Step) -> None:
        """Do a step, if it gives what a tensor can hold; others wait for their quantizer."""
        action, sources = step.action, step.sources
        if isinstance(action, Quantizer):
            self._quantize(step, action)
        elif isinstance(action, IntegerBounds):
            tensor = self._tensor(sources[0])
            self._narrow(step, narrowed(tensor, action.low, action.high))
        elif any(source not in self.held for source in sources):
            return
        elif isinstance(action, Bounds):
            tensor = self._tensor(sources[0])
            if on_grid(tensor, action):
                self._narrow(step, narrowed(tensor, *quantized_bounds(tensor, action)))
        elif commutes(action):
            self.held[step.name] = self._pooled(step.name, step, self.held[sources[0]])
        elif isinstance(action, Concat):
            tensors = [self._tensor(source) for source in sources]
            if all(same_grid(tensor, tensors[0]) for tensor in tensors):
                low = min(tensor.minimum for tensor in tensors)
                high = max(tensor.maximum for tensor in tensors)
                joined = replace(tensors[0], minimum=low, maximum=high)
                self.held[step.name] = self._emit(step.name, step, Quantizer(joined))

    def finish(self) -> str:
        """Give the tensor that holds the output, whose sums may be left to the most bits."""
        target = self._found.target.name
        if target not in self.held:
            path = self._path(target)
            base = self._found.steps.get(path.base)
            if base is not None and isinstance(base.action, Weighted) and not path.pools:
                sums = Quantizer(path.bounded(self._widest(base, path.scalings)))
                self.held[target] = self._quantized(path, base, sums, base.name)
        last = self._source(target)
        for where, value, fill in self._found.fills:
            zero = self._tensor(value).zero_point
            if fill != zero:
                raise InputError(
                    f"{where}: pads with {fill}, which stands for no zero; the zero point is {zero}"
                )
        return last

    # Values and tensors.

    def _tensor(self, value: str) -> TensorQuantization:
        return self.tensors[self._source(value)]

    def _source(self, value: str) -> str:
        """Give the tensor that holds what a layer reads."""
        step = self._found.steps.get(value)
        if value not in self.held and step is not None and isinstance(step.action, Pool):
            self._average_in_sums(step, step.action)
        if value not in self.held:
            raise InputError(
                f"{value} is not quantized: there is no QuantizeLinear and no Quant behind it"
            )
        return self.held[value]

    def _free(self, name: str, reader: str) -> str:
        """Give a name that no layer has: a layer that is there already is never replaced."""
        found, count = name.replace("+", ""), 1
        while found in self.nodes:
            found = f"{name}_{reader}".replace("+", "") + (f"_{count}" if count > 1 else "")
            count += 1
        return found

    def _put(self, tensor: str, found: TensorQuantization, most: int = MOST_BITS) -> None:
        bits = (found.maximum - found.minimum).bit_length()  # a zero point takes one more
        if bits > most:
            raise InputError(f"{tensor} needs {bits} bits, must be {most} at most")
        self.tensors[tensor] = found
        self._alone[tensor] = True

    def _path(self, value: str) -> ReadPath:
        return path_to(value, self._found, self.held)

    # Quantizers.

    def _quantize(self, step: Step, quantizer: Quantizer) -> None:
        self.held[step.name] = self._made_of(step.sources[0], quantizer, step.name)

    def _made_of(self, value: str, quantizer: Quantizer, reader: str) -> str:
        """Give the tensor that holds a value's integers, by a quantizer that reads it."""
        path = self._path(value)
        base = self._found.steps.get(path.base)
        later = tuple(found.name for found in path.later)
        key = (path.base, tuple(map(id, path.scalings)), later, quantizer)
        if key not in self._made:
            bounded = replace(quantizer, tensor=path.bounded(quantizer.tensor))
            if path.base in self.held:
                made = self._rescaled(reader, path, bounded)
            elif base is None:
                made = self._image(path, bounded)
            else:
                made = self._quantized(path, base, bounded, reader)
            for pool in path.pools:
                made = self._pooled(f"{pool.name}_{reader}", pool, made)
            self._made[key] = made
        return self._made[key]

    def _image(self, path: ReadPath, quantizer: Quantizer) -> str:
        tensor = quantizer.tensor
        if path.scalings:
            raise InputError("reads the image times a factor; quantize the image first")
        if self.tensors.get(INPUT, tensor) != tensor or self.encoding not in (
            None,
            quantizer.rounding,
        ):
            raise InputError("quantizes the image in a second way; one is supported")
        self.tensors[INPUT], self.encoding = tensor, quantizer.rounding
        self._alone[INPUT] = path.alone
        return INPUT

    def _quantized(self, path: ReadPath, base: Step, quantizer: Quantizer, reader: str) -> str:
        """Give the tensor of a layer whose reals a quantizer reads."""
        name = self._free(base.name, reader)
        if isinstance(base.action, Offsets) and base.sources[0] not in self.held:
            raise InputError(f"{base.sources[0]} is not quantized; put a quantizer before the sum")
        if path.scalings and not isinstance(base.action, Weighted):
            raise InputError(f"reads {base.name} times a factor; put a quantizer between")
        made = self._emit(name, base, quantizer, path.scalings)
        node = self.nodes[made]
        if path.ceiling and isinstance(node.layer, Weighted | Add):
            ceiling = None if np.isinf(path.ceiling) else path.ceiling
            layer = replace(node.layer, relu=True, ceiling=ceiling)
            self.nodes[made] = replace(node, layer=layer)
        return made

    def _rescaled(self, name: str, path: ReadPath, quantizer: Quantizer) -> str:
        """Give integers of what is quantized already."""
        source, tensor = self.held[path.base], quantizer.tensor
        if not path.scalings and same_grid(self.tensors[source], tensor):
            found = self.tensors[source]
            narrow = narrowed(found, tensor.minimum, tensor.maximum)
            return self._bounded(source, narrow, name, alone=path.alone)
        return self._scaled(name, source, path.scalings, quantizer)

    def _narrow(self, step: Step, tensor: TensorQuantization) -> None:
        """Hold the integers of a value, bounded."""
        alone = self._found.readers[step.sources[0]] == 1
        source = self.held[step.sources[0]]
        self.held[step.name] = self._bounded(source, tensor, step.name, alone=alone)

    def _bounded(self, source: str, tensor: TensorQuantization, name: str, *, alone: bool) -> str:
        """Bound a tensor's integers: where they are made, if only this reads them."""
        if self.tensors[source] == tensor:
            self._alone[source] = self._alone[source] and alone
            return source
        made = self.nodes.get(source)
        if self._alone[source] and alone and not (made and isinstance(made.layer, Pool | Upsample)):
            self.tensors[source] = tensor
            return source
        return self._scaled(name, source, (), Quantizer(tensor))

    # Layers.

    def _emit(
        self, name: str, step: Step, quantizer: Quantizer, scalings: Sequence[Scaling] = ()
    ) -> str:
        """Add a layer that gives a quantizer's integers."""
        layer, sources = step.action, self._arms(step, quantizer)
        if isinstance(layer, Offsets):
            sources = (*sources, self._constants(name, sources[0], layer, quantizer.tensor))
            layer = Add()
        assert isinstance(layer, Layer)
        found, tensor = tuple(self.tensors[source] for source in sources), quantizer.tensor
        try:
            if isinstance(layer, Concat):
                arms = tuple(scale_between(source, quantizer) for source in found)
                self.joins[name] = ConcatParameters(arms)
            elif isinstance(layer, Add):
                self.joins[name] = join_parameters(
                    layer, found, tensor, rounding=quantizer.rounding
                )
            elif isinstance(layer, Weighted):
                weight, scales, bias = self._folded(step.name, scalings)
                self.parameters[name] = layer_sums(weight, scales, bias, found[0], quantizer)
                if not are_whole(bias, found[0].scale * scales):
                    self.rounded_biases.add(name)
            elif not isinstance(layer, Pool):
                raise InputError("gives reals that a quantizer reads in two ways")
            elif same_grid(found[0], tensor) and contains(tensor, found[0]):
                layer, tensor = replace(layer, rounding=quantizer.rounding), found[0]
            else:
                layer = averaging(layer, self._shape(sources[0]).channels)
                self.parameters[name] = average_sums(layer, found[0], quantizer)
        except InputError as error:
            raise InputError(f"layer {name}: {error}") from error
        self.nodes[name] = Node(name, layer, sources)
        self._put(name, tensor, MOST_CARRIED_BITS if quantizer.carries else MOST_BITS)
        return name

    def _constants(
        self, name: str, source: str, offsets: Offsets, target: TensorQuantization
    ) -> str:
        """Add layers that give constants, in their own steps or in a fraction of the target's."""
        scale = offsets.scale
        if scale is None:
            largest = float(np.abs(offsets.values).max())
            places = np.floor(np.log2(LARGEST_CONSTANT * target.scale / largest))
            scale = float(target.scale / 2.0**places)
        whole = np.rint(offsets.values / scale).astype(np.int64)
        ranges = {
            "ones": (0, 1),
            "first": (0, 1),
            "constants": (int(whole.min()), int(whole.max())),
        }
        for made in constant_map(whole, self._shape(source).channels):
            low, high = ranges[made.suffix]
            unit = scale if made.suffix == "constants" else 1.0
            tensor = TensorQuantization(unit, 0, min(low, 0), max(high, 1))
            node = Node(f"{name}_{made.suffix}", made.layer, (source,))
            source = node.name
            weight = made.weight.astype(np.int64)
            self.parameters[source] = ConvParameters(
                weight.astype(np.int16),
                made.bias.astype(np.int64),
                *quantize_multiplier(np.ones(len(weight))),
            )
            self.nodes[source] = node
            self._put(source, tensor)
        return source

    def _arms(self, step: Step, quantizer: Quantizer) -> tuple[str, ...]:
        """Give the tensors that a layer reads; reals that nothing quantizes are carried for it."""
        arms = []
        for place, source in enumerate(step.sources):
            reader = f"{step.name}_{place}"
            if source in self.held or isinstance(step.action, Offsets | Weighted):
                arms.append(self._source(source))
            elif isinstance(step.action, Concat):  # quantized first, and joined then
                arms.append(self._made_of(source, quantizer, reader))
            else:
                low, high = self._reach(source)
                bits = MOST_BITS
                if isinstance(step.action, Add):
                    other = step.sources[1 - place]
                    least, most = self._reach(other)
                    edges = [
                        edge * quantizer.tensor.scale for edge in quantizer.tensor.stream_range
                    ]
                    # Beyond these the sum is bounded, whatever the other arm is.
                    low, high = max(low, edges[0] - most), min(high, edges[1] - least)
                    bits = MOST_CARRIED_BITS
                    if other in self.held:
                        bits = carried_beside(self._tensor(other).scale, high - low)
                carried = carrier(low, high, bits, quantizer.tensor.scale)
                arms.append(self._made_of(source, carried, reader))
        return tuple(arms)

    def _reach(self, value: str) -> tuple[float, float]:
        """Give bounds of a value's reals."""
        if value in self.held:
            tensor = self.tensors[self.held[value]]
            low, high = (edge * tensor.scale for edge in tensor.stream_range)
            return low, high
        path = self._path(value)
        base = self._found.steps.get(path.base)
        if base is None or path.base in self.held:
            raise InputError(f"{value} is not quantized: there is no QuantizeLinear behind it")
        if isinstance(base.action, Weighted):
            tensor = self._widest(base, path.scalings)
            low, high = (edge * tensor.scale for edge in tensor.stream_range)
        else:
            reaches = [self._reach(source) for source in base.sources]
            lows, highs = zip(*reaches, strict=True)
            added = isinstance(base.action, Add | Offsets)
            low, high = (sum(lows), sum(highs)) if added else (min(lows), max(highs))
            if isinstance(base.action, Offsets):
                values = base.action.values
                low, high = low + float(values.min()), high + float(values.max())
        for step in path.later:
            if isinstance(step.action, Bounds):
                limits = step.action.low, step.action.high
                low, high = float(np.clip(low, *limits)), float(np.clip(high, *limits))
        return low, high

    def _folded(
        self, name: str, scalings: Sequence[Scaling]
    ) -> tuple[NDArray[np.int64], Floats, Floats]:
        """Give integer weights, their scales, and real biases of a layer."""
        if name not in self._found.integers:
            raise InputError("its weights are not quantized, though activations are")
        weight, scales = self._found.integers[name], self._found.scales[name]
        bias = self._found.biases[name]
        for scaling in scalings:
            sign = np.sign(scaling.factor).astype(np.int64)
            weight = weight * sign[:, None, None, None]
            scales = scales * np.where(sign == 0, 1.0, np.abs(scaling.factor))
            bias = bias * scaling.factor + scaling.offset
        return weight, scales, bias

    def _widest(self, step: Step, scalings: Sequence[Scaling]) -> TensorQuantization:
        """Give a range of the most bits that a layer's sums never leave."""
        source = self._tensor(step.sources[0])
        weight, scales, bias = self._folded(step.name, scalings)
        magnitude = np.abs(weight * scales[:, None, None, None])
        largest = magnitude.sum(axis=(1, 2, 3)) * source.magnitude * source.scale
        half = 1 << (MOST_BITS - 1)
        scale = float((largest + np.abs(bias)).max() / (half - 1))
        return TensorQuantization(scale or 1.0, 0, -half, half - 1)

    def _scaled(
        self, name: str, source: str, scalings: Sequence[Scaling], quantizer: Quantizer
    ) -> str:
        """Add a depthwise convolution that multiplies each channel and adds to it."""
        name = self._free(name, "again")
        found, channels = self.tensors[source], self._shape(source).channels
        factor, offset = np.ones(channels), np.zeros(channels)
        for scaling in scalings:
            factor, offset = factor * scaling.factor, offset * scaling.factor + scaling.offset
        places = FINE_BITS if offset.any() else 0
        sign = np.sign(factor).astype(np.int64).reshape(channels, 1, 1, 1) << places
        if (factor == 1).all() and not places:
            scale = scale_between(found, quantizer)
            one = ones(channels, Window((1, 1)), np.int64(scale.multiplier), np.int64(scale.shift))
            self.parameters[name] = replace(one, rounding=quantizer.rounding)
        else:
            unit = np.where(factor == 0, 1.0, np.abs(factor)) / (1 << places)
            self.parameters[name] = layer_sums(sign, unit, offset, found, quantizer)
            if not are_whole(offset, found.scale * unit):
                self.rounded_biases.add(name)
        self.nodes[name] = Node(name, Conv(channels, Window((1, 1)), channels), (source,))
        self._put(name, quantizer.tensor)
        return name

    def _shape(self, tensor: str) -> Shape:
        node = self.nodes.get(tensor)
        if node is None:
            return self._found.shape
        shapes = tuple(self._shape(source) for source in node.inputs)
        if isinstance(node.layer, Join):
            return node.layer.joined_shape(shapes)
        return node.layer.output_shape(shapes[0])

    def _pooled(self, name: str, step: Step, source: str) -> str:
        """Add a max pool of a tensor, or zeros around it."""
        key = (step.name, source)
        if key not in self._made:
            name = self._free(step.name, name)
            layer, tensor = step.action, self.tensors[source]
            if isinstance(layer, Surround):
                layer, taps = padding_conv(self._shape(source), layer.padding)
                none, one = np.zeros(len(taps)), np.ones(len(taps))
                whole = taps.astype(np.int64)
                self.parameters[name] = layer_sums(whole, one, none, tensor, Quantizer(tensor))
                tensor = replace(
                    tensor,
                    minimum=min(tensor.minimum, tensor.zero_point),
                    maximum=max(tensor.maximum, tensor.zero_point),
                )
            assert isinstance(layer, Conv | Pool | Upsample)
            self.nodes[name] = Node(name, layer, (source,))
            self._put(name, tensor)
            self._made[key] = name
        return self._made[key]

    def _average_in_sums(self, step: Step, layer: Pool) -> None:
        """Hold averages that nothing quantizes as sums, if these are narrow enough."""
        (source,) = step.sources
        before = self._found.steps.get(source)
        if source not in self.held and before is not None and isinstance(before.action, Pool):
            self._average_in_sums(before, before.action)
        if source not in self.held or layer.window.padding != UNPADDED:
            return
        found, count = self._tensor(source), int(np.prod(layer.window.kernel))
        low, high = (count * edge for edge in found.stream_range)
        tensor = TensorQuantization(found.scale / count, 0, low, high)
        if tensor.bits <= MOST_BITS:
            self.held[step.name] = self._emit(step.name, step, Quantizer(tensor))
