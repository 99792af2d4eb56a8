"""Networks from int8 .tflite files: the integers of LiteRT's reference kernels, exactly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pilaster.base.errors import InputError
from pilaster.models.importers.hints import hint
from pilaster.models.importers.layout import CHANNELS_LAST, Axes, readings
from pilaster.models.importers.tflite_elementwise import ELEMENTWISE
from pilaster.models.importers.tflite_file import Operator, TfliteModel, read_tflite
from pilaster.models.importers.tflite_fold import FOLDED, fold
from pilaster.models.importers.tflite_graph import TfliteGraph
from pilaster.models.importers.tflite_operators import OPERATORS
from pilaster.models.importers.tflite_resize import RESIZES
from pilaster.models.importers.tflite_shapes import SHAPES
from pilaster.models.importers.values import Value
from pilaster.models.network import Network

__all__ = ["SUPPORTED", "import_tflite", "trace_tflite"]

HANDLERS = {**OPERATORS, **RESIZES, **ELEMENTWISE, **SHAPES}

SUPPORTED = tuple(sorted(HANDLERS))
"""Operators that the importer takes; of constants it takes those of `tflite_fold`, too."""


def import_tflite(path: Path) -> Network:
    """Import a .tflite file whose tensors are int8.

    A layer is called by its kind and its place among the operators, such as `conv_0`. Softmax,
    sigmoid and argmax at the end are left to the host, and the network's note says so.

    Raises
    ------
    InputError
        If the file cannot be read, or has what is not supported: the message names the file and the
        operator.
    """
    network, _ = trace_tflite(path)
    return network


def trace_tflite(path: Path) -> tuple[Network, Mapping[str, Value]]:
    """Import a file, and give what each of its tensors is in the graph, by number, in order."""
    model = read_tflite(path)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise InputError(
            f"{path}: has {len(model.inputs)} inputs and {len(model.outputs)} outputs, must have "
            f"one of each"
        )
    if min(*model.inputs, *model.outputs) < 0:
        raise InputError(f"{path}: has no input or no output")
    failures = []
    shape = model.tensors[model.inputs[0]].shape
    for axes in readings(CHANNELS_LAST, len(shape)) or (None,):
        try:
            graph = _built(model, axes)
            values = {str(number): value for number, value in graph.values.items()}
            return graph.network(path.stem, path.name), values
        except _RefusedError as refused:
            failures.append(refused)
        except InputError as error:
            failures.append(_RefusedError(len(model.operators), str(error)))
    furthest = max(failures, key=lambda failure: failure.place)
    raise InputError(f"{path}: {furthest}") from furthest


class _RefusedError(InputError):
    """An operator that is refused, and its place."""

    def __init__(self, place: int, message: str) -> None:
        super().__init__(message)
        self.place = place


def _built(model: TfliteModel, axes: Axes | None) -> TfliteGraph:
    """Go through the operators, the input's axes being some; None where none fit."""
    graph = TfliteGraph(model, axes)
    for operator in model.operators:
        try:
            _apply(graph, operator)
        except InputError as error:
            where = f"operator {operator.index} {operator.kind}"
            raise _RefusedError(operator.index, f"{where}: {error}") from error
    return graph


def _apply(graph: TfliteGraph, operator: Operator) -> None:
    if fold(graph, operator):
        return
    handler = HANDLERS.get(operator.kind)
    if handler is None:
        of_constants = " but of constants" if operator.kind in FOLDED else ""
        known = ", ".join(SUPPORTED)
        raise InputError(
            f"is not supported{of_constants}; supported are {known}{hint(operator.kind)}"
        )
    handler(graph, operator)
