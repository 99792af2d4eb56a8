"""Check of explored machines by event-driven simulation and individual pricing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilaster.sim.actions import machine_actions
from pilaster.sim.area import stage_area_um2
from pilaster.sim.energy import stage_energy_pj
from pilaster.sim.engine import simulate_events
from pilaster.sim.explore.options import Options
from pilaster.sim.explore.request import ExploreRequest
from pilaster.sim.machine import Machine
from pilaster.sim.mapper.check import MOST_IMAGES, steady_times
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.stages.kinds import kind_of
from pilaster.sim.utilization import utilization

__all__ = ["Claim", "differences", "settling_images"]

SAME = 1e-9
"""How far energies and areas may be apart, as a share: sums of reals in another order."""


@dataclass(frozen=True)
class Claim:
    """What an exploration says of a machine.

    Attributes
    ----------
    images : back to back, of which the last two have settled
    figures : by column
    """

    machine: Machine
    images: int
    figures: dict[str, float]


def settling_images(
    request: ExploreRequest,
    options: Sequence[Options],
    column_interval: int,
    choice: NDArray[np.integer],
) -> NDArray[np.int64]:
    """Count the images after which machines' stamps repeat themselves, (machines,)."""
    work = [stage.work.of(chosen) for stage, chosen in zip(options, choice, strict=True)]
    height = request.network.graph.input_shape.height
    images = np.zeros(choice.shape[1], np.int64)
    for most in range(2, MOST_IMAGES + 1):
        left = np.flatnonzero(images == 0)
        if not len(left):
            break
        holds = steady_times(height, column_interval, [w.of(left) for w in work], most).holds
        images[left[holds]] = most
    return images


def differences(request: ExploreRequest, claim: Claim) -> list[str]:
    """Simulate a machine by events, price its stages, and tell what is not as claimed."""
    machine, figures = claim.machine, claim.figures
    pipeline = Pipeline(request.network, machine)
    stamps = simulate_events(pipeline, claim.images)
    latency = stamps.latency_after_last_column
    cycles = int(stamps.answers[-1] - stamps.answers[-2])
    found: dict[str, float] = {
        "column_interval_cycles": machine.column_interval + int(stamps.waits.max()),
        "lanes": pipeline.lanes,
        "cycles_per_image": cycles,
        "latency_after_last_column_cycles": int(latency.max()),
        "latency_cycles": int(stamps.latency[-1]),
        "utilization": utilization(
            sum(kind_of(stage).lane_slots(stage) for stage in pipeline.stages),
            pipeline.lanes,
            cycles,
        ),
        **_prices(request, pipeline, cycles),
    }
    return [
        f"{machine.name}: {name}: {figures[name]:,.12g} explored, {found[name]:,.12g} simulated"
        for name in figures
        if not math.isclose(figures[name], found[name], rel_tol=_tolerance(name))
    ]


def _tolerance(name: str) -> float:
    return SAME if name.startswith(("energy", "power", "area", "utilization")) else 0.0


def _prices(request: ExploreRequest, pipeline: Pipeline, cycles: int) -> dict[str, float]:
    found: dict[str, float] = {}
    counts = machine_actions(pipeline)
    for table in request.tables:
        energy = sum(
            sum(stage_energy_pj(stage, actions, cycles, table, request.clock_mhz).values())
            for stage, actions in zip(pipeline.stages, counts, strict=True)
        )
        found[f"energy_pj_{table.name}"] = energy
        if request.clock_mhz is not None:
            found[f"power_uw_{table.name}"] = energy * request.clock_mhz / cycles
    for table in request.with_area:
        area = sum(stage_area_um2(stage, table) for stage in pipeline.stages)
        found[f"area_um2_{table.name}"] = area
    return found
