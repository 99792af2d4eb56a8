"""A file in its own runtime, with its tensors as those of the graph that was imported from it."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.models.graph import INPUT
from pilaster.models.importers.values import UNPADDED, Value
from pilaster.models.judges import Judge, judge_of

__all__ = ["Original"]


class Original:
    """A file in its own runtime.

    Parameters
    ----------
    values : what each tensor of the file is in the graph, in the order of the file

    Attributes
    ----------
    whole : tensors of the graph that the file has as integers
    tensors : name or number in the file of each of the graph's tensors, once an image has been run

    Raises
    ------
    InputError
        If the runtime is not installed or cannot run the file.
    """

    def __init__(self, path: Path, values: Mapping[str, Value]) -> None:
        self._values = values
        self._places = _places(values)
        self._input = next(value.layout for value in values.values() if value.name == INPUT)
        self.judge: Judge = judge_of(path, [t for found in self._places.values() for t in found])
        self.whole = frozenset(value.name for value in values.values() if value.whole)
        self.tensors: dict[str, str] = {}

    def run(self, image: NDArray[Any]) -> dict[str, NDArray[np.generic]]:
        """Run an image (1, H, W, C) of the judge's type; give tensors (1, H, W, C) by name.

        Of several tensors of the file that hold one of the graph's, the last is taken.
        """
        images = dict(self._input.order).get("N", 1)
        found = self.judge.run(self._input.placed(np.repeat(image, images, axis=0)))
        tensors = {}
        for name, places in self._places.items():
            for place in places:
                layout = self._values[place].layout
                if found[place].size == prod(layout.sizes):
                    self.tensors[name] = place
                    tensors[name] = layout.arranged(found[place])[:1]
                    break
        return tensors


def _places(values: Mapping[str, Value]) -> dict[str, tuple[str, ...]]:
    """Give the tensors of a file that hold each tensor of the graph, the last operator's first.

    A layer stands for several operators, as a convolution with the ReLU behind it: what it gives is
    what the last of them does. Tensors with padding around them, or behind operators that are left
    to the host, hold something else.
    """
    found: dict[str, tuple[str, ...]] = {}
    for tensor, value in values.items():
        if value.padding == UNPADDED and not value.host:
            found[value.name] = (tensor, *found.get(value.name, ()))
    return found
