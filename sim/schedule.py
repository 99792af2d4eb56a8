"""The pass order: which kernel columns a stage applies to an arriving column, and in what order.

This is the order's one home; the SimPy engine, the closed form and the RTL all read it here.

Kernel columns are taken in aligned groups of P_k. In a scatter stage a group holds neighbors of
one residue class (offset modulo the stride), from the last to the first, so that the completing
kernel column comes first. In a gather stage the groups hold neighbors from the first to the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from pilaster.sim.geometry import ConvGeometry
from pilaster.sim.machine import Schedule

__all__ = ["GroupUse", "Run", "column_runs", "kernel_groups"]


@dataclass(frozen=True)
class GroupUse:
    """One aligned group of kernel columns at work.

    active : (slot, kernel column, output column) of each slot that takes part
    """

    group: int
    active: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Run:
    """Passes that belong together: for each output tile, every tile of every group in `uses`.

    completes : the output column that leaves tile by tile, each in its last pass; None where the
        sums stay pending
    """

    uses: tuple[GroupUse, ...]
    completes: int | None


@lru_cache(maxsize=4096)
def kernel_groups(
    geometry: ConvGeometry, schedule: Schedule, width: int
) -> tuple[tuple[int, ...], ...]:
    """Kernel columns of every aligned group of at most `width`, by slot."""
    classes = [list(range(geometry.kernel_columns))]
    if schedule is Schedule.SCATTER:
        stride = geometry.stride
        classes = [list(range(r, geometry.kernel_columns, stride))[::-1] for r in range(stride)]
    return tuple(
        tuple(members[first : first + width])
        for members in classes
        for first in range(0, len(members), width)
    )


@lru_cache(maxsize=4096)
def column_runs(
    geometry: ConvGeometry, schedule: Schedule, width: int
) -> tuple[tuple[Run, ...], ...]:
    """Runs of every input column of an image, in the order in which a stage does them.

    Parameters
    ----------
    width : P_k, kernel columns done in parallel
    """
    runs = _scatter_runs if schedule is Schedule.SCATTER else _gather_runs
    groups = kernel_groups(geometry, schedule, width)
    return tuple(tuple(runs(geometry, groups, w)) for w in range(geometry.columns_in))


def _scatter_runs(
    geometry: ConvGeometry, groups: tuple[tuple[int, ...], ...], column: int
) -> Iterator[Run]:
    """Use a column at once: one run for a group, or for each column that the group completes."""
    window = geometry.layer.window
    for group, members in enumerate(groups):
        active = []
        for slot, offset in enumerate(members):
            target, remainder = divmod(column + window.padding.left - offset, geometry.stride)
            if not remainder and 0 <= target < geometry.columns_out:
                active.append((slot, offset, target))
        done = [
            target
            for _, _, target in active
            if window.completing_column(target, geometry.columns_in) == column
        ]
        if len(done) <= 1:
            if active:
                yield Run((GroupUse(group, tuple(active)),), done[0] if done else None)
        else:  # the last column: all are completed, and leave one after the other
            for use in active:
                yield Run((GroupUse(group, (use,)),), use[2])


def _gather_runs(
    geometry: ConvGeometry, groups: tuple[tuple[int, ...], ...], column: int
) -> Iterator[Run]:
    """Compute the output columns whose window `column` makes whole."""
    window = geometry.layer.window
    for target in range(geometry.columns_out):
        if window.completing_column(target, geometry.columns_in) != column:
            continue
        start = target * geometry.stride - window.padding.left
        uses = []
        for group, members in enumerate(groups):
            active = tuple(
                (slot, offset, target)
                for slot, offset in enumerate(members)
                if 0 <= start + offset < geometry.columns_in
            )
            if active:
                uses.append(GroupUse(group, active))
        yield Run(tuple(uses), target)
