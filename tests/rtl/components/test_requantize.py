"""A requantization lane equals the integer reference, three cycles later."""

import numpy as np
import pytest
from amaranth.hdl import Shape

from pilaster.models.quantization import (
    SCALED,
    ConvParameters,
    Rounding,
    quantize_multiplier,
    requantize,
)
from pilaster.rtl.components.requantize import Requantizer, ScaleFormat
from tests.rtl.bench import Case, encode, following, hold
from tests.rtl.drivers import Script
from tests.rtl.faults import edit

CYCLES = 250
LATENCY = 3


class RequantizerCase(Case):
    """Accumulators near the halves that rounding decides, and others; scales by channel; pauses."""

    def __init__(self, seed):
        super().__init__(seed)
        rng = self.rng
        channels = int(rng.integers(1, 5))
        bits, output_bits = int(rng.integers(4, 33)), int(rng.integers(1, 17))
        signed = output_bits > 1 and bool(rng.integers(2))
        self.low = -(1 << (output_bits - 1)) if signed else 0
        self.high = self.low + (1 << output_bits) - 1
        scale_bits = int(rng.integers(1, 32))
        # From a shift to the left of two places to one to the right of many.
        real = 2.0 ** rng.uniform(output_bits - bits - 3, min(2, output_bits - 2), channels)
        if seed % 10 > 5:  # so that halves are met
            real = np.exp2(np.floor(np.log2(real)))
        multiplier, shift = quantize_multiplier(real, scale_bits)
        none = np.zeros(channels, np.int64)
        weight = np.ones((channels, 1, 1, 1), np.int16)
        rounding = Rounding.TWICE if seed < 5 else SCALED[seed % len(SCALED)]
        parameters = ConvParameters(weight, none, multiplier, shift, rounding)
        form = ScaleFormat.of(parameters)
        self.component = Requantizer(bits, form, Shape(output_bits, signed), self.low, self.high)
        channel = rng.integers(0, channels, CYCLES)
        bound = (1 << (bits - 1)) - 1
        some = rng.integers(-bound, bound + 1, CYCLES)
        step = 1 / real[channel]
        near = np.rint((rng.integers(self.low - 2, self.high + 3, CYCLES) + 0.5) * step)
        near = near.astype(np.int64) + rng.integers(-1, 2, CYCLES)
        accumulator = np.where(rng.random(CYCLES) < 0.7, np.clip(near, -bound, bound), some)
        self.expected = [
            int(requantize(np.array([a]), multiplier[c : c + 1], shift[c : c + 1], rounding)[0])
            for a, c in zip(accumulator.tolist(), channel.tolist(), strict=True)
        ]
        self.valid = rng.random(CYCLES) < 0.7
        scales = [encode(form.layout, scale) for scale in form.constants(parameters)]
        self.drivers = [
            Script(
                {
                    "valid": following(self.valid, LATENCY),
                    "accumulator": accumulator.tolist(),
                    "scale": [scales[c] for c in channel.tolist()],
                }
            )
        ]

    def judge(self, trace, board):
        found = trace["result"][LATENCY : LATENCY + CYCLES]
        expected = [min(max(value, self.low), self.high) for value in self.expected]
        some = np.flatnonzero(self.valid).tolist()
        board.series("result", [expected[i] for i in some], [found[i] for i in some])


FAULTS = {
    "first rounding": (edit(Requantizer, "elaborate", "(1 << (shift - 1))", "0"), 0),
    "halves": (
        edit(Requantizer, "elaborate", "(rounded < 0) & (second_later != 0)", "Const(0)"),
        1,
    ),
    "clocked late": (edit(Requantizer, "elaborate", "self.valid[1]", "self.valid[2]"), 4),
    "clamp": (edit(Requantizer, "elaborate", "> high, high", "> high, high - 1"), 2),
    "late": (edit(Requantizer, "elaborate", "second_later.eq(second)", "second_later.eq(0)"), 3),
    "to even": (edit(Requantizer, "_less_than_half", "return ~below[0]", "return 0"), 6),
    "to odd": (edit(Requantizer, "_less_than_half", "return below[0]", "return 0"), 7),
}


def test_results(tmp_path):
    hold(tmp_path, RequantizerCase, range(10), FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, 6))
def test_more_results(tmp_path, part):
    hold(tmp_path, RequantizerCase, range(20 * part, 20 * part + 20), {})
