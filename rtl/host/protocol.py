"""The frames between a host and a machine: one description for both ends.

A frame is a flag, then a body in which no flag occurs: a body byte that equals FLAG or ESCAPE is
sent as ESCAPE and the byte with bit 5 turned over (as in HDLC-like framing, RFC 1662). A flag
therefore always begins a frame, whatever came before it, and nothing can make a receiver miss a
good frame. The body is

====== ======= ==========================================================
offset bytes   content
====== ======= ==========================================================
0      1       kind
1      2       length of the payload, low byte first
3      length  payload; its numbers have the low byte first
...    2       CRC of kind, length and payload, high byte first
====== ======= ==========================================================

The CRC has the polynomial 0x1021 and starts from 0xFFFF, not reflected (CRC-16/IBM-3740 of the
RevEng catalog).
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

__all__ = [
    "CRC_BYTES",
    "CRC_START",
    "CREDITS",
    "ESCAPE",
    "FLAG",
    "FLIP",
    "HEADER_BYTES",
    "INDEX_BYTES",
    "PROTOCOL_VERSION",
    "UNLOADED",
    "ActionCount",
    "Answer",
    "Command",
    "Counters",
    "Decoder",
    "Fault",
    "FaultReport",
    "Frame",
    "Info",
    "Reply",
    "encode",
]

PROTOCOL_VERSION = 2

FLAG, ESCAPE, FLIP = 0x7E, 0x7D, 0x20
HEADER_BYTES, CRC_BYTES = 3, 2
CRC_START = 0xFFFF

INDEX_BYTES = 2
"""Bytes of an index: before the rows in COLUMN, before the bytes in LOAD, alone in TAKEN."""

CREDITS = 2
"""Columns or pieces that a device holds: a host has so many of them without a TAKEN at a time."""

UNLOADED = 0x80
"""Set in the credits of INFO while weights are missing."""


class Command(IntEnum):
    """Kinds of frames from host to device."""

    INFO = 0x01
    """No payload; answered by INFO."""
    COLUMN = 0x02
    """Index of the column in its image (2 bytes), then its rows; answered by TAKEN."""
    RESET = 0x03
    """No payload; the next column is an image's first; answered by RESET."""
    COUNTERS = 0x04
    """No payload; answered by COUNTERS."""
    LOAD = 0x05
    """Index of the piece of the load stream (2 bytes), then as many bytes as a column has, zeros
    after the stream's end; answered by TAKEN. Known where weights are loaded."""
    ACTIONS = 0x06
    """No payload; answered by an ACTION for every counter of actions, where there are any."""


class Reply(IntEnum):
    """Kinds of frames from device to host."""

    INFO = 0x81
    TAKEN = 0x82
    """A column, or a piece, has gone into the machine (its index, 2 bytes): room for another."""
    RESET = 0x83
    COUNTERS = 0x84
    ANSWER = 0x85
    FAULT = 0x86
    ACTION = 0x87


class Fault(IntEnum):
    """What was wrong with what the device received."""

    CUT = 1
    """A flag came inside a frame."""
    LENGTH = 2
    """The payload is longer than any the device takes, or not of its kind's length."""
    CHECKSUM = 3
    KIND = 4
    """There is no such command."""
    ORDER = 5
    """The column or piece is not the one that comes next; the report tells which does."""
    BUSY = 6
    """The device has no room for the column: the host has not waited for TAKEN."""
    WEIGHTS = 7
    """A column came before the last piece of the load stream was taken."""


@dataclass(frozen=True)
class Frame:
    """A frame whose checksum is right."""

    kind: int
    payload: bytes = b""


@dataclass(frozen=True)
class Info:
    """What a device is: the payload of INFO.

    Attributes
    ----------
    column_bytes : rows of a column, a row in whole bytes
    columns : of an image
    answer_bytes : values of an answer, a beat in whole bytes
    clock_hz : clock of the machine
    design : identity of network and machine
    unloaded : whether weights have to be loaded before a column is taken
    """

    version: int
    credits: int
    column_bytes: int
    columns: int
    answer_bytes: int
    clock_hz: int
    design: int
    unloaded: bool = False

    LAYOUT = struct.Struct("<BBHHHII")

    def pack(self) -> bytes:
        """Payload of the frame."""
        second = self.credits | (UNLOADED if self.unloaded else 0)
        fields = (self.version, second, self.column_bytes, self.columns)
        return self.LAYOUT.pack(*fields, self.answer_bytes, self.clock_hz, self.design)

    @classmethod
    def unpack(cls, payload: bytes) -> Info:
        """Read a payload; ValueError where it is not of this kind."""
        version, told, *others = _fields(cls.LAYOUT, payload)
        column_bytes, columns, answer_bytes, clock_hz, design = others
        return cls(
            version=version,
            credits=told & ~UNLOADED,
            column_bytes=column_bytes,
            columns=columns,
            answer_bytes=answer_bytes,
            clock_hz=clock_hz,
            design=design,
            unloaded=bool(told & UNLOADED),
        )


