"""Laws: through a serial line a board answers as the reference does, in the model's cycles."""

import struct
from itertools import islice

import numpy as np
import pytest

import pilaster as pl
from pilaster.base.errors import InputError
from pilaster.data import images_for
from pilaster.models.reference.network import infer
from pilaster.rtl.host.actions import compare
from pilaster.rtl.host.client import Host, LinkError
from pilaster.rtl.host.protocol import Command, Frame, encode
from pilaster.rtl.host.serial_link import SerialLink
from pilaster.rtl.host.simulated import SimulatedBoard
from pilaster.rtl.host.wire_format import WireFormat
from pilaster.rtl.stages.loading import loadable
from pilaster.sim.pipeline import Pipeline

CLOCK_HZ, BAUD = 4_000_000, 1_000_000


def pipeline_of(name, machine=None):
    network = pl.load(name)
    return Pipeline(network, pl.load_machine(machine, network))


@pytest.fixture(scope="module")
def pipeline():
    return pipeline_of("digits")


@pytest.fixture(scope="module")
def board(pipeline):
    with SimulatedBoard(pipeline, CLOCK_HZ, BAUD) as found:
        yield found


@pytest.fixture
def link(board):
    found = SerialLink(board.port, BAUD)
    yield found
    found.close()


def ask(link, pipeline, count):
    network = pipeline.network
    values = network.encode(images_for(network, None, count).images)
    host = Host(link, WireFormat(pipeline))
    assert host.connect().clock_hz == CLOCK_HZ
    answers = list(host.answers(values))
    right = infer(network, values)
    np.testing.assert_array_equal([answer.values for answer in answers], right)
    return host, answers


def test_answers_are_the_reference_s(link, pipeline):
    host, answers = ask(link, pipeline, 10)
    assert host.retries == 0
    assert host.counters().answers >= len(answers)
    assert host.counters().faults == 0


def test_a_host_that_went_away_in_an_image_is_forgotten(link, pipeline):
    wire = WireFormat(pipeline)
    host = Host(link, wire)
    host.connect()
    values = pipeline.network.encode(images_for(pipeline.network, None, 1).images)
    payload = b"\0\0" + wire.column_payloads(values[0])[0]
    whole = encode(Frame(Command.COLUMN, payload))
    link.write(whole + whole[:5])  # a column of an image, and the next cut short
    ask(link, pipeline, 2)


def test_columns_are_sent_as_they_come_and_again_where_need_be(link, pipeline):
    network = pipeline.network
    values = network.encode(images_for(network, None, 3).images)
    host = Host(Lossy(link, 4), WireFormat(pipeline), patience=1.0)
    host.connect()
    come = []

    def columns():
        for column in values.transpose(0, 2, 1, 3).reshape(-1, 8, 1):
            come.append(column)
            yield column

    found = []
    for answer in host.live(columns()):
        found.append(answer.values)
        assert len(come) == 8 * len(found), "no column is awaited before the answer is given"
    np.testing.assert_array_equal(found, infer(network, values))


def test_columns_may_not_end_within_an_image(link, pipeline):
    host = Host(link, WireFormat(pipeline))
    host.connect()
    columns = (np.zeros((8, 1), np.int32) for _ in range(11))
    with pytest.raises(InputError, match="in the middle of an image: 3 of 8 have come"):
        list(host.live(columns))


class Lossy:
    """A link that loses or turns a byte now and then."""

    def __init__(self, link, seed):
        self.link, self.rng = link, np.random.default_rng(seed)

    def write(self, data):
        self.link.write(self.spoil(data, 0.02))

    def read(self, seconds):
        return self.spoil(self.link.read(seconds), 0.002) or self.link.read(seconds)

    def spoil(self, data, share):
        spoilt = bytearray(data)
        if data and self.rng.random() < share:
            at = int(self.rng.integers(len(spoilt)))
            if self.rng.random() < 0.5:
                del spoilt[at]
            else:
                spoilt[at] ^= 1 << int(self.rng.integers(8))
        return bytes(spoilt)


