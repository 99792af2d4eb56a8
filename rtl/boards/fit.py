"""Estimates of the FPGA resources of a machine, and a machine that fits an FPGA.

The estimate chooses; Yosys counts afterwards, and what it counts is what is held to the board.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

from pilaster.models.graph import Node
from pilaster.models.network import Network
from pilaster.rtl.boards.catalog import Device, Family
from pilaster.rtl.boards.errors import DoesNotFitError
from pilaster.rtl.boards.memories import Large, Memory
from pilaster.rtl.boards.multipliers import Part, share_blocks
from pilaster.rtl.boards.needs import needs_of
from pilaster.rtl.boards.report import RESOURCE_NAMES
from pilaster.rtl.host.action_counters import low_bits
from pilaster.rtl.host.actions import counters_of
from pilaster.rtl.host.protocol import ActionCount
from pilaster.sim.machine import Fold, Machine, StageSpec
from pilaster.sim.pipeline import Pipeline, with_arm_columns
from pilaster.sim.stages import Stage
from pilaster.sim.stages.kinds import build_stage, kind_of_layer
from pilaster.sim.timing import COLUMN_BUFFERS

__all__ = ["Estimate", "choose_machine", "estimate"]

# LUTs of a build, fitted to builds of digits (iCE40), lenet5 and DS-CNN (ECP5); see docs/fpga.md.
_LINK_LUTS, _STAGE_LUTS = 800, 330

_LOAD_LUTS, _LOADED_LUTS = 150, 100
"""LUTs of the link's loading, and of each memory that is loaded."""

_COUNTER_BIT_LUTS = 2.5
"""LUTs of a counter of actions, by its bits in registers."""

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
    luts, rams = Memory(ActionCount.BITS, len(most)).cost(family)
    return luts + ceil(_COUNTER_BIT_LUTS * bits), rams


def _of_stage(stage: Stage, beat_channels: Sequence[int], family: Family) -> Estimate:
    """Estimate a stage whose arms read beats of so many channels."""
    needs = needs_of(stage)
    costs = [memory.cost(family) for memory in needs.memories(stage, beat_channels)]
    return Estimate(
        _STAGE_LUTS + needs.luts(stage) + sum(luts for luts, _ in costs),
        sum(rams for _, rams in costs),
        tuple(needs.parts(stage, family)),
        tuple(needs.large(stage, family)),
    )


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
    for number, fold in enumerate(_folds(network, node)):
        spec = StageSpec(fold)
        # The arms' columns are known once all folds are.
        columns = (COLUMN_BUFFERS,) * len(node.inputs)
        stage = build_stage(network, node, spec).with_arm_columns(columns)
        need = _of_stage(stage, needs_of(stage).expected_beats(stage), device.family)
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
    kind = kind_of_layer(node.layer)
    for fold in kind.simple_folds(network, node, MOST_LANES):
        for requantizers in (1, 2, 4):
            if requantizers <= kind.most_requantizers(fold):
                yield replace(fold, requantizers=requantizers)