@dataclass(frozen=True)
class Counters:
    """What a device has counted since it was configured, modulo 2**32; RESET leaves it.

    Attributes
    ----------
    cycles : of the machine's clock
    answers : that came out of the machine
    faults : of any kind
    stalled_cycles : in which a row waited for the machine
    """

    cycles: int
    answers: int
    faults: int
    stalled_cycles: int

    LAYOUT = struct.Struct("<4I")

    def pack(self) -> bytes:
        """Payload of the frame."""
        return self.LAYOUT.pack(*vars(self).values())

    @classmethod
    def unpack(cls, payload: bytes) -> Counters:
        """Read a payload; ValueError where it is not of this kind."""
        return cls(*_fields(cls.LAYOUT, payload))


@dataclass(frozen=True)
class ActionCount:
    """How often an action of a stage has happened since the last RESET: the payload of ACTION.

    Attributes
    ----------
    index : which action of which stage
    count : modulo 2**32
    """

    index: int
    count: int

    LAYOUT = struct.Struct("<HI")
    BITS = 32

    def pack(self) -> bytes:
        """Payload of the frame."""
        return self.LAYOUT.pack(self.index, self.count)

    @classmethod
    def unpack(cls, payload: bytes) -> ActionCount:
        """Read a payload; ValueError where it is not of this kind."""
        return cls(*_fields(cls.LAYOUT, payload))


@dataclass(frozen=True)
class Answer:
    """The payload of ANSWER.

    Attributes
    ----------
    image : since the last RESET, modulo 2**16
    latency_cycles : from the last row of the image's last column to the last beat of the answer
    values : beats, each in whole bytes
    """

    image: int
    latency_cycles: int
    values: bytes

    LAYOUT = struct.Struct("<HI")

    def pack(self) -> bytes:
        """Payload of the frame."""
        return self.LAYOUT.pack(self.image, self.latency_cycles) + self.values

    @classmethod
    def unpack(cls, payload: bytes) -> Answer:
        """Read a payload; ValueError where it is not of this kind."""
        head = cls.LAYOUT.size
        image, latency_cycles = _fields(cls.LAYOUT, payload[:head])
        return cls(image, latency_cycles, payload[head:])


@dataclass(frozen=True)
class FaultReport:
    """The payload of FAULT.

    Attributes
    ----------
    fault : the latest
    count : faults since the last report, at most 255
    column : index of the column that comes next, or of the piece while weights are missing
    """

    fault: Fault
    count: int
    column: int

    LAYOUT = struct.Struct("<BBH")

    def pack(self) -> bytes:
        """Payload of the frame."""
        return self.LAYOUT.pack(self.fault, self.count, self.column)

    @classmethod
    def unpack(cls, payload: bytes) -> FaultReport:
        """Read a payload; ValueError where it is not of this kind."""
        fault, count, column = _fields(cls.LAYOUT, payload)
        return cls(Fault(fault), count, column)


def _fields(layout: struct.Struct, payload: bytes) -> tuple[int, ...]:
    if len(payload) != layout.size:
        raise ValueError(f"{len(payload)} bytes, expected {layout.size}")
    return layout.unpack(payload)


def encode(frame: Frame) -> bytes:
    """Bytes of a frame on the wire."""
    body = struct.pack("<BH", frame.kind, len(frame.payload)) + frame.payload
    body += binascii.crc_hqx(body, CRC_START).to_bytes(CRC_BYTES, "big")
    stuffed = bytearray([FLAG])
    for byte in body:
        stuffed += bytes([ESCAPE, byte ^ FLIP]) if byte in (FLAG, ESCAPE) else bytes([byte])
    return bytes(stuffed)


class Decoder:
    """Bytes to frames, one byte after another.

    Parameters
    ----------
    most : longest payload taken; a longer one is a LENGTH fault as soon as its header is here
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._body: bytearray | None = None
        self._escaped = False

    def feed(self, received: bytes) -> Iterator[Frame | Fault]:
        """Give the frames that end in these bytes, and what is wrong with others."""
        for byte in received:
            found = self._take(byte)
            if found is not None:
                yield found

    def _take(self, byte: int) -> Frame | Fault | None:
        if byte == FLAG:
            cut = bool(self._body) or self._escaped
            self._body, self._escaped = bytearray(), False
            return Fault.CUT if cut else None
        if self._body is None:
            return None
        if byte == ESCAPE:
            self._escaped = True
            return None
        self._body.append(byte ^ FLIP if self._escaped else byte)
        self._escaped = False
        if len(self._body) < HEADER_BYTES:
            return None
        kind, length = struct.unpack("<BH", self._body[:HEADER_BYTES])
        if length > self._most:
            self._body = None
            return Fault.LENGTH
        if len(self._body) < HEADER_BYTES + length + CRC_BYTES:
            return None
        body, self._body = bytes(self._body), None
        if binascii.crc_hqx(body, CRC_START):
            return Fault.CHECKSUM
        return Frame(kind, body[HEADER_BYTES : HEADER_BYTES + length])
