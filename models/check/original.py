"""A file in its own runtime, with its tensors as those of the graph that was imported from it."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.models.graph import INPUT
from pilaster.models.importers.values import Value
from pilaster.models.judges import Judge, judge_of
from pilaster.models.shape import Padding

__all__ = ["Original"]


class Original:
    """A file in its own runtime.

    Parameters
    ----------
    values : what each tensor of the file is in the graph, in the order of the file

    Attributes
    ----------
    whole : tensors of the graph that the file has as integers
    rounded_biases : layers of the graph whose biases are not the file's, but rounded
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
        self.rounded_biases = frozenset(v.name for v in values.values() if v.rounded_bias)
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
                value = self._values[place]
                if found[place].size == prod(value.layout.sizes):
                    self.tensors[name] = place
                    tensors[name] = _inner(value.layout.arranged(found[place])[:1], value.padding)
                    break
        return tensors


def _inner(maps: NDArray[np.generic], padding: Padding) -> NDArray[np.generic]:
    """Give maps (N, H, W, C) without the padding around them."""
    rows, columns = maps.shape[1:3]
    return maps[:, padding.top : rows - padding.bottom, padding.left : columns - padding.right]


def _places(values: Mapping[str, Value]) -> dict[str, tuple[str, ...]]:
    """Give the tensors of a file that hold each tensor of the graph, the last operator's first.

    A layer stands for several operators, as a convolution with the ReLU behind it: what it gives is
    what the last of them does. Tensors behind operators that are left to the host hold something
    else.
    """
    found: dict[str, tuple[str, ...]] = {}
    for tensor, value in values.items():
        if not value.host:
            found[value.name] = (tensor, *found.get(value.name, ()))
    return found
