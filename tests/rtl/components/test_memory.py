"""A read-only memory gives the word at an address a cycle later, and keeps it; so does a loaded."""

import numpy as np
import pytest

from pilaster.rtl.components.memory import INLINE_BITS, LOAD_BITS, Rom, RomFiles
from tests.rtl.bench import Case, hold
from tests.rtl.drivers import Script, hesitations
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


class LoadedCase(Case):
    """The words come as beats, with pauses; then they are read. Some beats come too late."""

    def __init__(self, seed):
        super().__init__(seed)
        rng = self.rng
        width, depth = int(rng.integers(1, 100)), int(rng.choice([1, 2, 3, rng.integers(4, 60)]))
        bits = int(rng.choice([8, LOAD_BITS]))
        self.words = [int.from_bytes(rng.bytes(13), "little") % (1 << width) for _ in range(depth)]
        self.component = Rom("rom", width, self.words, RomFiles({"rom"}, bits))
        mask = (1 << bits) - 1
        beats = [(word >> at) & mask for word in self.words for at in range(0, width, bits)]
        gaps = hesitations(rng, len(beats))
        come = []
        for gap, beat in zip(gaps, beats, strict=True):
            come += [*[None] * gap, beat]
        self.filled = len(come)
        come += [mask if rng.random() < 0.2 else None for _ in range(CYCLES)]
        self.reads = np.arange(len(come)) >= self.filled
        self.reads &= rng.random(len(come)) < 0.6
        self.addresses = rng.integers(0, depth, len(come)).tolist()
        columns = {
            "load.valid": [int(beat is not None) for beat in come],
            "load.data": [mask if beat is None else beat for beat in come],
            "en": self.reads.astype(int).tolist(),
            "addr": self.addresses,
        }
        self.drivers = [Script(columns)]

    def judge(self, trace, board):
        known = self.words[0] if len(self.words) == 1 else None
        for cycle, (reads, address) in enumerate(zip(self.reads, self.addresses, strict=True)):
            full = cycle >= self.filled
            board.compare("full", int(full), trace["load.full"][cycle], f"cycle {cycle}")
            if full and known is not None:
                board.compare("data", known, trace["data"][cycle], f"cycle {cycle}")
            if reads:
                known = self.words[address]


FAULTS = {
    "never holds still": (edit(Rom, "elaborate", "port.en.eq(self.en)", "port.en.eq(1)"), 0),
    "reads when not asked": (edit(Rom, "elaborate", "i_en=self.en", "i_en=~self.en"), 4),
}


LOAD_FAULTS = {
    "takes a beat too many": (edit(Rom, "_loaded", "valid & ~self.load.full", "valid"), 0),
    "reads where it wrote last": (
        edit(Rom, "_loaded", "self.load.full, self.addr", "0, self.addr"),
        1,
    ),
    "never holds still": (edit(Rom, "_loaded", "i_en=self.en", "i_en=1"), 1),
    "the high bits first": (
        edit(Rom, "_loaded", "(earlier, self.load.data)", "(self.load.data, earlier)"),
        0,
    ),
}


def test_words(tmp_path):
    hold(tmp_path, RomCase, range(8), FAULTS)


def test_loaded_words(tmp_path):
    hold(tmp_path, LoadedCase, range(8), LOAD_FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, 4))
def test_more_words(tmp_path, part):
    hold(tmp_path, RomCase, range(8 * part, 8 * part + 8), {})
