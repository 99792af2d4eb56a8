"""Laws: behind frames, any machine answers as the reference and counts what the model counts."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pilaster.models.graph import INPUT
from pilaster.models.reference.network import infer
from pilaster.rtl.host.actions import compare, counters_of
from pilaster.rtl.host.protocol import (
    ActionCount,
    Answer,
    Command,
    Decoder,
    Frame,
    Reply,
    encode,
)
from pilaster.rtl.host.wire_format import WireFormat
from pilaster.sim.pipeline import Pipeline
from tests.rtl.host.bench import AWAIT, IDLE, QUIET, SEND, play
from tests.rtl.test_verify import MOST_LANES
from tests.sim.strategies import pipelines

IMAGES = 3


def check(pipeline, data_seed, folder):
    network = pipeline.network
    stages = {n: replace(s, dram_bits_per_cycle=0) for n, s in pipeline.machine.stages.items()}
    pipeline = Pipeline(network, replace(pipeline.machine, stages=stages))
    wire, shape = WireFormat(pipeline, counts=True), network.graph.input_shape
    low, high = network.tensors[INPUT].stream_range
    rng = np.random.default_rng(data_seed)
    size = (IMAGES, shape.height, shape.width, shape.channels)
    values = rng.integers(low, high + 1, size).astype(np.int32)
    script = []
    for image in values:
        for index, rows in enumerate(wire.column_payloads(image)):
            frame = Frame(Command.COLUMN, struct.pack("<H", index) + rows)
            script += [*((SEND, byte) for byte in encode(frame)), (AWAIT, Reply.TAKEN)]
    script += [(AWAIT, Reply.ANSWER)] * IMAGES + [(IDLE, 255)] * 8
    script += [(SEND, byte) for byte in encode(Frame(Command.ACTIONS))]
    script += [(AWAIT, Reply.ACTION)] * len(counters_of(pipeline)) + [(QUIET, 40)]
    frames = list(Decoder(1 << 16).feed(play(wire, script, folder)))
    answers = [Answer.unpack(frame.payload) for frame in frames if frame.kind == Reply.ANSWER]
    assert [answer.image for answer in answers] == list(range(IMAGES))
    found = [wire.answer_values(answer.values) for answer in answers]
    np.testing.assert_array_equal(found, infer(network, values))
    assert not [frame for frame in frames if frame.kind == Reply.FAULT]
    told = [ActionCount.unpack(frame.payload) for frame in frames if frame.kind == Reply.ACTION]
    compared = compare(pipeline, values, [each.count for each in told])
    assert [each for each in compared if not each.equal] == []


def search(examples, number, folder):
    count = iter(range(10**6))

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(pipelines(most_layers=2), st.integers(0, 2**31))
    def run(pipeline, data_seed):
        if pipeline.lanes <= MOST_LANES:
            check(pipeline, data_seed, folder / str(next(count)))

    run()


def test_machines(tmp_path):
    search(2, 11, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(4))
def test_many_machines(tmp_path, number):
    search(10, 100 + number, tmp_path)
