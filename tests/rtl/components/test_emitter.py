"""Sums leave requantized: a beat for each row, when the last of its turns is done."""

import numpy as np
import pytest

from pilaster.models.quantization import requantize
from pilaster.rtl.components.emitter import Emitter
from pilaster.rtl.stages.conv import stream_shape
from tests.rtl.bench import Case, encode, hold
from tests.rtl.components.stages import draw_conv, tile_outputs
from tests.rtl.drivers import Script, hesitations
from tests.rtl.faults import FAULTS as ALL_FAULTS
from tests.rtl.faults import edit

ROWS = 40
LATENCY = 3


class EmitterCase(Case):
    """Rows of sums of random tiles, each held until the next, never sooner than it may leave."""

    def __init__(self, seed):
        super().__init__(seed)
        rng = self.rng
        pipeline = draw_conv(rng, seed)
        (self.stage,) = pipeline.stages
        stage, self.parameters = self.stage, pipeline.network.parameters["layer"]
        self.target = pipeline.network.tensors["layer"]
        self.component = Emitter(stage, self.parameters, self.target, stream_shape(self.target))
        outputs, tiles = stage.fold.out_channels, stage.tile_shape[1]
        self.turns = -(-outputs // stage.fold.requantizers)
        bound = (1 << (stage.widths.accumulator - 1)) - 1
        size = bound * rng.choice([1, 0.1, 0.001], (ROWS, 1))
        self.totals = np.rint(rng.uniform(-size, size, (ROWS, outputs))).astype(np.int64)
        self.tiles = rng.integers(0, tiles, ROWS).tolist()
        layout = self.component.signature.members["total"].shape
        ports = {"leaving": [], "tile": [], "total": []}
        self.at = []
        for row, gap in enumerate(hesitations(rng, ROWS)):
            self.at.append(len(ports["leaving"]))
            ports["leaving"] += [1] + [0] * (self.turns - 1 + gap)
            ports["tile"] += [self.tiles[row]] * (self.turns + gap)
            ports["total"] += [encode(layout, self.totals[row].tolist())] * (self.turns + gap)
        self.drivers = [Script(ports)]

    def judge(self, trace, board):
        beat, turn = trace["beat"], trace["turn"]
        low, high = self.target.stream_range
        times = [cycle + self.turns - 1 + LATENCY for cycle in self.at]
        board.series("valid", times, trace.events("valid"))
        fires = [cycle + index for cycle in self.at for index in range(self.turns)]
        board.series("fires", fires, trace.events("fires"))
        board.series("turn", list(range(self.turns)) * ROWS, [turn[cycle] for cycle in fires])
        for row, time in enumerate(times):
            for lane, channel in enumerate(tile_outputs(self.stage, self.tiles[row])):
                total = self.totals[row, lane : lane + 1]
                one = slice(channel, channel + 1)
                scaled = requantize(
                    total, self.parameters.multiplier[one], self.parameters.shift[one]
                )
                expected = min(max(int(scaled[0]), low), high)
                board.compare("value", expected, beat[time][lane], f"row {row}, lane {lane}")


BY_NAME = {fault.name: fault.patch for fault in ALL_FAULTS}
FAULTS = {
    "scale-of-channel": (BY_NAME["scale-of-channel"], 1),
    "forgets earlier turns": (
        edit(Emitter, "elaborate", "m.d.sync += kept.eq(self.beat)", "m.d.sync += kept.eq(0)"),
        0,
    ),
    "a turn too few": (edit(Emitter, "elaborate", "[-1] == turns - 1", "[-1] == turns // 2"), 7),
}


def test_rows(tmp_path):
    hold(tmp_path, EmitterCase, range(8), FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, 6))
def test_more_rows(tmp_path, part):
    hold(tmp_path, EmitterCase, range(10 * part, 10 * part + 10), {})
