"""What operators the importers support, by format, told from their registries."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Support", "SupportedOperator", "supported_operators"]


class Support(StrEnum):
    """What becomes of an operator."""

    NETWORK = "network"
    """It is part of the network, and goes down to RTL."""

    HOST = "host"
    """At the end of the network it is left to the host."""

    CONSTANTS = "constants"
    """It is computed before an image comes; of values of an image it is refused."""


@dataclass(frozen=True)
class SupportedOperator:
    """An operator that an importer supports.

    Attributes
    ----------
    name : as the format calls it
    format : ending of its files
    """

    name: str
    format: str
    support: Support


def supported_operators() -> tuple[SupportedOperator, ...]:
    """Give all operators that the importers support, by format and name."""
    from pilaster.models.importers import (
        onnx,
        onnx_fold,
        onnx_shapes,
        tflite,
        tflite_fold,
        tflite_shapes,
    )

    return (
        *_told(".onnx", onnx.HANDLERS, onnx_shapes.HOST_NAMES, onnx_shapes.GIVES, onnx_fold.FOLDED),
        *_told(
            *(".tflite", tflite.HANDLERS, tflite_shapes.HOST_NAMES),
            *(tflite_fold.GIVES, tflite_fold.FOLDED),
        ),
    )


def _told(
    suffix: str,
    handlers: Mapping[str, object],
    host: Collection[str],
    gives: Collection[str],
    folded: Collection[str],
) -> list[SupportedOperator]:
    """Give the operators of a format; those in `gives` give constants, whatever they read."""
    told = []
    for name in sorted({*handlers, *gives, *folded}):
        if name in host:
            support = Support.HOST
        elif name in handlers and name not in gives:
            support = Support.NETWORK
        else:
            support = Support.CONSTANTS
        told.append(SupportedOperator(name, suffix, support))
    return told
