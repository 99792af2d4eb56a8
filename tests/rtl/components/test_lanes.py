"""The lane array: sums of products of a window with the weights held, a tree's depth later."""

import numpy as np
import pytest
from amaranth.hdl import Shape, signed
from amaranth.lib import data

from pilaster.models.quantization import signed_bits
from pilaster.rtl.components.lanes import LaneArray
from tests.rtl.bench import Case, encode, following, hold
from tests.rtl.drivers import Script
from tests.rtl.faults import edit

CYCLES = 80
RADIX = 4


class LaneCase(Case):
    """Windows, enables and loads of weights at random, with idle cycles between."""

    def __init__(self, seed):
        super().__init__(seed)
        rng = self.rng
        terms, outputs, slots = (int(rng.integers(1, most)) for most in (20, 4, 4))
        self.outputs, self.terms, self.shared = outputs, terms, bool(rng.integers(3))
        operands = terms if self.shared else terms * outputs
        bits, weight_bits = int(rng.integers(1, 17)), int(rng.integers(2, 17))
        value = Shape(bits, bool(rng.integers(2)))
        low = -(1 << (bits - 1)) if value.signed else 0
        top = (1 << (weight_bits - 1)) - 1
        weights = data.ArrayLayout(data.ArrayLayout(signed(weight_bits), terms), slots * outputs)
        sum_bits = signed_bits(terms * top * (1 << bits))
        self.component = LaneArray(weights, outputs, self.shared, value, sum_bits, seed % 2 == 1)
        self.values = rng.integers(low, low + (1 << bits), (CYCLES, operands))
        self.values[rng.random(self.values.shape) < 0.3] = 0
        density = rng.choice([0.0, 0.5, 1.0], (CYCLES, 1))
        self.valid = rng.random(CYCLES) < 0.8
        self.enables = (rng.random((CYCLES, operands)) < density) & self.valid[:, None]
        self.load = rng.random(CYCLES) < 0.4
        self.load[0] = True
        self.weights = rng.integers(-top, top + 1, (CYCLES, slots * outputs, terms))
        ports = self.component.signature.members
        self.drivers = [
            Script(
                {
                    "values": [encode(ports["values"].shape, v) for v in self.values.tolist()],
                    "enables": [
                        sum(int(e) << i for i, e in enumerate(row)) for row in self.enables
                    ],
                    "valid": following(self.valid, len(self.component.valid)),
                    "load": self.load.astype(int).tolist(),
                    "weights": [encode(weights, w) for w in self.weights.tolist()],
                }
            )
        ]

    def judge(self, trace, board):
        levels = next(n for n in range(9) if RADIX**n >= self.terms)
        held, sums, nonzero = None, trace["sums"], trace["nonzero"]
        for cycle in range(CYCLES):
            if self.load[cycle]:
                held = self.weights[cycle]
            live = self.enables[cycle] & (self.values[cycle] != 0)
            operand = np.where(live, self.values[cycle], 0)
            expected = []
            for index, row in enumerate(held):
                first = 0 if self.shared else index % self.outputs * self.terms
                expected.append(int((row * operand[first : first + self.terms]).sum()))
            if self.valid[cycle]:
                board.compare("sums", expected, sums[cycle + levels + 2], f"cycle {cycle}")
            lit = sum(int(flag) << index for index, flag in enumerate(live))
            board.compare("nonzero", lit, nonzero[cycle], f"cycle {cycle}")


FAULTS = {
    "stale operand": (edit(LaneArray, "elaborate", "nonzero.eq(here)", "nonzero.eq(1)"), 0),
    "weights of slot 0": (
        edit(LaneArray, "elaborate", "held[each][lane]", "held[0][lane]"),
        1,
    ),
    "products move on": (edit(LaneArray, "elaborate", "live[mine][lane]", "self.valid[0]"), 3),
    "sums clocked early": (
        edit(LaneArray, "_tree", "OPERAND + MULTIPLY + level", "OPERAND + level"),
        4,
    ),
    "a level too many": (
        edit(
            LaneArray,
            "_tree",
            "return terms[0]",
            "m.d.sync += (t := Signal.like(terms[0])).eq(terms[0])\n    return t",
        ),
        2,
    ),
}


def test_sums(tmp_path):
    hold(tmp_path, LaneCase, range(6), FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, 6))
def test_more_sums(tmp_path, part):
    hold(tmp_path, LaneCase, range(10 * part, 10 * part + 10), {})
