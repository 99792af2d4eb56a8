"""Partial sums add up from the bias, wait where there is a place, and leave when complete."""

import pytest

from pilaster.rtl.components.program import Program
from pilaster.rtl.components.sequencer import StepFormat
from pilaster.rtl.components.sums import PartialSums
from pilaster.sim.machine import LoopOrder
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
MOST_TOKENS = 300


class SumsCase(Case):
    """Steps of the schedule, with cycles between; sums over the whole width, which wrap around."""

    def __init__(self, seed):
        super().__init__(seed)
        rng = self.rng
        pipeline = draw_conv(rng, seed)
        (self.stage,) = pipeline.stages
        self.parameters = pipeline.network.parameters["layer"]
        program = Program.of(self.stage)
        form = StepFormat(self.stage, program)
        self.component = PartialSums(self.stage, self.parameters, form, self.files)
        self.bits = self.stage.widths.accumulator
        steps = steps_with_targets(self.stage, program) * IMAGES
        tokens = row_tokens(self.stage, steps)[:MOST_TOKENS]
        self.tokens = []
        for token, gap in zip(tokens, hesitations(rng, len(tokens)), strict=True):
            self.tokens += [None] * gap + [token]
        sums = self.component.signature.members["sums"].shape
        half = 1 << (self.bits - 1)
        self.sums = rng.integers(-half, half, (len(self.tokens), sums.length))
        at = {"valid": [], "step": [], "row": []}
        for token in self.tokens:
            step, row, _ = token or (None, 0, None)
            at["valid"].append(int(token is not None))
            at["step"].append(encode(form.step, step_value(step)) if step else 0)
            at["row"].append(row)
        ports = {f"ahead.{name}": values for name, values in at.items()}
        ports |= {f"at.{name}": [0, *values] for name, values in at.items()}
        ports["sums"] = [0, *(encode(sums, row) for row in self.sums.tolist())]
        self.drivers = [Script(ports)]

    def _wrap(self, value):
        half = 1 << (self.bits - 1)
        return (value + half) % (1 << self.bits) - half

    def judge(self, trace, board):
        held = self.stage.fold.loop_order is LoopOrder.PSUMS_HELD
        by_run = held or self.stage.keeps_row_sums
        lanes = self.stage.fold.out_channels
        reads, writes, leaving = trace["reads"], trace["writes"], trace["leaving"]
        tiles, rows, totals = trace["tile"], trace["row"], trace["total"]
        waiting, between = {}, {}
        for cycle, token in enumerate(self.tokens):
            step, row, targets = token or ({}, 0, {})
            outputs = tile_outputs(self.stage, step.get("out_tile", 0))
            bias = self.parameters.bias[outputs.start : outputs.stop].tolist()
            read, written, row_read, row_written, left = 0, 0, 0, 0, None
            for slot, target in targets.items():
                key = (target, step["out_tile"], row)
                start = bias
                if by_run and not step["first"]:
                    start = between.pop((slot, row))
                    row_read |= 1 << slot
                elif key in waiting:
                    start = waiting.pop(key)
                    read |= 1 << slot
                added = self.sums[cycle, slot * lanes : (slot + 1) * lanes].tolist()
                pairs = zip(start, added, strict=False)
                total = [self._wrap(before + more) for before, more in pairs]
                if step["emits"] and slot == step["complete_slot"]:
                    left = total
                elif step["last"] or not by_run:
                    waiting[key] = total
                    written |= 1 << slot
                else:
                    between[slot, row] = total
                    row_written |= 1 << slot
            where = f"token {cycle}"
            board.compare("reads", read, reads[cycle], where)
            board.compare("writes", written, writes[cycle + 1], where)
            if self.stage.row_sum_words:
                board.compare("row reads", row_read, trace["row_reads"][cycle], where)
                board.compare("row writes", row_written, trace["row_writes"][cycle + 1], where)
            board.compare("leaving", int(left is not None), leaving[cycle + 2], where)
            if left is not None:
                found = (tiles[cycle + 2], rows[cycle + 2], totals[cycle + 2][: len(left)])
                board.compare("tile, row, total", (step["out_tile"], row, left), found, where)


BY_NAME = {fault.name: fault.patch for fault in ALL_FAULTS}
NAMES = ("bias-tile", "accumulator-kept", "psum-address", "psum-written-for-nothing")
ROW_NAMES = ("row-sums-lost", "row-sums-address", "row-sums-for-nothing", "psum-each-pass")
FAULTS = {name: (BY_NAME[name], 1) for name in NAMES}
FAULTS |= {name: (BY_NAME[name], 92) for name in ROW_NAMES}
SEEDS = (*range(8), 24, 56, 88, 92)  # the last four keep row sums


def test_sums(tmp_path):
    hold(tmp_path, SumsCase, SEEDS, FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, 6))
def test_more_sums(tmp_path, part):
    hold(tmp_path, SumsCase, range(10 * part, 10 * part + 10), {})
