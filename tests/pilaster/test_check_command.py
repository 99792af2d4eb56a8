"""`pilaster check`: an import beside the runtime of its file, and what it says of a wrong one."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import pilaster as pl
from pilaster.models import importers
from pilaster.models.check import record
from pilaster.models.layers import Weighted
from pilaster.models.network import Network
from pilaster.models.quantizer import FloatNetwork
from tests.models.importers.onnx_writer import INPUT as IMAGE
from tests.models.importers.onnx_writer import OnnxWriter, quantized
from tests.models.importers.qonnx_writer import QonnxWriter, saved
from tests.models.importers.qonnx_writer import network as qonnx_network
from tests.models.importers.tflite_writer import INPUT, RELU, TfliteWriter
from tests.pilaster.conftest import Command


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep records apart from the user's."""
    folder = tmp_path / "cache" / "checks"
    monkeypatch.setattr(record, "_folder", lambda: folder)
    return folder


def residual(path: Path) -> Path:
    file = TfliteWriter((6, 5, 2), 1)
    first = file.conv(INPUT, 3, (3, 3), fused=RELU)
    second = file.conv(first, 3, (3, 3))
    file.softmax(file.fully_connected(file.flatten(file.add(first, second)), 4))
    path.write_bytes(file.written())
    return path


def writer_of(path: Path) -> OnnxWriter:
    writer = OnnxWriter((3, 8, 6), 1)
    first = writer.relu(writer.batch_norm(writer.conv(IMAGE, 4, (3, 3), pads=[1, 1, 1, 1])))
    second = writer.conv(first, 4, (3, 3), pads=[1, 1, 1, 1])
    writer.dense(writer.relu(writer.add("Add", [second, first], 4)), 4 * 8 * 6, 5)
    onnx.save(writer.model(), path)
    np.save(path.parent / "images.npy", writer.images(20))
    return writer


def test_a_tflite_file_is_litert_value_for_value(command: Command, tmp_path: Path) -> None:
    path = residual(tmp_path / "mine.tflite")
    outcome = command("check", path)
    assert (outcome.code, outcome.err) == (0, "")
    assert "is what LiteRT" in outcome.out
    found = json.loads(command("check", path, "--json", "--images", 3).out)
    assert (found["holds"], found["departs"], found["numbers"]) == (True, None, "integers")
    assert found["images"] == 3
    names = [layer["name"] for layer in found["layers"]]
    assert names == ["input", "conv_0", "conv_1", "add_2", "fc_4"]
    assert all(layer["differing"] == 0 for layer in found["layers"])
    assert found["output"] == {"values": 12, "differing": 0, "largest_steps": 0}
    assert found["runtime"].startswith("LiteRT ")


