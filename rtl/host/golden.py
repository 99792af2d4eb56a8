"""The device in plain Python: what the hardware has to answer to any bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pilaster.rtl.host.protocol import (
    INDEX_BYTES,
    Command,
    Decoder,
    Fault,
    Frame,
    Info,
    Reply,
)

__all__ = ["DeviceModel", "Event"]


@dataclass(frozen=True)
class Event:
    """What a device does about a frame.

    Attributes
    ----------
    reply : kind of the frame that answers
    fault : what was wrong, where `reply` is FAULT
    column : index of the column or piece taken, or of the one that comes next after a fault
    image : columns of an image, where this was its last
    """

    reply: Reply
    fault: Fault | None = None
    column: int = 0
    image: tuple[bytes, ...] | None = None


@dataclass
class DeviceModel:
    """A device whose host waits for TAKEN as it must; time is not in it.

    Attributes
    ----------
    pieces : of the load stream, all of them
    counts : whether it counts actions
    columns : of the image begun
    images : complete since the last RESET
    loaded : pieces that have come
    """

    info: Info
    pieces: Sequence[bytes] = ()
    counts: bool = False
    columns: list[bytes] = field(default_factory=list)
    images: int = 0
    loaded: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._decoder = Decoder(INDEX_BYTES + self.info.column_bytes)
        there = {Command.LOAD: bool(self.pieces), Command.ACTIONS: self.counts}
        self._known = [command for command in Command if there.get(command, True)]

    @property
    def unloaded(self) -> bool:
        """Whether pieces are missing."""
        return len(self.loaded) < len(self.pieces)

    def feed(self, received: bytes) -> Iterator[Event]:
        """Give what the device does about these bytes, in order."""
        for found in self._decoder.feed(received):
            event = self._fault(found) if isinstance(found, Fault) else self._frame(found)
            yield event

    def _fault(self, fault: Fault) -> Event:
        return Event(Reply.FAULT, fault, len(self.loaded if self.unloaded else self.columns))

    def _frame(self, frame: Frame) -> Event:
        if frame.kind not in self._known:
            return self._fault(Fault.KIND)
        kept = frame.kind in (Command.COLUMN, Command.LOAD)
        if len(frame.payload) != (INDEX_BYTES + self.info.column_bytes if kept else 0):
            return self._fault(Fault.LENGTH)
        if frame.kind == Command.LOAD:
            return self._piece(frame.payload)
        if frame.kind == Command.COLUMN:
            return self._fault(Fault.WEIGHTS) if self.unloaded else self._column(frame.payload)
        if frame.kind == Command.RESET:
            self.columns, self.images = [], 0
            return Event(Reply.RESET)
        replies = {Command.INFO: Reply.INFO, Command.COUNTERS: Reply.COUNTERS}
        return Event(replies.get(Command(frame.kind), Reply.ACTION))

    def _piece(self, payload: bytes) -> Event:
        (index,) = struct.unpack("<H", payload[:INDEX_BYTES])
        if index != len(self.loaded) or not self.unloaded:
            return self._fault(Fault.ORDER)
        self.loaded.append(payload[INDEX_BYTES:])
        return Event(Reply.TAKEN, column=index)

    def _column(self, payload: bytes) -> Event:
        (index,) = struct.unpack("<H", payload[:INDEX_BYTES])
        if index != len(self.columns):
            return self._fault(Fault.ORDER)
        self.columns.append(payload[INDEX_BYTES:])
        if len(self.columns) < self.info.columns:
            return Event(Reply.TAKEN, column=index)
        image, self.columns = tuple(self.columns), []
        self.images += 1
        return Event(Reply.TAKEN, column=index, image=image)
