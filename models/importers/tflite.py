"""Networks from int8 .tflite files: the integers of LiteRT's reference kernels, exactly.

Source: the TensorFlow Lite 8-bit quantization specification, and how LiteRT 2 prepares its kernels.
Scales in a file are single precision; LiteRT computes with them in double.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pilaster.models.errors import InputError
from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.importers.tflite_file import Operator, TensorInfo, read_tflite
from pilaster.models.importers.tflite_tensors import (
    LOW,
    activated,
    activation,
    described,
    elements,
    input_shape,
    integers,
    quantization,
    weights_of,
    window_padding,
)
from pilaster.models.importers.values import UNPADDED, Value, dilated, ones, padded, precision
from pilaster.models.joins import JoinParameters, join_parameters
from pilaster.models.layers import Add, Concat, Conv, FullyConnected, Layer, Pool, Window
from pilaster.models.network import ByteScale, Network
from pilaster.models.quantization import (
    ConvParameters,
    Rounding,
    TensorQuantization,
    quantize_multiplier,
)
from pilaster.models.shape import Padding, Shape
from pilaster.models.single_rounding import multiplier_rounded_once

__all__ = ["SUPPORTED", "import_tflite"]


def import_tflite(path: Path) -> Network:
    """Import a .tflite file whose tensors are int8.

    A layer is called by its kind and its place among the operators, such as `conv_0`. Softmax
    and argmax at the end are left to the host, and the network's note says so.

    Raises
    ------
    InputError
        If the file cannot be read, or has what is not supported: the message names the file and the
        operator.
    """
    importer = _Importer(path)
    return importer.network()


class _Importer:
    """The graph as far as it is built."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._model = read_tflite(path)
        self._values: dict[int, Value] = {}
        self._nodes: list[Node] = []
        self._shapes: dict[str, Shape] = {}
        self._tensors: dict[str, TensorQuantization] = {}
        self._parameters: dict[str, ConvParameters] = {}
        self._joins: dict[str, JoinParameters] = {}

    def network(self) -> Network:
        """Import all operators."""
        model = self._model
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            raise InputError(
                f"{self._path}: has {len(model.inputs)} inputs and {len(model.outputs)} outputs, "
                f"must have one of each"
            )
        source, target = model.inputs[0], model.outputs[0]
        if min(source, target) < 0:
            raise InputError(f"{self._path}: has no input or no output")
        self._values[source] = Value(INPUT)
        for operator in model.operators:
            where = f"{self._path}: operator {operator.index} {operator.kind}"
            handler = _HANDLERS.get(operator.kind)
            if handler is None:
                raise InputError(f"{where}: is not supported; supported are {', '.join(SUPPORTED)}")
            try:
                handler(self, operator)
            except InputError as error:
                raise InputError(f"{where}: {error}") from error
        return self._finished(target)

    def _finished(self, target: int) -> Network:
        if target not in self._values or not self._nodes:
            raise InputError(f"{self._path}: no layer leads from the input to the output")
        last = self._values[target]
        if last.padding != UNPADDED:
            raise InputError(f"{self._path}: ends with a PAD, must end with a layer")
        try:
            graph = Graph(self._path.stem, self._shapes[INPUT], tuple(self._nodes))
        except InputError as error:
            raise InputError(f"{self._path}: {error}") from error
        if graph.outputs[0] != last.name:
            raise InputError(f"{self._path}: layer {graph.outputs[0]} does not lead to the output")
        first = self._tensors[INPUT]
        precisions = {name: precision(found) for name, found in self._parameters.items()}
        note = f"weights of {self._path.name}"
        if last.host:
            note += f"; {' and '.join(last.host)} left to the host"
        return Network(
            graph,
            self._tensors,
            self._parameters,
            precisions,
            False,
            note,
            self._joins,
            ByteScale(first.scale, first.scale * (LOW - first.zero_point)),
        )

    # Tensors.

    def _info(self, operator: Operator, index: int) -> TensorInfo:
        """Give the tensor that an operator reads in its place `index`."""
        if index >= len(operator.inputs) or operator.inputs[index] < 0:
            raise InputError(f"has no input {index}")
        return self._model.tensors[operator.inputs[index]]

    def _result(self, operator: Operator) -> TensorInfo:
        if len(operator.outputs) != 1 or operator.outputs[0] < 0:
            raise InputError(f"has {len(operator.outputs)} outputs, must have one")
        return self._model.tensors[operator.outputs[0]]

    def _value(self, operator: Operator, index: int = 0) -> Value:
        """Give what an operator reads, computed by an earlier one."""
        info = self._info(operator, index)
        value = self._values.get(operator.inputs[index])
        if value is None:
            what = "a constant" if info.data is not None else "what no operator before it gives"
            raise InputError(f"reads {what} ({info.name})")
        if value.name == INPUT and INPUT not in self._shapes:
            self._start(operator.inputs[index])
        if value.host:
            raise InputError(f"reads the result of {value.host[-1]}, which is left to the host")
        return value

    def _map(self, operator: Operator, index: int = 0) -> tuple[str, Shape]:
        """Give name and shape of a map that an operator reads, with no padding around it."""
        value = self._value(operator, index)
        if value.padding != UNPADDED:
            raise InputError("reads the result of a PAD; only convolutions may")
        return value.name, self._unflattened(value)

    def _unflattened(self, value: Value) -> Shape:
        shape = self._shapes[value.name]
        if value.flat and (shape.height, shape.width) != (1, 1):
            raise InputError(f"reads a flattened map of {shape}; only FULLY_CONNECTED may")
        return shape

    def _start(self, index: int) -> None:
        """Take a tensor of the file as the graph's input."""
        if INPUT in self._shapes:
            return
        info = self._model.tensors[index]
        self._shapes[INPUT] = input_shape(info)
        self._tensors[INPUT] = quantization(info)

    def _add(
        self, operator: Operator, kind: str, layer: Layer, sources: tuple[str, ...], fused: int
    ) -> str:
        """Add a layer whose output is the operator's."""
        info = self._result(operator)
        name = f"{kind}_{operator.index}"
        if isinstance(layer, Add | Concat):
            shape = layer.joined_shape(tuple(self._shapes[source] for source in sources))
        else:
            shape = layer.output_shape(self._shapes[sources[0]])
        stated = [size for size in info.shape[1:] if size != 1]
        if stated != [size for size in (shape.height, shape.width, shape.channels) if size != 1]:
            raise InputError(f"gives the shape {info.shape} by the file, and {shape} by its inputs")
        self._nodes.append(Node(name, layer, sources))
        self._shapes[name] = shape
        self._tensors[name] = activated(quantization(info), fused)
        self._values[operator.outputs[0]] = Value(name)
        return name

    def _set(self, name: str, parameters: ConvParameters) -> None:
        """Give a layer its integers."""
        source = self._tensors[next(n for n in self._nodes if n.name == name).inputs[0]]
        if parameters.accumulator_bound(source.magnitude) >= 1 << 31:
            raise InputError("sums may need more than 32 bits")
        self._parameters[name] = parameters

    # Operators.

    def conv(self, operator: Operator) -> None:
        """CONV_2D: weights (out, rows, columns, in / groups)."""
        weight = weights_of(self._info(operator, 1), 4)
        shape = self._unflattened(self._value(operator))
        groups, rest = divmod(shape.channels, weight.shape[3])
        if rest:
            raise InputError(
                f"weights for {weight.shape[3]} channels do not divide {shape.channels}"
            )
        self._convolution(operator, "conv", weight, 0, groups)

    def depthwise(self, operator: Operator) -> None:
        """DEPTHWISE_CONV_2D: weights (1, rows, columns, out)."""
        weight = weights_of(self._info(operator, 1), 4)
        shape = self._unflattened(self._value(operator))
        if weight.shape[0] != 1 or weight.shape[3] % shape.channels:
            raise InputError(f"weights {weight.shape} do not fit {shape.channels} channels")
        weight = weight.transpose(3, 1, 2, 0)
        self._convolution(operator, "depthwise", weight, 3, shape.channels)

    def _convolution(
        self, operator: Operator, kind: str, weight: NDArray[np.integer], axis: int, groups: int
    ) -> None:
        value, options = self._value(operator), operator.options
        relu, ceiling = activation(options["FusedActivationFunction"])
        dilation = (options["DilationHFactor"], options["DilationWFactor"])
        shape = padded(self._shapes[value.name], value.padding)
        extents = tuple(
            (size - 1) * step + 1 for size, step in zip(weight.shape[1:3], dilation, strict=True)
        )
        stride = (options["StrideH"], options["StrideW"])
        padding = window_padding(options["Padding"], shape, extents, stride, value.padding)
        window = Window(extents, stride, padding)
        layer = Conv(weight.shape[0], window, groups, relu, ceiling)
        layer.output_shape(self._shapes[value.name])  # before a large kernel is written out
        fused = options["FusedActivationFunction"]
        name = self._add(operator, kind, layer, (value.name,), fused)
        real = self._real(operator, name, self._scales(operator, axis, len(weight)))
        bias = self._bias(operator, len(weight))
        spread = weight if dilation == (1, 1) else dilated(weight, dilation)
        self._set(name, ConvParameters(spread, bias, *quantize_multiplier(real)))

    def fully_connected(self, operator: Operator) -> None:
        """FULLY_CONNECTED: weights (out, in), rounded once, in double precision."""
        weight = weights_of(self._info(operator, 1), 2)
        if operator.options["WeightsFormat"]:
            raise InputError("has shuffled weights, must have them in the default format")
        value = self._value(operator)
        shape = self._shapes[value.name]
        if value.padding != UNPADDED or weight.shape[1] != shape.size:
            raise InputError(
                f"weights for {weight.shape[1]} inputs do not fit the map {shape}; it must be "
                f"a layer over the whole map"
            )
        relu, ceiling = activation(operator.options["FusedActivationFunction"])
        layer = FullyConnected(len(weight), relu, ceiling)
        fused = operator.options["FusedActivationFunction"]
        name = self._add(operator, "fc", layer, (value.name,), fused)
        real = self._real(operator, name, self._scales(operator, 0, len(weight)))
        bias = self._bias(operator, len(weight))
        found = ConvParameters(
            weight.reshape(layer.weight_shape(shape)), bias, *quantize_multiplier(real)
        )
        bounds = found.accumulator_bounds(self._tensors[value.name].magnitude)
        limits = self._tensors[name].stream_range
        multiplier, shift = multiplier_rounded_once(real, limits, bounds)
        self._set(name, replace(found, multiplier=multiplier, shift=shift, rounding=Rounding.ONCE))

    def _scales(self, operator: Operator, axis: int, outputs: int) -> NDArray[np.float64]:
        """Scale of the weights of each output channel."""
        info = self._info(operator, 1)
        scales = info.scales.astype(np.float64)
        if len(scales) not in (1, outputs) or (len(scales) > 1 and info.axis != axis):
            raise InputError(f"has {len(scales)} weight scales for {outputs} output channels")
        if not ((scales > 0) & np.isfinite(scales)).all():
            raise InputError("has a weight scale that is not positive")
        return np.broadcast_to(scales, (outputs,))

    def _real(
        self, operator: Operator, name: str, scales: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Real multipliers of a layer's sums."""
        source = self._tensors[self._values[operator.inputs[0]].name]
        real: NDArray[np.float64] = source.scale * scales / self._tensors[name].scale
        return real

    def _bias(self, operator: Operator, outputs: int) -> NDArray[np.int64]:
        if len(operator.inputs) < 3 or operator.inputs[2] < 0:
            return np.zeros(outputs, np.int64)
        info = self._info(operator, 2)
        if info.dtype != "INT32" or info.data is None or info.data.shape != (outputs,):
            raise InputError(f"needs {outputs} constant biases of INT32, has {described(info)}")
        return info.data.astype(np.int64)

    def pool(self, operator: Operator) -> None:
        """MAX_POOL_2D and AVERAGE_POOL_2D."""
        name, shape = self._map(operator)
        options = operator.options
        kernel = (options["FilterHeight"], options["FilterWidth"])
        stride = (options["StrideH"], options["StrideW"])
        padding = window_padding(options["Padding"], shape, kernel, stride, UNPADDED)
        mode = "max" if operator.kind == "MAX_POOL_2D" else "average"
        fused = options["FusedActivationFunction"]
        activation(fused)
        layer = Pool(mode, Window(kernel, stride, padding))  # type: ignore[arg-type]
        pooled = self._add(operator, f"{mode}_pool", layer, (name,), fused)
        self._check_equal(name, pooled)
        source, target = self._tensors[name], self._tensors[pooled]
        if target.minimum > source.minimum or target.maximum < source.maximum:
            raise InputError("has a fused activation; only one that changes nothing is supported")
        self._tensors[pooled] = source

    def _check_equal(self, source: str, target: str) -> None:
        first, second = self._tensors[source], self._tensors[target]
        if (first.scale, first.zero_point) != (second.scale, second.zero_point):
            raise InputError("has another scale or zero point at its output than at its input")

    def mean(self, operator: Operator) -> None:
        """MEAN over rows and columns: a depthwise convolution whose weights are ones."""
        name, shape = self._map(operator)
        axes = integers(self._info(operator, 1))
        if len(self._info(operator, 0).shape) != 4 or sorted(a % 4 for a in axes) != [1, 2]:
            raise InputError("must be over rows and columns")
        count = shape.height * shape.width
        window = Window((shape.height, shape.width))
        mean = self._add(operator, "mean", Conv(shape.channels, window, shape.channels), (name,), 0)
        real = np.array([self._tensors[name].scale / self._tensors[mean].scale])
        # LiteRT takes the division into the multiplier: tflite::reference_ops::QuantizedMeanOrSum.
        multiplier, shift = quantize_multiplier(real)
        places = min(count.bit_length() - 1, 32, 31 + int(shift[0]))
        multiplier, shift = (multiplier << places) // count, shift - places
        self._set(mean, ones(shape.channels, window, multiplier, shift))

    def rescale(self, operator: Operator) -> None:
        """QUANTIZE, RELU and RELU6 of int8: a depthwise convolution by one. QUANTIZE may begin."""
        info = self._info(operator, 0)
        first = operator.kind == "QUANTIZE" and operator.inputs[0] == self._model.inputs[0]
        if first and info.dtype != "INT8":
            self._quantized_input(operator, info)
            return
        name, shape = self._map(operator)
        fused = {"QUANTIZE": 0, "RELU": 1, "RELU6": 3}[operator.kind]
        relu, ceiling = activation(fused)
        window = Window((1, 1))
        layer = Conv(shape.channels, window, shape.channels, relu, ceiling)
        scaled = self._add(operator, operator.kind.lower(), layer, (name,), fused)
        real = np.array([self._tensors[name].scale / self._tensors[scaled].scale])
        self._set(scaled, ones(shape.channels, window, *quantize_multiplier(real)))

    def _quantized_input(self, operator: Operator, info: TensorInfo) -> None:
        """Take the result of a QUANTIZE of the file's input as the graph's input."""
        target = quantization(self._result(operator))
        if info.dtype == "UINT8":
            scale, zero = info.scales.tolist(), info.zero_points.tolist()
            if scale != [target.scale] or zero != [target.zero_point - LOW]:
                raise InputError("changes the scale of its UINT8 input")
        elif info.dtype != "FLOAT32":
            raise InputError(f"reads {info.dtype}, must read FLOAT32, UINT8 or INT8")
        if INPUT in self._shapes:
            raise InputError("is not the only operator that reads the input")
        self._start(operator.outputs[0])
        self._values[operator.outputs[0]] = Value(INPUT)
        del self._values[operator.inputs[0]]

    def pad(self, operator: Operator) -> None:
        """PAD: zeros around a map, for the convolution that reads it."""
        name, _ = self._map(operator)
        amounts = integers(self._info(operator, 1))
        if len(amounts) != 8:
            raise InputError("needs paddings for four axes")
        pairs = [amounts[i : i + 2] for i in range(0, 8, 2)]
        if pairs[0] != [0, 0] or pairs[3] != [0, 0]:
            raise InputError(f"must pad rows and columns only, not {pairs}")
        target = quantization(self._result(operator))
        source = self._tensors[name]
        if (target.scale, target.zero_point) != (source.scale, source.zero_point):
            raise InputError("changes the scale")
        padding = Padding(*pairs[1], *pairs[2])
        self._values[operator.outputs[0]] = Value(name, padding=padding)

    def add(self, operator: Operator) -> None:
        """ADD of two maps."""
        if len(operator.inputs) != 2:
            raise InputError(f"has {len(operator.inputs)} inputs, must have two")
        names = tuple(self._map(operator, index)[0] for index in range(2))
        fused = operator.options["FusedActivationFunction"]
        self._join(operator, Add(*activation(fused)), "add", names, fused)

    def concat(self, operator: Operator) -> None:
        """CONCATENATION along channels, of inputs of one scale."""
        rank = len(self._result(operator).shape)
        if not rank or operator.options["Axis"] not in (-1, rank - 1):
            raise InputError(f"is along axis {operator.options['Axis']}, must be along channels")
        fused = operator.options["FusedActivationFunction"]
        if fused:
            raise InputError("has a fused activation")
        maps = [self._map(operator, index) for index in range(len(operator.inputs))]
        names = tuple(name for name, _ in maps)
        name = self._join(operator, Concat(), "concat", names, fused)
        for source in names:
            self._check_equal(source, name)

    def _join(
        self, operator: Operator, layer: Add | Concat, kind: str, names: tuple[str, ...], fused: int
    ) -> str:
        name = self._add(operator, kind, layer, names, fused)
        sources = tuple(self._tensors[source] for source in names)
        self._joins[name] = join_parameters(layer, sources, self._tensors[name])
        return name

    def reshape(self, operator: Operator) -> None:
        """RESHAPE, SQUEEZE and EXPAND_DIMS, where they flatten or move no value."""
        info, target = self._info(operator, 0), self._result(operator)
        if operator.inputs[0] == self._model.inputs[0] and INPUT not in self._shapes:
            if elements(info) != elements(target):
                raise InputError(f"does not keep the size: {info.shape} to {target.shape}")
            self._start(operator.outputs[0])
            self._values[operator.outputs[0]] = Value(INPUT)
            return
        name, shape = self._map_or_flat(operator)
        sizes = [size for size in target.shape[1:] if size != 1]
        kept = [size for size in (shape.height, shape.width, shape.channels) if size != 1]
        if target.shape[1:] == (shape.height, shape.width, shape.channels) or (
            len(target.shape) < 4 and sizes == kept and len(kept) <= 1
        ):
            flat = False
        elif sizes == [shape.size] and target.shape[-1] == shape.size:
            flat = True
        else:
            raise InputError(f"turns {shape} into {target.shape}; only flattening is supported")
        if (target.scales.tolist(), target.zero_points.tolist()) != (
            info.scales.tolist(),
            info.zero_points.tolist(),
        ):
            raise InputError("changes the scale")
        self._values[operator.outputs[0]] = Value(name, flat)

    def _map_or_flat(self, operator: Operator) -> tuple[str, Shape]:
        value = self._value(operator)
        if value.padding != UNPADDED:
            raise InputError("reads the result of a PAD; only convolutions may")
        return value.name, self._shapes[value.name]

    def host(self, operator: Operator) -> None:
        """SOFTMAX, ARG_MAX and DEQUANTIZE at the end: left to the host."""
        index = operator.inputs[0] if operator.inputs else -1
        value = self._values.get(index)
        if value is None:
            raise InputError("reads what no operator before it gives")
        self._result(operator)
        names = {"SOFTMAX": "softmax", "ARG_MAX": "argmax", "DEQUANTIZE": "dequantisation"}
        host = (*value.host, names[operator.kind])
        self._values[operator.outputs[0]] = replace(value, host=host)


_HANDLERS: Mapping[str, Callable[[_Importer, Operator], None]] = {
    "ADD": _Importer.add,
    "ARG_MAX": _Importer.host,
    "AVERAGE_POOL_2D": _Importer.pool,
    "CONCATENATION": _Importer.concat,
    "CONV_2D": _Importer.conv,
    "DEPTHWISE_CONV_2D": _Importer.depthwise,
    "DEQUANTIZE": _Importer.host,
    "EXPAND_DIMS": _Importer.reshape,
    "FULLY_CONNECTED": _Importer.fully_connected,
    "MAX_POOL_2D": _Importer.pool,
    "MEAN": _Importer.mean,
    "PAD": _Importer.pad,
    "QUANTIZE": _Importer.rescale,
    "RELU": _Importer.rescale,
    "RELU6": _Importer.rescale,
    "RESHAPE": _Importer.reshape,
    "SOFTMAX": _Importer.host,
    "SQUEEZE": _Importer.reshape,
}

SUPPORTED = tuple(_HANDLERS)
"""Operators that the importer takes."""
