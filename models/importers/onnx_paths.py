"""What stands between a quantizer of an .onnx file and the layer whose reals it reads."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace

from pilaster.base.errors import InputError
from pilaster.models.graph import INPUT
from pilaster.models.importers.onnx_graph import OnnxGraph
from pilaster.models.importers.onnx_grids import narrowed, quantized_bounds
from pilaster.models.importers.steps import Action, Bounds, Scaling, Step, Surround
from pilaster.models.layers import Pool, Upsample
from pilaster.models.quantization import TensorQuantization

__all__ = ["ReadPath", "commutes", "path_to"]

UNBOUNDED = 1 << 31
"""Beyond all bounds in integers."""


@dataclass(frozen=True)
class ReadPath:
    """What a quantizer reads: a value, and what is done to it on the way.

    scalings : the first of it
    later : bounds and max pools behind these
    """

    base: str
    scalings: tuple[Scaling, ...]
    later: tuple[Step, ...]
    alone: bool

    @property
    def pools(self) -> tuple[Step, ...]:
        """The max pools, and zeros put around, in order."""
        return tuple(step for step in self.later if commutes(step.action))

    @property
    def ceiling(self) -> float | None:
        """The least upper bound where values are kept from zero up; else none."""
        bounds = [step.action for step in self.later if isinstance(step.action, Bounds)]
        if all(bound.low != 0 for bound in bounds):
            return None
        return min(bound.high for bound in bounds)

    def bounded(self, tensor: TensorQuantization) -> TensorQuantization:
        """Bound integers as the reals are on the way to their quantizer."""
        found = replace(tensor, minimum=-UNBOUNDED, maximum=UNBOUNDED)
        for step in self.later:
            if isinstance(step.action, Bounds):
                found = narrowed(found, *quantized_bounds(tensor, step.action))
        return narrowed(found, tensor.minimum, tensor.maximum)


def path_to(value: str, found: OnnxGraph, held: Container[str]) -> ReadPath:
    """Go back from a quantizer to what it reads: what a tensor holds, or a layer gives."""
    steps: list[Step] = []
    alone = found.readers[value] == 1
    while value not in held and value != INPUT:
        step = found.steps[value]
        action = step.action
        passes = isinstance(action, Scaling | Bounds)
        if not passes and not commutes(action):
            break
        steps.insert(0, step)
        value = step.sources[0]
        alone = alone and found.readers[value] == 1
    count = 0
    while count < len(steps) and isinstance(steps[count].action, Scaling):
        count += 1
    first, later = steps[:count], tuple(steps[count:])
    if any(isinstance(step.action, Scaling) for step in later):
        raise InputError(
            f"reads {steps[-1].name}, where a factor follows a bound; put a quantizer between"
        )
    surrounded = False
    for step in later:
        surrounded = surrounded or isinstance(step.action, Surround)
        bounds = step.action
        if surrounded and isinstance(bounds, Bounds) and not bounds.low <= 0 <= bounds.high:
            raise InputError(f"reads {step.name}, which bounds the zeros that a Pad put around")
    scalings = tuple(step.action for step in first if isinstance(step.action, Scaling))
    return ReadPath(value, scalings, later, alone)


def commutes(action: Action) -> bool:
    """Whether a step does the same behind a quantizer as before it."""
    maximum = isinstance(action, Pool) and action.mode == "max"
    return maximum or isinstance(action, Surround | Upsample)
