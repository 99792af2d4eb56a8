"""Networks from .onnx files: float ones quantized here, quantized ones in their own integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.assumed_ranges import assumed_ranges
from pilaster.models.calibration import all_alike
from pilaster.models.importers.hints import hint
from pilaster.models.importers.layout import CHANNELS_FIRST, readings
from pilaster.models.importers.onnx_attributes import check_node
from pilaster.models.importers.onnx_elementwise import ELEMENTWISE
from pilaster.models.importers.onnx_file import OnnxModel, OnnxNode, read_onnx
from pilaster.models.importers.onnx_floats import FloatLowering, float_network
from pilaster.models.importers.onnx_fold import FOLDED, fold
from pilaster.models.importers.onnx_graph import OnnxGraph
from pilaster.models.importers.onnx_integers import IntegerLowering, integer_network
from pilaster.models.importers.onnx_operators import OPERATORS
from pilaster.models.importers.onnx_qonnx import QONNX
from pilaster.models.importers.onnx_quantized import QUANTIZERS
from pilaster.models.importers.onnx_resize import RESIZES
from pilaster.models.importers.onnx_shapes import SHAPES
from pilaster.models.importers.steps import Quantizer
from pilaster.models.importers.values import Value
from pilaster.models.network import ByteScale, Network
from pilaster.models.quantizer import FloatNetwork, QuantizerSettings, quantize, quantize_to
from pilaster.models.requantizer import requantized
from pilaster.models.shape import Shape

__all__ = ["SUPPORTED", "build", "import_onnx", "trace_onnx"]

HANDLERS = {**OPERATORS, **RESIZES, **SHAPES, **ELEMENTWISE, **QUANTIZERS, **QONNX}

SUPPORTED = tuple(sorted(HANDLERS))
"""Operators that the importer takes."""


RENAMES = ("Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that may make channels first of an input that has them elsewhere, or has none."""


def import_onnx(
    path: Path,
    calibration: NDArray[np.generic] | None = None,
    settings: QuantizerSettings | None = None,
) -> Network:
    """Import an .onnx file.

    A layer has its node's name. A float network is quantized on calibration images, without which
    its ranges are assumed, and only its shapes, times and costs are known; one with
    QuantizeLinear and DequantizeLinear, with QLinear operators or with those of QONNX keeps its
    integers, and its sums are rounded once, halves up. A last layer whose sums the file does not
    quantize gives them in 16 bits. Softmax and argmax at the end are left to the host, and the
    network's note says so.

    Parameters
    ----------
    calibration : images (N, H, W, C), bytes for 0.0 to 1.0 or reals
    settings : widths to quantize to, also what is quantized already; by default 8 bits for a float
        network, and what the file has for any other

    Raises
    ------
    InputError
        If the file cannot be read, has what is not supported, or calibration images do not fit:
        the message names the file and the operator.
    """
    found = build(path)
    try:
        host = "".join(f"; {name} left to the host" for name in found.host)
        if found.quantized:
            if settings is None and calibration is not None:
                raise InputError("is quantized already; leave the calibration images out")
            with np.errstate(over="ignore", invalid="ignore"):
                network = integer_network(found, path.stem, f"weights of {path.name}{host}").network
            return network if settings is None else requantized(network, calibration, settings)
        with np.errstate(over="ignore", invalid="ignore"):
            floats = float_network(found, path.stem).network
        return _quantized(floats, calibration, settings or QuantizerSettings(), found, path, host)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def trace_onnx(path: Path) -> tuple[Network | FloatNetwork, Mapping[str, Value]]:
    """Import a file with its numbers as they are, and give what its tensors are in the graph.

    Returns
    -------
    tuple
        Integers where the file has these, else reals; and values by tensor, in the file's order,
        whole where they are integers of the file or what a quantizer gives
    """
    found = build(path)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            if found.quantized:
                lowering: IntegerLowering | FloatLowering = integer_network(
                    found, path.stem, f"weights of {path.name}"
                )
            else:
                lowering = float_network(found, path.stem)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    rounded = lowering.rounded_biases if isinstance(lowering, IntegerLowering) else frozenset()
    values = {}
    for tensor, value in found.values.items():
        if value.name in lowering.held:
            step = found.steps.get(value.name)
            whole = value.whole or (step is not None and isinstance(step.action, Quantizer))
            name = lowering.held[value.name]
            values[tensor] = replace(value, name=name, whole=whole, rounded_bias=name in rounded)
    return lowering.network, values


