"""The host: sends images to a device column by column, and takes its answers."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.rtl.host.actions import counters_of
from pilaster.rtl.host.device import NOT_TIMED
from pilaster.rtl.host.protocol import (
    CREDITS,
    PROTOCOL_VERSION,
    ActionCount,
    Answer,
    Command,
    Counters,
    Decoder,
    Fault,
    FaultReport,
    Frame,
    Info,
    Reply,
    encode,
)
from pilaster.rtl.host.wire_format import WireFormat

__all__ = ["Host", "HostAnswer", "Link", "LinkError"]

TRIES = 8
"""Times that a command or an image is sent before the host gives up."""

MOST_PAYLOAD = 1 << 16


class LinkError(Exception):
    """The device does not answer, or not as it should."""


class Link(Protocol):
    """Bytes to and from a device."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def read(self, seconds: float) -> bytes:
        """Give the bytes that have come, waiting for one at most so long; none if none came."""


@dataclass(frozen=True)
class HostAnswer:
    """An answer of the device.

    Attributes
    ----------
    values : stream values (H, W, C)
    latency_cycles : from the last row of the last column in the machine to the answer's last beat;
        None where the device was still timing an earlier image
    seconds : by the host's clock, from the first byte of the image to the answer
    """

    values: NDArray[np.int32]
    latency_cycles: int | None
    seconds: float


class _AgainError(Exception):
    """What was begun has to be begun again."""


class _Arriving(Sequence[bytes]):
    """Columns of an image, each awaited when it is first asked for."""

    def __init__(self, first: bytes, rest: Iterator[bytes], width: int) -> None:
        self._come, self._rest, self._width = [first], rest, width

    def __len__(self) -> int:
        return self._width

    def __getitem__(self, index: Any) -> Any:
        while len(self._come) <= index:
            try:
                self._come.append(next(self._rest))
            except StopIteration:
                raise InputError(
                    f"the columns end in the middle of an image: {len(self._come)} of "
                    f"{self._width} have come"
                ) from None
        return self._come[index]


