"""The device in plain Python: what the hardware has to answer to any bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
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
    column : index of the column taken, or of the one that comes next after a fault
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
    counts : whether it counts actions
    columns : of the image begun
    images : complete since the last RESET
    """

    info: Info
    counts: bool = False
    columns: list[bytes] = field(default_factory=list)
    images: int = 0

    def __post_init__(self) -> None:
        self._decoder = Decoder(INDEX_BYTES + self.info.column_bytes)

    def feed(self, received: bytes) -> Iterator[Event]:
        """Give what the device does about these bytes, in order."""
        for found in self._decoder.feed(received):
            event = self._fault(found) if isinstance(found, Fault) else self._frame(found)
            yield event

    def _fault(self, fault: Fault) -> Event:
        return Event(Reply.FAULT, fault, len(self.columns))

    def _frame(self, frame: Frame) -> Event:
        if frame.kind not in list(Command) or (frame.kind == Command.ACTIONS and not self.counts):
            return self._fault(Fault.KIND)
        whole = INDEX_BYTES + self.info.column_bytes
        if len(frame.payload) != (whole if frame.kind == Command.COLUMN else 0):
            return self._fault(Fault.LENGTH)
        if frame.kind == Command.COLUMN:
            return self._column(frame.payload)
        if frame.kind == Command.RESET:
            self.columns, self.images = [], 0
            return Event(Reply.RESET)
        replies = {Command.INFO: Reply.INFO, Command.COUNTERS: Reply.COUNTERS}
        return Event(replies.get(Command(frame.kind), Reply.ACTION))

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
