"""What a machine needs of an FPGA, estimated before it is built, and the machine that fits one.

The estimate chooses; Yosys counts afterwards, and what it counts is what is held to the board.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from pilaster.models.graph import Node
from pilaster.models.layers import Join, Pool
from pilaster.models.network import Network
from pilaster.rtl.boards.catalogue import Device, Family
from pilaster.rtl.boards.errors import DoesNotFitError
from pilaster.rtl.boards.multipliers import Part, conv_parts, join_parts, share_blocks
from pilaster.rtl.boards.report import RESOURCE_NAMES
from pilaster.rtl.components.contents import memory_names
from pilaster.rtl.host.action_counters import low_bits
from pilaster.rtl.host.actions import counters_of
from pilaster.rtl.host.protocol import ActionCount
from pilaster.sim.machine import Fold, LoopOrder, Machine, StageSpec
from pilaster.sim.pipeline import Pipeline, with_arm_columns
from pilaster.sim.program_tables import SHARED_TILES
from pilaster.sim.stages import ConvStage, JoinStage, PoolStage, Stage
from pilaster.sim.stages.conv_actions import column_buffer_bits, psum_bits
from pilaster.sim.stages.join_actions import arm_buffer_bits, join_requantizers
from pilaster.sim.stages.kinds import build_stage
from pilaster.sim.stages.pool_actions import pool_column_buffer_bits, pool_psum_bits, sum_bits
from pilaster.sim.timing import COLUMN_BUFFERS

__all__ = ["Estimate", "choose_machine", "estimate"]

# (width, depth) that a block RAM can be.
_SHAPES = {
    Family.ECP5: ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)),
    Family.ICE40: ((16, 256), (8, 512), (4, 1024), (2, 2048)),
}

_DISTRIBUTED_CELLS = {Family.ECP5: 23, Family.ICE40: 0}
"""Yosys takes a block RAM where it spares as many cells of 16 x 4 bits, each of six LUTs."""

_DISTRIBUTED_LUTS = 6

_LOGIC_WORDS, _LOGIC_BITS = 16, 1024
"""A read-only memory of up to so many words, or bits, becomes logic."""

# LUTs of a build, fitted to builds of digits (iCE40), lenet5 and DS-CNN (ECP5); see docs/fpga.md.
_LINK_LUTS, _STAGE_LUTS, _LANE_LUTS = 800, 330, 35
_SUM_BIT_LUTS, _REQUANTIZER_BIT_LUTS, _DIVIDER_BIT_LUTS = 6, 20, 18

_LOAD_LUTS, _LOADED_LUTS = 150, 100
"""LUTs of the link's loading, and of each memory that is loaded."""

_SPRAM_WIDTH, _SPRAM_DEPTH = 16, 1 << 14

_PHASE_BIT_LUTS = 1.6
"""LUTs of reading a row from its phases, by the bits of the phases of a lane's value."""

_COUNTER_BIT_LUTS = 2.5
"""LUTs of a counter of actions, by its bits in registers."""

_PASS_BITS = 6
"""Bits of a pass in the schedule's table beside its address of weights."""

LUT_SHARE = {Family.ECP5: 0.81, Family.ICE40: 0.89}
"""Share of the LUTs that an estimate may take: above it, routing takes hours and the clock suffers,
and on iCE40 flip-flops without a LUT of their own find no cell."""

SLOWEST_INTERVAL = 1 << 22

MEMORY_WEIGHTS = (1.0, 0.25)
"""What a share of the memories counts beside one of the LUTs, where a fold is chosen."""

SINGLE_COLUMN_SHARE = 8
"""A layer of a single column gets this part of an image's time."""

MOST_LANES = 512
"""Lanes of a stage: more fit none of the boards."""


@dataclass(frozen=True)
class Large:
    """A memory of weights that may stand in SPRAM.

    Attributes
    ----------
    block_rams, sprams : that it takes, of the one or of the other
    """

    name: str
    block_rams: int
    sprams: int


