"""Frames in gates: a receiver and a sender of bytes."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from pilaster.rtl.components.shapes import index_shape
from pilaster.rtl.host.protocol import CRC_BYTES, CRC_START, ESCAPE, FLAG, FLIP, HEADER_BYTES, Fault

__all__ = ["FrameReceiver", "FrameSender"]

CRC_POLYNOMIAL = 0x1021


def crc_after(crc: Value, byte: Value) -> Value:
    """CRC after another byte, the highest bit first."""
    for bit in reversed(range(8)):
        carry = crc[15] ^ byte[bit]
        shifted = Cat(Const(0, 1), crc[:15])
        crc = shifted ^ Mux(carry, Const(CRC_POLYNOMIAL, 16), 0)
    return crc


class FrameReceiver(wiring.Component):
    """Bytes to frames.

    Members
    -------
    data, strobe : a byte has come, in this cycle; it may be so in every cycle
    kind, length : of the frame; they hold from `payload_strobe` or `good` until the next flag
    payload, payload_index, payload_strobe : a byte of the payload, whose checksum is not known yet
    good : a frame has ended, and its checksum is right
    fault, fault_code : the bytes up to here are no frame
    """

    def __init__(self, most: int) -> None:
        self._most = most
        super().__init__(
            {
                "data": In(8),
                "strobe": In(1),
                "kind": Out(8),
                "length": Out(16),
                "payload": Out(8),
                "payload_index": Out(index_shape(most + CRC_BYTES)),
                "payload_strobe": Out(1),
                "good": Out(1),
                "fault": Out(1),
                "fault_code": Out(Fault),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Undo the escapes, check length and sum."""
        m = Module()
        inside, escaped, begun = Signal(), Signal(), Signal()
        place = Signal(range(HEADER_BYTES + 1))
        index = Signal(index_shape(self._most + CRC_BYTES))
        crc = Signal(16, init=CRC_START)
        byte, arrives = Signal(8), Signal()
        flag = self.strobe & (self.data == FLAG)
        m.d.comb += [
            byte.eq(self.data ^ Mux(escaped, FLIP, 0)),
            arrives.eq(self.strobe & inside & (self.data != FLAG) & (self.data != ESCAPE)),
            self.payload.eq(byte),
            self.payload_index.eq(index),
        ]
        with m.If(self.strobe & inside):
            m.d.sync += escaped.eq(self.data == ESCAPE)
        after = Signal(16)
        m.d.comb += after.eq(crc_after(crc, byte))
        with m.If(arrives):
            m.d.sync += [crc.eq(after), begun.eq(1)]
            with m.Switch(place):
                with m.Case(0):
                    m.d.sync += [self.kind.eq(byte), place.eq(1)]
                with m.Case(1):
                    m.d.sync += [self.length[:8].eq(byte), place.eq(2)]
                with m.Case(2):
                    m.d.sync += [self.length[8:].eq(byte), place.eq(3)]
                    with m.If(Cat(self.length[:8], byte) > self._most):
                        m.d.comb += [self.fault.eq(1), self.fault_code.eq(Fault.LENGTH)]
                        m.d.sync += inside.eq(0)
                with m.Default():
                    m.d.sync += index.eq(index + 1)
                    m.d.comb += self.payload_strobe.eq(index < self.length)
                    with m.If(index == self.length + (CRC_BYTES - 1)):
                        m.d.sync += inside.eq(0)
                        m.d.comb += [
                            self.good.eq(after == 0),
                            self.fault.eq(after != 0),
                            self.fault_code.eq(Fault.CHECKSUM),
                        ]
        with m.If(flag):
            m.d.comb += [
                self.fault.eq(inside & (begun | escaped)),
                self.fault_code.eq(Fault.CUT),
            ]
            m.d.sync += [
                inside.eq(1),
                escaped.eq(0),
                begun.eq(0),
                place.eq(0),
                index.eq(0),
                crc.eq(CRC_START),
            ]
        return m


class FrameSender(wiring.Component):
    """Frames to bytes.

    A frame's payload is `head_bytes` of `head`, then `tail_bytes` read from a memory.

    Members
    -------
    start : send a frame; heeded while `busy` is low
    kind, head, head_bytes, tail_bytes : of the frame; taken at `start`
    busy : a frame is under way
    tail_address, tail : the memory; its bytes come one cycle after their address
    o : bytes for the wire
    """

    def __init__(self, most_head: int, most_tail: int) -> None:
        self._most_head, self._most_tail = most_head, most_tail
        super().__init__(
            {
                "start": In(1),
                "kind": In(8),
                "head": In(8 * most_head),
                "head_bytes": In(range(most_head + 1)),
                "tail_bytes": In(range(most_tail + 1)),
                "busy": Out(1),
                "tail_address": Out(index_shape(most_tail)),
                "tail": In(8),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Header and head from a shift register, then the tail, then the CRC."""
        m = Module()
        first = HEADER_BYTES + self._most_head
        shift = Signal(8 * first)
        head_left, tail_left = Signal(range(first + 1)), Signal(range(self._most_tail + 1))
        crc_left, crc = Signal(range(CRC_BYTES + 1)), Signal(16)
        flagged, escaped = Signal(), Signal()
        fetched = Signal()  # the memory holds the byte of `tail_address`
        byte, here = Signal(8), Signal()
        length = Signal(16)
        m.d.comb += length.eq(self.head_bytes + self.tail_bytes)
        with m.If(head_left != 0):
            m.d.comb += [byte.eq(shift[:8]), here.eq(1)]
        with m.Elif(tail_left != 0):
            m.d.comb += [byte.eq(self.tail), here.eq(fetched)]
        with m.Else():
            m.d.comb += [byte.eq(crc[8:]), here.eq(1)]
        special = (byte == FLAG) | (byte == ESCAPE)
        stuffs = flagged & special & ~escaped
        m.d.comb += self.o.valid.eq(self.busy & (~flagged | here))
        with m.If(~flagged):
            m.d.comb += self.o.payload.eq(FLAG)
        with m.Elif(stuffs):
            m.d.comb += self.o.payload.eq(ESCAPE)
        with m.Else():
            m.d.comb += self.o.payload.eq(byte ^ Mux(escaped, FLIP, 0))
        moves = self.o.valid & self.o.ready
        m.d.sync += fetched.eq(1)
        with m.If(moves & ~flagged):
            m.d.sync += flagged.eq(1)
        with m.Elif(moves & stuffs):
            m.d.sync += escaped.eq(1)
        with m.Elif(moves):
            m.d.sync += [escaped.eq(0), crc.eq(crc_after(crc, byte))]
            with m.If(head_left != 0):
                m.d.sync += [head_left.eq(head_left - 1), shift.eq(shift >> 8)]
            with m.Elif(tail_left != 0):
                m.d.sync += [
                    tail_left.eq(tail_left - 1),
                    self.tail_address.eq(self.tail_address + 1),
                    fetched.eq(0),
                ]
            with m.Else():
                m.d.sync += [crc.eq(crc << 8), crc_left.eq(crc_left - 1)]
                m.d.sync += self.busy.eq(crc_left != 1)
        with m.If(self.start & ~self.busy):
            m.d.sync += [
                self.busy.eq(1),
                flagged.eq(0),
                shift.eq(Cat(self.kind, length, self.head)),
                head_left.eq(HEADER_BYTES + self.head_bytes),
                tail_left.eq(self.tail_bytes),
                self.tail_address.eq(0),
                crc_left.eq(CRC_BYTES),
                crc.eq(CRC_START),
            ]
        return m
