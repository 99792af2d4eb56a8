"""The default machine of a network: the cheapest simple folds that keep up with the columns.

The folds tried have powers of two and whole layers in parallel, and one kernel column at a time,
so that deferred kernel columns take several cycles. It is a starting point, not an optimum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from pilaster.base.errors import InputError
from pilaster.models.graph import Node
from pilaster.models.network import Network
from pilaster.sim.closed_form import MachineBatch, evaluate
from pilaster.sim.machine import LoopOrder, Machine, Schedule, StageSpec
from pilaster.sim.pace import held_intervals
from pilaster.sim.pipeline import Pipeline, with_arm_columns
from pilaster.sim.stages import Stage
from pilaster.sim.stages.kinds import build_stage, kind_of_layer

__all__ = ["default_machine"]

REQUANTIZER_LANES = 4
"""Lanes that a requantizer counts for: its multiplier is that much wider, roughly."""

SINGLE_COLUMN_SHARE = 8
"""A layer of a single column works after the last column only: it gets this part of the time."""

QUICKER_SHARE = 8
"""A quicker fold is tried that needs this part less of the time."""

WAITING_IMAGES = 4
"""Images by which machines that do not hold their interval are told apart."""


def default_machine(
    network: Network,
    column_interval: int,
    schedule: Schedule = Schedule.SCATTER,
    on_chip_weight_bits: int | None = None,
) -> Machine:
    """Choose a fold for every stage, so that no column ever waits.

    Each stage gets the cheapest simple fold that does an image's work within an image's columns.
    Where columns wait all the same, for work that comes in bursts, the stages that make them wait
    get faster ones. Joins get as many column buffers as keep all stages from waiting for them.

    Parameters
    ----------
    column_interval : cycles between two columns at the input
    on_chip_weight_bits : a layer with more weights than this takes them from DRAM, in one cycle
        for all lanes; None keeps all on chip

    Raises
    ------
    InputError
        If a stage cannot keep up even where everything is done in parallel.
    """
    image = column_interval * network.graph.input_shape.width
    choice: dict[str, _Option] = {}
    for node in network.graph.nodes:
        whole = network.graph.input_of(node).width > 1
        budget = image if whole else image // SINGLE_COLUMN_SHARE
        found = _cheapest(network, node, schedule, budget, on_chip_weight_bits)
        if found is None:
            raise InputError(
                f"column_interval: {column_interval} cycles are too few: layer {node.name} cannot "
                f"do its work in the {budget} cycles of an image; use a longer interval"
            )
        choice[node.name] = found
    name = f"{network.name} every {column_interval}"
    quicker: dict[str, _Option | None] = {}
    while True:
        specs = {layer: option.spec for layer, option in choice.items()}
        pipeline = Pipeline(network, Machine(name, network.name, column_interval, specs))
        if held_intervals(pipeline, np.array([column_interval])).holds[0]:
            return with_arm_columns(network, pipeline.machine)
        for node in network.graph.nodes:
            if node.name not in quicker:
                busy = choice[node.name].busy
                tried = (
                    _cheapest(network, node, schedule, budget, on_chip_weight_bits)
                    for budget in (busy - max(1, busy // QUICKER_SHARE), busy - 1)
                )
                quicker[node.name] = next((option for option in tried if option), None)
        layer = _to_be_quicker(pipeline, choice, quicker)
        found = quicker.pop(layer)
        assert found is not None
        choice[layer] = found


def _to_be_quicker(
    pipeline: Pipeline, choice: Mapping[str, _Option], quicker: Mapping[str, _Option | None]
) -> str:
    """Find the layer with whose quicker fold columns wait least; of equals, the cheapest.

    Where none helps by itself, it is the one whose work on a column takes the largest part of the
    time between two.
    """
    network, stages = pipeline.network, pipeline.stages
    able = [place for place, stage in enumerate(stages) if quicker[stage.name]]
    interval = pipeline.machine.column_interval
    if not able:
        raise InputError(
            f"column_interval: {interval} cycles are too few: columns wait with all that simple "
            f"folds do in parallel; use a longer interval"
        )
    variants: list[tuple[Stage, ...]] = []
    for node, stage in zip(network.graph.nodes, stages, strict=True):
        found = quicker[node.name]
        if found is None:
            variants.append((stage,))
            continue
        other = build_stage(network, node, found.spec)
        variants.append((stage, other.with_arm_columns(stage.arm_columns)))
    one_quicker = np.zeros((len(stages), len(able) + 1), np.intp)
    one_quicker[able, np.arange(len(able))] = 1
    batch = MachineBatch(
        rows=network.graph.input_shape.height,
        column_interval=np.full(len(able) + 1, interval),
        variants=tuple(variants),
        choice=one_quicker,
        sources=pipeline.sources,
    )
    *waits, before = evaluate(batch, WAITING_IMAGES).longest_wait.tolist()

    def rank(trial: tuple[int, int]) -> tuple[int, float, str]:
        place, wait = trial
        stage, found = stages[place], quicker[stages[place].name]
        assert found is not None
        pressure = max(work.cycles for work in stage.work) * stage.columns_in
        added = found.cost - choice[stage.name].cost
        return wait, added if wait < before else -pressure, stage.name

    place, _ = min(zip(able, waits, strict=True), key=rank)
    return stages[place].name


@dataclass(frozen=True)
class _Option:
    """A fold of a stage: what it costs in lanes, and its work on an image in cycles."""

    cost: int
    busy: int
    spec: StageSpec


def _cheapest(
    network: Network,
    node: Node,
    schedule: Schedule,
    budget: int,
    on_chip_weight_bits: int | None,
) -> _Option | None:
    """Find the cheapest fold that does an image's work within a budget of cycles.

    Of equal cost, weights held still before sums, and wide sums, which pass memory less often.
    """

    def rank(option: _Option) -> tuple[int, bool, int, int, str]:
        fold = option.spec.fold
        held = fold.loop_order is LoopOrder.PSUMS_HELD
        wide = -fold.taps * fold.in_channels
        return option.cost, held, wide, option.busy, str(option.spec)

    found = _candidates(network, node, schedule, budget, on_chip_weight_bits)
    return min((option for option in found if option.busy <= budget), key=rank, default=None)


def _candidates(
    network: Network,
    node: Node,
    schedule: Schedule,
    budget: int,
    on_chip_weight_bits: int | None,
) -> Iterator[_Option]:
    """Yield the folds that are tried."""
    kind = kind_of_layer(node.layer)
    in_dram = on_chip_weight_bits is not None and (
        kind.weight_bits(network, node) > on_chip_weight_bits
    )
    for simple in kind.simple_folds(network, node):
        fold, most = simple, kind.most_requantizers(simple)
        dram = fold.lanes * network.precisions[node.name].weight_bits if in_dram else 0
        while True:
            spec = StageSpec(fold, schedule, dram)
            stage = build_stage(network, node, spec)
            cost = fold.lanes + REQUANTIZER_LANES * stage.requantizers
            yield _Option(cost, stage.busy_cycles, spec)
            if stage.busy_cycles <= budget or fold.requantizers == most:
                break
            fold = replace(fold, requantizers=min(2 * fold.requantizers, most))