@dataclass(frozen=True)
class Estimate:
    """What a machine needs, with all its memories in block RAMs.

    Attributes
    ----------
    luts : beside the multipliers
    parts : the multipliers
    large : the memories that may stand in SPRAM
    """

    luts: int
    block_rams: int
    parts: tuple[Part, ...]
    large: tuple[Large, ...] = ()

    def loaded(self, device: Device) -> frozenset[str]:
        """Choose the memories that stand in SPRAM, and are loaded: none where block RAMs suffice.

        Those that spare the most block RAMs for an SPRAM are moved first.
        """
        over, left, chosen = self.block_rams - device.block_rams, device.sprams, set()
        for memory in sorted(self.large, key=lambda m: (-m.block_rams / m.sprams, m.name)):
            if over > 0 and memory.sprams <= left:
                over, left = over - memory.block_rams, left - memory.sprams
                chosen.add(memory.name)
        return frozenset(chosen)

    def excess(self, device: Device) -> dict[str, tuple[int, int]]:
        """What it needs more than a device holds: (needed, there) by resource."""
        loaded = self.loaded(device)
        moved = [memory for memory in self.large if memory.name in loaded]
        luts = self.luts + share_blocks(self.parts, device.multipliers).luts
        luts += _LOAD_LUTS * bool(moved) + _LOADED_LUTS * len(moved)
        block_rams = self.block_rams - sum(memory.block_rams for memory in moved)
        needs = {
            "luts": (luts, int(LUT_SHARE[device.family] * device.luts)),
            "block_rams": (block_rams, device.block_rams),
        }
        return {name: pair for name, pair in needs.items() if pair[0] > pair[1]}


def estimate(pipeline: Pipeline, family: Family, counters: bool = False) -> Estimate:
    """Estimate what a machine and its host link need, with counters of actions or without."""
    needs = [
        _of_stage(stage, [beats.channels for beats in sources], family)
        for stage, sources in zip(pipeline.stages, pipeline.beats, strict=True)
    ]
    link = 2 if family is Family.ICE40 else 0  # memories of a column and of an answer
    counting = _of_counters(pipeline, family) if counters else (0, 0)
    return Estimate(
        _LINK_LUTS + counting[0] + sum(need.luts for need in needs),
        link + counting[1] + sum(need.block_rams for need in needs),
        tuple(part for need in needs for part in need.parts),
        tuple(memory for need in needs for memory in need.large),
    )


def _of_counters(pipeline: Pipeline, family: Family) -> tuple[int, int]:
    """Estimate LUTs and block RAMs of the counters of actions."""
    most = [counter.most for counter in counters_of(pipeline)]
    bits = sum(low_bits(most))
    luts, rams = _Memory(ActionCount.BITS, len(most)).cost(family)
    return luts + ceil(_COUNTER_BIT_LUTS * bits), rams


def _of_stage(stage: Stage, beat_channels: Sequence[int], family: Family) -> Estimate:
    """Estimate a stage whose arms read beats of so many channels."""
    luts, rams = _STAGE_LUTS, 0
    for memory in _memories(stage, beat_channels):
        more_luts, more_rams = memory.cost(family)
        luts, rams = luts + more_luts, rams + more_rams
    if isinstance(stage, PoolStage):
        divides = stage.layer.mode == "average"
        luts += _DIVIDER_BIT_LUTS * stage.fold.out_channels * sum_bits(stage) * divides
        return Estimate(luts, rams, ())
    if isinstance(stage, JoinStage):
        width = stage.fold.out_channels
        scales = join_requantizers(stage)
        luts += _SUM_BIT_LUTS * width * (stage.sum_bits if stage.adds else 0)
        luts += _REQUANTIZER_BIT_LUTS * width * sum(scale.accumulator_bits for scale in scales)
        return Estimate(luts, rams, tuple(join_parts(stage, family)))
    fold, sums = stage.fold, stage.widths.accumulator
    luts += _LANE_LUTS * stage.lanes
    phases = stage.geometry.row_fold
    if phases > 1:
        luts += ceil(_PHASE_BIT_LUTS * phases * fold.in_channels * stage.widths.activation)
    luts += _SUM_BIT_LUTS * fold.out_channels * fold.kernel_columns * sums
    luts += _REQUANTIZER_BIT_LUTS * fold.requantizers * sums
    return Estimate(luts, rams, tuple(conv_parts(stage, family)), tuple(_large(stage, family)))


