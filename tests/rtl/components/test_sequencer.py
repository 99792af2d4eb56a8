"""The fetcher offers the schedule's steps; the sequencer starts them as soon as the rules allow."""

from unittest.mock import patch

import pytest

from pilaster.rtl.components.program import Program
from pilaster.rtl.components.sequencer import Fetcher, Sequencer, StepFormat
from pilaster.sim import program_tables
from pilaster.sim.machine import LoopOrder, Schedule
from tests.rtl.bench import Case, encode, hold
from tests.rtl.components.stages import draw_conv, step_value, steps_with_targets
from tests.rtl.drivers import Awaited, Credits, Pulses, Sink, Source
from tests.rtl.faults import FAULTS as ALL_FAULTS
from tests.rtl.faults import edit

IMAGES = 2
BUFFERS = 2


class FetcherCase(Case):
    def __init__(self, seed):
        super().__init__(seed)
        rng = self.rng
        (self.stage,) = draw_conv(rng, seed).stages
        with patch.object(program_tables, "SHARED_TILES", int(rng.choice([0, 1 << 30]))):
            self.program = Program.of(self.stage)
        self.steps = steps_with_targets(self.stage, self.program)
        form = StepFormat(self.stage, self.program)
        self.component = Fetcher(self.stage, self.program, form)
        self.drivers = [Sink("steps", IMAGES * len(self.steps), rng)]

    def pattern(self, step):
        """Which channels a step reads: by output tile where depthwise, else by group."""
        geometry = self.stage.geometry
        _, outs, ins, _ = self.stage.tile_shape
        part = step["out_tile"]
        if not geometry.is_depthwise:
            part = part * geometry.layer.groups // outs
        return part * ins + step["in_tile"]

    def judge(self, trace, board):
        board.stream(trace, "steps")
        board.series("valid", [0] + [1] * (len(trace.cycles) - 1), trace["steps.valid"])
        found = [payload for _, payload in trace.beats("steps")]
        board.compare("steps", IMAGES * len(self.steps), len(found))
        keeps = self.stage.spec.schedule is Schedule.SCATTER and self.stage.pending_columns
        open_places = {}
        for number, ((step, targets), seen) in enumerate(
            zip(self.steps * IMAGES, found, strict=True)
        ):
            expected = dict(step)
            if not step["idle"]:
                expected["pattern"] = self.pattern(step)
                expected["slots"] = step_value(step)["slots"]
                if step["null"]:
                    del expected["weight"]
            expected = {name: value for name, value in expected.items() if value is not None}
            got = {name: seen[name] for name in expected}
            got["slots"] = [dict(slot) for slot in seen["slots"]]
            expected.setdefault("slots", got["slots"])
            board.compare("step", expected, got, f"number {number}")
            active = {slot for slot, place in enumerate(seen["slots"]) if place["active"]}
            board.compare("active slots", set(targets), active, f"number {number}")
            if not keeps:
                continue
            for slot, target in targets.items():
                place = (seen["slots"][slot]["bank"], seen["slots"][slot]["column"])
                place = open_places.setdefault(target, place), place
                board.compare("place of a column", *place, f"number {number}")
            apart = len(set(open_places.values()))
            board.compare("places of open columns", len(open_places), apart, f"number {number}")
            last = step.get("emits") and step["out_tile"] == self.stage.tile_shape[1] - 1
            if last and step["row"] in (0, self.stage.geometry.rows_out - 1):
                self._close(open_places, step, targets)

    def _close(self, open_places, step, targets):
        held = self.stage.fold.loop_order is LoopOrder.PSUMS_HELD
        if not held or step["row"] == self.stage.geometry.rows_out - 1:
            open_places.pop(targets[step["complete_slot"]])