def test_a_float_file_is_compared_as_reals_and_once_more_quantized(
    command: Command, tmp_path: Path
) -> None:
    writer_of(tmp_path / "mine.onnx")
    arguments = ("check", "mine.onnx", "--calibration", "images.npy")
    outcome = command(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert "is what onnxruntime" in outcome.out
    found = json.loads(command(*arguments, "--json").out)
    assert found["numbers"] == "reals"
    assert [layer["name"] for layer in found["layers"]] == ["input", "n0", "n3", "n4", "n7"]
    assert [error["name"] for error in found["errors"]] == ["input", "n0", "n3", "n4", "n7"]
    assert 0 < found["errors"][-1]["rms_steps"] < found["promised_rms_steps"] == 8
    assert found["data"] == "calibration images"


@pytest.mark.parametrize("qdq", [True, False])
def test_a_quantized_onnx_file_is_compared_in_integers(
    command: Command, tmp_path: Path, qdq: bool
) -> None:
    writer = writer_of(tmp_path / "float.onnx")
    made = quantized(
        writer.model(), writer.images(30), tmp_path, qdq=qdq, per_channel=True, unsigned=True
    )
    onnx.save(made, tmp_path / "mine.onnx")
    outcome = command("check", "mine.onnx", "--data", "images.npy", "--images", 5, "--json")
    found = json.loads(outcome.out)
    assert (outcome.code, found["numbers"], found["unnamed"]) == (0, "integers", []), found
    assert found["errors"] == []


@pytest.mark.parametrize("bits", [(8, 8), (4, 4), (1, 4)])
def test_a_qonnx_file_is_compared_though_onnxruntime_has_none_of_its_operators(
    command: Command, tmp_path: Path, bits: tuple[int, int]
) -> None:
    writer = QonnxWriter((2, 6, 7), 1)
    path = saved(writer, qonnx_network(writer, *bits), tmp_path / "few_bits.onnx")
    outcome = command("check", path, "--images", 10, "--json")
    assert outcome.code == 0, outcome
    assert json.loads(outcome.out)["numbers"] == "integers"


def test_either_axis_is_compared(command: Command, tmp_path: Path) -> None:
    path = residual(tmp_path / "mine.tflite")
    assert command("check", path, "--columns", "height").code == 0
    writer_of(tmp_path / "mine.onnx")
    arguments = ("--calibration", "images.npy", "--columns", "height", "--json")
    found = json.loads(command("check", "mine.onnx", *arguments).out)
    assert found["holds"]
    assert found["errors"][-1]["rms_steps"] < 8


def test_other_widths_are_told_in_steps(command: Command, tmp_path: Path) -> None:
    path = residual(tmp_path / "mine.tflite")
    images = np.random.default_rng(1).integers(0, 256, (9, 6, 5, 2), np.uint8)
    np.save(tmp_path / "few.npy", images)
    arguments = ("check", path, "--bits", "4:6", "--calibration", "few.npy")
    outcome = command(*arguments)
    assert outcome.code == 0
    assert "nothing is promised of such widths" in outcome.out
    found = json.loads(command(*arguments, "--json").out)
    assert found["promised_rms_steps"] is None
    assert found["errors"][-1]["rms_steps"] > 0
    assert found["numbers"] == "integers"


def test_calibration_unlike_the_data_breaks_the_promise(command: Command, tmp_path: Path) -> None:
    writer = writer_of(tmp_path / "mine.onnx")
    np.save(tmp_path / "large.npy", writer.images(5) * 20)
    arguments = ("check", "mine.onnx", "--calibration", "images.npy", "--data", "large.npy")
    outcome = command(*arguments, "--images", 5)
    assert outcome.code == 1
    assert "MORE than the 8 promised; calibrate on images like these" in outcome.out
    found = json.loads(command(*arguments, "--images", 5, "--json").out)
    assert (found["holds"], found["departs"], found["error_is_promised"]) == (False, None, False)
    assert found["errors"][0]["saturated"] > 0


def spoil(network: Network | FloatNetwork, layer: str) -> Network | FloatNetwork:
    """Give a network whose layer has one more in one bias."""
    if isinstance(network, FloatNetwork):
        biases = dict(network.biases)
        biases[layer] = biases[layer] + np.eye(len(biases[layer]))[0]
        return FloatNetwork(network.graph, network.weights, biases)
    found = network.parameters[layer]
    bias = found.bias.copy()
    bias[0] += 3000
    return replace(network, parameters={**network.parameters, layer: replace(found, bias=bias)})


def seed_fault(monkeypatch: pytest.MonkeyPatch, layer: str) -> None:
    """Make every import wrong in one layer."""
    from pilaster.models.check import compare

    trace, read = importers.trace_network, importers.import_network

    def wrong_trace(path: Path):  # type: ignore[no-untyped-def]
        network, values = trace(path)
        return spoil(network, layer), values

    monkeypatch.setattr(compare, "trace_network", wrong_trace)
    monkeypatch.setattr(
        "pilaster.api.networks.import_network", lambda *arguments: spoil(read(*arguments), layer)
    )


@pytest.mark.parametrize("layer", ["conv_0", "conv_1", "fc_4"])
def test_the_layer_that_departs_is_named(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layer: str
) -> None:
    path = residual(tmp_path / "mine.tflite")
    assert isinstance(pl.load(path).graph.node(layer).layer, Weighted)
    seed_fault(monkeypatch, layer)
    outcome = command("check", path)
    assert outcome.code == 1
    assert f"DEPARTS from LiteRT {record.version('ai-edge-litert')} first at {layer}" in outcome.out
    found = json.loads(command("check", path, "--json").out)
    departing = [entry["name"] for entry in found["layers"] if entry["departs"]]
    assert departing == [layer], "each layer is computed from what the runtime gives it"
    assert found["departs"] == layer


@pytest.mark.parametrize("layer", ["n0", "n3", "n7"])
def test_the_layer_of_a_float_file_that_departs_is_named(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layer: str
) -> None:
    writer_of(tmp_path / "mine.onnx")
    seed_fault(monkeypatch, layer)
    outcome = command("check", "mine.onnx", "--calibration", "images.npy", "--json")
    assert outcome.code == 1
    assert json.loads(outcome.out)["departs"] == layer


def test_a_fault_of_the_importer_itself_is_found(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Padding on the other side: the kind that gives another network without a word."""
    from pilaster.models.importers import tflite_operators

    file = TfliteWriter((6, 6, 2), 3)
    file.conv(file.conv(INPUT, 3), 3, (2, 2), (1, 1))
    (tmp_path / "mine.tflite").write_bytes(file.written())
    assert command("check", "mine.tflite").code == 0
    found = tflite_operators.window_padding

    def other_side(*arguments):  # type: ignore[no-untyped-def]
        pad = found(*arguments)
        return replace(pad, top=pad.bottom, bottom=pad.top, left=pad.right, right=pad.left)

    monkeypatch.setattr(tflite_operators, "window_padding", other_side)
    outcome = command("check", "mine.tflite", "--json")
    assert (outcome.code, json.loads(outcome.out)["departs"]) == (1, "conv_1")


def test_a_run_says_whether_a_file_was_checked(
    command: Command, tmp_path: Path, cache: Path
) -> None:
    path = residual(tmp_path / "mine.tflite")

    def told(*arguments: object) -> str:
        notes = json.loads(command("run", path, "--images", 0, "--json", *arguments).out)["notes"]
        return next(note for note in notes if "checked against" in note)

    assert told() == f"not checked against LiteRT: pilaster check {path}"
    assert pl.load(path).checked == told()
    assert command("check", path).code == 0
    version = record.version("ai-edge-litert")
    assert told() == f"checked against LiteRT {version} on 4 images (seeded noise)"
    assert told("--columns", "height").startswith("not checked"), "it is read in another way"
    path.write_bytes(path.read_bytes() + b" ")
    assert told().startswith("not checked"), "the file is another one"
    assert command("check", path).code == 0
    assert told().startswith("checked")
    for kept in cache.iterdir():
        kept.write_text("{ damaged", encoding="utf-8")
    assert told().startswith("not checked")
    assert command("check", path).code == 0
    assert told().startswith("checked"), "a damaged record is written anew"


def test_a_check_that_fails_forgets_the_one_that_held(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = writer_of(tmp_path / "mine.onnx")
    arguments = ("mine.onnx", "--calibration", "images.npy")
    assert command("check", *arguments).code == 0
    images = np.load(tmp_path / "images.npy")
    assert pl.load("mine.onnx", calibration=images).checked.startswith("checked")
    np.save(tmp_path / "large.npy", writer.images(5) * 20)
    assert command("check", *arguments, "--data", "large.npy").code == 1
    assert pl.load("mine.onnx", calibration=images).checked.startswith("not checked")


def test_a_network_of_the_zoo_says_nothing_of_checks(command: Command) -> None:
    assert pl.load("digits").checked == ""
    assert "checked" not in command("run", "digits", "--images", 1).out


def test_a_cache_that_cannot_be_written_keeps_nothing(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = residual(tmp_path / "mine.tflite")
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setattr(record, "_folder", lambda: tmp_path / "file" / "checks")
    assert command("check", path).code == 0
    assert pl.load(path).checked.startswith("not checked")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lenet5",), "lenet5: only .tflite and .onnx files have a runtime to be checked against"),
        (("none.tflite",), "none.tflite: cannot be read: No such file or directory"),
        (("text.tflite",), "text.tflite: not a .tflite file"),
        (("text.onnx",), "text.onnx: not an .onnx file, or cut short"),
        (("mine.tflite", "--images", "0"), "--images: must be a whole number from 1, not '0'"),
        (("mine.tflite", "--data", "none.npy"), "none.npy"),
        (("mine.onnx",), "mine.onnx: is a float network: give images to quantize it on"),
        (("mine.tflite", "--bits", "4"), "other widths need images to quantize it on"),
        (("mine.tflite", "--data", "images.npy", "--images", "99"), "has 20 images"),
    ],
)
def test_bad_input_is_one_line(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    residual(tmp_path / "mine.tflite")
    writer_of(tmp_path / "mine.onnx")
    for name in ("text.tflite", "text.onnx"):
        (tmp_path / name).write_text("no model at all", encoding="utf-8")
    outcome = command("check", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    ("module", "name"), [("ai_edge_litert.interpreter", "tflite"), ("onnxruntime", "onnx")]
)
def test_a_missing_runtime_is_one_line_that_names_the_extra(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    residual(tmp_path / "mine.tflite")
    writer_of(tmp_path / "mine.onnx")
    monkeypatch.setitem(sys.modules, module, None)
    calibration = ("--calibration", "images.npy") if name == "onnx" else ()
    outcome = command("check", f"mine.{name}", *calibration)
    assert (outcome.code, outcome.out) == (2, "")
    assert "pip install 'pilaster[import]'" in outcome.err
    assert outcome.err.count("\n") == 1


def test_what_onnxruntime_cannot_run_is_one_line(command: Command, tmp_path: Path) -> None:
    writer = QonnxWriter((2, 6, 7), 1)
    path = saved(writer, qonnx_network(writer, 4, 4), tmp_path / "mine.onnx")
    model = onnx.load(path)
    model.ir_version = 99
    onnx.save(model, path)
    outcome = command("check", path)
    assert (outcome.code, outcome.out) == (2, "")
    assert "onnxruntime cannot run it" in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_result_says_in_a_line_what_was_found(tmp_path: Path) -> None:
    found = pl.check(residual(tmp_path / "mine.tflite"))
    assert str(found) == f"mine beside {found.runtime}: as promised (4 images)"
    assert (found.holds, found.unnamed) == (True, ())
    with pytest.raises(AttributeError):
        found.network = "other"  # type: ignore[misc]