def _large(stage: ConvStage, family: Family) -> Iterator[Large]:
    """The memory of weights, where it takes block RAMs."""
    name, _ = memory_names(stage)
    width, depth = stage.lanes * stage.widths.weight, stage.weight_sets
    _, rams = _Memory(width, depth, read_only=True).cost(family)
    if rams:
        yield Large(name, rams, ceil(width / _SPRAM_WIDTH) * ceil(depth / _SPRAM_DEPTH))


@dataclass(frozen=True)
class _Memory:
    """`count` memories of `depth` words."""

    width: int
    depth: int
    count: int = 1
    read_only: bool = False

    def cost(self, family: Family) -> tuple[int, int]:
        """LUTs and block RAMs."""
        bits = self.width * self.depth
        if self.depth <= 1 or (
            self.read_only and (self.depth <= _LOGIC_WORDS or bits <= _LOGIC_BITS)
        ):
            return 0, 0
        blocks = min(ceil(self.width / w) * ceil(self.depth / d) for w, d in _SHAPES[family])
        cells = ceil(self.width / 4) * ceil(self.depth / 16)
        if not self.read_only and cells <= _DISTRIBUTED_CELLS[family] * blocks:
            return self.count * cells * _DISTRIBUTED_LUTS, 0
        return 0, self.count * blocks


def _memories(stage: Stage, beat_channels: Sequence[int]) -> list[_Memory]:
    if isinstance(stage, JoinStage):
        arms = zip(beat_channels, stage.sources, arm_buffer_bits(stage), strict=True)
        words = [(max(stage.fold.out_channels, n) * source.bits, bits) for n, source, bits in arms]
        return [_Memory(word, ceil(bits / word)) for word, bits in words]
    (channels,) = beat_channels
    if isinstance(stage, PoolStage):
        word = max(stage.fold.out_channels, channels) * stage.bits
        return [
            _Memory(word, ceil(pool_column_buffer_bits(stage) / word)),
            _Memory(word, ceil(pool_psum_bits(stage) / word)),
        ]
    fold, widths, phases = stage.fold, stage.widths, stage.geometry.row_fold
    word = max(ceil(fold.in_channels / phases), channels) * widths.activation
    psum_word = fold.out_channels * widths.accumulator
    passes = _passes(stage)
    sets = stage.weight_sets if stage.weight_sets > 1 else 0
    banks = fold.kernel_columns
    return [
        _Memory(word, ceil(column_buffer_bits(stage) / word / phases), phases),
        _Memory(stage.lanes * widths.weight, sets, read_only=True),
        _Memory(psum_word, stage.tile_shape[1], read_only=True),  # bias
        _Memory(passes.bit_length() + _PASS_BITS, passes, read_only=True),
        _Memory(psum_word, ceil(psum_bits(stage) / psum_word / banks), banks),
    ]


def _passes(stage: ConvStage) -> int:
    """Entries of the schedule's table of passes: blocks that name tiles alike share theirs."""
    groups, outs, ins, taps = stage.tile_shape
    if stage.weight_sets < SHARED_TILES:
        return stage.weight_sets
    if stage.present is None:
        return ins * taps
    blocks = stage.present.reshape(groups * outs, ins * taps)
    return int(np.unique(blocks, axis=0).sum())


def choose_machine(network: Network, device: Device, counters: bool = False) -> Machine:
    """Choose the fastest machine that fits a device, by the estimate.

    With `counters` there has to be room for counters of its actions, too.

    Column intervals are tried from the shortest, each an eighth longer than the one before. At
    each, every stage takes the fold that keeps up and needs the smallest shares of the device.
    Where none fits, all are tried again with memories counting for less.

    Raises
    ------
    DoesNotFitError
        If no machine fits: tells by how much the one that comes nearest does not, and of what.
    """
    nearest: tuple[float, dict[str, tuple[int, int]]] | None = None
    for weight in MEMORY_WEIGHTS:
        for machine in _machines(network, device, weight):
            need = estimate(Pipeline(network, machine), device.family, counters)
            excess = need.excess(device)
            if not excess:
                return machine
            over = max(used / there for used, there in excess.values())
            if nearest is None or over < nearest[0]:
                nearest = over, excess
    assert nearest is not None
    told = ", ".join(
        f"{used:,} {RESOURCE_NAMES[name]} where there are {there:,}"
        for name, (used, there) in nearest[1].items()
    )
    raise DoesNotFitError(
        f"{network.name} does not fit the {device.name}: the machine that comes nearest needs "
        f"about {told}; choose a larger board, a smaller network, or narrower weights"
    )


