"""Laws: packed products are the products; a machine with them is the same in every cycle."""

from itertools import product

import numpy as np
import pytest
from amaranth.hdl import Module, Shape, Signal, signed, unsigned
from amaranth.sim import Simulator

import pilaster as pl
from pilaster.data import images_for
from pilaster.rtl.components.products import pack, packed_bits, unpack
from pilaster.rtl.verification.verify import verify
from pilaster.rtl.verilog import generate
from pilaster.sim.machine import Fold, Machine, Schedule, StageSpec
from pilaster.sim.pipeline import Pipeline


def check(operand, weight, cases):
    """Hold products of packed weights to those of plain integers."""
    a = Signal(operand)
    low, high = Signal(signed(weight)), Signal(signed(weight))
    bits = operand.width + weight
    packed = Signal(signed(packed_bits(operand.width, weight)))
    whole = Signal(signed(2 * bits + 1))
    first, second = Signal(signed(2 * bits)), Signal(signed(2 * bits))
    factor = pack(low, high, operand.width)
    assert len(factor) <= len(packed), "the packed weights are as wide as is said"
    products = unpack(whole, bits)
    m = Module()
    m.d.comb += [packed.eq(factor), whole.eq(a * packed)]
    m.d.comb += [first.eq(products[0]), second.eq(products[1])]

    async def drive(ctx):
        for values in cases:
            for signal, value in zip((a, low, high), values, strict=True):
                ctx.set(signal, value)
            found = ctx.get(first), ctx.get(second)
            assert found == (values[0] * values[1], values[0] * values[2]), values

    simulator = Simulator(m)
    simulator.add_testbench(drive)
    simulator.run()


def values_of(shape):
    low = -(1 << shape.width - 1) if shape.signed else 0
    return range(low, low + (1 << shape.width))


@pytest.mark.parametrize("weight", [2, 3, 4])
@pytest.mark.parametrize("kind", [unsigned, signed])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_all_products_of_small_widths(kind, bits, weight):
    weights = values_of(signed(weight))
    check(kind(bits), weight, product(values_of(kind(bits)), weights, weights))


@pytest.mark.parametrize("weight", range(2, 17))
@pytest.mark.parametrize("kind", [unsigned, signed])
@pytest.mark.parametrize("bits", [1, 5, 8, 16])
def test_products_of_any_width(kind, bits, weight):
    rng = np.random.default_rng(bits * 100 + weight)

    def some(shape: Shape):
        values = values_of(shape)
        ends = [values[0], values[-1], values[len(values) // 2]]
        return ends, [values[i] for i in rng.integers(len(values), size=50)]

    (ends_a, any_a), (ends_w, any_w) = some(kind(bits)), some(signed(weight))
    cases = [*product(ends_a, ends_w, ends_w), *zip(any_a, any_w, reversed(any_w), strict=True)]
    check(kind(bits), weight, cases)


@pytest.mark.parametrize("schedule", Schedule)
def test_a_machine_with_pairs_is_equal_in_values_cycles_and_actions(schedule):
    network = pl.load("digits", bits=(4, 8))
    columns = 3 if schedule is Schedule.SCATTER else 1
    folds = {
        "conv1": Fold(taps=3, out_channels=3),
        "conv2": Fold(in_channels=2, out_channels=5, kernel_columns=columns),
        "fc3": Fold(in_channels=2, out_channels=2),
    }
    names = [node.name for node in network.graph.nodes]
    stages = {name: StageSpec(folds.get(name, Fold()), schedule) for name in names}
    machine = Machine("paired", network.name, 200, stages)
    designs = []

    def with_pairs(design):
        pairs = generate(Pipeline(network, machine), probes=True, paired=list(folds))
        designs.extend([design, pairs])
        return pairs

    images = images_for(network, None, 3).images
    verdict = verify(network, machine, images, seed=1, mutate=with_pairs, optimize=False)
    assert verdict.equal, [str(d) for stage in verdict.stages for d in stage.differences]
    plain, pairs = (design.verilog.count(" * ") for design in designs)
    assert pairs < plain
