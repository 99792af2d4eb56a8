"""Test support: every machine of a small space, timed and priced one by one."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from pilaster.models.graph import INPUT
from pilaster.sim.actions import count_actions
from pilaster.sim.area import stage_area_um2
from pilaster.sim.beats import Beats
from pilaster.sim.energy import stage_energy_pj
from pilaster.sim.mapper.map import Space
from pilaster.sim.mapper.request import Objective
from pilaster.sim.recurrence import StageWork, recur
from pilaster.sim.stages import ConvStage, JoinStage
from pilaster.sim.stages.kinds import build_stage
from pilaster.sim.timing import COLUMN_BUFFERS
from pilaster.sim.work import SOURCE, Arm

IMAGES = 24

LANE = 2**20
"""Small units that a lane outweighs."""


class BruteForce:
    """All machines of some of the candidates: which keep the request, and what they cost."""

    def __init__(self, space: Space, kept: list[list[int]]) -> None:
        request = space.request
        network = request.network
        stages = [
            [_stage(network, node, found.spec(index)) for index in indices]
            for node, found, indices in zip(
                network.graph.nodes, space.candidates, kept, strict=True
            )
        ]
        self.choice = np.array(list(product(*(range(len(each)) for each in stages)))).T
        machines = self.choice.shape[1]
        rows, interval = network.graph.input_shape.height, request.column_interval
        index = {INPUT: SOURCE} | {node.name: i for i, node in enumerate(network.graph.nodes)}
        self.sources = [[index[name] for name in node.inputs] for node in network.graph.nodes]
        arms = [
            [Arm(source, None if len(sources) > 1 else COLUMN_BUFFERS) for source in sources]
            for sources in self.sources
        ]
        work = [
            StageWork.of([stage.work for stage in each], chosen)
            for each, chosen in zip(stages, self.choice, strict=True)
        ]
        found = recur(rows, np.full(machines, interval), work, IMAGES, arms=arms)
        accepted = np.array(found.accepted[0])
        due = interval * np.arange(len(accepted))[:, np.newaxis] + rows
        holds = (accepted == due).all(axis=0)
        outputs = stages[-1][0].columns_out
        answers = np.array(found.emitted[-1])[outputs - 1 :: outputs]
        latency = (
            answers
            - accepted[network.graph.input_shape.width - 1 :][:: network.graph.input_shape.width]
        )
        self.latency = latency.max(axis=0)
        self.lanes = np.array(
            [sum(stages[s][i].lanes for s, i in enumerate(c)) for c in self.choice.T]
        )
        self.keeps = holds & (latency[-1] == latency[-3])
        if request.max_latency is not None:
            self.keeps &= self.latency <= request.max_latency
        if request.max_lanes is not None:
            self.keeps &= self.lanes <= request.max_lanes
        self.cost = np.array([_cost(space, stages, self.sources, c) for c in self.choice.T])

    @property
    def least(self) -> float:
        """Least cost of a machine that keeps the request; infinite where none does."""
        return float(self.cost[self.keeps].min(initial=np.inf))


def _stage(network, node, spec):
    stage = build_stage(network, node, spec)
    if isinstance(stage, JoinStage):
        return replace(stage, arm_columns=(COLUMN_BUFFERS,) * len(node.inputs))
    return stage


def _cost(space, stages, sources, choice):
    request = space.request
    total, beats = 0.0, {SOURCE: Beats.whole(request.network.graph.input_shape.channels)}
    for number, (variants, index) in enumerate(zip(stages, choice, strict=True)):
        stage = variants[index]
        if request.objective is Objective.LANES:
            small = stage.fold.out_channels
            if isinstance(stage, ConvStage):
                small = stage.fold.requantizers
            total += LANE * stage.lanes + small
        elif request.objective is Objective.AREA:
            total += stage_area_um2(stage, request.table)
        else:
            coming = [beats[source] for source in sources[number]]
            actions = count_actions(stage, coming, 1, None)
            energy = stage_energy_pj(
                stage, actions, request.image_cycles, request.table, request.clock_mhz
            )
            total += sum(energy.values())
        beats[number] = stage.beats
    return total
