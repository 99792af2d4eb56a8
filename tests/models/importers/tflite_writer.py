"""Test support: int8 .tflite files of random graphs, an operator a call."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tests.models import tflite_file as file

__all__ = ["INPUT", "RELU", "RELU6", "TfliteWriter"]

INPUT = "image"
RELU, RELU6 = 1, 3


@dataclass
class TfliteWriter:
    """A graph that grows; every method but the last adds an operator and names its result.

    Operator n gives the tensor `t{n}`.
    """

    shape: tuple[int, int, int]
    seed: int
    tensors: list[file.Tensor] = field(default_factory=list)
    operators: list[file.Operator] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self._activation(INPUT, self.shape)

    def conv(
        self,
        source: str,
        outputs: int,
        kernel: tuple[int, int] = (1, 1),
        stride: tuple[int, int] = (1, 1),
        *,
        same: bool = True,
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
        fused: int = 0,
        like: str | None = None,
    ) -> str:
        """CONV_2D; `like` names a tensor whose scale the result has."""
        channels = self.shapes[source][-1] // groups
        weight = self._weights((outputs, *kernel, channels), 0, outputs)
        shape = self._extents(source, kernel, stride, same, dilation)
        return self._add(
            "CONV_2D",
            (source, *weight, self._bias(source, outputs)),
            (*shape, outputs),
            "Conv2DOptions",
            self._gain(source, kernel[0] * kernel[1] * channels),
            like,
            Padding=0 if same else 1,
            StrideH=stride[0],
            StrideW=stride[1],
            DilationHFactor=dilation[0],
            DilationWFactor=dilation[1],
            FusedActivationFunction=fused,
        )

    def depthwise(
        self,
        source: str,
        multiplier: int,
        kernel: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        *,
        same: bool = True,
        dilation: tuple[int, int] = (1, 1),
        fused: int = 0,
    ) -> str:
        """DEPTHWISE_CONV_2D."""
        outputs = self.shapes[source][-1] * multiplier
        weight = self._weights((1, *kernel, outputs), 3, outputs)
        shape = self._extents(source, kernel, stride, same, dilation)
        return self._add(
            "DEPTHWISE_CONV_2D",
            (source, *weight, self._bias(source, outputs)),
            (*shape, outputs),
            "DepthwiseConv2DOptions",
            self._gain(source, kernel[0] * kernel[1]),
            Padding=0 if same else 1,
            StrideH=stride[0],
            StrideW=stride[1],
            DepthMultiplier=multiplier,
            DilationHFactor=dilation[0],
            DilationWFactor=dilation[1],
            FusedActivationFunction=fused,
        )

    def fully_connected(
        self, source: str, outputs: int, fused: int = 0, *, bias: bool = True
    ) -> str:
        """FULLY_CONNECTED over all of `source`, with one weight scale."""
        size = int(np.prod(self.shapes[source]))
        weight = self._weights((outputs, size), 0, 1)
        return self._add(
            "FULLY_CONNECTED",
            (source, *weight, *([self._bias(source, outputs)] if bias else [])),
            (outputs,),
            "FullyConnectedOptions",
            self._gain(source, size),
            FusedActivationFunction=fused,
        )

    def pool(
        self,
        mode: str,
        source: str,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        *,
        same: bool,
    ) -> str:
        """MAX_POOL_2D or AVERAGE_POOL_2D."""
        shape = self._extents(source, kernel, stride, same, (1, 1))
        return self._add(
            "MAX_POOL_2D" if mode == "max" else "AVERAGE_POOL_2D",
            (source,),
            (*shape, self.shapes[source][-1]),
            "Pool2DOptions",
            0,
            source,
            Padding=0 if same else 1,
            StrideH=stride[0],
            StrideW=stride[1],
            FilterHeight=kernel[0],
            FilterWidth=kernel[1],
        )

    def mean(self, source: str) -> str:
        """MEAN over rows and columns."""
        axes = self._constant(np.array([1, 2], np.int32))
        shape = (1, 1, self.shapes[source][-1])
        scale = self._scale(source) * self.rng.uniform(0.3, 1.2)
        return self._add("MEAN", (source, axes), shape, "ReducerOptions", scale, KeepDims=1)

    def add(self, first: str, second: str, fused: int = 0) -> str:
        """ADD."""
        scale = np.hypot(self._scale(first), self._scale(second)) * self.rng.uniform(0.5, 2)
        return self._add(
            "ADD",
            (first, second),
            self.shapes[first],
            "AddOptions",
            scale,
            FusedActivationFunction=fused,
        )

    def concat(self, sources: list[str]) -> str:
        """CONCATENATION along channels, of tensors of one scale."""
        channels = sum(self.shapes[source][-1] for source in sources)
        shape = (*self.shapes[sources[0]][:-1], channels)
        return self._add(
            "CONCATENATION", tuple(sources), shape, "ConcatenationOptions", 0, sources[0], Axis=3
        )

    def pad(self, source: str, rows: tuple[int, int], columns: tuple[int, int]) -> str:
        """PAD."""
        amounts = self._constant(np.array([(0, 0), rows, columns, (0, 0)], np.int32))
        height, width, channels = self.shapes[source]
        shape = (height + sum(rows), width + sum(columns), channels)
        return self._add("PAD", (source, amounts), shape, "PadOptions", 0, source)

    def rescale(self, kind: str, source: str) -> str:
        """QUANTIZE, RELU or RELU6."""
        table = "QuantizeOptions" if kind == "QUANTIZE" else "ReshapeOptions"
        scale = self._scale(source) * self.rng.uniform(0.5, 2)
        return self._add(kind, (source,), self.shapes[source], table, scale)

    def flatten(self, source: str) -> str:
        """RESHAPE to one axis."""
        size = int(np.prod(self.shapes[source]))
        shape = self._constant(np.array([-1, size], np.int32))
        return self._add("RESHAPE", (source, shape), (size,), "ReshapeOptions", 0, source)

    def softmax(self, source: str) -> str:
        """SOFTMAX, whose scale is the kernel's own."""
        name = f"t{len(self.operators)}"
        self.tensors.append(
            file.Tensor(name, (1, *self.shapes[source]), np.array([1 / 256], np.float32), -128)
        )
        self.shapes[name] = self.shapes[source]
        self.operators.append(
            file.operator("SOFTMAX", (source,), name, "SoftmaxOptions", Beta=1.0)  # type: ignore[arg-type]
        )
        return name

    def written(self, output: str | None = None) -> bytes:
        """Give the file's bytes, with the last operator's result, or `output`, as its output."""
        output = output or self.operators[-1].output
        return file.tflite_file(self.tensors, self.operators, INPUT, output)

    def _add(
        self,
        kind: str,
        inputs: tuple[str, ...],
        shape: tuple[int, ...],
        table: str,
        scale: float,
        like: str | None = None,
        **options: int,
    ) -> str:
        name = f"t{len(self.operators)}"
        self._activation(name, shape, scale, like)
        self.operators.append(file.operator(kind, inputs, name, table, **options))
        return name

    def _activation(
        self, name: str, shape: tuple[int, ...], scale: float = 0.05, like: str | None = None
    ) -> None:
        zero_point = int(self.rng.integers(-128, 128))
        scales = np.array([scale], np.float32)
        if like is not None:
            tensor = self._tensor(like)
            scales, zero_point = tensor.scales, tensor.zero_point
        self.tensors.append(file.Tensor(name, (1, *shape), scales, zero_point))
        self.shapes[name] = shape

    def _tensor(self, name: str) -> file.Tensor:
        return next(tensor for tensor in self.tensors if tensor.name == name)

    def _scale(self, name: str) -> float:
        return float(self._tensor(name).scales[0])

    def _gain(self, source: str, terms: int) -> float:
        """Scale of a sum's result that its values fill, more or less."""
        weight = self._tensor(f"w{len(self.operators)}")
        spread = 60 * self._scale(source) * float(weight.scales.max()) * np.sqrt(terms)
        return float(spread * self.rng.uniform(0.3, 3))

    def _weights(self, shape: tuple[int, ...], axis: int, scales: int) -> tuple[str]:
        name = f"w{len(self.operators)}"
        data = self.rng.integers(-127, 128, shape).astype(np.int8)
        found = (10 ** self.rng.uniform(-3, -1, scales)).astype(np.float32)
        self.tensors.append(file.Tensor(name, shape, found, data=data, channel_axis=axis))
        return (name,)

    def _bias(self, source: str, outputs: int) -> str:
        name = f"b{len(self.operators)}"
        scales = self._tensor(f"w{len(self.operators)}").scales * np.float32(self._scale(source))
        data = self.rng.integers(-4000, 4001, outputs).astype(np.int32)
        self.tensors.append(file.Tensor(name, (outputs,), scales, data=data))
        return name

    def _constant(self, data: NDArray[np.integer]) -> str:
        name = f"c{len(self.operators)}"
        self.tensors.append(file.Tensor(name, data.shape, np.zeros(0, np.float32), data=data))
        return name

    def _extents(
        self,
        source: str,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        same: bool,
        dilation: tuple[int, int],
    ) -> tuple[int, int]:
        sizes = []
        for size, extent, step, spread in zip(
            self.shapes[source][:2], kernel, stride, dilation, strict=True
        ):
            reach = (extent - 1) * spread + 1
            sizes.append(-(-size // step) if same else (size - reach) // step + 1)
        return (sizes[0], sizes[1])
