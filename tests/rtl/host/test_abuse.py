"""Law: whatever a device has received, it answers the next good frame, and answers it right."""

import os
from dataclasses import replace

import numpy as np
import pytest

import pilaster as pl
from pilaster.data import images_for
from pilaster.models.reference.network import infer
from pilaster.rtl.host.actions import compare, counters_of
from pilaster.rtl.host.protocol import (
    INDEX_BYTES,
    ActionCount,
    Answer,
    Counters,
    Decoder,
    FaultReport,
    Frame,
    Info,
    Reply,
)
from pilaster.rtl.host.wire_format import WireFormat
from pilaster.rtl.stages.loading import loadable
from pilaster.sim.pipeline import Pipeline
from tests.rtl.host.bench import QUIET, play
from tests.rtl.host.episodes import Writer

SEED = int(os.environ.get("PILASTER_SEARCH_SEED", "2023"))

CLOCK_HZ = 1_000_000
MOST = 1000


@pytest.fixture(scope="module")
def pipeline():
    network = pl.load("digits")
    return Pipeline(network, pl.load_machine(None, network))


def run(pipeline, episodes, seed, folder, optimize=False, loaded=(), counts=False):
    wire, network = WireFormat(pipeline, frozenset(loaded), counts), pipeline.network
    counters = len(counters_of(pipeline)) if counts else 0
    values = network.encode(images_for(network, None, 20).images)
    images = [tuple(wire.column_payloads(image)) for image in values]
    np.testing.assert_array_equal(values_of(images[0]), values[0])
    writer = Writer(wire.info(CLOCK_HZ), images, seed, wire.load_pieces, counters)
    for _ in range(episodes):
        writer.episode()
    seen = {image for e in writer.episodes for image in (*e.before, *e.after)}
    right = dict(zip(seen, infer(network, np.stack([*map(values_of, seen)])), strict=True))
    assert not writer.model.unloaded
    found = Decoder(MOST).feed(play(wire, [*writer.script, (QUIET, 40)], folder, optimize))
    frames = iter(list(found))
    total, done = 0, 0
    for number, episode in enumerate(writer.episodes):
        try:
            total = judge(wire, frames, episode, right, total, done)
            done = len(episode.after)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, episode {number}: {episode}") from error
    assert list(frames) == []


def values_of(image):
    """Stream values (H, W, 1) of the columns of an image of one channel of unsigned bytes."""
    return np.array([list(column) for column in image], np.int32).T[:, :, np.newaxis]


def judge(wire, frames, episode, right, total, done):
    """Hold what the device sent to the episode, after `done` images since the last reset.

    Gives the faults counted so far.
    """
    before = list(iter(lambda: next(frames), Frame(Reply.RESET)))
    assert all(isinstance(frame, Frame) for frame in before), "a frame of the device is broken"
    reports = [FaultReport.unpack(f.payload) for f in before if f.kind == Reply.FAULT]
    counted = sum(report.count for report in reports)
    if episode.faults is not None:
        assert counted == episode.faults
    infos = [Info.unpack(frame.payload) for frame in before if frame.kind == Reply.INFO]
    info = replace(wire.info(CLOCK_HZ), unloaded=episode.unloaded)
    assert infos == ([info] if episode.probe is Reply.INFO else [])
    answers = [Answer.unpack(frame.payload) for frame in before if frame.kind == Reply.ANSWER]
    known = episode.before if episode.faults is not None else episode.before[: len(answers)]
    assert len(answers) <= len(known)
    for index, answer in enumerate(answers):
        assert_right(wire, answer, done + index, right[known[index]])

    assert_taken(frames, episode.pieces)
    for image in episode.after:
        assert_taken(frames, range(len(image)))
        assert_right(wire, Answer.unpack(next(frames).payload), 0, right[image])
    if wire.counts:
        assert_counted(wire.pipeline, [values_of(image) for image in episode.after], frames)
    counters = Counters.unpack(next(frames).payload)
    assert counters.faults == total + counted
    return counters.faults  # since the device was configured


def assert_taken(frames, indices):
    for index in indices:
        assert next(frames) == Frame(Reply.TAKEN, index.to_bytes(INDEX_BYTES, "little"))


def assert_counted(pipeline, values, frames):
    """The device's counts, which come next, are the model's for these images since the reset."""
    told = [ActionCount.unpack(next(frames).payload) for _ in counters_of(pipeline)]
    assert [each.index for each in told] == list(range(len(told)))
    if values:
        compared = compare(pipeline, np.stack(values), [each.count for each in told])
        assert [each for each in compared if not each.equal] == []
    else:
        assert not any(each.count for each in told)


def assert_right(wire, answer, image, values):
    assert answer.image == image
    np.testing.assert_array_equal(wire.answer_values(answer.values), values)


def test_tens_of_episodes(pipeline, tmp_path):
    run(pipeline, 60, SEED, tmp_path)


def test_tens_of_episodes_with_weights_to_load(pipeline, tmp_path):
    run(pipeline, 60, SEED, tmp_path, loaded=loadable(pipeline))


def test_counts_are_exact_after_a_reset_whatever_came_before(pipeline, tmp_path):
    run(pipeline, 20, SEED + 5, tmp_path, counts=True)


def test_counts_are_exact_when_weights_have_been_loaded(pipeline, tmp_path):
    run(pipeline, 30, SEED + 6, tmp_path, loaded=loadable(pipeline)[::2], counts=True)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_thousands_of_episodes(pipeline, tmp_path, part):
    run(pipeline, 2500, SEED + 1 + part, tmp_path, optimize=True, counts=part % 2 == 1)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_hundreds_of_episodes_with_weights_to_load(pipeline, tmp_path, part):
    loaded, counts = loadable(pipeline)[part % 2 :: 2], part % 4 > 1
    run(pipeline, 100, SEED + 1 + part, tmp_path, optimize=True, loaded=loaded, counts=counts)
