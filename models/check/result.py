"""What a check found: a network beside the file that it was imported from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Check", "LayerCheck", "LayerError", "OutputCheck"]


@dataclass(frozen=True)
class LayerCheck:
    """A layer as imported, with the runtime's values of what it reads.

    Attributes
    ----------
    name : of the layer; "input" for the image as it is quantized
    tensor : of the file, by name or number
    values : compared
    differing : values that are not the runtime's: integers that are others, reals that are away
    largest : the largest difference: of integers in steps, of reals as a share of the largest
        sum of magnitudes in the tensor
    departs : whether that is more than docs/importing.md promises
    """

    name: str
    tensor: str
    values: int
    differing: int
    largest: float
    departs: bool


@dataclass(frozen=True)
class OutputCheck:
    """The network's answer, every layer reading what the one before it gave.

    values, differing, largest_steps : integers compared, those that differ, and by how much at most
    """

    values: int
    differing: int
    largest_steps: int


@dataclass(frozen=True)
class LayerError:
    """What quantizing here costs: a layer's integers as reals, beside the file's reals.

    Attributes
    ----------
    values : compared
    rms_steps, largest_steps : error in steps of the layer's own scale
    beyond_one : values that are more than one step away
    saturated : values that the runtime has outside the range that calibration saw
    """

    name: str
    values: int
    rms_steps: float
    largest_steps: float
    beyond_one: int
    saturated: int


@dataclass(frozen=True)
class Check:
    """A network beside the runtime of its file.

    Attributes
    ----------
    network, file : name and path
    runtime : with its version
    images, data : how many, and what they are
    numbers : "integers" where the file has these, else "reals"
    layers : in the graph's order, the input first
    unnamed : layers that no tensor of the file can be compared with
    output : of the whole network, where the file has integers
    errors : of the layers, where the network is quantized here; else empty
    promised_rms_steps : most that docs/importing.md promises of the output's error; None for
        widths of which it promises nothing
    same_class : images of the same class, where the network is quantized here
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
        """The first layer that departs from the runtime; None where none does."""
        return next((layer for layer in self.layers if layer.departs), None)

    @property
    def error(self) -> LayerError | None:
        """Error of the output, where the network is quantized here."""
        return self.errors[-1] if self.errors else None

    @property
    def error_is_promised(self) -> bool:
        """Whether the output's error is no larger than promised, or nothing is promised."""
        if self.error is None or self.promised_rms_steps is None:
            return True
        return self.error.rms_steps <= self.promised_rms_steps

    @property
    def holds(self) -> bool:
        """Whether all is as docs/importing.md promises."""
        return self.departs is None and self.error_is_promised

    def __str__(self) -> str:
        found = "as promised" if self.holds else "NOT as promised"
        where = f", first at {self.departs.name}" if self.departs else ""
        return f"{self.network} beside {self.runtime}: {found}{where} ({self.images} images)"

    def as_dict(self) -> dict[str, Any]:
        """Give all of it in plain types, for JSON."""
        return {
            **asdict(self),
            "holds": self.holds,
            "departs": self.departs.name if self.departs else None,
            "error_is_promised": self.error_is_promised,
        }
