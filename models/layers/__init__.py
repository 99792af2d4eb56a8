"""Layer kinds: what each computes over which shapes."""

from pilaster.models.layers.conv import Conv, FullyConnected
from pilaster.models.layers.pool import Pool
from pilaster.models.layers.window import Window

__all__ = ["Conv", "FullyConnected", "Layer", "Pool", "Window"]

Layer = Conv | FullyConnected | Pool
