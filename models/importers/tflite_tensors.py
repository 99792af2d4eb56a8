"""Tensors, activations and paddings of a .tflite file, as the graph has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.importers.tflite_file import TensorInfo
from pilaster.models.importers.values import around
from pilaster.models.quantization import TensorQuantization
from pilaster.models.shape import Padding, Shape, same_padding

__all__ = [
    "LOW",
    "activated",
    "activation",
    "described",
    "edge_quantization",
    "elements",
    "integers",
    "quantization",
    "weights_of",
    "window_padding",
]

LOW, HIGH = -128, 127

SAME = 0
"""Padding SAME in the schema; VALID is the other."""

ACTIVATIONS: Mapping[int, tuple[bool, float | None]] = {
    0: (False, None),
    1: (True, None),
    3: (True, 6.0),
}
"""ReLU and its ceiling, by the schema's fused activation: NONE, RELU, RELU6."""


def elements(info: TensorInfo) -> int:
    """Values of a tensor, those of one image where the number of images is dynamic."""
    return int(np.prod([abs(size) for size in info.shape], dtype=np.int64))


def integers(info: TensorInfo) -> list[int]:
    """Give the values of a constant of whole numbers, such as axes."""
    if info.dtype not in ("INT32", "INT64") or info.data is None:
        raise InputError(f"needs constant whole numbers, has {described(info)}")
    found: list[int] = info.data.ravel().tolist()
    return found


def described(info: TensorInfo) -> str:
    """Say in an error what a tensor is."""
    constant = "computed" if info.data is None else "constant"
    return f"{constant} {info.dtype} of the shape {info.shape} ({info.name})"


def quantization(info: TensorInfo) -> TensorQuantization:
    """Give the quantization of an int8 activation."""
    if info.dtype != "INT8":
        raise InputError(
            f"tensor {info.name} is {info.dtype}, must be INT8; quantize the model to int8 before "
            f"it is exported, or give a float model as .onnx"
        )
    if len(info.scales) != 1 or len(info.zero_points) != 1:
        raise InputError(f"tensor {info.name}: needs one scale and one zero point")
    zero = int(info.zero_points[0])
    if not LOW <= zero <= HIGH:
        raise InputError(f"tensor {info.name}: the zero point {zero} must lie in [{LOW}, {HIGH}]")
    return TensorQuantization(float(info.scales[0]), zero, LOW, HIGH)


def edge_quantization(info: TensorInfo) -> TensorQuantization:
    """Give the quantization of an int8 activation, or of one that the file has as uint8.

    The integers of uint8, less 128, are int8.
    """
    if info.dtype != "UINT8":
        return quantization(info)
    if len(info.zero_points) != 1:
        raise InputError(f"tensor {info.name}: needs one scale and one zero point")
    return quantization(replace(info, dtype="INT8", zero_points=info.zero_points + LOW))


def activation(fused: int) -> tuple[bool, float | None]:
    """Give ReLU and ceiling of a fused activation."""
    if fused not in ACTIVATIONS:
        raise InputError(f"fused activation {fused}: only NONE, RELU and RELU6 are supported")
    return ACTIVATIONS[fused]


def activated(tensor: TensorQuantization, fused: int) -> TensorQuantization:
    """Bound a tensor by an activation; its edges are computed in single precision."""
    relu, ceiling = activation(fused)
    if not relu:
        return tensor
    maximum = tensor.maximum
    if ceiling is not None:
        with np.errstate(over="ignore"):  # an edge beyond all reals is beyond the maximum
            edge = float(np.float32(ceiling) / np.float32(tensor.scale))
        maximum = int(min(maximum, tensor.zero_point + np.floor(edge + 0.5)))
    return replace(tensor, minimum=tensor.zero_point, maximum=maximum)


def weights_of(info: TensorInfo, axes: int) -> NDArray[np.int8]:
    """Give symmetric constant weights."""
    if info.dtype != "INT8" or info.data is None or len(info.shape) != axes:
        raise InputError(f"needs constant weights of INT8 and {axes} axes, has {described(info)}")
    if info.data.size != elements(info) or min(info.shape) < 1:
        raise InputError(f"weights {info.name} have {info.data.size} values for {info.shape}")
    if info.zero_points.any():
        raise InputError(f"weights {info.name} have a zero point, must be symmetric")
    return info.data.reshape(info.shape).astype(np.int8, copy=False)


def window_padding(
    mode: int, shape: Shape, kernel: tuple[int, ...], stride: tuple[int, int], extra: Padding
) -> Padding:
    """Padding of a window over `shape`, which has `extra` in it already."""
    return around(extra, same_padding(shape, kernel, stride)) if mode == SAME else extra
