"""Judges: the runtimes that a file is made for, to compare Pilaster's integers with theirs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Judge", "judge_name", "judge_of"]


class Judge(Protocol):
    """A file, ready to run.

    Attributes
    ----------
    name : of the runtime, with its version
    dtype : of what its input takes
    """

    name: str
    dtype: np.dtype[Any]

    def run(self, images: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run what the file's input takes, of the type `dtype`; give tensors by name."""


def judge_name(path: Path) -> str:
    """Give the name of the runtime that judges a file."""
    return "LiteRT" if path.suffix == ".tflite" else "onnxruntime"


def judge_of(path: Path, tensors: Collection[str]) -> Judge:
    """Load a file into its runtime.

    Parameters
    ----------
    tensors : names of those that `Judge.run` gives; of a .tflite file, their numbers as texts

    Raises
    ------
    InputError
        If the runtime is not installed, or cannot run the file.
    """
    if path.suffix == ".tflite":
        from pilaster.models.judges.litert import LiteRt

        return LiteRt(path, tensors)
    from pilaster.models.judges.onnxruntime import OnnxRuntime

    return OnnxRuntime(path, tensors)
