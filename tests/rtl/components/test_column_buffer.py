"""A read of the column buffer gives what beats have brought, a cycle later."""

import pytest

from pilaster.rtl.components.column_buffer import BufferLayout, ColumnBuffer
from tests.rtl.bench import Case, encode, hold
from tests.rtl.components.stages import draw_beats
from tests.rtl.drivers import Script
from tests.rtl.faults import FAULTS as ALL_FAULTS
from tests.rtl.faults import edit

CYCLES = 250


def draw_layout(rng):
    """Columns of any fold, read by one port or several, in any pattern of channels."""
    channels, row_fold = int(rng.integers(1, 7)), int(rng.integers(1, 4))
    ports = int(rng.integers(1, 4))
    lanes = int(rng.integers(1, 5))

    def place():
        if rng.random() < 0.2:
            return None
        return int(rng.integers(row_fold)), int(rng.integers(channels))

    return BufferLayout(
        height=int(rng.integers(1, 6)),
        channels=channels,
        bits=int(rng.integers(1, 17)),
        signed=bool(rng.integers(2)),
        row_fold=row_fold,
        offset=int(rng.integers(row_fold)),
        columns=1 + ports + int(rng.integers(2)),
        ports=ports,
        beats=draw_beats(rng, channels),
        patterns=tuple(
            tuple(place() for _ in range(lanes)) for _ in range(int(rng.integers(1, 5)))
        ),
    )


def draw_column(rng, layout):
    """Values (height, channels) of a column."""
    low = -(1 << (layout.bits - 1)) if layout.signed else 0
    return rng.integers(low, low + (1 << layout.bits), (layout.height, layout.channels))


def beats_of_column(layout, column):
    """Beats of a column, as bits: tile by tile, in each tile row by row."""
    width = max(count for _, count in layout.beats)
    return [
        encode(layout.beat_shape, row[first : first + count] + [0] * (width - count))
        for first, count in layout.beats
        for row in column.tolist()
    ]


def expected_row(layout, column, row, pattern):
    """Value by lane, zero for rows that pad a folded row; None for a lane at rest, or no row."""
    values = []
    for place in layout.patterns[pattern]:
        phase, channel = place or (0, 0)
        height = row * layout.row_fold + phase - layout.offset
        if place is None or row >= layout.rows:
            values.append(None)
        else:
            values.append(int(column[height, channel]) if 0 <= height < layout.height else 0)
    return values


def compare_reads(board, layout, trace, columns):
    """Compare every read; `columns` are by cycle and port, None where there is no read."""
    rows, patterns, values = trace["row"], trace["pattern"], trace["values"]
    for cycle, wanted in enumerate(columns[: len(values) - 1]):
        for port, column in enumerate(wanted):
            if column is None:
                continue
            expected = expected_row(layout, column, rows[cycle], patterns[cycle])
            for lane, value in enumerate(expected):
                if value is not None:
                    where = f"read in cycle {cycle}, port {port}, lane {lane}"
                    board.compare("value", value, values[cycle + 1][port][lane], where)


class BufferCase(Case):
    """Beats come with hesitations, while any columns that are whole and still kept are read."""

    def __init__(self, seed):
        super().__init__(seed)
        rng = self.rng
        self.layout = layout = draw_layout(rng)
        self.component = ColumnBuffer(layout)
        often = rng.choice([0.3, 0.7, 1.0])
        columns, left, whole = [], [], 0
        names = ("beat", "beat_valid", "current", "read", "row", "pattern", "backs")
        ports = {name: [] for name in names}
        self.reads, self.accepted = [], []
        backs_shape = self.component.signature.members["backs"].shape
        for cycle in range(CYCLES):
            comes = rng.random() < often
            if comes and not left:
                columns.append(draw_column(rng, layout))
                left = beats_of_column(layout, columns[-1])
            kept = range(max(0, len(columns) - layout.columns), whole)
            ports["beat"].append(left.pop(0) if comes else int(rng.integers(1 << 16)))
            ports["beat_valid"].append(int(comes))
            if comes and not left:
                self.accepted.append(cycle)
            current = int(rng.choice(kept)) if kept else 0
            backs, reads = [0] * layout.ports, [None] * layout.ports
            for port in range(layout.ports):
                if kept and rng.random() < 0.8:
                    most = 0 if layout.columns == 2 else current - kept[0]
                    backs[port] = int(rng.integers(most + 1))
                    reads[port] = columns[current - backs[port]]
            whole = len(columns) - bool(left)
            ports["current"].append(current % layout.columns)
            ports["read"].append(sum(1 << p for p, r in enumerate(reads) if r is not None))
            ports["row"].append(int(rng.integers(layout.rows)))
            ports["pattern"].append(int(rng.integers(len(layout.patterns))))
            ports["backs"].append(encode(backs_shape, backs))
            self.reads.append(reads)
        self.drivers = [Script(ports)]

    def judge(self, trace, board):
        board.series("accepted", self.accepted, trace.events("accepted"))
        compare_reads(board, self.layout, trace, self.reads)


BY_NAME = {fault.name: fault.patch for fault in ALL_FAULTS}
FAULTS = {
    "column-pointer": (BY_NAME["column-pointer"], 2),
    "row-offset": (BY_NAME["row-offset"], 1),
    "last-beat": (BY_NAME["last-beat"], 0),
    "bank of port 0": (
        edit(ColumnBuffer, "_read_side", "held.eq(column)", "held.eq(columns[0])"),
        0,
    ),
}


def test_reads(tmp_path):
    hold(tmp_path, BufferCase, range(8), FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, 6))
def test_more_reads(tmp_path, part):
    hold(tmp_path, BufferCase, range(10 * part, 10 * part + 10), {})
