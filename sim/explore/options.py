"""The folds from which an exploration draws, with their work and costs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.beats import Beats
from pilaster.sim.explore.request import ExploreRequest
from pilaster.sim.machine import StageSpec
from pilaster.sim.mapper.folds import Limits
from pilaster.sim.mapper.pareto import front
from pilaster.sim.mapper.prices import (
    Pricing,
    areas_um2,
    column_buffer_pj,
    energies_pj,
    lane_operations,
)
from pilaster.sim.mapper.request import SCHEDULES
from pilaster.sim.mapper.space import WorkTable, candidates, sent_beats

__all__ = ["Options", "stage_options"]

Ints = NDArray[np.int64]
Costs = NDArray[np.float64]

SLOPE_CYCLES = 2**30
"""Cycles over which what a cycle costs is told: more than an image takes, for exact digits."""


@dataclass(frozen=True, eq=False)
class Options:
    """The folds of a stage that a machine may be drawn with, by rising lanes.

    Attributes
    ----------
    work : of every option
    specs : the options as stages
    lanes, gathers : (options,)
    operations : (options,), of the lanes, an image
    sends : (options,), index of the width of its beats among those that come to the next stage
    image_pj : (tables, options, widths of the beats that come), energy of an image but for
        `cycle_pj`
    cycle_pj : likewise, energy of a cycle, worked in or not
    area_um2 : (tables with area, options)
    considered : folds that these were chosen from
    least_busy : cycles of work on an image, of the fastest of them
    """

    name: str
    work: WorkTable
    specs: tuple[StageSpec, ...]
    lanes: Ints
    operations: Ints
    gathers: NDArray[np.bool_]
    sends: NDArray[np.intp]
    image_pj: Costs
    cycle_pj: Costs
    area_um2: Costs
    considered: int
    least_busy: int

    def __len__(self) -> int:
        return len(self.lanes)

    def digest(self) -> bytes:
        """Tell these options from others."""
        told = hashlib.sha256(repr((self.name, self.work.kinds, self.specs)).encode())
        told.update(self.work.cycles.tobytes())
        return told.digest()


def stage_options(request: ExploreRequest, number: int) -> Options:
    """List what a stage of a machine may be.

    A fold that another beats in every quantity of work, and in what the axes are, is left out: all
    stamps of a machine rise with every quantity of work, so that no machine needs it. Energies are
    those of an image in which no activation is zero.

    Parameters
    ----------
    number : of the stage
    """
    nodes = request.network.graph.nodes
    limits = Limits(schedules=SCHEDULES[request.schedule])
    found = candidates(request.network, nodes[number], limits)
    may = np.flatnonzero(found.work.busy <= request.image_cycles(request.column_intervals[-1]))
    sends = np.zeros(len(found), np.intp)
    if number + 1 < len(nodes):
        _, sends = sent_beats(found)
    beats: tuple[Beats, ...] = (Beats.whole(request.network.graph.input_shape.channels),)
    if number:
        beats, _ = sent_beats(candidates(request.network, nodes[number - 1], limits))
    image_pj, cycle_pj = [], []
    for table in request.tables:
        still, whole = (
            energies_pj(found, pricing)[:, np.newaxis] + column_buffer_pj(found, 0, beats, pricing)
            for pricing in (
                Pricing(table, 0, request.clock_mhz),
                Pricing(table, SLOPE_CYCLES, request.clock_mhz),
            )
        )
        cycle_pj.append((whole - still)[may] / SLOPE_CYCLES)
        image_pj.append(still[may])
    areas = np.zeros((len(request.with_area), len(may)))
    for place, table in enumerate(request.with_area):
        areas[place] = areas_um2(found, table)[may]
    prices = (np.array(image_pj), np.array(cycle_pj), areas)
    lanes, gathers, work = found.lanes[may], found.gathers[may], found.work.of(may)
    compared = [*_compared(request, lanes, *prices), work.cycles]
    # What beats cost the next stage is not known here: no fold beats one that sends others.
    priced = any(axis.name in ("energy", "power") for axis in request.axes)
    kinds = np.stack([gathers, sends[may] if priced else np.zeros(len(may), np.intp)])
    kept = [np.zeros(0, np.intp)]
    for kind in np.unique(kinds, axis=1).T:
        members = np.flatnonzero((kinds == kind[:, np.newaxis]).all(axis=0))
        kept.append(members[front(np.concatenate([rows[:, members] for rows in compared]))])
    best = np.concatenate(kept)
    best = best[np.lexsort((best, work.busy[best], lanes[best]))]
    return Options(
        name=found.name,
        work=work.of(best),
        specs=tuple(found.spec(int(index)) for index in may[best]),
        lanes=lanes[best],
        operations=lane_operations(found)[may[best]],
        gathers=gathers[best],
        sends=sends[may[best]],
        image_pj=prices[0][:, best],
        cycle_pj=prices[1][:, best],
        area_um2=prices[2][:, best],
        considered=len(found),
        least_busy=int(found.work.busy.min()),
    )


def _compared(
    request: ExploreRequest, lanes: Ints, image_pj: Costs, cycle_pj: Costs, area_um2: Costs
) -> list[Costs | Ints]:
    """Rows of what folds are compared by, beside their work."""
    rows: list[Costs | Ints] = []
    names = [table.name for table in request.tables]
    with_area = [table.name for table in request.with_area]
    for axis in request.axes:
        if axis.name == "lanes":
            rows.append(lanes[np.newaxis])
        elif axis.name == "area":
            rows.append(area_um2[[with_area.index(axis.table)]])
        elif axis.name in ("energy", "power"):
            table = names.index(axis.table)
            rows += [image_pj[table].T, cycle_pj[table].T]
    return rows
