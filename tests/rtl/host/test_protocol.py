"""Laws: a good frame after any bytes is read; what is packed unpacks to the same."""

import binascii

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilaster.rtl.host.golden import DeviceModel
from pilaster.rtl.host.protocol import (
    CRC_START,
    ESCAPE,
    FLAG,
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

MOST = 64

frames = st.builds(Frame, st.integers(0, 255), st.binary(max_size=MOST))
words = st.integers(0, 2**32 - 1)
halves = st.integers(0, 2**16 - 1)
octets = st.integers(0, 255)
credit = st.integers(0, 127)


def test_the_sum_is_the_catalog_s():
    assert binascii.crc_hqx(b"123456789", CRC_START) == 0x29B1  # RevEng's check value


@settings(deadline=None)
@given(st.binary(max_size=200), frames)
def test_a_good_frame_is_read_after_anything(garbage, frame):
    found = list(Decoder(MOST).feed(garbage + encode(frame)))
    assert found[-1] == frame


@settings(deadline=None)
@given(st.lists(frames, max_size=6), st.integers(1, 7))
def test_frames_are_read_in_pieces_of_any_size(sent, step):
    decoder, data = Decoder(MOST), b"".join(map(encode, sent))
    pieces = (data[at : at + step] for at in range(0, len(data), step))
    assert [found for piece in pieces for found in decoder.feed(piece)] == sent


@settings(deadline=None)
@given(frames)
def test_a_flag_stands_at_the_start_only(frame):
    data = encode(frame)
    assert data[0] == FLAG
    assert FLAG not in data[1:]


@settings(deadline=None)
@given(frames, st.data())
def test_a_turned_bit_is_never_a_frame(frame, data):
    wire = bytearray(encode(frame))
    at = data.draw(st.integers(1, len(wire) - 1))
    bit = data.draw(st.integers(0, 7))
    if ESCAPE in (wire[at], wire[at] ^ 1 << bit) or wire[at] ^ 1 << bit == FLAG:
        return  # more than a bit changes in the body: only the CRC's odds hold
    wire[at] ^= 1 << bit
    found = list(Decoder(MOST).feed(bytes(wire) + bytes([FLAG])))
    assert not [f for f in found if isinstance(f, Frame)]


def test_a_long_frame_is_refused_at_its_header():
    wire = encode(Frame(1, bytes(MOST + 1)))
    assert list(Decoder(MOST).feed(wire[:4])) == [Fault.LENGTH]


@given(
    st.one_of(
        st.builds(Info, octets, credit, halves, halves, halves, words, words, st.booleans()),
        st.builds(Counters, words, words, words, words),
        st.builds(ActionCount, halves, words),
        st.builds(Answer, halves, words, st.binary(max_size=30)),
        st.builds(FaultReport, st.sampled_from(Fault), octets, halves),
    )
)
def test_payloads_unpack_to_what_was_packed(payload):
    assert type(payload).unpack(payload.pack()) == payload


@pytest.mark.parametrize("kind", [Info, Counters, ActionCount, Answer, FaultReport])
def test_a_short_payload_is_refused(kind):
    with pytest.raises(ValueError, match="expected"):
        kind.unpack(b"\0")


INFO = Info(1, 2, 3, 2, 1, 0, 0)


def column(index, rows):
    return encode(Frame(Command.COLUMN, bytes([index, 0]) + rows))


def test_the_model_takes_columns_in_order_and_forgets_them_at_a_reset():
    model = DeviceModel(INFO)
    events = list(model.feed(column(0, b"abc") + column(0, b"abc") + encode(Frame(Command.RESET))))
    assert [event.reply for event in events] == [Reply.TAKEN, Reply.FAULT, Reply.RESET]
    assert events[1].fault is Fault.ORDER
    events = list(model.feed(column(0, b"abc") + column(1, b"def")))
    assert events[-1].image == (b"abc", b"def")


def piece(index, content):
    return encode(Frame(Command.LOAD, bytes([index, 0]) + content))


def test_the_model_takes_no_column_before_its_weights_and_keeps_them_at_a_reset():
    model = DeviceModel(INFO, [b"abc", b"def"])
    reset = encode(Frame(Command.RESET))
    events = list(model.feed(column(0, b"abc") + piece(0, b"abc") + reset + piece(0, b"abc")))
    faults = [(event.fault, event.column) for event in events if event.fault]
    assert faults == [(Fault.WEIGHTS, 0), (Fault.ORDER, 1)]
    events = list(model.feed(piece(1, b"def") + reset + piece(0, b"abc") + column(0, b"abc")))
    assert [event.fault for event in events] == [None, None, Fault.ORDER, None]
    assert model.loaded == model.pieces


def test_a_model_without_memories_to_load_knows_no_pieces():
    (event,) = DeviceModel(INFO).feed(piece(0, b"abc"))
    assert event.fault is Fault.KIND


@pytest.mark.parametrize("counts", [False, True])
def test_only_a_device_that_counts_actions_knows_of_them(counts):
    (event,) = DeviceModel(INFO, counts=counts).feed(encode(Frame(Command.ACTIONS)))
    assert event.fault is (None if counts else Fault.KIND)
    assert event.reply is (Reply.ACTION if counts else Reply.FAULT)
