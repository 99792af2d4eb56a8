"""Slack: how much slower one stage may be while all others stay the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pilaster.sim.mapper.check import steady_times
from pilaster.sim.mapper.paths import StampLimits
from pilaster.sim.mapper.question import Ints
from pilaster.sim.mapper.space import WorkTable

__all__ = ["stage_slack"]

TRIED = 16
"""Slacks of each stage that are tried together."""

SETTLING_IMAGES = 8


def stage_slack(limits: StampLimits, work: Sequence[WorkTable]) -> Ints:
    """Find how many cycles each stage's work on every column can grow by, (stages,).

    The cycles are added to what is deferred; a machine that has not settled after eight images
    counts as too slow.

    Parameters
    ----------
    work : of every stage of one machine
    """
    stages = len(work)
    least = np.zeros(stages, np.int64)
    most = np.full(stages, limits.column_interval * len(work[0].kinds) + 1)  # too many
    while (most - least > 1).any():
        steps = np.linspace(least, most, TRIED + 1).astype(np.int64)[1:]
        tried = np.maximum(least + 1, np.minimum(steps, most - 1))
        slower = []
        for stage, table in enumerate(work):
            cycles = np.repeat(table.cycles, stages * TRIED, axis=1)
            rows_deferred = [table.deferred_row(kind) for kind in range(len(table.completions))]
            part = slice(stage * TRIED, (stage + 1) * TRIED)
            cycles[rows_deferred, part] += tried[:, stage]
            slower.append(replace(table, cycles=cycles))
        found = steady_times(
            limits.rows, limits.column_interval, slower, SETTLING_IMAGES, limits.arms
        )
        good = found.holds
        if limits.max_latency is not None:
            good = good & (found.latency <= limits.max_latency)
        held = good.reshape(stages, TRIED).T
        least = np.maximum(least, np.where(held, tried, 0).max(axis=0))
        most = np.minimum(most, np.where(held, most, tried).min(axis=0))
        least = np.minimum(least, most - 1)
    return least
