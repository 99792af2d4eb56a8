"""The mapper: from a request to the machine of least cost that keeps it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np

from pilaster.models.energy.table import EnergyTable
from pilaster.models.errors import InputError
from pilaster.models.network import Network
from pilaster.sim.actions import ActionCounts, machine_actions
from pilaster.sim.area import stage_area_um2
from pilaster.sim.dram import dram_traffic
from pilaster.sim.energy import stage_energy_pj
from pilaster.sim.machine import Machine
from pilaster.sim.mapper.check import steady_times
from pilaster.sim.mapper.explain import explain, refuse_impossible
from pilaster.sim.mapper.folds import Limits
from pilaster.sim.mapper.prices import Pricing, areas_um2, column_buffer_pj, energies_pj
from pilaster.sim.mapper.problem import Costs, Problem, StageOptions
from pilaster.sim.mapper.relaxation import Route
from pilaster.sim.mapper.request import DEFAULT_TABLES, SCHEDULES, Objective, Policy, Request
from pilaster.sim.mapper.result import Mapping, StageMapping
from pilaster.sim.mapper.search import Effort, Found, search
from pilaster.sim.mapper.slack import stage_slack
from pilaster.sim.mapper.space import Candidates, beat_widths, candidates
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.stages import ConvStage
from pilaster.sim.stages.conv_actions import lane_slots
from pilaster.sim.utilization import utilization

__all__ = ["Space", "map_network", "map_request"]

LANE = 2**20
"""Requantisers that a lane outweighs where lanes are counted: more than a machine has."""

Choice = TypeVar("Choice", bound=StrEnum)


def map_network(
    network: Network,
    *,
    column_interval: int,
    max_latency: int | None = None,
    max_lanes: int | None = None,
    objective: str = "lanes",
    table: EnergyTable | str | Path | None = None,
    clock_mhz: float | None = None,
    policy: str = "multi-cycle",
    schedule: str = "scatter",
    on_chip_weight_bits: int | None = None,
) -> Mapping:
    """Find the machine of least cost that is never late.

    Columns of images back to back arrive every `column_interval` cycles and are accepted the moment
    they arrive, for ever; every answer comes within `max_latency` cycles of its last column.

    Parameters
    ----------
    column_interval : cycles between two columns at the input
    max_latency : cycles from when the last column is due to the answer; None for any
    max_lanes : multipliers at most; None for any
    objective : "lanes", "energy" of an image, "power" or "area"
    table : energy table, its name or file; by default one that can answer: ``sg13g2`` for energy
        and power, ``ihp130`` for area, ``eyeriss65`` for lanes
    clock_mhz : needed for power; leakage is an energy only where it is known
    policy : "multi-cycle", or "immediate" to do all open kernel columns at once
    schedule : "scatter", "gather" or "both"
    on_chip_weight_bits : a layer with more bits of weights takes them from DRAM, in one cycle for
        all lanes; None keeps all on chip

    Raises
    ------
    InputError
        If the request makes no sense, or asks for what no machine can have.
    Infeasible
        If no machine keeps all limits together: says which binds where, and the nearest request.
    """
    what = _choice("objective", Objective, objective)
    if not isinstance(table, EnergyTable):
        table = EnergyTable.load(DEFAULT_TABLES[what] if table is None else table)
    request = Request(
        network=network,
        column_interval=column_interval,
        max_latency=max_latency,
        max_lanes=max_lanes,
        objective=what,
        table=table,
        clock_mhz=clock_mhz,
        policy=_choice("policy", Policy, policy),
        schedule=str(schedule),
        on_chip_weight_bits=on_chip_weight_bits,
    )
    return map_request(request)


def _choice(what: str, kind: type[Choice], name: str) -> Choice:
    known = [str(member) for member in kind]
    if name not in known:
        close = difflib.get_close_matches(str(name), known, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"{what}: {name!r} is not known; use {', '.join(known)}{hint}")
    return kind(name)


def map_request(
    request: Request, limits: Limits | None = None, effort: Effort | None = None
) -> Mapping:
    """Find the machine of least cost for a request.

    Parameters
    ----------
    limits : the space of folds; by default what the request allows
    effort : how hard to search
    """
    space = Space(request, limits or default_limits(request))
    refuse_impossible(request, space.candidates, space.least_latency())
    objective = request.objective
    problem = space.problem(objective, request.max_lanes)
    found = search(problem, effort)
    if found.choice is None:

        def least_lanes() -> Found:
            return search(space.problem(Objective.LANES, None), effort)

        raise explain(request, space.candidates, least_lanes, found.proven)
    return space.mapping(found)


def default_limits(request: Request) -> Limits:
    """Give the space of folds that a request allows."""
    return Limits(
        schedules=SCHEDULES[request.schedule],
        immediate=request.policy is Policy.IMMEDIATE,
        on_chip_weight_bits=request.on_chip_weight_bits,
    )


@dataclass(frozen=True, eq=False)
class Space:
    """The candidates of every stage of a request, and what they cost."""

    request: Request
    limits: Limits

    @cached_property
    def candidates(self) -> tuple[Candidates, ...]:
        """Candidates by stage."""
        network = self.request.network
        return tuple(candidates(network, node, self.limits) for node in network.graph.nodes)

    def problem(self, objective: Objective, max_lanes: int | None) -> Problem:
        """Pose the choice of the candidates that may keep the limits."""
        request = self.request
        whole = self._problem(self.costs(objective), max_lanes)
        least = Route.last(whole).least_latency(whole)
        kept = []
        for stage, latency in zip(whole.stages, least, strict=True):
            may = stage.work.busy <= request.image_cycles
            if request.max_latency is not None:
                may &= latency <= request.max_latency
            if max_lanes is not None:
                may &= stage.lanes <= max_lanes
            kept.append(np.flatnonzero(may))
        return whole.of(kept)

    def least_latency(self) -> int:
        """Bound the latency of every machine, by the fastest candidates."""
        whole = self._problem(self.costs(Objective.LANES), None)
        return min(int(latency.min()) for latency in Route.last(whole).least_latency(whole))

    def _problem(self, costs: Iterable[Costs], max_lanes: int | None) -> Problem:
        """Pose the choice of any candidates."""
        request, stages = self.request, []
        told = list(costs)
        for number, (found, cost) in enumerate(zip(self.candidates, told, strict=True)):
            sends = np.zeros(len(found), np.intp)
            if number + 1 < len(told) and told[number + 1].shape[1] > 1:
                _, sends = beat_widths(found)
            stages.append(
                StageOptions(
                    name=found.name,
                    work=found.work,
                    cost=cost,
                    sends=sends,
                    lanes=found.lanes,
                    index=np.arange(len(found)),
                )
            )
        shape = request.network.graph.input_shape
        return Problem(
            stages=tuple(stages),
            rows=shape.height,
            columns=shape.width,
            column_interval=request.column_interval,
            max_latency=request.max_latency,
            max_lanes=max_lanes,
        )

    def costs(self, objective: Objective) -> Iterable[Costs]:
        """Cost of every candidate, by stage: (candidates, widths of the beats that come).

        Where the beats make no difference there is one width.
        """
        if objective is Objective.LANES:
            for found in self.candidates:
                yield (LANE * found.lanes + found.small_units)[:, np.newaxis].astype(np.float64)
        elif objective is Objective.AREA:
            for found in self.candidates:
                yield areas_um2(found, self.request.table)[:, np.newaxis]
        else:
            yield from self._energies()

    @property
    def _pricing(self) -> Pricing:
        request = self.request
        return Pricing(request.table, request.image_cycles, request.clock_mhz)

    def _energies(self) -> Iterable[Costs]:
        channels, groups = np.array([self.request.network.graph.input_shape.channels]), 1
        for found in self.candidates:
            own = energies_pj(found, self._pricing)
            yield own[:, np.newaxis] + column_buffer_pj(found, channels, groups, self._pricing)
            (channels, _), groups = beat_widths(found), found.groups

    def mapping(self, found: Found) -> Mapping:
        """Describe the machine that was found."""
        request, choice = self.request, found.choice
        assert choice is not None
        objective = request.objective
        work = [each.work.of(choice[[i]]) for i, each in enumerate(self.candidates)]
        rows = request.network.graph.input_shape.height
        times = steady_times(rows, request.column_interval, work)
        slack = stage_slack(rows, request.column_interval, request.max_latency, work)
        lanes = [int(each.lanes[c]) for each, c in zip(self.candidates, choice, strict=True)]
        cost, bound, proven = found.cost, found.bound, found.proven
        if objective is Objective.LANES:
            cost, bound = float(cost // LANE), float(bound // LANE)
            proven = bound >= cost
        scale = request.clock_mhz / request.image_cycles if request.clock_mhz else None
        if objective is Objective.POWER:
            assert scale is not None
            cost, bound = cost * scale, bound * scale
        machine = Machine(
            request.machine_name,
            request.network.name,
            request.column_interval,
            {each.name: each.spec(int(c)) for each, c in zip(self.candidates, choice, strict=True)},
        )
        pipeline = Pipeline(request.network, machine)
        counts = machine_actions(pipeline)
        energy = _energy_pj(request, pipeline, counts)
        operations = [
            lane_slots(stage) if isinstance(stage, ConvStage) else 0 for stage in pipeline.stages
        ]
        area = None
        if request.table.has_area:
            area = sum(stage_area_um2(stage, request.table) for stage in pipeline.stages)
        return Mapping(
            network=request.network.name,
            machine=machine,
            objective=str(objective),
            unit=objective.unit,
            cost=cost,
            bound=cost if proven else bound,
            proven=proven,
            column_interval_cycles=request.column_interval,
            max_latency_cycles=request.max_latency,
            max_lanes=request.max_lanes,
            policy=str(request.policy),
            schedule=request.schedule,
            latency_cycles=int(times.latency[0]),
            lanes=sum(lanes),
            utilisation=utilization(sum(operations), sum(lanes), request.image_cycles),
            table=request.table.name,
            clock_mhz=request.clock_mhz,
            energy_pj=energy,
            power_uw=None if scale is None else energy * scale,
            area_um2=area,
            dram=dram_traffic(pipeline.stages, counts, 1, request.image_cycles),
            not_included=request.table.missing,
            candidates=sum(map(len, self.candidates)),
            stages=tuple(
                StageMapping(
                    each.name,
                    lane,
                    utilization(done, lane, request.image_cycles),
                    int(table.busy[0]),
                    int(table.last_column[0]),
                    int(spare),
                )
                for each, lane, done, table, spare in zip(
                    self.candidates, lanes, operations, work, slack, strict=True
                )
            ),
        )


def _energy_pj(request: Request, pipeline: Pipeline, counts: Iterable[ActionCounts]) -> float:
    """Energy of an image in which no activation is zero."""
    total = 0.0
    for stage, actions in zip(pipeline.stages, counts, strict=True):
        energy = stage_energy_pj(
            stage, actions, request.image_cycles, request.table, request.clock_mhz
        )
        total += sum(energy.values())
    return total