def build(path: Path) -> OnnxGraph:
    """Read a file and go through its operators.

    Raises
    ------
    InputError
        As `import_onnx` does.
    """
    model = read_onnx(path)
    try:
        found = readings(CHANNELS_FIRST, len(model.shape))
        if not any(node.kind in RENAMES for node in model.nodes):
            found = found[:1]
        _check_shape(model, readings=len(found))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    failures = []
    for axes in found:
        graph = OnnxGraph(model, axes)
        for place, node in enumerate(model.nodes):
            try:
                _apply(graph, node)
            except InputError as error:
                failures.append((place, error))
                break
        else:
            graph.finish()
            return graph
    _, furthest = max(failures, key=lambda failure: failure[0])
    raise InputError(f"{path}: {furthest}") from furthest


def _apply(graph: OnnxGraph, node: OnnxNode) -> None:
    """Go through an operator."""
    where = f"node {node.name} ({node.kind})"
    handler = HANDLERS.get(node.kind)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused
            if fold(graph, node):
                return
            if handler is None:
                of_constants = " but of constants" if node.kind in FOLDED else ""
                known = ", ".join(SUPPORTED)
                raise InputError(
                    f"is not supported{of_constants}; supported are {known}{hint(node.kind)}"
                )
            check_node(node)
            handler(graph, node)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
        raise InputError(f"{where}: has inputs or attributes of the wrong kind") from error


def _check_shape(model: OnnxModel, *, readings: int) -> None:
    """Check that the input has columns; the number of images may be open."""
    if not readings:
        raise InputError(
            f"input {model.source} has the shape {model.shape} and no columns; it must be "
            f"(images, channels, rows, columns) or (images, channels, columns)"
        )
    if any(size < 1 for size in model.shape[1:]):
        raise InputError(
            f"input {model.source} has a dynamic shape, {model.shape}; export it with fixed sizes"
        )


def _quantized(
    floats: FloatNetwork,
    calibration: NDArray[np.generic] | None,
    settings: QuantizerSettings,
    found: OnnxGraph,
    path: Path,
    host: str,
) -> Network:
    """Quantize a float network on images, or with assumed ranges where there are none."""
    byte_scale = ByteScale()
    if np.issubdtype(found.model.dtype, np.integer):
        byte_scale = ByteScale(1.0, float(np.iinfo(found.model.dtype).min))
    note = f"weights of {path.name}"
    with np.errstate(over="ignore", invalid="ignore"):
        if calibration is None:
            note += (
                ", not calibrated: ranges of activations are assumed; shapes, times and costs are "
                "real, values are not"
            )
            ranges = assumed_ranges(floats)
            made = quantize_to(floats, ranges, settings, f"{note}{host}")
            return replace(made, byte_scale=byte_scale, uncalibrated=str(path))
        images = _reals(calibration, found.shape, byte_scale)
        note += f", quantized on {len(images)} images{host}"
        if warning := all_alike(calibration, byte_scale):
            note += f"; {warning}"
        return replace(quantize(floats, images, settings, note), byte_scale=byte_scale)


def _reals(images: NDArray[np.generic], shape: Shape, byte_scale: ByteScale) -> NDArray[np.float64]:
    if images.ndim != 4 or images.shape[1:] != (shape.height, shape.width, shape.channels):
        raise InputError(
            f"the calibration images have the shape {images.shape}, "
            f"must be (N, {shape.height}, {shape.width}, {shape.channels})"
        )
    if len(images) == 0:
        raise InputError("there are no calibration images; give at least one")
    real = images.astype(np.float64)
    if not np.isfinite(real).all():
        raise InputError("the calibration images hold values that are not finite")
    return real * byte_scale.scale + byte_scale.offset if images.dtype == np.uint8 else real
