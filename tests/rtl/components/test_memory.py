"""A read-only memory gives the word at an address a cycle later, and keeps it."""

import pytest

from pilaster.rtl.memory import INLINE_BITS, Rom
from tests.rtl.bench import Case, hold
from tests.rtl.drivers import Script
from tests.rtl.faults import edit

CYCLES = 150


class RomCase(Case):
    def __init__(self, seed):
        super().__init__(seed)
        rng = self.rng
        width = int(rng.integers(1, 100))
        depth = int(rng.choice([1, 2, 3, int(rng.integers(4, 60)), INLINE_BITS // width + 1]))
        self.words = [int.from_bytes(rng.bytes(13), "little") % (1 << width) for _ in range(depth)]
        name = f"rom{width}x{depth}"
        self.component = Rom(name, width, self.words, self.files)
        self.reads = rng.random(CYCLES) < 0.6
        self.addresses = rng.integers(0, depth, CYCLES).tolist()
        self.drivers = [Script({"en": self.reads.astype(int).tolist(), "addr": self.addresses})]

    def judge(self, trace, board):
        data, known = trace["data"], None
        if len(self.words) == 1:
            known = self.words[0]
        for cycle, (reads, address) in enumerate(zip(self.reads, self.addresses, strict=True)):
            if known is not None:
                board.compare("data", known, data[cycle], f"cycle {cycle}")
            if reads:
                known = self.words[address]


FAULTS = {
    "never holds still": (edit(Rom, "elaborate", "port.en.eq(self.en)", "port.en.eq(1)"), 0),
    "reads when not asked": (edit(Rom, "elaborate", "i_en=self.en", "i_en=~self.en"), 4),
}


def test_words(tmp_path):
    hold(tmp_path, RomCase, range(8), FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, 4))
def test_more_words(tmp_path, part):
    hold(tmp_path, RomCase, range(8 * part, 8 * part + 8), {})
