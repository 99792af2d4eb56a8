"""Seeded abuse of a device: episodes of bad behavior, each followed by a good host."""

import struct
from dataclasses import dataclass, field

import numpy as np

from pilaster.rtl.host.golden import DeviceModel
from pilaster.rtl.host.protocol import FLAG, Command, Frame, Reply, encode
from tests.rtl.host.bench import AWAIT, DEAF, FORGET, IDLE, QUIET, SEND

MOST_PIECES = 40
"""Pieces of the load stream that a good host sends in an episode."""

ABUSES = ("noise", "cut", "checksum", "order", "kind", "length", "leave", "stall", "flood", "bit")


@dataclass
class Episode:
    """What was done, and what must come of it.

    probe : kind of reply that the first good frame after the abuse is owed
    faults : faults that the model counts up to the reset, None where the host broke the credit
    before : images complete before the reset, in order
    after : images complete after it
    unloaded : whether weights are missing when the probe asks
    pieces : indices of the pieces that a good host sends after the reset
    """

    abuses: list[str]
    probe: Reply
    faults: int | None = 0
    before: list[tuple[bytes, ...]] = field(default_factory=list)
    after: list[tuple[bytes, ...]] = field(default_factory=list)
    unloaded: bool = False
    pieces: range = range(0)


class Writer:
    """Writes a script, and has the model tell what must come of it.

    pieces : of the load stream that the device waits for
    counters : how many counters of actions it has
    """

    def __init__(self, info, images, seed, pieces=(), counters=0):
        self.info, self.images, self.pieces, self.counters = info, images, pieces, counters
        self.rng = np.random.default_rng(seed)
        self.script, self.episodes = [], []
        self.model = DeviceModel(info, pieces, counters > 0)

    def episode(self):
        rng = self.rng
        names = rng.choice(ABUSES, size=rng.integers(1, 4)).tolist()
        names.sort(key="flood".__eq__)  # after a flood, which column comes next is not foretold
        self.now = Episode(names, Reply.INFO if rng.random() < 0.5 else Reply.RESET)
        self.received = self.now.before
        for name in names:
            getattr(self, f"_{name}")()
            if rng.random() < 0.3:
                self.script.append((IDLE, int(rng.integers(1, 60))))
        self.now.unloaded = self.model.unloaded
        if self.now.probe is Reply.INFO:
            self._command(Command.INFO, Reply.INFO)
        self._command(Command.RESET, Reply.RESET)
        self.received = self.now.after
        self.script.append((FORGET, Reply.TAKEN))
        self.script.append((FORGET, Reply.ANSWER))
        self.script.append((FORGET, Reply.ACTION))
        first = len(self.model.loaded)
        last = min(first + int(self.rng.integers(1, MOST_PIECES)), len(self.pieces))
        self.now.pieces = range(first, last)
        self._load(self.now.pieces)
        if not self.model.unloaded:
            self._columns(self._image(), range(self.info.columns), True)
            self.script.append((AWAIT, Reply.ANSWER))
        if self.counters:
            self.script.append((IDLE, 255))  # until the machine is at rest
            self._command(Command.ACTIONS, Reply.ACTION)
            self.script += [(AWAIT, Reply.ACTION)] * (self.counters - 1)
        self._command(Command.COUNTERS, Reply.COUNTERS)
        self.episodes.append(self.now)

    def _bytes(self, data, slow=False):
        gap = int(self.rng.integers(1, 4)) if slow else 0
        for byte in data:
            self.script.append((SEND, byte))
            if gap:
                self.script.append((IDLE, gap))
        for event in self.model.feed(bytes(data)):
            if event.fault is not None and self.now.faults is not None:
                self.now.faults += 1
            if event.image is not None:
                self.received.append(event.image)

    def _command(self, command, reply):
        self._bytes(encode(Frame(command)), self.rng.random() < 0.3)
        self.script.append((AWAIT, reply))

    def _image(self):
        return self.images[self.rng.integers(len(self.images))]

    def _column_frame(self, image, index):
        return encode(Frame(Command.COLUMN, struct.pack("<H", index) + image[index]))

    def _columns(self, image, indices, waits):
        for index in indices:
            self._bytes(self._column_frame(image, index), waits and self.rng.random() < 0.2)
            if waits:
                self.script.append((AWAIT, Reply.TAKEN))

    def _piece_frame(self, index):
        content = self.pieces[index % len(self.pieces)]
        return encode(Frame(Command.LOAD, struct.pack("<H", index) + content))

    def _load(self, indices):
        for index in indices:
            self._bytes(self._piece_frame(index), self.rng.random() < 0.1)
            self.script.append((AWAIT, Reply.TAKEN))

    def _some_frame(self):
        if self.pieces and self.rng.random() < 0.3:  # not the last: when it is in is not foretold
            return self._piece_frame(int(self.rng.integers(len(self.pieces) - 1)))
        if self.rng.random() < 0.7:
            return self._column_frame(self._image(), int(self.rng.integers(self.info.columns)))
        asked = [Command.INFO, Command.COUNTERS, Command.ACTIONS]
        return encode(Frame(int(self.rng.choice(asked))))

    # Abuse. None of it resets the device, or asks what the probe will ask.

    def _noise(self):
        data = self.rng.integers(0, 256, self.rng.integers(1, 80)).astype(np.uint8)
        data[self.rng.random(len(data)) < 0.2] = FLAG
        self._bytes(data.tobytes())

    def _cut(self):
        frame = self._some_frame()
        self._bytes(frame[: self.rng.integers(1, len(frame))])

    def _checksum(self):
        frame = bytearray(self._some_frame())
        frame[-1] = (frame[-1] ^ 0x01) if frame[-1] ^ 0x01 not in (0x7D, 0x7E) else 0x00
        self._bytes(bytes(frame))

    def _bit(self):
        frame = bytearray(self._some_frame())
        frame[self.rng.integers(len(frame))] ^= 1 << int(self.rng.integers(8))
        self._bytes(bytes(frame))

    def _order(self):
        if self.pieces and self.rng.random() < 0.5:
            missing = len(self.model.loaded) if self.model.unloaded else -1
            index = int(self.rng.choice([missing + 1, missing - 1, self.rng.integers(1 << 16)]))
            if index != missing:
                self._bytes(self._piece_frame(index % (1 << 16)))
            return
        wrong = (len(self.model.columns) + 1 + int(self.rng.integers(1000))) % (1 << 16)
        wrong += wrong < self.info.columns
        frame = Frame(Command.COLUMN, struct.pack("<H", wrong) + self._image()[0])
        if wrong != len(self.model.columns):
            self._bytes(encode(frame))

    def _kind(self):
        kinds = [kind for kind in range(256) if kind not in list(Command)]
        kinds += [] if self.pieces else [Command.LOAD]
        kinds += [] if self.counters else [Command.ACTIONS]
        payload = self.rng.bytes(int(self.rng.integers(0, 6)))
        self._bytes(encode(Frame(int(self.rng.choice(kinds)), payload)))

    def _length(self):
        kind = int(self.rng.choice(list(Command)))
        length = int(self.rng.integers(1, 60))
        length += kind in (Command.COLUMN, Command.LOAD) and length == self.info.column_bytes + 2
        self._bytes(encode(Frame(kind, self.rng.bytes(length))))

    def _leave(self):
        """A host that sends part of an image, or of the weights, as it should, and goes."""
        self.script += [(QUIET, 40), (FORGET, Reply.TAKEN)]
        if self.model.unloaded:
            first = len(self.model.loaded)
            self._load(range(first, min(first + int(self.rng.integers(9)), len(self.pieces))))
            return
        first = len(self.model.columns)
        last = int(self.rng.integers(first, self.info.columns)) + 1
        last = self.info.columns if self.rng.random() < 0.3 else last
        self.script.append((FORGET, Reply.ANSWER))
        self._columns(self._image(), range(first, last), True)
        if last == self.info.columns and self.rng.random() < 0.7:
            self.script.append((AWAIT, Reply.ANSWER))

    def _stall(self):
        """A host that takes no bytes for a while, and pauses inside a frame."""
        self.script += [(QUIET, 40), (DEAF, int(self.rng.integers(1, 256)))]
        frame = self._column_frame(self._image(), int(self.rng.integers(self.info.columns)))
        at = self.rng.integers(1, len(frame))
        self._bytes(frame[:at])
        self.script.append((IDLE, int(self.rng.integers(1, 200))))
        self._bytes(frame[at:])

    def _flood(self):
        """A host that does not wait for TAKEN: what is refused is not foretold."""
        self._columns(self._image(), range(self.info.columns), False)
        self.now.faults = None
