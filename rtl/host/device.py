"""The device: frames on one side, the machine's streams on the other."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from pilaster.rtl.components.shapes import index_shape
from pilaster.rtl.host.action_counters import ActionCounters
from pilaster.rtl.host.actions import counters_of
from pilaster.rtl.host.frames import FrameReceiver, FrameSender
from pilaster.rtl.host.protocol import (
    CREDITS,
    INDEX_BYTES,
    UNLOADED,
    ActionCount,
    Answer,
    Command,
    Counters,
    Fault,
    FaultReport,
    Info,
    Reply,
)
from pilaster.rtl.host.wire_format import WireFormat
from pilaster.rtl.pipeline import PipelineComponent

__all__ = ["NOT_TIMED", "Device"]

COUNTER_BITS = 32

NOT_TIMED = (1 << COUNTER_BITS) - 1
"""Latency of an answer whose image was not timed: an earlier one was still under way."""


class Device(wiring.Component):
    """A machine behind frames.

    Where it has memories to be loaded, pieces of the load stream go the way of columns. The last
    piece is seen in three places, each at its own time: where frames are judged (`_whole`), where
    bytes go into the machine (`_loaded`), and where TAKEN is sent.

    Members
    -------
    data, strobe : a byte from the host, in this cycle
    o : bytes to the host
    """

    def __init__(self, machine: PipelineComponent, wire: WireFormat, info: Info) -> None:
        self._machine, self._wire, self._info = machine, wire, info
        self._pieces = len(wire.load_pieces)
        super().__init__({"data": In(8), "strobe": In(1), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        """Join receiver, column store, machine, answer store and sender."""
        m = Module()
        info = self._info
        m.submodules.receiver = receiver = FrameReceiver(INDEX_BYTES + info.column_bytes)
        heads = max(layout.LAYOUT.size for layout in (Info, Counters, Answer, FaultReport))
        m.submodules.sender = self._sender = sender = FrameSender(heads, info.answer_bytes)
        m.d.comb += [receiver.data.eq(self.data), receiver.strobe.eq(self.strobe)]
        wiring.connect(m, sender.o, wiring.flipped(self.o))

        self._clear = Signal()
        self._whole: Value = Signal(name="whole") if self._pieces else Const(1)
        self._loaded: Value = Signal(name="loaded") if self._pieces else Const(1)
        self._starts = {kind: Signal(name=f"start_{kind.name.lower()}") for kind in Reply}
        m.submodules.machine = ResetInserter(self._clear)(self._machine)
        self._count(m)
        self._actions = self._count_actions(m) if self._wire.counts else None
        self._commands(m, receiver)
        last_row = self._feed(m, receiver)
        self._collect(m, last_row)
        self._reply(m)
        return m

    def _count(self, m: Module) -> None:
        """Counters, by the names of `Counters`."""
        self._counters = {
            name: Signal(COUNTER_BITS, name=name) for name in Counters.__dataclass_fields__
        }
        m.d.sync += self._counters["cycles"].eq(self._counters["cycles"] + 1)

    def _count_actions(self, m: Module) -> ActionCounters:
        """Count the machine's actions since the last RESET."""
        counted = counters_of(self._wire.pipeline)
        counters = ActionCounters([each.most for each in counted])
        self._recount = Signal()  # at every RESET: that before all weights are there counts, too
        m.submodules.actions = ResetInserter(self._recount)(counters)
        for number, each in enumerate(counted):
            probe = getattr(getattr(self._machine, f"{each.stage}_probes"), each.action)
            m.d.comb += getattr(counters, f"event{number}").eq(probe)
        return counters

    def _tick(self, m: Module, name: str) -> None:
        m.d.sync += self._counters[name].eq(self._counters[name] + 1)

    def _after(self, index: Value, whole: Value) -> Value:
        """Index of the column after `index`, or of the piece before the load stream is `whole`."""
        last = index == self._info.columns - 1
        if self._pieces:
            last = Mux(whole, last, index == self._pieces - 1)
        return Mux(last, 0, index + 1)

    def _commands(self, m: Module, receiver: FrameReceiver) -> None:
        """Judge each frame that has ended."""
        info = self._info
        self._indices = index_shape(max(info.columns, self._pieces))
        self._expected = Signal(self._indices)
        self._used = Signal(range(CREDITS + 1))
        self._commit = Signal()
        self._asked = {kind: Signal(name=f"asked_{kind.name.lower()}") for kind in Reply}
        fault, code = Signal(), Signal(Fault)
        for kind in (Reply.RESET, Reply.INFO, Reply.COUNTERS):
            with m.If(self._starts[kind]):
                m.d.sync += self._asked[kind].eq(0)
        plain = [Command.INFO, Command.RESET, Command.COUNTERS]
        if self._actions is not None:
            plain.append(Command.ACTIONS)
        is_column = receiver.kind == Command.COLUMN
        is_kept = is_column | (receiver.kind == Command.LOAD) if self._pieces else is_column
        index = Signal(8 * INDEX_BYTES)
        self._room = Signal()
        with m.If(receiver.payload_strobe & (receiver.payload_index < INDEX_BYTES)):
            m.d.sync += index.word_select(receiver.payload_index[:1], 8).eq(receiver.payload)
            m.d.sync += self._room.eq(self._used != CREDITS)
        m.d.comb += [fault.eq(receiver.fault), code.eq(receiver.fault_code)]
        with m.If(receiver.good), m.Switch(receiver.kind):
            with m.Case(Command.COLUMN, *([Command.LOAD] if self._pieces else [])):
                wrong = receiver.length != INDEX_BYTES + info.column_bytes
                early: Value = Const(0)
                out_of_order = index != self._expected
                if self._pieces:
                    early = is_column & ~self._loaded
                    out_of_order = out_of_order | (~is_column & self._whole)
                m.d.comb += [
                    fault.eq(wrong | early | out_of_order | ~self._room),
                    code.eq(
                        Mux(
                            wrong,
                            Fault.LENGTH,
                            Mux(
                                early,
                                Fault.WEIGHTS,
                                Mux(out_of_order, Fault.ORDER, Fault.BUSY),
                            ),
                        )
                    ),
                    self._commit.eq(~fault),
                ]
            with m.Case(*plain):
                m.d.comb += [fault.eq(receiver.length != 0), code.eq(Fault.LENGTH)]
                with m.If(receiver.length == 0):
                    for command, reply in (
                        (Command.INFO, Reply.INFO),
                        (Command.COUNTERS, Reply.COUNTERS),
                        (Command.RESET, Reply.RESET),
                    ):
                        with m.If(receiver.kind == command):
                            m.d.sync += self._asked[reply].eq(1)
                    # Before the weights are there, there is nothing to forget but them.
                    m.d.comb += self._clear.eq((receiver.kind == Command.RESET) & self._loaded)
                    if self._actions is not None:
                        m.d.comb += [
                            self._actions.ask.eq(receiver.kind == Command.ACTIONS),
                            self._recount.eq(receiver.kind == Command.RESET),
                        ]
            with m.Default():
                m.d.comb += [fault.eq(1), code.eq(Fault.KIND)]
        with m.If(self._commit):
            m.d.sync += self._expected.eq(self._after(self._expected, self._whole))
            if self._pieces:
                with m.If(self._expected == self._pieces - 1):
                    m.d.sync += self._whole.eq(1)
        with m.If(self._clear):
            m.d.sync += self._expected.eq(0)
        self._faulted, self._fault_code, self._is_kept = fault, code, is_kept
        with m.If(fault):
            self._tick(m, "faults")

    def _feed(self, m: Module, receiver: FrameReceiver) -> Value:
        """Keep columns or pieces, and offer their rows; gives when an image's last row goes in."""
        info, wire, stream_in = self._info, self._wire, self._machine.i
        place = Signal(range(CREDITS * info.column_bytes))
        write_slot, read_slot = Signal(range(CREDITS)), Signal(range(CREDITS))
        m.submodules.columns = store = Memory(shape=8, depth=CREDITS * info.column_bytes, init=[])
        write, read = store.write_port(), store.read_port()
        offset = receiver.payload_index - INDEX_BYTES
        m.d.comb += [
            write.addr.eq(Mux(write_slot, info.column_bytes, 0) + offset[: len(place)]),
            write.data.eq(receiver.payload),
            write.en.eq(
                receiver.payload_strobe
                & self._is_kept
                & self._room
                & (receiver.payload_index >= INDEX_BYTES)
            ),
            read.addr.eq(Mux(read_slot, info.column_bytes, 0) + place),
        ]
        # A row is put together from its bytes, two cycles each.
        row_bytes = wire.input_bytes
        beat = Signal(8 * row_bytes)
        left = Signal(range(row_bytes + 1), init=row_bytes)
        fetched, valid = Signal(), Signal()
        column = Signal(index_shape(info.columns))
        last_column = column == info.columns - 1
        goes = valid & (stream_in.ready | ~self._loaded)
        freed = goes & (place == info.column_bytes)
        m.d.comb += [
            stream_in.valid.eq(valid & self._loaded),
            stream_in.payload.as_value().eq(beat),
        ]
        if self._pieces:  # a byte is a beat of the load stream, which is never refused
            load = self._machine.load
            m.d.comb += [load.valid.eq(fetched & ~self._loaded), load.payload.eq(read.data)]
            with m.If(freed & ~load.ready):
                m.d.sync += self._loaded.eq(1)
        m.d.sync += fetched.eq((self._used != 0) & ~valid & ~fetched & (left != 0))
        with m.If(fetched):
            m.d.sync += [
                beat.eq(Cat(beat, read.data)[8:]),
                left.eq(left - 1),
                place.eq(place + 1),
                valid.eq(left == 1),
            ]
        with m.If(goes):
            m.d.sync += [valid.eq(0), left.eq(row_bytes)]
        with m.If(freed):
            m.d.sync += [
                place.eq(0),
                read_slot.eq(~read_slot),
                column.eq(Mux(last_column | ~self._loaded, 0, column + 1)),
            ]
        with m.If(self._commit):  # of two slots, as many as there are credits
            m.d.sync += write_slot.eq(~write_slot)
        m.d.sync += self._used.eq(self._used + self._commit - freed)
        with m.If(stream_in.valid & ~stream_in.ready):
            self._tick(m, "stalled_cycles")
        self._freed = freed
        with m.If(self._clear):
            m.d.sync += [
                *(signal.eq(0) for signal in (self._used, write_slot, read_slot, place)),
                *(signal.eq(0) for signal in (valid, fetched, column)),
                left.eq(row_bytes),
            ]
        return freed & last_column & self._loaded

    def _collect(self, m: Module, last_row: Value) -> None:
        """Keep an answer, and time it."""
        info, wire, stream_out = self._info, self._wire, self._machine.o
        m.submodules.answer = store = Memory(shape=8, depth=max(2, info.answer_bytes), init=[])
        write, read = store.write_port(), store.read_port()
        m.d.comb += [
            read.addr.eq(self._sender.tail_address),
            self._sender.tail.eq(read.data),
        ]
        beat_bytes = wire.answer_beat_bytes
        beat = Signal(8 * beat_bytes)
        left, place = Signal(range(beat_bytes + 1)), Signal(range(info.answer_bytes + 1))
        self._answering = Signal()  # the answer is on the wire
        complete = self._asked[Reply.ANSWER]
        whole = place == info.answer_bytes - 1
        m.d.comb += [
            stream_out.ready.eq((left == 0) & ~complete & ~self._answering),
            write.addr.eq(place),
            write.data.eq(beat[:8]),
            write.en.eq(left != 0),
        ]
        image, timed_image, sent_image = Signal(16), Signal(16), Signal(16)
        timing, timed = Signal(), Signal()
        latency = Signal(COUNTER_BITS)
        beats = info.answer_bytes // beat_bytes
        taken_beats = Signal(index_shape(beats))
        last_beat = stream_out.valid & stream_out.ready & (taken_beats == beats - 1)
        with m.If(timing):
            m.d.sync += latency.eq(latency + 1)
        with m.If(last_row):
            m.d.sync += image.eq(image + 1)
            with m.If(~timing & ~timed):
                m.d.sync += [timing.eq(1), latency.eq(0), timed_image.eq(image)]
        with m.If(stream_out.valid & stream_out.ready):
            m.d.sync += [
                beat.eq(stream_out.payload.as_value()),
                left.eq(beat_bytes),
                taken_beats.eq(Mux(taken_beats == beats - 1, 0, taken_beats + 1)),
            ]
        with m.If(last_beat & timing & (timed_image == sent_image)):
            m.d.sync += [timing.eq(0), timed.eq(1), latency.eq(latency + 1)]
        with m.If(left != 0):
            m.d.sync += [beat.eq(beat >> 8), left.eq(left - 1)]
            m.d.sync += place.eq(Mux(whole, 0, place + 1))
            with m.If(whole):
                self._tick(m, "answers")
                m.d.sync += complete.eq(1)
        self._answer_head = Cat(
            sent_image, Mux(timed & (timed_image == sent_image), latency, NOT_TIMED)
        )
        with m.If(self._starts[Reply.ANSWER]):
            m.d.sync += [sent_image.eq(sent_image + 1), complete.eq(0)]
            with m.If(timed_image == sent_image):
                m.d.sync += timed.eq(0)
        with m.If(self._clear):
            m.d.sync += [
                *(signal.eq(0) for signal in (complete, left, place, taken_beats)),
                *(signal.eq(0) for signal in (image, sent_image, timing, timed)),
            ]

    def _reply(self, m: Module) -> None:
        """Send what is due, faults first: a host that resets sees earlier faults before."""
        info, sender = self._info, self._sender
        taken, taken_column = Signal(range(CREDITS + 1)), Signal(self._indices)
        told: Value = Signal(name="told") if self._pieces else Const(1)
        code, count = Signal(Fault), Signal(8)
        constant = Const(int.from_bytes(info.pack(), "little"), 8 * Info.LAYOUT.size)
        described = constant | (Mux(self._loaded, 0, UNLOADED) << 8)  # in the byte of credits
        fault = Cat(_wide(code, 8), count, self._expected)
        counters = Cat(*self._counters.values())
        # Whether one is due, its head, and the head's bytes.
        heads: dict[Reply, tuple[Value, Value, int]] = {
            Reply.FAULT: (count != 0, fault, FaultReport.LAYOUT.size),
            Reply.RESET: (self._asked[Reply.RESET], Const(0, 1), 0),
            Reply.INFO: (self._asked[Reply.INFO], described, Info.LAYOUT.size),
            Reply.COUNTERS: (self._asked[Reply.COUNTERS], counters, Counters.LAYOUT.size),
            Reply.TAKEN: (taken != 0, taken_column, INDEX_BYTES),
            Reply.ANSWER: (self._asked[Reply.ANSWER], self._answer_head, Answer.LAYOUT.size),
        }
        starts = self._starts
        if self._actions is not None:
            actions = self._actions
            head = Cat(_wide(actions.index, 8 * INDEX_BYTES), actions.count)
            heads[Reply.ACTION] = (actions.due, head, ActionCount.LAYOUT.size)
            m.d.comb += actions.told.eq(starts[Reply.ACTION])
        earlier: Value = sender.busy
        for kind, (due, head, size) in heads.items():
            m.d.comb += starts[kind].eq(due & ~earlier)
            earlier = earlier | due
            with m.If(starts[kind]):
                m.d.comb += [
                    sender.start.eq(1),
                    sender.kind.eq(kind),
                    sender.head.eq(head),
                    sender.head_bytes.eq(size),
                    sender.tail_bytes.eq(info.answer_bytes if kind == Reply.ANSWER else 0),
                ]
        with m.If(starts[Reply.ANSWER]):
            m.d.sync += self._answering.eq(1)
        with m.Elif(~sender.busy):
            m.d.sync += self._answering.eq(0)

        m.d.sync += taken.eq(taken + self._freed - starts[Reply.TAKEN])
        with m.If(starts[Reply.TAKEN]):
            m.d.sync += taken_column.eq(self._after(taken_column, told))
            if self._pieces:
                with m.If(taken_column == self._pieces - 1):
                    m.d.sync += told.eq(1)
        with m.If(self._clear):
            m.d.sync += [taken.eq(0), taken_column.eq(0)]
            if self._pieces:
                m.d.sync += told.eq(1)

        before = Mux(starts[Reply.FAULT], 0, count)
        m.d.sync += count.eq(Mux(self._faulted & (before != 255), before + 1, before))
        with m.If(self._faulted):
            m.d.sync += code.eq(self._fault_code)


def _wide(value: Signal, bits: int) -> Value:
    """Give a value as `bits` bits."""
    plain = Value.cast(value)
    return Cat(plain, Const(0, bits - len(plain)))