def _machines(network: Network, device: Device, memory_weight: float) -> Iterator[Machine]:
    """Give machines that differ, the fastest first."""
    nodes = network.graph.nodes
    options = [_options(network, node, device, memory_weight) for node in nodes]
    interval = 1
    tried: set[tuple[int, ...]] = set()
    while interval <= SLOWEST_INTERVAL:
        image = interval * network.graph.input_shape.width
        fitting = list(_keeping_up(network, options, image))
        chosen = [min(found) for found in fitting if found]
        key = tuple(option[1] for option in chosen)
        if len(chosen) == len(nodes) and key not in tried:
            tried.add(key)
            stages = {node.name: option[-1] for node, option in zip(nodes, chosen, strict=True)}
            name = f"{network.name} on {device.name}"
            yield with_arm_columns(network, Machine(name, network.name, interval, stages))
        interval += max(1, interval // 8)


_Option = tuple[float, int, int, str, StageSpec]
"""Shares of the device, busy cycles, a number to tell options apart, and the stage."""


def _keeping_up(
    network: Network, options: Sequence[Sequence[_Option]], image: int
) -> Iterator[list[_Option]]:
    """Give, by stage, the options that do an image's work in `image` cycles."""
    for node, found in zip(network.graph.nodes, options, strict=True):
        # A layer of a single column works after the last column only.
        single = network.graph.input_of(node).width == 1
        budget = image // SINGLE_COLUMN_SHARE if single else image
        yield [option for option in found if option[2] <= budget]


def _options(network: Network, node: Node, device: Device, memory_weight: float) -> list[_Option]:
    """Ways to lay a layer on a stage: powers of two, one kernel column at a time."""
    found = []
    shape = network.graph.input_of(node)
    for number, fold in enumerate(_folds(network, node)):
        spec = StageSpec(fold)
        stage = build_stage(network, node, spec)
        channels = [min(shape.channels, fold.in_channels)]
        if isinstance(stage, JoinStage):  # the arms' columns are known once all folds are
            channels = [fold.out_channels] * len(node.inputs)
            stage = replace(stage, arm_columns=(COLUMN_BUFFERS,) * len(node.inputs))
        need = _of_stage(stage, channels, device.family)
        blocks = sum(part.fewest_blocks(True) or 0 for part in need.parts)
        memories = need.block_rams / device.block_rams
        for memory in need.large if device.sprams else ():
            rams = need.block_rams - memory.block_rams
            memories = min(memories, rams / device.block_rams + memory.sprams / device.sprams)
        shares = (
            need.luts / device.luts
            + memory_weight * memories
            + blocks / device.multipliers / 4  # what finds no block is made of LUTs
        )
        found.append((shares, number, stage.busy_cycles, node.name, spec))
    return found


def _folds(network: Network, node: Node) -> Iterator[Fold]:
    if isinstance(node.layer, Pool | Join):
        widest = max(network.graph.shapes[name].channels for name in node.inputs)
        yield from (Fold(out_channels=channels) for channels in _sizes(widest))
        return
    stage = build_stage(network, node, StageSpec())
    assert isinstance(stage, ConvStage)
    geometry = stage.geometry
    for order in LoopOrder:
        held = order is LoopOrder.PSUMS_HELD
        if geometry.rows_out == 1 and not held:
            continue
        for taps in [1] if held else sorted({1, geometry.taps}):
            for ins in _sizes(geometry.channels):
                for outs in _sizes(geometry.out_channels):
                    if taps * ins * outs > MOST_LANES:
                        continue
                    for requantizers in (1, 2, 4):
                        if requantizers <= outs:
                            yield Fold(taps, ins, outs, 1, requantizers, order)


def _sizes(count: int) -> list[int]:
    """Powers of two up to `count`, and `count` itself."""
    return [1 << i for i in range(count.bit_length()) if 1 << i < count] + [count]