def test_a_line_that_loses_bytes_costs_time_only(link, pipeline):
    network = pipeline.network
    values = network.encode(images_for(network, None, 12).images)
    host = Host(Lossy(link, 5), WireFormat(pipeline), patience=1.0)
    host.connect()
    answers = [answer.values for answer in host.answers(values)]
    np.testing.assert_array_equal(answers, infer(network, values))
    assert host.retries


def test_counts_are_of_the_images_since_the_last_reset(pipeline):
    network = pipeline.network
    values = network.encode(images_for(network, None, 12).images)
    with SimulatedBoard(pipeline, CLOCK_HZ, BAUD, counts=True) as board:
        link = SerialLink(board.port, BAUD)
        host = Host(Lossy(link, 5), WireFormat(pipeline, counts=True), patience=1.0)
        host.connect()
        assert len(list(host.answers(values))) == len(values)
        assert host.retries
        for more in (0, 3):
            list(host.answers(values[:more]))
            sent = np.concatenate([values, values[:more]])
            compared = compare(pipeline, sent[len(sent) - host.answered :], host.actions())
            assert [each for each in compared if not each.equal] == []
        link.close()


def test_counts_of_a_device_that_has_none_are_refused(link, pipeline):
    host = Host(link, WireFormat(pipeline))
    host.connect()
    with pytest.raises(InputError, match="counts no actions"):
        host.actions()
    with pytest.raises(InputError, match="another machine"):
        Host(link, WireFormat(pipeline, counts=True)).connect()


def test_another_machine_is_refused(link):
    other = pipeline_of("digits", "digits-gather")
    with pytest.raises(InputError, match="another machine"):
        Host(link, WireFormat(other)).connect()


def test_silence_is_told(pipeline):
    class Silent:
        def write(self, data):
            pass

        def read(self, seconds):
            return b""

    with pytest.raises(LinkError, match="RESET"):
        Host(Silent(), WireFormat(pipeline), patience=0.01).connect()


@pytest.fixture(scope="module")
def wire_to_load(pipeline):
    return WireFormat(pipeline, frozenset(loadable(pipeline)))


@pytest.fixture
def empty(pipeline, wire_to_load):
    """The line of a board without weights."""
    with SimulatedBoard(pipeline, CLOCK_HZ, BAUD, loaded=wire_to_load.loaded) as found:
        link = SerialLink(found.port, BAUD)
        yield link
        link.close()


def test_weights_are_loaded_once(empty, pipeline, wire_to_load):
    values = pipeline.network.encode(images_for(pipeline.network, None, 2).images)
    pieces = len(wire_to_load.load_pieces)
    first = Host(empty, wire_to_load)
    assert first.connect().unloaded
    assert list(first.load()) == list(range(1, pieces + 1))
    assert first.retries == 0
    for _ in range(2):
        host = Host(empty, wire_to_load)
        assert not host.connect().unloaded, "a reset keeps the weights"
        answers = [answer.values for answer in host.answers(values)]
        np.testing.assert_array_equal(answers, infer(pipeline.network, values))
        assert host.counters().faults == 0


def test_a_host_goes_on_where_another_stopped_loading(empty, pipeline, wire_to_load):
    first = Host(empty, wire_to_load)
    first.connect()
    assert list(islice(first.load(), 5))[-1] == 5
    payload = struct.pack("<H", 7) + wire_to_load.load_pieces[7]
    empty.write(encode(Frame(Command.LOAD, payload))[:-3])
    second = Host(Lossy(empty, 6), wire_to_load, patience=1.0)
    assert second.connect().unloaded
    come = list(second.load())
    assert come[0] > 5
    assert second.retries
    host = Host(empty, wire_to_load)
    assert not host.connect().unloaded
    values = pipeline.network.encode(images_for(pipeline.network, None, 2).images)
    answers = [answer.values for answer in host.answers(values)]
    np.testing.assert_array_equal(answers, infer(pipeline.network, values))


def test_a_load_stream_and_counters_are_part_of_the_design(pipeline, wire_to_load):
    biases = frozenset(name for name in wire_to_load.loaded if name.endswith("bias"))
    wires = [WireFormat(pipeline), WireFormat(pipeline, biases), wire_to_load]
    wires += [WireFormat(pipeline, wire.loaded, counts=True) for wire in wires]
    assert len({wire.design for wire in wires}) == len(wires)
