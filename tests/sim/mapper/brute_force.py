"""Test support: every machine of a small space, timed and priced one by one."""

from __future__ import annotations

from itertools import product

import numpy as np

from pilaster.sim.actions import count_actions
from pilaster.sim.area import stage_area_um2
from pilaster.sim.beats import Beats
from pilaster.sim.closed_form import MachineBatch, _recur
from pilaster.sim.energy import stage_energy_pj
from pilaster.sim.mapper.map import LANE, Space
from pilaster.sim.mapper.request import Objective
from pilaster.sim.pipeline import build_stage
from pilaster.sim.stages import ConvStage

IMAGES = 24


class BruteForce:
    """All machines of some of the candidates: which keep the request, and what they cost."""

    def __init__(self, space: Space, kept: list[list[int]]) -> None:
        request = space.request
        network = request.network
        stages = [
            [build_stage(network, node, found.spec(index)) for index in indices]
            for node, found, indices in zip(
                network.graph.nodes, space.candidates, kept, strict=True
            )
        ]
        self.choice = np.array(list(product(*(range(len(each)) for each in stages)))).T
        machines = self.choice.shape[1]
        rows, interval = network.graph.input_shape.height, request.column_interval
        batch = MachineBatch(
            rows, np.full(machines, interval), tuple(map(tuple, stages)), self.choice
        )
        found = _recur(batch, IMAGES)
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
        self.cost = np.array([_cost(space, stages, c) for c in self.choice.T])

    @property
    def least(self) -> float:
        """Least cost of a machine that keeps the request; infinite where none does."""
        return float(self.cost[self.keeps].min(initial=np.inf))


def _cost(space, stages, choice):
    request = space.request
    total, beats = 0.0, Beats.whole(request.network.graph.input_shape.channels)
    for variants, index in zip(stages, choice, strict=True):
        stage = variants[index]
        if request.objective is Objective.LANES:
            small = stage.fold.out_channels
            if isinstance(stage, ConvStage):
                small = stage.fold.requantizers
            total += LANE * stage.lanes + small
        elif request.objective is Objective.AREA:
            total += stage_area_um2(stage, request.table)
        else:
            actions = count_actions(stage, [beats], 1, None)
            energy = stage_energy_pj(
                stage, actions, request.image_cycles, request.table, request.clock_mhz
            )
            total += sum(energy.values())
        beats = stage.beats
    return total