class SequencerCase(Case):
    """Steps, columns and room all come with hesitations."""

    def __init__(self, seed):
        super().__init__(seed)
        rng = self.rng
        (self.stage,) = draw_conv(rng, seed).stages
        stage, geometry = self.stage, self.stage.geometry
        program = Program.of(stage)
        self.form = StepFormat(stage, program)
        folded_rows = -(-(geometry.shape.height + geometry.offset) // geometry.row_fold)
        self.component = Sequencer(stage, self.form, folded_rows)
        self.steps = [step for step, _ in steps_with_targets(stage, program)] * IMAGES
        words = [encode(self.form.step, step_value(step)) for step in self.steps]
        columns = IMAGES * stage.columns_in
        out_beats = geometry.rows_out * stage.tile_shape[1]
        slowly = 3 * stage.busy_cycles // stage.columns_out
        leaves = Credits(0, ["token_valid", "token.emits"], out_beats)
        self.drivers = [
            Source("steps", words, self.form.step.size, rng),
            Awaited("finished", columns),
            Pulses("accepted", columns, Credits(BUFFERS, ["finished"]), rng, 2 * out_beats),
            Pulses("room", IMAGES * stage.columns_out, leaves, rng, slowly),
        ]

    def length(self, step):
        """Cycles that a step takes."""
        stage = self.stage
        if step["idle"] or stage.fold.loop_order is LoopOrder.PSUMS_HELD:
            return 1
        return stage.emitting_sweep_cycles if step["emits"] else stage.sweep_cycles

    def wait(self, step):
        """Cycles that a row waits for the one before it to leave, where sums are held."""
        stage = self.stage
        held = stage.fold.loop_order is LoopOrder.PSUMS_HELD
        if not (held and step.get("completes") and step["first"]):
            return 0
        slow = -(-stage.fold.out_channels // stage.fold.requantizers)
        return max(0, slow - step["passes"])

    def rows_of(self, step, start):
        """((cycle, row read or None) of every move, (cycle, row) of every output row)."""
        stage, geometry = self.stage, self.stage.geometry
        slow = -(-stage.fold.out_channels // stage.fold.requantizers) if step["emits"] else 1
        lead = stage.lead
        if stage.fold.loop_order is LoopOrder.PSUMS_HELD:
            reads = [(start, step["row"] + step["tap_group"] - geometry.pad_top)]
            outputs = [(start, step["row"])]
        else:
            first = 0
            if stage.fold.taps != geometry.taps:
                first = step["tap_group"] * stage.fold.taps - geometry.pad_top
            outputs = [(start + lead + r * slow, r) for r in range(geometry.rows_out)]
            reads = [(start + place, first + place) for place in range(lead)]
            reads += [(cycle, first + lead + r) for cycle, r in outputs]
        inside = range(0) if step["null"] else range(geometry.rows)
        return [(cycle, row if row in inside else None) for cycle, row in reads], outputs

    def judge(self, trace, board):
        board.stream(trace, "steps")
        accepted, room = trace.events("accepted"), trace.events("room")
        valid, free = trace["steps.valid"], 0
        starts, started, finished = [], [], []
        swept, moves, tokens = set(), {}, {}
        columns = sent = 0
        for step in self.steps:
            time = free
            if step["first_in_column"]:
                time = max(time, accepted[columns] + 1) if columns < len(accepted) else None
                columns += 1
            if step["gate"] and time is not None:
                if sent >= BUFFERS:
                    came = sent - BUFFERS
                    time = max(time, room[came] + 1) if came < len(room) else None
                sent += 1
            while time is not None and time < len(valid) and not valid[time]:
                time += 1
            if time is None or time >= len(valid):
                break
            if step["first_in_column"]:
                started.append(time)
            time += self.wait(step)
            starts.append(time)
            free = time + self.length(step)
            if step["last_in_column"]:
                finished.append(free - 1)
            if step["idle"]:
                continue
            reads, outputs = self.rows_of(step, time)
            swept |= set(range(time, free))
            moves |= {cycle: row for cycle, row in reads if cycle < free}
            word = encode(self.form.step, step_value(step))
            tokens |= {cycle: (word, row) for cycle, row in outputs}
        board.compare("steps", len(self.steps), len(starts))
        board.series("step taken", starts, [cycle for cycle, _ in trace.beats("steps")])
        board.series("started", started, trace.events("started"))
        board.series("finished", finished, trace.events("finished"))
        self._compare_rows(trace, board, swept, moves, tokens)

    def _compare_rows(self, trace, board, swept, moves, tokens):
        read, row = trace["read"], trace["read_row"]
        reads = sorted((cycle, at) for cycle, at in moves.items() if at is not None)
        board.series("row read", reads, [(c, row[c]) for c in trace.cycles if read[c]])
        if self.stage.fold.loop_order is LoopOrder.WEIGHTS_HELD:
            found = [cycle for cycle in trace.events("moves") if cycle in swept]
            board.series("moves", sorted(moves), found)
        step, at = trace["token"], trace["token_row"]
        found = [(c, (encode(self.form.step, step[c]), at[c])) for c in trace.events("token_valid")]
        board.series("token", sorted(tokens.items()), found)


BY_NAME = {fault.name: fault.patch for fault in ALL_FAULTS}
FETCHER_FAULTS = {
    "slot-that-leaves": (BY_NAME["slot-that-leaves"], 4),
    "moves on unasked": (
        edit(
            Fetcher,
            "elaborate",
            "~self.steps.valid | self.steps.ready",
            "self.steps.ready | ~self.steps.ready",
        ),
        1,
    ),
    "first columns": (
        edit(Fetcher, "elaborate", "m.d.sync += first_in_column.eq(run.last_in_column)", "pass"),
        1,
    ),
}
NAMES = (
    "bubble",
    "sweep-short",
    "lead",
    "emits-too-fast",
    "row-wait",
    "credit-ignored",
    "credit-more",
    "started-late",
)
SHOWN = {"row-wait": 5}
SEQUENCER_FAULTS = {name: (BY_NAME[name], SHOWN.get(name, 0)) for name in NAMES}


def test_fetcher(tmp_path):
    hold(tmp_path, FetcherCase, range(8), FETCHER_FAULTS)


def test_sequencer(tmp_path):
    hold(tmp_path, SequencerCase, range(8), SEQUENCER_FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, 6))
@pytest.mark.parametrize("case", [FetcherCase, SequencerCase])
def test_more_steps(tmp_path, case, part):
    hold(tmp_path, case, range(10 * part, 10 * part + 10), {})
