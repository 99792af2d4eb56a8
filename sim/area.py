"""The area of a stage's hardware: lanes, requantisers, adders, registers and memories.

Counted is what the action counts and the storage of a stage tell of: not the control, the wiring
and the output buffer.
"""

from __future__ import annotations

from collections.abc import Iterator

from pilaster.models.energy.actions import Attributes
from pilaster.models.energy.table import EnergyTable
from pilaster.sim.stages import ConvStage, JoinStage, PoolStage, Stage
from pilaster.sim.stages.conv_actions import (
    column_phase_bits,
    psum_banks,
    psum_bits,
    register_bits,
    row_bits,
)
from pilaster.sim.stages.join_actions import (
    arm_memories,
    join_register_bits,
    join_requantizers,
)
from pilaster.sim.stages.pool_actions import (
    pool_column_buffer_bits,
    pool_psum_bits,
    pool_register_bits,
    sum_bits,
)

__all__ = ["stage_area_um2"]

Part = tuple[str, Attributes, int]
"""Entry of a table, its attributes, and how many."""


def stage_area_um2(stage: Stage, table: EnergyTable) -> float:
    """Area of a stage in µm².

    Raises
    ------
    InputError
        If the table has no area.
    """
    if isinstance(stage, ConvStage):
        parts = _conv_parts(stage)
    else:
        parts = _pool_parts(stage) if isinstance(stage, PoolStage) else _join_parts(stage)
    return sum(count * table.area_um2(name, attributes) for name, attributes, count in parts)


def _conv_parts(stage: ConvStage) -> Iterator[Part]:
    fold, widths = stage.fold, stage.widths
    banks = psum_banks(stage)
    add = Attributes(bits=widths.accumulator)
    operands = Attributes(activation_bits=widths.activation, weight_bits=widths.weight)
    scale = Attributes(activation_bits=widths.accumulator, weight_bits=widths.scale)
    yield "multiply_area", operands, stage.lanes
    yield "multiply_area", scale, fold.requantizers
    # A lane adds its product; each sum adds to what waits; a requantiser rounds.
    yield "add_area", add, stage.lanes + fold.out_channels * banks + fold.requantizers
    yield "register_area", Attributes(bits=register_bits(stage)), 1
    phases = stage.geometry.row_fold
    phase = _memory(-(-row_bits(stage) // phases), column_phase_bits(stage))
    yield "memory_area", phase, phases
    if stage.weight_sets > 1 and not stage.spec.dram_bits_per_cycle:
        yield "memory_area", Attributes(stage.lanes * widths.weight, stage.weight_sets), 1
    bits, word = psum_bits(stage), fold.out_channels * widths.accumulator
    if bits:
        yield "memory_area", Attributes(word, max(1, bits // word // banks)), banks


def _pool_parts(stage: PoolStage) -> Iterator[Part]:
    tile, bits = stage.fold.out_channels, sum_bits(stage)
    # Down the column, and across columns.
    yield "add_area", Attributes(bits=bits), tile * stage.layer.window.kernel[0]
    if stage.layer.mode == "average":
        yield "multiply_area", Attributes(activation_bits=bits, weight_bits=bits), tile
    yield "register_area", Attributes(bits=pool_register_bits(stage)), 1
    yield "memory_area", _memory(tile * stage.bits, pool_column_buffer_bits(stage)), 1
    waiting = pool_psum_bits(stage)
    if waiting:
        yield "memory_area", _memory(tile * bits, waiting), 1


def _join_parts(stage: JoinStage) -> Iterator[Part]:
    tile = stage.fold.out_channels
    for scale in join_requantizers(stage):
        width = scale.accumulator_bits
        operands = Attributes(activation_bits=width, weight_bits=scale.scale_bits)
        yield "multiply_area", operands, tile
        yield "add_area", Attributes(bits=width), tile  # that rounds
    if stage.adds:
        yield "add_area", Attributes(bits=stage.sum_bits), tile
    yield "register_area", Attributes(bits=join_register_bits(stage)), 1
    for memory in arm_memories(stage):
        yield "memory_area", memory, 1


def _memory(word: int, bits: int) -> Attributes:
    return Attributes(word, -(-bits // word))
