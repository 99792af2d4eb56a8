"""Resize and Upsample of .onnx files, where each row and column is taken a whole number of times.

Source: the ONNX operator specification of Resize, https://onnx.ai/onnx/operators/onnx__Resize.html.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

from pilaster.base.errors import InputError
from pilaster.models.importers.layout import Layout
from pilaster.models.importers.onnx_file import OnnxNode
from pilaster.models.importers.onnx_graph import OnnxGraph
from pilaster.models.importers.onnx_operators import Handler
from pilaster.models.importers.values import Value
from pilaster.models.layers import Upsample

__all__ = ["RESIZES"]

HALF = Fraction(1, 2)

NEAREST: Mapping[str, Callable[[Fraction], int]] = {
    "round_prefer_floor": lambda place: ceil(place - HALF),
    "round_prefer_ceil": lambda place: floor(place + HALF),
    "floor": floor,
    "ceil": ceil,
}
"""Rounding of a place in the input, by nearest_mode."""

OLD_OPSETS = ("asymmetric", "floor")
"""What Upsample, and Resize before opset 11, do."""


def resize(graph: OnnxGraph, node: OnnxNode) -> None:
    """Resize(x, roi, scales, sizes), before opset 11 Resize(x, scales), and Upsample(x, scales)."""
    value = graph.all(node)
    old = node.kind == "Upsample" or len(node.inputs) == 2
    if node.attributes.get("mode", "nearest") != "nearest":
        raise InputError(
            f"attribute mode: {node.attributes['mode']} is not supported, must be nearest"
        )
    factors = _factors(graph, node, value, 1 if old else 2)
    places, rounding = OLD_OPSETS
    if not old:
        places = node.attributes.get("coordinate_transformation_mode", "half_pixel")
        rounding = node.attributes.get("nearest_mode", "round_prefer_floor")
    sizes = value.layout.sizes
    for size, factor in zip(sizes, factors, strict=True):
        if factor > 1 and not _repeats(places, rounding, size, factor):
            raise InputError(
                f"takes other values than each one {factor} times with "
                f"coordinate_transformation_mode {places} and nearest_mode {rounding}; export "
                f"nearest-neighbor upsampling with asymmetric and floor"
            )
    graph.set(node, replace(_upsampled(graph, node, value, factors), whole=value.whole))


def _upsampled(graph: OnnxGraph, node: OnnxNode, value: Value, factors: list[int]) -> Value:
    """Add an upsampling by factors along the file's axes, where any is more than one."""
    layout, by_axis = value.layout, {"H": 1, "W": 1}
    for place, factor in enumerate(factors):
        axis = layout.groups[place]
        if factor == 1:
            continue
        if axis not in by_axis:
            raise InputError(
                f"enlarges axis {place} of {layout}, must enlarge rows or columns alone"
            )
        by_axis[axis] = factor
    if max(by_axis.values()) == 1:
        return value
    order = tuple((axis, size * by_axis.get(axis, 1)) for axis, size in layout.order)
    sizes = tuple(size * factor for size, factor in zip(layout.sizes, factors, strict=True))
    layer = Upsample((by_axis["H"], by_axis["W"]))
    return graph.add(node, layer, (value.name,), Layout(order, sizes))


def _factors(graph: OnnxGraph, node: OnnxNode, value: Value, place: int) -> list[int]:
    """Give by how much each of the file's axes grows, from the scales or the sizes."""
    layout, rank = value.layout, len(value.layout.sizes)
    axes = [int(axis) % rank for axis in node.attributes.get("axes", range(rank))]
    stated = node.attributes.get("scales")
    scales = graph.constant(node, place)
    sizes = graph.constant(node, place + 1)
    if scales is not None and scales.real.size:
        found = scales.real.ravel().tolist()
    elif sizes is not None:
        found = [
            Fraction(int(size), layout.sizes[axis])
            for axis, size in zip(axes, sizes.real.ravel().tolist(), strict=False)
        ]
    elif stated is not None:
        found = list(stated)
    else:
        raise InputError("states neither scales nor sizes")
    if len(found) != len(axes):
        raise InputError(f"has {len(found)} scales for {len(axes)} axes")
    factors = [1] * rank
    for axis, scale in zip(axes, found, strict=True):
        if scale != round(scale) or scale < 1:
            raise InputError(f"has the scale {float(scale):g}, must be a whole number")
        factors[axis] = round(scale)
    return factors


def _repeats(places: str, rounding: str, size: int, factor: int) -> bool:
    """Whether an axis gives each of its values `factor` times, one after the other."""
    if rounding not in NEAREST:
        raise InputError(f"attribute nearest_mode: {rounding} is not known here")
    large = size * factor
    for index in range(large):
        if places == "asymmetric":
            place = Fraction(index, factor)
        elif places in ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel"):
            place = (index + HALF) / factor - HALF
            if places == "pytorch_half_pixel" and large == 1:
                place = Fraction(0)
        elif places == "align_corners":
            place = Fraction(index * (size - 1), max(large - 1, 1))
        else:
            raise InputError(f"coordinate_transformation_mode {places} is not supported")
        if min(max(NEAREST[rounding](place), 0), size - 1) != index // factor:
            return False
    return True


RESIZES: Mapping[str, Handler] = {"Resize": resize, "Upsample": resize}
"""Operators by name."""
