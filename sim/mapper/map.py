"""The mapper: find the cheapest machine that meets a request."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np

from pilaster.base.errors import InputError
from pilaster.models.energy.table import EnergyTable
from pilaster.models.graph import INPUT
from pilaster.models.network import Network
from pilaster.sim.actions import ActionCounts, machine_actions
from pilaster.sim.area import stage_area_um2
from pilaster.sim.beats import Beats
from pilaster.sim.dram import dram_traffic
from pilaster.sim.energy import stage_energy_pj
from pilaster.sim.machine import Machine
from pilaster.sim.mapper.check import steady_times
from pilaster.sim.mapper.explain import explain, refuse_impossible
from pilaster.sim.mapper.folds import Limits
from pilaster.sim.mapper.paths import StampLimits
from pilaster.sim.mapper.prices import Pricing, areas_um2, column_buffer_pj, energies_pj
from pilaster.sim.mapper.problem import Problem
from pilaster.sim.mapper.problem import StageOptions as ChainOptions
from pilaster.sim.mapper.question import ArmCost, Costs, Question, StageOptions
from pilaster.sim.mapper.relaxation import Route
from pilaster.sim.mapper.request import DEFAULT_TABLES, SCHEDULES, Objective, Policy, Request
from pilaster.sim.mapper.result import Mapping, StageMapping
from pilaster.sim.mapper.search import search
from pilaster.sim.mapper.slack import stage_slack
from pilaster.sim.mapper.solve import ROUNDING, Found, solve
from pilaster.sim.mapper.space import Candidates, candidates, sent_beats
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.stages.kinds import kind_of
from pilaster.sim.timing import COLUMN_BUFFERS
from pilaster.sim.utilization import utilization
from pilaster.sim.work import SOURCE, Arm

__all__ = ["LANE", "Space", "map_network", "map_request"]

LANE = 2**20
"""Requantizers that a lane outweighs where lanes are counted: more than a machine has."""

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
    row_sums: bool = False,
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
    row_sums : whether all stages keep row sums

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
        row_sums=row_sums,
    )
    return map_request(request)


def _choice(what: str, kind: type[Choice], name: str) -> Choice:
    known = [str(member) for member in kind]
    if name not in known:
        close = difflib.get_close_matches(str(name), known, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"{what}: {name!r} is not known; use {', '.join(known)}{hint}")
    return kind(name)


def map_request(request: Request, limits: Limits | None = None) -> Mapping:
    """Find the machine of least cost for a request.

    Parameters
    ----------
    limits : the space of folds; by default what the request allows
    """
    space = Space(request, limits or default_limits(request))
    refuse_impossible(request, space.candidates, space.least_latency())
    found = space.cheapest(request.objective, request.max_lanes)
    if found.choice is None:

        def least_lanes() -> Found:
            return space.cheapest(Objective.LANES, None)

        raise explain(request, space.candidates, space.kept, least_lanes, found.proven)
    return space.mapping(found)


def default_limits(request: Request) -> Limits:
    """Give the space of folds that a request allows."""
    return Limits(
        schedules=SCHEDULES[request.schedule],
        immediate=request.policy is Policy.IMMEDIATE,
        on_chip_weight_bits=request.on_chip_weight_bits,
        row_sums=request.row_sums,
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

    @cached_property
    def kept(self) -> StampLimits:
        """The limits on stamps. Joins hold as many columns as are ever needed."""
        request, graph = self.request, self.request.network.graph
        index = {INPUT: SOURCE} | {node.name: place for place, node in enumerate(graph.nodes)}
        arms = []
        for node in graph.nodes:
            columns = None if node.layer.joins else COLUMN_BUFFERS
            arms.append(tuple(Arm(index[name], columns) for name in node.inputs))
        return StampLimits(
            graph.input_shape.height, request.column_interval, request.max_latency, tuple(arms)
        )

    def cheapest(self, objective: Objective, max_lanes: int | None) -> Found:
        """Find the cheapest machine: of a chain stage by stage, else by late paths."""
        if not self.request.network.graph.is_chain:
            return solve(self.question(objective, max_lanes))
        found = search(self.problem(objective, max_lanes))
        if objective is not Objective.LANES:
            return found
        bound, cost = found.bound, found.cost
        return Found(found.choice, *(c // LANE if np.isfinite(c) else c for c in (cost, bound)))

    def problem(self, objective: Objective, max_lanes: int | None) -> Problem:
        """Pose the choice of the candidates of a chain that may keep the limits."""
        request = self.request
        whole = self._problem(objective, max_lanes)
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

    def _problem(self, objective: Objective, max_lanes: int | None) -> Problem:
        """Pose the choice of any candidates of a chain."""
        costs = []
        for found, (own, arms) in zip(self.candidates, self.costs(objective), strict=True):
            cost = own[:, np.newaxis] + (arms[0].cost if arms else 0.0)
            if objective is Objective.LANES:
                cost = LANE * cost + found.small_units[:, np.newaxis]
            costs.append(cost)
        stages = []
        for number, (found, cost) in enumerate(zip(self.candidates, costs, strict=True)):
            sends = np.zeros(len(found), np.intp)
            if number + 1 < len(costs) and costs[number + 1].shape[1] > 1:
                _, sends = sent_beats(found)
            index = np.arange(len(found))
            stages.append(ChainOptions(found.name, found.work, cost, sends, found.lanes, index))
        limits, columns = self.kept, self.request.network.graph.input_shape.width
        return Problem(
            stages=tuple(stages),
            rows=limits.rows,
            columns=columns,
            column_interval=limits.column_interval,
            max_latency=limits.max_latency,
            max_lanes=max_lanes,
        )

    def question(self, objective: Objective, max_lanes: int | None) -> Question:
        """Ask for the cheapest of the candidates that may keep the limits."""
        stages, may = [], []
        for found, (cost, arms) in zip(self.candidates, self.costs(objective), strict=True):
            _, sends = sent_beats(found)
            stages.append(
                StageOptions(
                    name=found.name,
                    work=found.work,
                    cost=cost,
                    arms=arms,
                    sends=sends,
                    lanes=found.lanes,
                    small_units=found.small_units,
                    index=np.arange(len(found)),
                )
            )
            able = found.work.busy <= self.request.image_cycles
            if max_lanes is not None:
                able &= found.lanes <= max_lanes
            may.append(np.flatnonzero(able))
        whole = objective is Objective.LANES
        return Question(tuple(stages), self.kept, max_lanes, whole).of(may)

    def least_latency(self) -> int:
        """Bound the latency of every machine: each stage the fastest on its last column."""
        limits, tables = self.kept, [found.work for found in self.candidates]
        soonest: dict[tuple[int, int], int] = {}
        last = len(tables) - 1

        def arrival(source: int, column: int) -> int:
            if source == SOURCE:
                return limits.column_interval * column + limits.rows
            return soonest[source, column]

        needed = {(last, len(tables[last].outputs) - 1)}
        for stage in range(last, -1, -1):
            for _, output in [each for each in needed if each[0] == stage]:
                column, _ = tables[stage].outputs[output]
                needed |= {(arm.source, column) for arm in limits.arms[stage]}
        for stage, output in sorted(needed):
            if stage != SOURCE:
                column, _ = tables[stage].outputs[output]
                begun = max(arrival(arm.source, column) for arm in limits.arms[stage])
                soonest[stage, output] = begun + int(tables[stage].between(column, output).min())
        return max(soonest.values()) - arrival(SOURCE, len(tables[0].kinds) - 1)

    def costs(self, objective: Objective) -> Iterable[tuple[Costs, tuple[ArmCost, ...]]]:
        """Cost of every candidate, by stage, and of the beats that come to its arms.

        Where the beats make no difference no arm is given.
        """
        if objective is Objective.LANES:
            for found in self.candidates:
                yield found.lanes.astype(np.float64), ()
        elif objective is Objective.AREA:
            for found in self.candidates:
                yield areas_um2(found, self.request.table), ()
        else:
            yield from self._energies()

    @property
    def _pricing(self) -> Pricing:
        request = self.request
        return Pricing(request.table, request.image_cycles, request.clock_mhz)

    def _energies(self) -> Iterable[tuple[Costs, tuple[ArmCost, ...]]]:
        whole = Beats.whole(self.request.network.graph.input_shape.channels)
        for found, inputs in zip(self.candidates, self.kept.arms, strict=True):
            cost, arms = energies_pj(found, self._pricing), []
            for arm, each in enumerate(inputs):
                beats = (whole,) if each.source == SOURCE else self._beats[each.source]
                of_beats = column_buffer_pj(found, arm, beats, self._pricing)
                if len(beats) > 1:
                    arms.append(ArmCost(each.source, of_beats))
                else:
                    cost = cost + of_beats[:, 0]
            yield cost, tuple(arms)

    @cached_property
    def _beats(self) -> tuple[tuple[Beats, ...], ...]:
        return tuple(sent_beats(found)[0] for found in self.candidates)

    def mapping(self, found: Found) -> Mapping:
        """Describe the machine that was found."""
        request, choice = self.request, found.choice
        assert choice is not None
        objective = request.objective
        work = [each.work.of(choice[[i]]) for i, each in enumerate(self.candidates)]
        rows = request.network.graph.input_shape.height
        times = steady_times(rows, request.column_interval, work, arms=self.kept.arms)
        slack = stage_slack(self.kept, work)
        lanes = [int(each.lanes[c]) for each, c in zip(self.candidates, choice, strict=True)]
        cost, bound, proven = found.cost, found.bound, found.proven
        machine = Machine(
            request.machine_name,
            request.network.name,
            request.column_interval,
            {each.name: each.spec(int(c)) for each, c in zip(self.candidates, choice, strict=True)},
        )
        pipeline = Pipeline(request.network, machine)
        counts = machine_actions(pipeline)
        energy = _energy_pj(request, pipeline, counts)
        operations = [kind_of(stage).lane_slots(stage) for stage in pipeline.stages]
        area = None
        if request.table.has_area:
            area = sum(stage_area_um2(stage, request.table) for stage in pipeline.stages)
        scale = request.clock_mhz / request.image_cycles if request.clock_mhz else None
        if not request.network.graph.is_chain and objective is not Objective.LANES:
            # The search prices a join with the fewest column buffers that one may have.
            cost = area if objective is Objective.AREA and area is not None else energy
            proven = proven and cost <= bound * (1 + ROUNDING)
        if objective is Objective.POWER:
            assert scale is not None
            cost, bound = cost * scale, bound * scale
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
            utilization=utilization(sum(operations), sum(lanes), request.image_cycles),
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
