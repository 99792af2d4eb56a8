"""The stage of a layer that joins tensors: a sum, or one behind the other along the channels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from pilaster.base.errors import InputError
from pilaster.models.joins import AddParameters, JoinParameters
from pilaster.models.layers import Join
from pilaster.models.quantization import TensorQuantization, signed_bits
from pilaster.models.shape import Shape
from pilaster.sim.beats import Beats
from pilaster.sim.machine import Fold, StageSpec
from pilaster.sim.timing import join_depth
from pilaster.sim.work import ColumnWork, RunWork

__all__ = ["JoinStage", "JoinTile"]


@dataclass(frozen=True)
class JoinTile:
    """A pass on a column: `channels` channels, counted from `first` in each of the `arms` read."""

    arms: tuple[int, ...]
    first: int
    channels: int


@dataclass(frozen=True, eq=False)
class JoinStage:
    """Hardware of a join; only `out_channels` of its fold means anything.

    Every arm has column buffers of its own. Once each holds a column whole, a pass sweeps down the
    column for one tile of channels, a row a cycle: a sum reads the tile from both arms, a
    concatenation from the one arm that has it.

    Attributes
    ----------
    shapes : of the arms
    arm_columns : column buffers of the arms; none where these are not known yet
    sources, target : quantization of the arms and of the output
    """

    joins: ClassVar[bool] = True
    """Whether it has arms, with as many column buffers as the machine says."""

    name: str
    layer: Join
    shapes: tuple[Shape, ...]
    spec: StageSpec
    arm_columns: tuple[int, ...]
    sources: tuple[TensorQuantization, ...]
    target: TensorQuantization
    parameters: JoinParameters

    def __post_init__(self) -> None:
        fold, widest = self.fold, max(shape.channels for shape in self.shapes)
        if fold != Fold(out_channels=fold.out_channels):
            raise InputError(f"stage {self.name}: a join's fold has out_channels only, not {fold}")
        if fold.out_channels > widest:
            raise InputError(
                f"stage {self.name}: out_channels: {fold.out_channels} is larger than any arm; "
                f"the widest has {widest}"
            )
        if self.spec.dram_bits_per_cycle:
            raise InputError(f"stage {self.name}: a join has no weights to keep in DRAM")
        given = self.spec.arm_columns
        if given and len(given) != len(self.shapes):
            raise InputError(
                f"stage {self.name}: arm_columns: {len(self.shapes)} are needed, one for each "
                f"input, not {len(given)}"
            )

    @property
    def kind(self) -> str:
        """Name of the layer kind in reports."""
        return self.layer.kind

    @property
    def fold(self) -> Fold:
        """How the layer is laid out."""
        return self.spec.fold

    @property
    def lanes(self) -> int:
        """Multipliers: none but those that requantize."""
        return 0

    def with_arm_columns(self, columns: tuple[int, ...]) -> JoinStage:
        """Give the stage with other column buffers of its arms."""
        return replace(self, arm_columns=columns)

    @property
    def adds(self) -> bool:
        """Whether the arms are summed."""
        return isinstance(self.parameters, AddParameters)

    @property
    def rescales(self) -> bool:
        """Whether any value is requantized: not where a concatenation's scales are all one."""
        return self.adds or not all(scale.is_one for scale in self.parameters.inputs)

    @property
    def requantizers(self) -> int:
        """Lanes that requantize: one for each channel of a tile, and in a sum for each arm's."""
        if not self.rescales:
            return 0
        return self.fold.out_channels * (1 + len(self.shapes) if self.adds else 1)

    @cached_property
    def output(self) -> Shape:
        """Shape of the output."""
        return self.layer.joined_shape(self.shapes)

    @property
    def columns_in(self) -> int:
        """Input columns of an image."""
        return self.output.width

    @property
    def columns_out(self) -> int:
        """Output columns of an image."""
        return self.output.width

    @cached_property
    def tiles(self) -> tuple[JoinTile, ...]:
        """Passes on a column, in order."""
        step, every = self.fold.out_channels, tuple(range(len(self.shapes)))
        parts = [every] if self.adds else [(arm,) for arm in every]
        return tuple(
            JoinTile(arms, first, min(step, self.shapes[arms[0]].channels - first))
            for arms in parts
            for first in range(0, self.shapes[arms[0]].channels, step)
        )

    @cached_property
    def beats(self) -> Beats:
        """Beats of its output."""
        starts = np.cumsum([0, *(shape.channels for shape in self.shapes)]).tolist()
        tiles = tuple((starts[tile.arms[0]] + tile.first, tile.channels) for tile in self.tiles)
        return Beats(self.fold.out_channels, tiles)

    def tiles_of(self, arm: int) -> int:
        """Tiles that are read from an arm."""
        return sum(arm in tile.arms for tile in self.tiles)

    @cached_property
    def arm_magnitudes(self) -> tuple[int, ...]:
        """Largest magnitude of a value of each arm of a sum, rescaled."""
        assert isinstance(self.parameters, AddParameters)
        return tuple(
            int(scale.requantize(np.array([source.magnitude << self.parameters.left_shift]))[0])
            for scale, source in zip(self.parameters.inputs, self.sources, strict=True)
        )

    @property
    def sum_bits(self) -> int:
        """Width of a sum."""
        return signed_bits(sum(self.arm_magnitudes))

    @property
    def depth(self) -> int:
        """Cycles from reading a row to its result standing in the next stage's column buffer."""
        return join_depth(self.adds, self.rescales)

    @cached_property
    def work(self) -> tuple[ColumnWork, ...]:
        """Work on every column of an image, in order: all are alike."""
        cycles = len(self.tiles) * self.output.height
        run = RunWork(0, cycles, tuple(range(self.depth, self.depth + cycles)))
        return (ColumnWork((run,), 0),) * self.columns_in

    @cached_property
    def busy_cycles(self) -> int:
        """Cycles of work on an image, without waiting."""
        return sum(work.cycles for work in self.work)
