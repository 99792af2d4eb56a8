"""What all have had: an event for each that the slowest of several has had, in the same cycle."""

from __future__ import annotations

from pilaster.rtl.components.slowest import Slowest
from tests.rtl.bench import Case, hold
from tests.rtl.drivers import Script
from tests.rtl.faults import FAULTS as ALL_FAULTS

EVENTS = 40
MOST = 5


class SlowestCase(Case):
    """Sources of events hesitate, none being further ahead than it may."""

    def __init__(self, seed):
        super().__init__(seed)
        count = int(self.rng.integers(2, 5))
        self.ahead = [0, *self.rng.integers(0, 3, count - 1).tolist()]
        self.component = Slowest(self.ahead, [MOST] * count)
        self.drivers = [Script({"events": self._words(count)})]

    def _words(self, count):
        """Draw events, a bit a source, such that none is ever too far ahead."""
        had, words = list(self.ahead), []
        while min(had) < EVENTS:
            word = 0
            for index in range(count):
                slowest = min(had)
                if had[index] - slowest < MOST and self.rng.random() < 0.4:
                    word |= 1 << index
            for index in range(count):
                had[index] += word >> index & 1
            words.append(word)
        return [*words, 0]

    def judge(self, trace, board):
        had, passed, expected = list(self.ahead), 0, []
        for word in trace["events"]:
            had = [count + (word >> index & 1) for index, count in enumerate(had)]
            expected.append(min(had) - passed)
            passed = min(had)
        board.series("event", expected, trace["event"])
        board.compare("events", True, passed >= EVENTS)


FAULTS = {
    name: (fault.patch, 0) for name, fault in ((f.name, f) for f in ALL_FAULTS) if name == "fastest"
}


def test_events(tmp_path):
    hold(tmp_path, SlowestCase, range(6), FAULTS)
