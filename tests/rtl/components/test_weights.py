"""Every step finds its weights at the lanes when its first row stands in the window."""

import pytest

from pilaster.rtl.components.program import Program
from pilaster.rtl.components.sequencer import StepFormat
from pilaster.rtl.components.weights import WeightFeed
from pilaster.sim.machine import LoopOrder, Schedule
from tests.rtl.bench import Case, encode, hold
from tests.rtl.components.stages import (
    draw_conv,
    row_tokens,
    step_value,
    steps_with_targets,
    tile_outputs,
)
from tests.rtl.drivers import Script, hesitations
from tests.rtl.faults import FAULTS as ALL_FAULTS

IMAGES = 2
AHEAD = 2
"""Cycles from a row's read until it stands in the window."""
MOST_TOKENS = 200


def weights_of(stage, weight, tile):
    """Weights of a tile by (set, term); None where the layer has none."""
    group, out_tile, in_tile, tap_group = tile
    fold, geometry = stage.fold, stage.geometry
    kernel_rows, in_group = weight.shape[1], weight.shape[3]
    outputs = tile_outputs(stage, out_tile)

    def find(slot, output, tap, channel):
        offsets = stage.groups[group]
        phase, of_group = divmod(in_tile * fold.in_channels + channel, in_group)
        row = (tap_group * fold.taps + tap) * geometry.row_fold + phase
        real = slot < len(offsets) and output < len(outputs)
        if not real or phase >= geometry.row_fold or row >= kernel_rows:
            return None
        return int(weight[outputs[output], row, offsets[slot], of_group])

    places = [(tap, c) for tap in range(fold.taps) for c in range(fold.in_channels)]
    slots, lanes = range(fold.kernel_columns), range(fold.out_channels)
    if stage.spec.schedule is Schedule.SCATTER:
        return [[find(slot, o, *place) for place in places] for slot in slots for o in lanes]
    return [[find(slot, o, *place) for slot in slots for place in places] for o in lanes]


class WeightCase(Case):
    def __init__(self, seed):
        super().__init__(seed)
        rng = self.rng
        pipeline = draw_conv(rng, seed)
        (self.stage,) = pipeline.stages
        parameters = pipeline.network.parameters["layer"]
        self.weight = parameters.weight
        self.program = Program.of(self.stage)
        form = StepFormat(self.stage, self.program)
        self.component = WeightFeed(self.stage, self.program, parameters, form, self.files)
        steps = steps_with_targets(self.stage, self.program) * IMAGES
        tokens = [(step, row) for step, row, _ in row_tokens(self.stage, steps)][:MOST_TOKENS]
        self.tokens = []
        for (step, row), gap in zip(tokens, hesitations(rng, len(tokens)), strict=True):
            self.tokens += [None] * gap + [(step, row)]
        self.drivers = [
            Script(
                {
                    "token.valid": [int(token is not None) for token in self.tokens],
                    "token.step": [
                        encode(form.step, step_value(token[0])) if token else int(rng.integers(99))
                        for token in self.tokens
                    ],
                    "token.row": [token[1] if token else 0 for token in self.tokens],
                }
            )
        ]

    def judge(self, trace, board):
        many = len(self.program.weights) > 1
        sums_held = self.stage.fold.loop_order is LoopOrder.PSUMS_HELD
        load, weights, reads, held = trace["take"], trace["weights"], trace["reads"], None
        for cycle, token in enumerate(self.tokens):
            real = token is not None and not token[0]["null"]
            expected = many and real and (sums_held or token[1] == 0)
            board.compare("reads", int(expected), reads[cycle], f"cycle {cycle}")
        for cycle, token in enumerate([None] * AHEAD + self.tokens):
            if load[cycle]:
                held = weights[cycle]
            if token is None or token[0]["null"]:
                continue
            board.compare("weights held", True, held is not None, f"cycle {cycle}")
            tile = self.program.weights[token[0]["weight"]]
            wanted = weights_of(self.stage, self.weight, tile)
            found = [
                [None if w is None else f for w, f in zip(*pair, strict=True)]
                for pair in zip(wanted, held or wanted, strict=True)
            ]
            board.compare("weights", wanted, found, f"cycle {cycle}, tile {tile}")


BY_NAME = {fault.name: fault.patch for fault in ALL_FAULTS}
SHOWN = {"weights-early": 1, "weights-each-row": 4, "taps-swapped": 4}
FAULTS = {name: (BY_NAME[name], seed) for name, seed in SHOWN.items()}


def test_weights(tmp_path):
    hold(tmp_path, WeightCase, range(8), FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, 6))
def test_more_weights(tmp_path, part):
    hold(tmp_path, WeightCase, range(10 * part, 10 * part + 10), {})
