"""Law: between cocotbext-axi's source and sink every whole image is answered, and no other is."""

import json
from dataclasses import replace

import numpy as np
import pytest

import pilaster as pl
from pilaster.base.errors import InputError
from pilaster.cli import main
from pilaster.data import images_for
from pilaster.models.reference.network import infer
from pilaster.rtl.axi_stream import generate_axi_stream
from pilaster.rtl.host.wire_format import WireFormat
from pilaster.rtl.verilog import TOP
from pilaster.sim.pipeline import Pipeline
from tests.rtl.cocotb_runner import need_cocotb, run_cocotb

INTERVAL = 32
"""Column interval of the machine, in cycles: short, for many images in little time."""


class Top:
    """A machine's AXI4-Stream top, and the frames of its images."""

    def __init__(self, network, count=6):
        machine = pl.map(pl.load("digits"), column_interval=INTERVAL).machine
        layers = {node.name for node in network.graph.nodes}
        stages = {name: spec for name, spec in machine.stages.items() if name in layers}
        self.network = network
        machine = replace(machine, stages=stages)
        self.pipeline = Pipeline(network, machine)
        # In so many cycles an answer comes that was not to come.
        self.rest = 2 * pl.simulate(network, machine).latency_cycles
        self.wire = WireFormat(self.pipeline)
        values = network.encode(images_for(network, None, count).images)
        self.frames = [b"".join(self.wire.column_payloads(image)) for image in values]
        self.expected = infer(network, values)

    def run(self, folder, episodes, monkeypatch, seed=1, pauses=(0, 0)):
        """Send episodes (image, bytes, alone, reset_after); gives what was found."""
        told = [self.frame(*episode) for episode in episodes]
        task = {"episodes": told, "seed": seed, "pauses": pauses, "rest": self.rest}
        (folder / "task.json").write_text(json.dumps(task))
        design = generate_axi_stream(self.pipeline)
        (folder / f"{TOP}.v").write_text(design.verilog)
        for name, text in design.memories.items():
            (folder / name).write_text(text)
        run_cocotb(folder / f"{TOP}.v", TOP, "tests.rtl.axi_stream_bench", folder, monkeypatch)
        found = json.loads((folder / "found.json").read_text())
        answers = [bytes.fromhex(answer) for answer in found["answers"]]
        whole = [
            image
            for (image, *_), episode in zip(episodes, told, strict=True)
            if episode["answered"]
        ]
        assert len(answers) == len(whole)
        for answer, image in zip(answers, whole, strict=True):
            np.testing.assert_array_equal(self.wire.answer_values(answer), self.expected[image])
        size = len(self.frames[0])
        counted = [e for e in told if e["reset_after"] is None]
        assert found["reports"] == {
            "image_short": sum(len(e["frame"]) < 2 * size for e in counted),
            "image_long": sum(len(e["frame"]) > 2 * size for e in counted),
        }
        return found

    def frame(self, image, beats=None, alone=False, reset_after=None):
        """Cut an image's frame to so many beats, or go on with others' rows."""
        frame = self.frames[image]
        size = len(frame) if beats is None else beats * self.wire.input_bytes
        sent = (frame + self.frames[image - 1] * 2)[:size]
        return {
            "frame": sent.hex(),
            "alone": alone,
            "reset_after": reset_after,
            "answered": int(size == len(frame) and reset_after is None),
        }

    @property
    def rows(self):
        return len(self.frames[0]) // self.wire.input_bytes


def random_episodes(top, count, seed):
    """Draw images that are whole, too short, too long, or met by a reset."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        kind = rng.choice(["whole", "short", "long", "reset"], p=[0.5, 0.22, 0.22, 0.06])
        beats = {
            "whole": top.rows,
            "short": int(rng.choice([1, top.rows - 1, rng.integers(1, top.rows)])),
            "long": int(rng.choice([top.rows + 1, 2 * top.rows, rng.integers(top.rows + 1, 150)])),
            "reset": int(rng.integers(1, 2 * top.rows)),
        }[kind]
        reset = int(rng.integers(1, 600)) if kind == "reset" else None
        yield int(rng.integers(len(top.frames))), beats, bool(rng.random() < 0.05), reset


def need_judge():
    need_cocotb()
    pytest.importorskip("cocotbext.axi", reason="cocotbext-axi is not installed")


@pytest.mark.parametrize("until", [None, "conv1"])
def test_short_long_paused_and_reset_images(tmp_path, until, monkeypatch):
    """With a column of answer, and with more than the machine's output buffer holds."""
    need_judge()
    network = pl.load("digits")
    top = Top(network if until is None else network.until(until))
    episodes = list(random_episodes(top, 48, seed=7))
    top.run(tmp_path, episodes, monkeypatch, pauses=(0.3, 0.5))


@pytest.mark.slow
@pytest.mark.parametrize(("pauses", "seed"), [((0, 0), 1), ((0.3, 0.5), 2)])
def test_2500_images_of_all_kinds(tmp_path, pauses, seed, monkeypatch):
    need_judge()
    top = Top(pl.load("digits"))
    episodes = list(random_episodes(top, 2_500, seed))
    top.run(tmp_path, episodes, monkeypatch, seed, pauses)


def test_a_dropped_image_leaves_the_next_its_cycles(tmp_path, monkeypatch):
    need_judge()
    top = Top(pl.load("digits"))
    sizes = [top.rows, 1, top.rows, top.rows - 1, top.rows, top.rows + 1, top.rows, 9, 99, top.rows]
    episodes = [(index % 6, size, True) for index, size in enumerate(sizes)]
    found = top.run(tmp_path, episodes, monkeypatch)
    begun, ended = found["cycles"]
    whole = [cycle for cycle, size in zip(begun, sizes, strict=True) if size == top.rows]
    assert len({end - start for start, end in zip(whole, ended, strict=True)}) == 1


def test_narrow_signed_values_are_extended_to_bytes(tmp_path, monkeypatch):
    need_judge()
    network = pl.load("digits", bits=(5, 5))
    top = Top(network)
    bits, lanes = 5, top.pipeline.stages[-1].fold.out_channels
    assert top.expected.min() < 0
    assert bits * lanes % 8
    found = top.run(tmp_path, [(image,) for image in range(6)], monkeypatch)
    size = top.wire.answer_beat_bytes
    for answer in found["answers"]:
        content = bytes.fromhex(answer)
        for at in range(0, len(content), size):
            beat = int.from_bytes(content[at : at + size], "little", signed=True)
            assert -(1 << (bits * lanes - 1)) <= beat < 1 << (bits * lanes - 1)


def test_the_page_tells_the_ports(tmp_path):
    assert main(["rtl", "digits", "--bus", "axi4-stream", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "README.md").read_text()
    text = (tmp_path / f"{TOP}.v").read_text()
    for port in ("aclk", "aresetn", "s_axis_tdata", "m_axis_tkeep", "m_axis_tlast", "image_short"):
        assert f"| {port} |" in page
        assert f"{port};" in text
    assert "| i__payload |" not in page


def test_an_unknown_bus_is_refused(tmp_path):
    network = pl.load("digits")
    with pytest.raises(InputError, match="bus"):
        pl.write_rtl(network, pl.load_machine(None, network), tmp_path, bus="wishbone")