class Host:
    """Talks to a device.

    Parameters
    ----------
    patience : seconds without a byte after which something is tried again

    Attributes
    ----------
    retries : times that images were sent again
    answered : images answered since the device was last reset
    """

    def __init__(self, link: Link, wire: WireFormat, patience: float = 2.0) -> None:
        self._link, self._wire, self._patience = link, wire, patience
        self._decoder = Decoder(MOST_PAYLOAD)
        self._frames: list[Frame | Fault] = []
        self.answered = 0
        self.retries = 0

    def connect(self) -> Info:
        """Reset the device, and make sure that it is the one the wire format is for.

        Raises
        ------
        LinkError
            If nothing answers.
        InputError
            If another machine answers.
        """
        self._reset()
        try:
            info = Info.unpack(self._ask(Command.INFO, Reply.INFO))
        except ValueError as error:
            raise LinkError(f"its description is of another kind: {error}") from error
        if info.version != PROTOCOL_VERSION:
            raise InputError(
                f"the device speaks version {info.version} of the link, this Pilaster version "
                f"{PROTOCOL_VERSION}; build and load its bitstream anew"
            )
        if info.design != self._wire.design:
            raise InputError(
                f"the device holds another machine ({info.design:08x}) than "
                f"{self._wire.pipeline.machine.name} ({self._wire.design:08x}); load its bitstream"
            )
        return info

    def load(self) -> Iterator[int]:
        """Load the weights, from where an earlier host left off; gives how many pieces are in.

        After a fault or a silence goes on with the piece that the device waits for.

        Raises
        ------
        LinkError
            If no further piece is taken after several tries.
        """
        pieces, taken, tries = self._wire.load_pieces, 0, 0
        while taken < len(pieces):
            try:
                for event in self._load(pieces, taken):
                    if isinstance(event, FaultReport):
                        taken = event.column
                        raise _AgainError(f"the device reports {event.fault.name.lower()}")
                    taken, tries = event, 0
                    yield taken
            except (_AgainError, ValueError) as error:
                tries += 1
                self.retries += 1
                if tries == TRIES:
                    raise LinkError(f"piece {taken} of the weights: {error}") from error
                # Behind its answer, nothing that was sent before is under way.
                if not Info.unpack(self._ask(Command.INFO, Reply.INFO)).unloaded:
                    taken = len(pieces)

    def _load(self, pieces: Sequence[bytes], taken: int) -> Iterator[int | FaultReport]:
        """Send pieces from `taken` on; gives how many are in, or what the device reports."""
        sent = taken
        while taken < len(pieces):
            while sent < min(len(pieces), taken + CREDITS):
                payload = struct.pack("<H", sent) + pieces[sent]
                self._link.write(encode(Frame(Command.LOAD, payload)))
                sent += 1
            frame = self._frame()
            if frame.kind == Reply.FAULT:
                yield FaultReport.unpack(frame.payload)
            elif frame.kind == Reply.TAKEN:
                if int.from_bytes(frame.payload, "little") != taken:
                    raise _AgainError("the device took another piece than was sent")
                taken += 1
                yield taken

    def counters(self) -> Counters:
        """Read the device's counters."""
        try:
            return Counters.unpack(self._ask(Command.COUNTERS, Reply.COUNTERS))
        except ValueError as error:
            raise LinkError(f"its counters are of another kind: {error}") from error

    def actions(self) -> tuple[int, ...]:
        """Read how often each action of each stage has happened since the device was last reset.

        Counts are modulo 2**32, in the order of `counters_of`. They are read until they stand
        still: an answer may be out before the last work on its image is done.

        Raises
        ------
        LinkError
            If nothing answers, or the counters go on.
        InputError
            If the device counts no actions.
        """
        if not self._wire.counts:
            raise InputError("the device counts no actions; build its bitstream with --counters")
        before = self._counts()
        for _ in range(TRIES):
            now = self._counts()
            if now == before:
                return now
            before = now
        raise LinkError("its counters of actions do not come to rest")

    def _counts(self) -> tuple[int, ...]:
        found: dict[int, int] = {}
        expected = range(len(counters_of(self._wire.pipeline)))
        for _ in range(TRIES):
            self._link.write(encode(Frame(Command.ACTIONS)))
            try:
                while len(found) < len(expected):
                    frame = self._frame()
                    if frame.kind == Reply.ACTION:
                        told = ActionCount.unpack(frame.payload)
                        found[told.index] = told.count
                return tuple(found[index] for index in expected)
            except (_AgainError, ValueError, KeyError):
                found.clear()
        raise LinkError("no answer to ACTIONS")

    def answers(self, values: NDArray[np.int32]) -> Iterator[HostAnswer]:
        """Send images (N, H, W, C) of stream values back to back; gives their answers in order.

        After a fault or a silence the device is reset, and sent all images not yet answered.

        Raises
        ------
        LinkError
            If an image has not been answered after several tries.
        """
        return self._answered([self._wire.column_payloads(image) for image in values])

    def live(self, columns: Iterator[NDArray[np.int32]]) -> Iterator[HostAnswer]:
        """Send columns (H, C) of stream values the moment they come; gives an answer an image.

        After a fault or a silence the device is reset, and sent the columns of the image again.

        Raises
        ------
        LinkError
            If an image has not been answered after several tries.
        InputError
            If the columns end in the middle of an image.
        """
        width = self._wire.pipeline.network.graph.input_shape.width
        payloads = map(self._wire.column_payload, columns)
        for first in payloads:
            yield from self._answered([_Arriving(first, payloads, width)])

    def _answered(self, payloads: Sequence[Sequence[bytes]]) -> Iterator[HostAnswer]:
        """Send images, again where need be."""
        done, tries = 0, 0
        while done < len(payloads):
            if tries:
                self.retries += 1
                self._reset()
            try:
                for answer in self._stream(payloads[done:]):
                    done, tries = done + 1, 0
                    yield answer
            except InputError:
                raise
            except (_AgainError, ValueError) as error:
                tries += 1
                if tries == TRIES:
                    raise LinkError(f"image {done}: {error}") from error

    def _stream(self, images: Sequence[Sequence[bytes]]) -> Iterator[HostAnswer]:
        columns = len(images[0])
        total, sent, taken, answered = columns * len(images), 0, 0, 0
        credit = self._wire.info(0).credits
        first = self.answered
        began = [0.0] * len(images)
        while answered < len(images):
            while sent < total and sent - taken < credit:
                image, column = divmod(sent, columns)
                if not column:
                    began[image] = time.monotonic()
                payload = struct.pack("<H", column) + images[image][column]
                self._link.write(encode(Frame(Command.COLUMN, payload)))
                sent += 1
            frame = self._frame()
            if frame.kind == Reply.TAKEN:
                if int.from_bytes(frame.payload, "little") != taken % columns or taken == sent:
                    raise _AgainError("the device took another column than was sent")
                taken += 1
            elif frame.kind == Reply.ANSWER:
                answer = Answer.unpack(frame.payload)
                if answer.image != (first + answered) % (1 << 16):
                    raise _AgainError("the device answered another image than was sent")
                timed = answer.latency_cycles != NOT_TIMED
                yield HostAnswer(
                    self._wire.answer_values(answer.values),
                    answer.latency_cycles if timed else None,
                    time.monotonic() - began[answered],
                )
                answered += 1
                self.answered = first + answered
            elif frame.kind == Reply.FAULT:
                report = FaultReport.unpack(frame.payload)
                raise _AgainError(f"the device reports {report.fault.name.lower()}")

    def _reset(self) -> None:
        self._ask(Command.RESET, Reply.RESET)
        self.answered = 0

    def _ask(self, command: Command, reply: Reply) -> bytes:
        """Send a command until it is answered; frames of other kinds are dropped."""
        for _ in range(TRIES):
            self._link.write(encode(Frame(command)))
            try:
                while True:
                    frame = self._frame()
                    if frame.kind == reply:
                        return frame.payload
            except _AgainError:
                continue
        raise LinkError(f"no answer to {command.name}")

    def _frame(self) -> Frame:
        """Give the next good frame."""
        while not self._frames:
            received = self._link.read(self._patience)
            if not received:
                raise _AgainError(f"no byte for {self._patience:g} s")
            self._frames += self._decoder.feed(received)
        found = self._frames.pop(0)
        if isinstance(found, Fault):
            raise _AgainError("a broken frame came")
        return found
