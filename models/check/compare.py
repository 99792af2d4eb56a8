"""A network beside the runtime of the file that it was imported from, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.check.images import as_reals, as_stated
from pilaster.models.check.integers import IntegerComparison
from pilaster.models.check.original import Original
from pilaster.models.check.quantized import ErrorOfQuantizing
from pilaster.models.check.reals import RealComparison
from pilaster.models.check.record import record
from pilaster.models.check.result import Check
from pilaster.models.columns import read_along
from pilaster.models.importers import trace_network
from pilaster.models.network import ByteScale, Network
from pilaster.models.quantizer import FloatNetwork
from pilaster.models.reference.network import one_thread

__all__ = ["check_file"]

Number = TypeVar("Number", bound=np.generic)


def check_file(
    path: Path,
    network: Network,
    images: NDArray[np.generic],
    data: str,
    *,
    quantized_here: bool,
    progress: Callable[[int], None] = lambda images_done: None,
) -> Check:
    """Run a file in its own runtime, and compare the network that was imported from it.

    Where all is as promised a record is kept, see `pilaster.models.check.record`.

    Parameters
    ----------
    network : imported from the file, with whatever options
    images : (N, H, W, C), as for `Network.encode`
    data : what the images are
    quantized_here : whether the network's integers are others than the file's, or the file has none
    progress : called with the number of images done

    Raises
    ------
    InputError
        If the runtime is not installed or cannot run the file, or the images do not fit.
    """
    if not len(images):
        raise InputError("a check needs at least one image")
    network.encode(images[:1])  # images that do not fit are refused before any work
    traced, values = trace_network(path)
    original = Original(path, values)
    comparison: _OfReals | _OfIntegers
    if isinstance(traced, FloatNetwork):
        comparison = _OfReals(traced, original)
    else:
        comparison = _OfIntegers(traced, original, network, exact=path.suffix == ".tflite")
    errors = ErrorOfQuantizing(network)
    with one_thread():
        for done in range(len(images)):
            image = images[done : done + 1]
            reals = comparison.see(image)
            if quantized_here:
                errors.see(_along(reals, network), image)
            progress(done + 1)
    layers = comparison.found.layers(original.tensors)
    named = {layer.name for layer in layers}
    check = Check(
        network=network.name,
        file=str(path),
        runtime=original.judge.name,
        images=len(images),
        data=data,
        numbers="reals" if isinstance(traced, FloatNetwork) else "integers",
        layers=layers,
        unnamed=tuple(node.name for node in network.graph.nodes if node.name not in named),
        output=None if isinstance(comparison, _OfReals) else comparison.found.output,
        errors=errors.layers(),
        promised_rms_steps=errors.promised_rms_steps if quantized_here else None,
        same_class=errors.same_class,
    )
    record(path, network, check)
    return check


class _OfReals:
    """A float file."""

    def __init__(self, network: FloatNetwork, original: Original) -> None:
        self._original = original
        self.found = RealComparison(network)

    def see(self, image: NDArray[np.generic]) -> dict[str, NDArray[np.float64]]:
        """Compare an image (1, H, W, C); give the file's reals."""
        fed = as_reals(image, ByteScale()).astype(self._original.judge.dtype)
        theirs = self._original.run(fed)
        self.found.see(theirs, fed.astype(np.float64))
        return {name: tensor.astype(np.float64) for name, tensor in theirs.items()}


class _OfIntegers:
    """A file with integers."""

    def __init__(
        self, network: Network, original: Original, imported: Network, *, exact: bool
    ) -> None:
        self._network = network
        self._original = original
        self._reading = read_along(network, imported.columns)
        self.found = IntegerComparison(
            self._reading, original.whole, original.rounded_biases, exact=exact
        )

    def see(self, image: NDArray[np.generic]) -> dict[str, NDArray[np.float64]]:
        """Compare an image (1, H, W, C); give the file's reals."""
        theirs = self._original.run(as_stated(self._network, image, self._original.judge.dtype))
        self.found.see(_along(theirs, self._reading), image)
        reals = {}
        for name, found in theirs.items():
            reals[name] = found.astype(np.float64)
            if np.issubdtype(found.dtype, np.integer):
                tensor = self._network.tensors[name]
                reals[name] = (reals[name] - tensor.zero_point) * tensor.scale
        return reals


def _along(tensors: Mapping[str, NDArray[Number]], network: Network) -> dict[str, NDArray[Number]]:
    """Give tensors (1, H, W, C) as a network has them, whose columns are along either axis."""
    if network.columns == "width":
        return dict(tensors)
    return {name: tensor.transpose(0, 2, 1, 3) for name, tensor in tensors.items()}
