"""Importers: networks from the files of other tools."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.importers.values import Value
from pilaster.models.network import Network
from pilaster.models.quantizer import FloatNetwork, QuantizerSettings
from pilaster.models.requantizer import requantized

__all__ = ["SUFFIXES", "import_network", "trace_network"]

SUFFIXES = (".tflite", ".onnx")
"""Of the files that can be imported."""


def import_network(
    path: Path,
    calibration: NDArray[np.generic] | None = None,
    settings: QuantizerSettings | None = None,
) -> Network:
    """Import a network from a file, named after the file.

    Parameters
    ----------
    calibration : images (N, H, W, C) to quantize a network on, as for `Network.encode`
    settings : widths to quantize to, also what is quantized already; by default 8 bits for a float
        network, and what the file has for any other

    Raises
    ------
    InputError
        If the file cannot be used; the message names it and the operator.
    """
    if path.suffix == ".tflite":
        from pilaster.models.importers.tflite import import_tflite

        if settings is None and calibration is not None:
            raise InputError(f"{path}: is quantized already; leave the calibration images out")
        network = import_tflite(path)
        return network if settings is None else requantized(network, calibration, settings)
    if path.suffix == ".onnx":
        from pilaster.models.importers.onnx import import_onnx

        return import_onnx(path, calibration, settings)
    raise InputError(f"{path}: not a {' or '.join(SUFFIXES)} file")


def trace_network(path: Path) -> tuple[Network | FloatNetwork, Mapping[str, Value]]:
    """Import a file with its numbers as they are, and give what its tensors are in the graph.

    Returns
    -------
    tuple
        Integers where the file has these, else reals; and values by tensor, in the file's order. A
        tensor goes by its name, in a .tflite file by its number.

    Raises
    ------
    InputError
        As `import_network` does.
    """
    if path.suffix == ".tflite":
        from pilaster.models.importers.tflite import trace_tflite

        return trace_tflite(path)
    if path.suffix == ".onnx":
        from pilaster.models.importers.onnx import trace_onnx

        return trace_onnx(path)
    raise InputError(f"{path}: not a {' or '.join(SUFFIXES)} file")
