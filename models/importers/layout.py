"""Where a file has the values of a map: the order of the map's axes, and how they are grouped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.shape import Shape

__all__ = ["CHANNELS_FIRST", "CHANNELS_LAST", "Axes", "Layout", "extents", "readings"]

Axes = tuple[str, ...]
"""Axes of a map, of ``NHWC``, along each axis of a file."""

CHANNELS_FIRST: tuple[Axes, ...] = (("N", "C", "H", "W"), ("N", "C", "W"), ("N", "C", "W", "H"))
"""Of a map, of one that has no rows, and of one whose only row a file has as its last axis."""

CHANNELS_LAST: tuple[Axes, ...] = (("N", "H", "W", "C"), ("N", "W", "C"), ("N", "W", "H", "C"))


def readings(known: Sequence[Axes], rank: int) -> tuple[Axes, ...]:
    """Give what the axes of an input may be, the likeliest first, by what a format has first.

    Whichever of them leads to the output gives the same values: they differ in which axis arrives
    as columns.
    """
    maps, series = (known[0], CHANNELS_LAST[0], CHANNELS_FIRST[0]), (known[1], CHANNELS_LAST[1])
    found = {4: maps, 3: (*series, CHANNELS_FIRST[1], ("N", "H", "W"))}.get(rank, ())
    return tuple(dict.fromkeys(found))


def extents(shape: Shape, images: int) -> Mapping[str, int]:
    """Give the size of each axis of a map: images, rows, columns and channels."""
    return {"N": images, "H": shape.height, "W": shape.width, "C": shape.channels}


@dataclass(frozen=True)
class Layout:
    """A file's axes over a map's.

    Transposing, reshaping and flattening change the layout alone, and move no value of the map.

    Attributes
    ----------
    order : the map's axes, of ``NHWC``, with their sizes, the one that changes slowest first; those
        of size 1 are left out
    sizes : of the file's axes
    """

    order: tuple[tuple[str, int], ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, groups: Sequence[str], size: Mapping[str, int]) -> Layout:
        """Give the layout whose axes each hold some of the map's, such as ``("N", "CHW")``."""
        order = tuple((axis, size[axis]) for axis in "".join(groups) if size[axis] > 1)
        return cls(order, tuple(prod(size[axis] for axis in group) for group in groups))

    def __str__(self) -> str:
        order = ", ".join(axis for axis, _ in self.order)
        return f"{self.sizes}, in the order {order}"

    @property
    def groups(self) -> tuple[str, ...]:
        """The map's axes along each of the file's, those of size 1 left out.

        Raises
        ------
        InputError
            If an axis of the file has only a part of one of the map's.
        """
        left, found = list(self.order), []
        for size in self.sizes:
            group, count = "", 1
            while left and count < size:
                axis, extent = left.pop(0)
                group, count = group + axis, count * extent
            if count != size:
                raise InputError(f"has axes {self.sizes} that cut the map's axes apart")
            found.append(group)
        return tuple(found)

    def is_of(self, axes: Axes, size: Mapping[str, int]) -> bool:
        """Whether the file's axes are these."""
        return self == Layout.of(axes, size)

    def axes_of(self, known: Sequence[Axes], size: Mapping[str, int]) -> Axes:
        """Give the file's axes, which must be one of some known ones.

        Only a map of one row may have no rows, or these last.

        Raises
        ------
        InputError
            If they are none of these.
        """
        for axes in known:
            if (axes == known[0] or size["H"] == 1) and self == Layout.of(axes, size):
                return axes
        names = {"N": "images", "H": "rows", "W": "columns", "C": "channels"}
        wanted = ", ".join(names[axis] for axis in known[0])
        raise InputError(f"reads axes of {self}; must be ({wanted})")

    def transposed(self, axes: Sequence[int]) -> Layout:
        """Exchange axes: the file's axis `axes[i]` becomes axis `i`."""
        if sorted(axes) != list(range(len(self.sizes))):
            raise InputError(f"exchanges the axes {tuple(axes)} of {len(self.sizes)}")
        size, groups = dict(self.order), self.groups
        order = tuple((axis, size[axis]) for place in axes for axis in groups[place])
        return Layout(order, tuple(self.sizes[place] for place in axes))

    def reshaped(self, sizes: Sequence[int]) -> Layout:
        """Regroup the axes; one size may be -1, for what is left.

        Raises
        ------
        InputError
            If the sizes are of another number of values.
        """
        count, known = prod(self.sizes), prod(size for size in sizes if size != -1)
        rest = count // known if known > 0 else 0
        found = tuple(rest if size == -1 else size for size in sizes)
        if list(sizes).count(-1) > 1 or min(found, default=1) < 1 or prod(found) != count:
            raise InputError(f"turns {self.sizes} into {tuple(sizes)}")
        return Layout(self.order, found)

    def squeezed(self, axes: Sequence[int] | None) -> Layout:
        """Leave out axes of size 1, all of them for None."""
        rank = len(self.sizes)
        if axes is None:
            axes = [place for place, size in enumerate(self.sizes) if size == 1]
        places = {axis % rank for axis in axes if -rank <= axis < rank}
        if len(places) != len(axes) or any(self.sizes[place] != 1 for place in places):
            raise InputError(f"leaves out the axes {tuple(axes)} of {self.sizes}")
        sizes = tuple(size for place, size in enumerate(self.sizes) if place not in places)
        return Layout(self.order, sizes)

    def unsqueezed(self, axes: Sequence[int]) -> Layout:
        """Put in axes of size 1, at their places in the result."""
        rank = len(self.sizes) + len(axes)
        places = {axis % rank for axis in axes if -rank <= axis < rank}
        if len(places) != len(axes):
            raise InputError(f"puts in the axes {tuple(axes)}")
        left = iter(self.sizes)
        sizes = tuple(1 if place in places else next(left) for place in range(rank))
        return Layout(self.order, sizes)

    def arranged(self, values: NDArray[Any]) -> NDArray[Any]:
        """Give a tensor of the file as a map (images, rows, columns, channels)."""
        size = dict(self.order)
        axes = [axis for axis, _ in self.order]
        whole = values.reshape([size[axis] for axis in axes])
        moved = whole.transpose([axes.index(axis) for axis in "NHWC" if axis in size])
        return moved.reshape([size.get(axis, 1) for axis in "NHWC"])

    def placed(self, values: NDArray[Any]) -> NDArray[Any]:
        """Give a map (images, rows, columns, channels) as a tensor of the file."""
        size = dict(self.order)
        kept = [axis for axis in "NHWC" if axis in size]
        whole = values.reshape([size[axis] for axis in kept])
        return whole.transpose([kept.index(axis) for axis, _ in self.order]).reshape(self.sizes)

    def along(self, axis: str) -> int | None:
        """Give the file's axis that has all of one axis of the map and no other; None for none."""
        groups = self.groups
        return groups.index(axis) if axis in groups else None

    def resized(self, place: int, axis: str, size: int) -> Layout:
        """Give one of the file's axes another size, and with it the map's axis along it."""
        groups, known = list(self.groups), dict(self.order)
        groups[place] = axis
        known[axis] = size
        sizes = (*self.sizes[:place], size, *self.sizes[place + 1 :])
        order = tuple((a, known[a]) for group in groups for a in group if known[a] > 1)
        return Layout(order, sizes)
