"""How a machine's columns, answers and weights stand in frames: every beat in whole bytes."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.graph import INPUT
from pilaster.rtl.host.protocol import CREDITS, INDEX_BYTES, PROTOCOL_VERSION, Info
from pilaster.rtl.stages.loading import load_beats
from pilaster.sim.machine_file import machine_yaml
from pilaster.sim.pipeline import Pipeline

__all__ = ["LINK_LOAD_BITS", "WireFormat"]

MOST_PAYLOAD = (1 << 16) - 1 - 16
"""Longest payload that a frame's length can tell, with room for its own head."""


LINK_LOAD_BITS = 8
"""Width of a beat of the load stream of a machine behind the link."""


@dataclass(frozen=True)
class WireFormat:
    """Columns and answers of a pipeline, and its load stream, as bytes.

    The first value of a beat stands in its lowest bits, the lowest byte comes first.

    Attributes
    ----------
    loaded : names of the memories that are loaded over the link
    counts : whether the device counts actions

    Raises
    ------
    InputError
        If a column or an answer is too long for a frame, or the load stream for its index.
    """

    pipeline: Pipeline
    loaded: frozenset[str] = frozenset()
    counts: bool = False

    def __post_init__(self) -> None:
        column, answer = self.column_bytes, self.answer_beats * self.answer_beat_bytes
        for what, size in (("column", column), ("answer", answer)):
            if size > MOST_PAYLOAD:
                raise InputError(
                    f"{self.pipeline.network.name}: a {what} has {size} bytes, "
                    f"a frame of the host link holds {MOST_PAYLOAD}"
                )
        if len(self.load_pieces) > 1 << (8 * INDEX_BYTES):
            raise InputError(
                f"{self.pipeline.network.name}: its weights take {len(self.load_pieces):,} pieces "
                f"of {column} bytes, the host link counts {1 << (8 * INDEX_BYTES):,}"
            )

    @property
    def input_bytes(self) -> int:
        """Bytes of a row of the input."""
        network = self.pipeline.network
        bits = network.tensors[INPUT].bits * network.graph.input_shape.channels
        return -(-bits // 8)

    @property
    def column_bytes(self) -> int:
        """Bytes of a column of the input."""
        return self.input_bytes * self.pipeline.network.graph.input_shape.height

    @property
    def answer_beat_bytes(self) -> int:
        """Bytes of a beat of the answer."""
        network, last = self.pipeline.network, self.pipeline.stages[-1]
        return -(-network.tensors[last.name].bits * last.fold.out_channels // 8)

    @property
    def answer_beats(self) -> int:
        """Beats of an answer."""
        shape = self.pipeline.network.graph.output_shape
        return self.pipeline.stages[-1].beats.per_row * shape.height * shape.width

    @cached_property
    def load_pieces(self) -> list[bytes]:
        """The load stream, in pieces of a column's length; the last is filled up with zeros."""
        if not self.loaded:
            return []
        stream = bytes(load_beats(self.pipeline, self.loaded, LINK_LOAD_BITS))
        size = self.column_bytes
        return [stream[at : at + size].ljust(size, b"\0") for at in range(0, len(stream), size)]

    @cached_property
    def design(self) -> int:
        """Identity of network, machine and load stream: a CRC-32 of their files and integers.

        A device that counts actions has another than one that does not.
        """
        network = self.pipeline.network
        found = zlib.crc32(machine_yaml(self.pipeline.machine).encode())
        if self.counts:
            found = zlib.crc32(b"counts", found)
        for node in network.graph.nodes:
            found = zlib.crc32(repr((node, network.tensors[node.name])).encode(), found)
            if node.name in network.joins:
                found = zlib.crc32(repr(network.joins[node.name]).encode(), found)
            if node.name in network.precisions:
                parameters = network.parameters[node.name]
                for array in (parameters.weight, parameters.bias, parameters.multiplier):
                    found = zlib.crc32(np.ascontiguousarray(array, np.int64).tobytes(), found)
        for piece in self.load_pieces:
            found = zlib.crc32(piece, found)
        return found

    def info(self, clock_hz: int) -> Info:
        """Tell what a device with this machine says of itself, when it has its weights."""
        shape = self.pipeline.network.graph.input_shape
        return Info(
            version=PROTOCOL_VERSION,
            credits=CREDITS,
            column_bytes=self.column_bytes,
            columns=shape.width,
            answer_bytes=self.answer_beats * self.answer_beat_bytes,
            clock_hz=clock_hz,
            design=self.design,
        )

    def column_payloads(self, values: NDArray[np.int32]) -> list[bytes]:
        """Rows of every column of an image (H, W, C) of stream values, left to right."""
        return [self.column_payload(column) for column in values.transpose(1, 0, 2)]

    def column_payload(self, column: NDArray[np.int32]) -> bytes:
        """Rows of a column (H, C) of stream values."""
        bits = self.pipeline.network.tensors[INPUT].bits
        rows = (_pack(row, bits) for row in column.tolist())
        return b"".join(row.to_bytes(self.input_bytes, "little") for row in rows)

    def answer_values(self, payload: bytes) -> NDArray[np.int32]:
        """Stream values (H, W, C) of an answer."""
        network, last = self.pipeline.network, self.pipeline.stages[-1]
        shape, tensor = network.graph.output_shape, network.tensors[last.name]
        signed = tensor.stream_range[0] < 0
        values = np.zeros((shape.height, shape.width, shape.channels), np.int32)
        size = self.answer_beat_bytes
        beats = [payload[at : at + size] for at in range(0, len(payload), size)]
        order = (
            (column, tile, row)
            for column in range(shape.width)
            for tile in last.beats.tiles
            for row in range(shape.height)
        )
        for beat, (column, (first, count), row) in zip(beats, order, strict=True):
            number = int.from_bytes(beat, "little")
            found = [_field(number, lane, tensor.bits, signed) for lane in range(count)]
            values[row, column, first : first + count] = found
        return values


def _pack(row: list[int], bits: int) -> int:
    mask = (1 << bits) - 1
    return sum((value & mask) << (lane * bits) for lane, value in enumerate(row))


def _field(number: int, lane: int, bits: int, signed: bool) -> int:
    value = (number >> (lane * bits)) & ((1 << bits) - 1)
    return value - (1 << bits) if signed and value >> (bits - 1) else value
