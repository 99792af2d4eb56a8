"""ONNX Runtime, its graph left as the file has it, as a judge of .onnx files."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.judges.qonnx import without_quantizers

__all__ = ["OnnxRuntime"]

SILENT = 4
"""Severity below which ONNX Runtime logs nothing."""

EXACT_PRODUCTS = ("session.x64quantprecision", "1")
"""Where a processor has no VNNI, kernels that do not saturate sums of two products at 16 bits."""


class OnnxRuntime:
    """An .onnx file in ONNX Runtime, see `Judge`. QONNX' quantizers are written out for it.

    Raises
    ------
    InputError
        If ONNX Runtime is not installed, or cannot run the file.
    """

    def __init__(self, path: Path, tensors: Collection[str]) -> None:
        try:
            import onnx
            import onnxruntime
        except ImportError as error:
            raise InputError(
                "an .onnx file is checked by onnxruntime: pip install 'pilaster[import]'"
            ) from error
        self.name = f"onnxruntime {onnxruntime.__version__}"
        self._path = path
        model = without_quantizers(onnx.load(path))
        constants = {tensor.name for tensor in model.graph.initializer}
        (source,) = (value for value in model.graph.input if value.name not in constants)
        self._source = source.name
        self._given = self._source in tensors
        known = {value.name for value in model.graph.output}
        self._wanted = [name for name in tensors if name != self._source]
        model.graph.output.extend(
            onnx.ValueInfoProto(name=name) for name in self._wanted if name not in known
        )
        self.dtype = np.dtype(
            onnx.helper.tensor_dtype_to_np_dtype(source.type.tensor_type.elem_type)
        )
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = SILENT
        options.intra_op_num_threads = 1
        options.add_session_config_entry(*EXACT_PRODUCTS)
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its own classes have no base but this one
            raise _refused(path, error) from error

    def run(self, images: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run what the file's input takes, see `Judge`."""
        try:
            found = self._session.run(self._wanted, {self._source: images})
        except Exception as error:  # its own classes have no base but this one
            raise _refused(self._path, error) from error
        tensors = dict(zip(self._wanted, found, strict=True))
        return {**tensors, self._source: images} if self._given else tensors


def _refused(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: onnxruntime cannot run it: {error}")
