"""Imported .tflite files: every layer equals LiteRT's reference kernels, element for element."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pilaster.models.columns import read_along
from pilaster.models.graph import INPUT as SOURCE
from pilaster.models.importers import import_network
from pilaster.models.network import Network
from pilaster.models.reference.network import infer, infer_by_columns, tensors
from tests.models.importers.tflite_writer import INPUT, RELU, RELU6, TfliteWriter
from tests.models.tflite_file import run_reference
from tests.strategies import seeds

FUSED = st.sampled_from([0, RELU, RELU6])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tflite")


def imported(content: bytes, folder: Path) -> Network:
    path = folder / "model.tflite"
    path.write_bytes(content)
    return import_network(path)


def judge(content: bytes, folder: Path, seed: int) -> Network:
    """Assert that every layer of a file is computed as LiteRT does; give the network."""
    network = imported(content, folder)
    shape = network.image_shape
    rng = np.random.default_rng(seed)
    raw = rng.integers(-128, 128, (1, shape.height, shape.width, shape.channels)).astype(np.int8)
    found = run_reference(content, raw)
    values = raw.astype(np.int32) - network.tensors[SOURCE].zero_point
    for name, tensor in tensors(network, values):
        judged = found[f"t{name.rsplit('_', 1)[1]}"]  # max_pool_7 gives t7
        judged = judged.reshape(tensor.shape).astype(np.int32)
        judged -= network.tensors[name].zero_point
        np.testing.assert_array_equal(tensor, judged, err_msg=name)
    return network


@st.composite
def windows(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[tuple[int, int], bool]:
    """Kernel and whether the padding is SAME; without, the kernel fits."""
    same = draw(st.booleans())
    rows, columns = (draw(st.integers(1, 4 if same else min(4, size))) for size in shape[:2])
    return (rows, columns), same


@st.composite
def files(draw: st.DrawFn) -> TfliteWriter:
    """Draw a graph of all operators that are supported."""
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 4)))
    file = TfliteWriter(shape, draw(seeds()))
    last = INPUT
    kinds = ["conv", "grouped", "depthwise", "pool", "residual", "concat", "pad", "rescale"]
    for _ in range(draw(st.integers(1, 4))):
        shape = file.shapes[last]  # type: ignore[assignment]
        kind = draw(st.sampled_from(kinds))
        kernel, same = draw(windows(shape))
        stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
        if kind == "conv":
            dilation = (1, 1)
            if same and draw(st.booleans()):
                dilation, stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3))), (1, 1)
            last = file.conv(
                last,
                draw(st.integers(1, 5)),
                kernel,
                stride,
                same=same,
                dilation=dilation,
                fused=draw(FUSED),
            )
        elif kind == "grouped":
            last = file.conv(last, 2 * draw(st.integers(1, 2)), fused=draw(FUSED))
            last = file.conv(last, 4, kernel, stride, same=same, groups=2, fused=draw(FUSED))
        elif kind == "depthwise":
            multiplier = draw(st.integers(1, 2))
            last = file.depthwise(
                last, multiplier, kernel, (stride[0],) * 2, same=same, fused=draw(FUSED)
            )
        elif kind == "pool":
            mode = draw(st.sampled_from(["max", "average"]))
            last = file.pool(mode, last, kernel, stride, same=same)
        elif kind == "residual":
            arm = file.conv(last, shape[-1], (3, 3), fused=RELU)
            other = draw(st.sampled_from([last, arm]))
            arm = file.conv(arm, shape[-1], (2, 3))
            pair = draw(st.permutations([arm, other]))
            last = file.add(*pair, fused=draw(FUSED))
        elif kind == "concat":
            first = file.conv(last, 2, (1, 1), fused=RELU)
            second = file.conv(last, 3, (3, 2), like=first)
            third = file.pool("max", first, (3, 3), (1, 1), same=True)
            last = file.concat(draw(st.permutations([first, second, third])))
        elif kind == "pad":
            amounts = [draw(st.integers(1, 2)) for _ in range(4)]
            padded = file.pad(last, (amounts[0], amounts[1]), (amounts[2], amounts[3]))
            last = file.conv(padded, 3, (3, 3), stride, same=False)
        else:
            last = file.rescale(draw(st.sampled_from(["QUANTIZE", "RELU", "RELU6"])), last)
    end = draw(st.sampled_from(["none", "mean", "flatten", "dense"]))
    if end == "mean":
        file.fully_connected(file.flatten(file.mean(last)), 5)
    elif end == "flatten":
        file.softmax(file.fully_connected(file.flatten(last), 4, fused=draw(FUSED)))
    elif end == "dense":
        file.fully_connected(last, 4, bias=draw(st.booleans()))
    return file


@settings(max_examples=150, deadline=None, derandomize=True)
@given(files(), seeds())
def test_every_layer_equals_litert(folder: Path, file: TfliteWriter, seed: int) -> None:
    judge(file.written(), folder, seed)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(files(), seeds())
def test_column_by_column_equals_the_whole_along_either_axis(
    folder: Path, file: TfliteWriter, seed: int
) -> None:
    network = imported(file.written(), folder)
    images = stored_images(network, seed)
    across = read_along(network, "height")
    assert across.image_shape == network.image_shape
    by_rows = infer_by_columns(across, across.encode(images))
    for name, tensor in tensors(network, network.encode(images)):
        np.testing.assert_array_equal(by_rows[name].transpose(0, 2, 1, 3), tensor, err_msg=name)
    back = read_along(across, "width")
    np.testing.assert_array_equal(infer(back, back.encode(images)), tensor)


def stored_images(network: Network, seed: int, count: int = 2) -> NDArray[np.uint8]:
    shape = network.image_shape
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, shape.height, shape.width, shape.channels)).astype(np.uint8)


BLOCKS: dict[str, Callable[[TfliteWriter], object]] = {
    "conv": lambda f: f.conv(INPUT, 5, (3, 3), (2, 1), fused=RELU6),
    "asymmetric": lambda f: f.conv(INPUT, 5, (4, 2), (1, 3)),
    "dilated": lambda f: f.conv(INPUT, 5, (3, 2), dilation=(2, 3)),
    "grouped": lambda f: f.conv(INPUT, 6, (3, 3), groups=2),
    "depthwise": lambda f: f.depthwise(INPUT, 3, (3, 3), (2, 2), fused=RELU),
    "residual": lambda f: f.add(INPUT, f.conv(INPUT, 4, (3, 3)), fused=RELU),
    "twice": lambda f: f.add(INPUT, INPUT),
    "concat": lambda f: f.concat([f.conv(INPUT, 2, like=INPUT), INPUT]),
    "mean": lambda f: f.mean(INPUT),
    "dense": lambda f: f.fully_connected(INPUT, 6, fused=RELU6),
    "quantize": lambda f: f.rescale("QUANTIZE", INPUT),
    "relu": lambda f: f.rescale("RELU", INPUT),
    "pool": lambda f: f.pool("average", INPUT, (3, 2), (2, 3), same=True),
    "padded": lambda f: f.conv(f.pad(INPUT, (1, 2), (0, 1)), 3, (3, 3), (2, 2), same=False),
}


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("seed", range(4))
def test_each_operator_equals_litert(folder: Path, block: str, seed: int) -> None:
    file = TfliteWriter((7, 6, 4), seed)
    BLOCKS[block](file)
    network = judge(file.written(), folder, seed)
    assert len(network.graph.nodes) == len(file.operators) - (block == "padded")


def test_softmax_is_left_to_the_host_and_said_so(folder: Path) -> None:
    file = TfliteWriter((4, 4, 2), 1)
    file.softmax(file.fully_connected(file.flatten(file.conv(INPUT, 3)), 5))
    network = imported(file.written(), folder)
    assert network.note == "weights of model.tflite; softmax left to the host"
    assert [node.name for node in network.graph.nodes] == ["conv_0", "fc_2"]


def retyped(writer: TfliteWriter, name: str, **changes: object) -> None:
    place = next(i for i, tensor in enumerate(writer.tensors) if tensor.name == name)
    writer.tensors[place] = replace(writer.tensors[place], **changes)  # type: ignore[arg-type]


def test_reals_in_and_reals_out(folder: Path) -> None:
    file = TfliteWriter((5, 6, 2), 1)
    first = file.rescale("QUANTIZE", INPUT)
    last = file.conv(first, 3, (3, 3))
    file._add("DEQUANTIZE", (last,), file.shapes[last], "DequantizeOptions", 1.0)
    for name in (INPUT, "t2"):
        retyped(file, name, dtype="float32", scales=np.zeros(0, np.float32))
    network = imported(file.written(), folder)
    assert network.note == "weights of model.tflite; dequantization left to the host"
    images = np.random.default_rng(2).uniform(-2, 2, (1, 5, 6, 2)).astype(np.float32)
    found = run_reference(file.written(), images)
    stream = network.encode(images)
    np.testing.assert_array_equal(stream + network.tensors[SOURCE].zero_point, found["t0"])
    ((name, tensor),) = tensors(network, stream)
    np.testing.assert_array_equal(tensor + network.tensors[name].zero_point, found["t1"])
    output = tensor * network.tensors[name].scale
    np.testing.assert_allclose(output, found["t2"], rtol=1e-6)


def test_unsigned_bytes_in(folder: Path) -> None:
    file = TfliteWriter((5, 6, 2), 1)
    first = file.rescale("QUANTIZE", INPUT)
    file.conv(first, 3, (3, 3))
    target = next(tensor for tensor in file.tensors if tensor.name == first)
    zero = target.zero_point + 128
    retyped(file, INPUT, dtype="uint8", scales=target.scales, zero_point=zero)
    network = imported(file.written(), folder)
    images = stored_images(network, 3, 1)
    found = run_reference(file.written(), images)
    ((name, tensor),) = tensors(network, network.encode(images))
    np.testing.assert_array_equal(tensor + network.tensors[name].zero_point, found["t1"])


def test_an_input_that_is_reshaped_first(folder: Path) -> None:
    file = TfliteWriter((60,), 1)  # type: ignore[arg-type]
    shape = file._constant(np.array([1, 5, 6, 2], np.int32))
    map_ = file._add("RESHAPE", (INPUT, shape), (5, 6, 2), "ReshapeOptions", 0, INPUT)
    file.conv(map_, 3, (3, 3))
    network = imported(file.written(), folder)
    assert str(network.graph.input_shape) == "5x6x2"
    images = stored_images(network, 3, 1)
    raw = (images.astype(np.int16) - 128).astype(np.int8).reshape(1, 60)
    found = run_reference(file.written(), raw)
    ((name, tensor),) = tensors(network, network.encode(images))
    np.testing.assert_array_equal(tensor + network.tensors[name].zero_point, found["t1"])


def test_bytes_are_the_inputs_integers(folder: Path) -> None:
    file = TfliteWriter((2, 128, 1), 5)
    file.conv(INPUT, 1)
    network = imported(file.written(), folder)
    images = np.arange(256, dtype=np.uint8).reshape(1, 2, 128, 1)
    integers = network.encode(images) + network.tensors[SOURCE].zero_point
    np.testing.assert_array_equal(integers.ravel(), np.arange(-128, 128))
