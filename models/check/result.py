"""Result of a check: an imported network compared with its file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Check", "LayerCheck", "LayerError", "OutputCheck"]


@dataclass(frozen=True)
class LayerCheck:
    """Comparison of one imported layer, computed from the runtime's values of its inputs.

    Attributes
    ----------
    name : name of the layer; "input" for the quantized image
    tensor : name or number of the tensor in the file
    values : number of values compared
    differing : number of values that differ from the runtime's: unequal integers, or real numbers
        outside the tolerance
    largest : largest difference: for integers in steps, for real numbers as a share of the largest
        sum of magnitudes in the tensor
    departs : whether the difference exceeds the limits in docs/importing.md
    """

    name: str
    tensor: str
    values: int
    differing: int
    largest: float
    departs: bool


@dataclass(frozen=True)
class OutputCheck:
    """Comparison of the network's output, computed through all layers.

    values, differing, largest_steps : integers compared, integers that differ, largest difference
    """

    values: int
    differing: int
    largest_steps: int


@dataclass(frozen=True)
class LayerError:
    """Quantization error of a layer: its integers as real numbers, compared with the file's.

    Attributes
    ----------
    values : number of values compared
    rms_steps, largest_steps : RMS and largest error, in steps of the layer's scale
    beyond_one : number of values with an error of more than one step
    saturated : number of the runtime's values outside the calibrated range
    """

    name: str
    values: int
    rms_steps: float
    largest_steps: float
    beyond_one: int
    saturated: int


@dataclass(frozen=True)
class Check:
    """Comparison of a network with the runtime of its file.

    Attributes
    ----------
    network, file : name and path
    runtime : name and version of the runtime
    images, data : number of images, and their description
    numbers : "integers" if the file is quantized, otherwise "reals"
    layers : comparison by layer in graph order, starting with the input
    unnamed : layers without a matching tensor in the file
    output : comparison of the network's output, if the file is quantized
    errors : quantization errors by layer, if Pilaster quantizes the network; otherwise empty
    promised_rms_steps : limit in docs/importing.md on the output error; None for widths without a
        limit
    same_class : number of images with the same class, if Pilaster quantizes the network
    """

    network: str
    file: str
    runtime: str
    images: int
    data: str
    numbers: str
    layers: tuple[LayerCheck, ...]
    unnamed: tuple[str, ...]
    output: OutputCheck | None
    errors: tuple[LayerError, ...]
    promised_rms_steps: float | None
    same_class: int

    @property
    def departs(self) -> LayerCheck | None:
        """First layer that departs from the runtime; None if no layer does."""
        return next((layer for layer in self.layers if layer.departs), None)

    @property
    def error(self) -> LayerError | None:
        """Error of the output, if Pilaster quantizes the network."""
        return self.errors[-1] if self.errors else None

    @property
    def error_is_promised(self) -> bool:
        """Whether the output error is within its limit, or has no limit."""
        if self.error is None or self.promised_rms_steps is None:
            return True
        return self.error.rms_steps <= self.promised_rms_steps

    @property
    def holds(self) -> bool:
        """Whether all differences are within the limits in docs/importing.md."""
        return self.departs is None and self.error_is_promised

    def __str__(self) -> str:
        found = "as promised" if self.holds else "NOT as promised"
        where = f", first at {self.departs.name}" if self.departs else ""
        return f"{self.network} beside {self.runtime}: {found}{where} ({self.images} images)"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            **asdict(self),
            "holds": self.holds,
            "departs": self.departs.name if self.departs else None,
            "error_is_promised": self.error_is_promised,
        }
