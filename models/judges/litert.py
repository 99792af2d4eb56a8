"""LiteRT with its reference kernels, as a judge of .tflite files."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError

__all__ = ["LiteRt"]


class LiteRt:
    """A .tflite file in LiteRT, every tensor kept; see `Judge`.

    Tensors go by their number in the file, as a text: names need not be unique. Those of uint8 are
    given, and the input's taken, as the int8 that stands for the same: 128 less.

    Raises
    ------
    InputError
        If LiteRT is not installed, or cannot run the file.
    """

    def __init__(self, path: Path, tensors: Collection[str]) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter, OpResolverType
        except ImportError as error:
            raise InputError(
                "a .tflite file is checked by LiteRT: pip install 'pilaster[import]'"
            ) from error
        self.name = f"LiteRT {version('ai-edge-litert')}"
        self._path = path
        self._wanted = tuple(map(int, tensors))
        try:
            self._interpreter = Interpreter(
                model_content=path.read_bytes(),
                experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
                experimental_preserve_all_tensors=True,
                num_threads=1,
            )
            self._interpreter.allocate_tensors()
            (source,) = self._interpreter.get_input_details()
        except (RuntimeError, ValueError) as error:
            raise _refused(path, error) from error
        self._source = source
        self._unsigned = source["dtype"] is np.uint8
        self.dtype = np.dtype(np.int8 if self._unsigned else source["dtype"])

    def run(self, images: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run what the file's input takes, see `Judge`."""
        given = _exchanged(images.view(np.uint8)) if self._unsigned else images
        try:
            self._interpreter.set_tensor(
                self._source["index"], given.reshape(self._source["shape"])
            )
            self._interpreter.invoke()
            found = {str(i): self._interpreter.get_tensor(i) for i in self._wanted}
        except (RuntimeError, ValueError) as error:
            raise _refused(self._path, error) from error
        return {
            number: _exchanged(values).view(np.int8) if values.dtype == np.uint8 else values
            for number, values in found.items()
        }


def _exchanged(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Take the bytes of int8 for those of uint8 that stand for the same, 128 more, or back."""
    return values ^ np.uint8(1 << 7)


def _refused(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: LiteRT cannot run it: {error}")
