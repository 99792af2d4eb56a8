"""Layer kinds: what each computes over which shapes."""

from pilaster.models.layers.conv import Conv, FullyConnected
from pilaster.models.layers.join import Add, Concat
from pilaster.models.layers.pool import Pool
from pilaster.models.layers.upsample import Upsample
from pilaster.models.layers.window import Window

__all__ = [
    "Add",
    "Concat",
    "Conv",
    "FullyConnected",
    "Join",
    "Layer",
    "Pool",
    "Upsample",
    "Weighted",
    "Window",
]

Weighted = Conv | FullyConnected
"""Layers with weights."""

Join = Add | Concat
"""Layers that read several tensors."""

Layer = Weighted | Pool | Upsample | Join
