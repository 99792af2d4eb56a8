"""A machine for any network: of simple folds, the cheapest that keep up with the columns.

The folds tried have powers of two and whole layers in parallel, and one kernel column at a time,
so that deferred kernel columns take several cycles. It is a starting point, not an optimum.
"""

from __future__ import annotations

from collections.abc import Iterator

from pilaster.models.errors import InputError
from pilaster.models.graph import Node
from pilaster.models.layers import Join, Pool
from pilaster.models.network import Network
from pilaster.sim.machine import Fold, LoopOrder, Machine, Schedule, StageSpec
from pilaster.sim.pipeline import build_stage, with_arm_columns
from pilaster.sim.stages import ConvStage, JoinStage

__all__ = ["default_machine"]

REQUANTIZER_LANES = 4
"""Lanes that a requantiser counts for: its multiplier is that much wider, roughly."""

SINGLE_COLUMN_SHARE = 8
"""A layer of a single column works after the last column only: it gets this part of the time."""


def default_machine(
    network: Network,
    column_interval: int,
    schedule: Schedule = Schedule.SCATTER,
    on_chip_weight_bits: int | None = None,
) -> Machine:
    """Choose a fold for every stage that does an image's work within an image's columns.

    Joins get as many column buffers as keep all stages from waiting for them.

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
    stages = {}
    for node in network.graph.nodes:
        whole = network.graph.input_of(node).width > 1
        budget = image if whole else image // SINGLE_COLUMN_SHARE
        fitting = [
            (*_rank(cost, spec, busy), str(spec), spec)
            for cost, busy, spec in _candidates(
                network, node, schedule, budget, on_chip_weight_bits
            )
            if busy <= budget
        ]
        if not fitting:
            raise InputError(
                f"column_interval: {column_interval} cycles are too few: layer {node.name} cannot "
                f"do its work in the {budget} cycles of an image; use a longer interval"
            )
        stages[node.name] = min(fitting)[-1]
    name = f"{network.name} every {column_interval}"
    return with_arm_columns(network, Machine(name, network.name, column_interval, stages))


def _rank(cost: int, spec: StageSpec, busy: int) -> tuple[int, bool, int, int]:
    """Order of preference: cost; weights held still; wide sums, which pass memory less often."""
    fold = spec.fold
    held = fold.loop_order is LoopOrder.PSUMS_HELD
    return cost, held, -fold.taps * fold.in_channels, busy


def _candidates(
    network: Network,
    node: Node,
    schedule: Schedule,
    budget: int,
    on_chip_weight_bits: int | None,
) -> Iterator[tuple[int, int, StageSpec]]:
    """Yield (cost in lanes, busy cycles per image, stage)."""
    shape = network.graph.input_of(node)
    if isinstance(node.layer, Join):
        for channels in _sizes(max(network.graph.shapes[name].channels for name in node.inputs)):
            spec = StageSpec(Fold(out_channels=channels), schedule)
            stage = build_stage(network, node, spec)
            assert isinstance(stage, JoinStage)
            cost = channels + REQUANTIZER_LANES * stage.requantizers
            yield cost, stage.busy_cycles, spec
        return
    if isinstance(node.layer, Pool):
        for channels in _sizes(shape.channels):
            spec = StageSpec(Fold(out_channels=channels), schedule)
            yield channels, build_stage(network, node, spec).busy_cycles, spec
        return
    smallest = build_stage(network, node, StageSpec(schedule=schedule))
    assert isinstance(smallest, ConvStage)
    geometry, weight_bits = smallest.geometry, smallest.widths.weight
    weights = int.__mul__(network.precisions[node.name].weight_bits, geometry.layer.macs(shape))
    weights //= geometry.rows_out * geometry.columns_out
    in_dram = on_chip_weight_bits is not None and weights > on_chip_weight_bits
    one_row = geometry.rows_out == 1
    for loop_order in [LoopOrder.PSUMS_HELD] if one_row else LoopOrder:
        all_taps = [1] if loop_order is LoopOrder.PSUMS_HELD else sorted({1, geometry.taps})
        for taps in all_taps:
            for in_channels in _sizes(geometry.channels):
                for out_channels in _sizes(geometry.out_channels):
                    lanes = taps * in_channels * out_channels
                    dram = lanes * weight_bits if in_dram else 0
                    requantizers = 1
                    while True:
                        fold = Fold(taps, in_channels, out_channels, 1, requantizers, loop_order)
                        spec = StageSpec(fold, schedule, dram)
                        busy = build_stage(network, node, spec).busy_cycles
                        yield lanes + REQUANTIZER_LANES * requantizers, busy, spec
                        if busy <= budget or requantizers == out_channels:
                            break
                        requantizers = min(2 * requantizers, out_channels)


def _sizes(count: int) -> list[int]:
    """Powers of two up to `count`, and `count` itself."""
    return [1 << i for i in range(count.bit_length()) if 1 << i < count] + [count]
