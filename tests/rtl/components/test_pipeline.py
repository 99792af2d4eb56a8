"""The output buffer keeps every beat in order; and small machines, driven like their components."""

import pytest
from amaranth.hdl import Shape
from amaranth.lib import data

from pilaster.rtl.pipeline import OutputBuffer
from tests.rtl.bench import Case, hold
from tests.rtl.drivers import Credits, Sink, Source
from tests.rtl.faults import FAULTS as ALL_FAULTS

COLUMNS = 12
DEPTH = 2


class OutputCase(Case):
    """Columns come while `freed` allows; answers are taken with hesitations."""

    def __init__(self, seed):
        super().__init__(seed)
        rng = self.rng
        bits, lanes, self.per_column = (int(rng.integers(1, most)) for most in (17, 5, 7))
        payload = data.ArrayLayout(Shape(bits, bool(rng.integers(2))), lanes)
        self.component = OutputBuffer(payload, self.per_column)
        count = COLUMNS * self.per_column
        beats = [
            int.from_bytes(rng.bytes(10), "little") % (1 << payload.size) for _ in range(count)
        ]
        allowance = Credits(DEPTH, ["freed"])
        self.drivers = [
            Source("i", beats, payload.size, rng, allowance, self.per_column),
            Sink("o", count, rng),
        ]

    def judge(self, trace, board):
        board.stream(trace, "i")
        board.stream(trace, "o")
        came, left = trace.beats("i"), trace.beats("o")
        board.compare("beats", COLUMNS * self.per_column, len(came))
        board.series("payload", [p for _, p in came], [p for _, p in left])
        freed = [t for t, _ in left][self.per_column - 1 :: self.per_column]
        board.series("freed", freed, trace.events("freed"))
        valid, ready, inside = trace["o.valid"], trace["i.ready"], 0
        comes, leaves = {t for t, _ in came}, {t for t, _ in left}
        for cycle in trace.cycles:
            room = inside < DEPTH * self.per_column
            board.compare("o.valid", int(inside > 0), valid[cycle], f"cycle {cycle}")
            board.compare("i.ready", int(room), ready[cycle], f"cycle {cycle}")
            inside += (cycle in comes) - (cycle in leaves)


BY_NAME = {fault.name: fault.patch for fault in ALL_FAULTS}
FAULTS = {name: (BY_NAME[name], 1) for name in ("answer-early", "answer-bit", "answer-moves")}


def test_output_buffer(tmp_path):
    hold(tmp_path, OutputCase, range(6), FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, 4))
def test_more_output_buffers(tmp_path, part):
    hold(tmp_path, OutputCase, range(10 * part, 10 * part + 10), {})
