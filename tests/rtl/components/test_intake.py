"""Columns are taken while one of two buffers is free, and are read until they are finished."""

import pytest

from pilaster.rtl.components.intake import Intake
from tests.rtl.bench import Case, hold
from tests.rtl.components.test_column_buffer import (
    beats_of_column,
    compare_reads,
    draw_column,
    draw_layout,
)
from tests.rtl.drivers import Credits, Driver, Pulses, Source
from tests.rtl.faults import FAULTS as ALL_FAULTS

COLUMNS = 10
BUFFERS = 2


class Reader(Driver):
    """Reads rows of the oldest column, and of those kept before it, whenever it is here."""

    def __init__(self, rows, patterns, ports, kept, rng):
        self._limits, self._ports, self._kept, self._rng = (rows, patterns), ports, kept, rng
        self._here, self._done = 0, 0

    def drive(self):
        rng, (rows, patterns) = self._rng, self._limits
        inputs = {"row": int(rng.integers(rows)), "pattern": int(rng.integers(patterns))}
        if self._here > self._done:
            inputs["read"] = int(rng.integers(1 << self._ports))
            for port in range(self._ports):
                inputs[f"backs.{port}"] = int(rng.integers(min(self._kept, self._done) + 1))
        return inputs

    def watch(self, seen):
        self._here += seen["accepted"]
        self._done += seen["finished"]


class IntakeCase(Case):
    def __init__(self, seed):
        super().__init__(seed)
        rng = self.rng
        self.layout = layout = draw_layout(rng)
        self.component = Intake(layout)
        self.columns = [draw_column(rng, layout) for _ in range(COLUMNS)]
        beats = [beat for column in self.columns for beat in beats_of_column(layout, column)]
        self.per_column = len(beats) // COLUMNS
        kept = layout.columns - BUFFERS
        self.drivers = [
            Source("i", beats, layout.beat_shape.size, rng),
            Pulses("finished", COLUMNS, Credits(0, ["accepted"]), rng, 2 * self.per_column),
            Reader(layout.rows, len(layout.patterns), layout.ports, kept, rng),
        ]

    def judge(self, trace, board):
        board.stream(trace, "i")
        taken = [cycle for cycle, _ in trace.beats("i")]
        board.compare("beats", COLUMNS * self.per_column, len(taken))
        accepted = taken[self.per_column - 1 :: self.per_column]
        board.series("accepted", accepted, trace.events("accepted"))
        begun, finished = set(taken[:: self.per_column]), set(trace.events("finished"))
        ready, takes, place, held, done = trace["i.ready"], set(taken), 0, 0, 0
        read, backs, wanted = trace["read"], trace["backs"], []
        for cycle in trace.cycles:
            may = place != 0 or held < BUFFERS
            board.compare("i.ready", int(may), ready[cycle], f"cycle {cycle}")
            wanted.append(
                [
                    self.columns[min(max(0, done - backs[cycle][port]), COLUMNS - 1)]
                    if read[cycle] >> port & 1
                    else None
                    for port in range(self.layout.ports)
                ]
            )
            if cycle in takes:
                place = (place + 1) % self.per_column
            held += (cycle in begun) - (cycle in finished)
            done += cycle in finished
        compare_reads(board, self.layout, trace, wanted)


BY_NAME = {fault.name: fault.patch for fault in ALL_FAULTS}
SHOWN = {"ready-ignored": 2, "gap-ignored": 0, "third-buffer": 2}
FAULTS = {name: (BY_NAME[name], seed) for name, seed in SHOWN.items()}


def test_columns(tmp_path):
    hold(tmp_path, IntakeCase, range(8), FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, 6))
def test_more_columns(tmp_path, part):
    hold(tmp_path, IntakeCase, range(10 * part, 10 * part + 10), {})
