"""The MLPerf Tiny models: every layer equals LiteRT's reference kernels, and so does the accuracy.

The files are the user's own: PILASTER_DATA says where they stand.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from matplotlib import image as picture
from numpy.typing import NDArray

from pilaster.models.columns import read_along
from pilaster.models.graph import INPUT, Graph
from pilaster.models.importers import import_network
from pilaster.models.importers.tflite_file import read_tflite
from pilaster.models.layers import Pool
from pilaster.models.reference.network import classify, infer, infer_by_columns, tensors
from pilaster.models.zoo import tiny

DATA = Path(os.environ.get("PILASTER_DATA", "no folder"))
MODELS = DATA / "models"
CIFAR10 = DATA / "cifar10" / "cifar10_test_jpg.tar"

pytestmark = pytest.mark.skipif(
    not MODELS.is_dir(), reason="PILASTER_DATA names no folder with models/"
)

RESNET8 = "resnet8_cifar10_int8"
# Multiply-accumulates, and the shapes in the zoo.
NAMES = {
    RESNET8: (12_501_632, tiny.resnet8),
    "dscnn_kws_int8": (2_656_768, tiny.dscnn),
    "mobilenetv1_025_vww96_int8": (7_489_664, tiny.mobilenet_v1_025),
}
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def interpreter(path: Path) -> Interpreter:
    made = Interpreter(
        str(path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
        num_threads=1,
    )
    made.allocate_tensors()
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_layer_equals_litert_on_100_random_inputs(name: str) -> None:
    path = MODELS / f"{name}.tflite"
    network, model, judge = import_network(path), read_tflite(path), interpreter(path)
    shape = network.graph.input_shape
    rng = np.random.default_rng(2023)
    size = (100, shape.height, shape.width, shape.channels)
    inputs = rng.integers(-128, 128, size).astype(np.int8)
    for values in inputs:
        judge.set_tensor(model.inputs[0], values[np.newaxis])
        judge.invoke()
        stream = values[np.newaxis].astype(np.int32) - network.tensors[INPUT].zero_point
        for layer, found in tensors(network, stream):
            (place,) = model.operators[int(layer.rsplit("_", 1)[1])].outputs
            expected = judge.get_tensor(place).reshape(found.shape).astype(np.int32)
            expected -= network.tensors[layer].zero_point
            np.testing.assert_array_equal(found, expected, err_msg=layer)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_columns_may_arrive_along_either_axis(name: str) -> None:
    network = import_network(MODELS / f"{name}.tflite")
    shape = network.image_shape
    rng = np.random.default_rng(2023)
    size = (1, shape.height, shape.width, shape.channels)
    images = rng.integers(0, 256, size).astype(np.uint8)
    expected = infer(network, network.encode(images))
    for columns in ("width", "height"):
        reading = read_along(network, columns)  # type: ignore[arg-type]
        *_, found = infer_by_columns(reading, reading.encode(images)).values()
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_zoos_shapes_are_the_files(name: str) -> None:
    ours, theirs = NAMES[name][1](), import_network(MODELS / f"{name}.tflite").graph
    assert ours.macs == theirs.macs == NAMES[name][0]

    def shapes(graph: Graph) -> list[tuple[object, ...]]:
        found = []
        for node in graph.nodes:
            layer = node.layer
            if isinstance(layer, Pool):  # over the whole map, where no stride matters
                layer = replace(layer, window=replace(layer.window, stride=(1, 1)))
            found.append((layer, graph.input_of(node), graph.shapes[node.name]))
        return sorted(found, key=str)

    assert shapes(ours) == shapes(theirs)


def test_columns_of_a_spectrogram_are_its_frames() -> None:
    network = import_network(MODELS / "dscnn_kws_int8.tflite")
    assert str(network.graph.input_shape) == "49x10x1"
    assert str(read_along(network, "height").graph.input_shape) == "10x49x1"


def cifar10() -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Give (class, image) of the 10,000 test images."""
    with tarfile.open(CIFAR10) as archive:
        for member in archive:
            if member.name.endswith(".jpg"):
                file = archive.extractfile(member)
                assert file is not None
                pixels = picture.imread(io.BytesIO(file.read()), format="jpg")
                yield CLASSES.index(Path(member.name).parent.name), pixels


@pytest.mark.slow
@pytest.mark.skipif(not CIFAR10.is_file(), reason=f"{CIFAR10} is not there")
def test_resnet8_is_as_right_as_litert_on_cifar10() -> None:
    path = MODELS / f"{RESNET8}.tflite"
    network, model, judge = import_network(path), read_tflite(path), interpreter(path)
    labels, images = zip(*cifar10(), strict=True)
    assert len(images) == 10_000
    stream = network.encode(np.stack(images))
    output = infer(network, stream)
    last = model.operators[-2].outputs[0]  # before the softmax
    for image, found in zip(images, output, strict=True):
        judge.set_tensor(model.inputs[0], (image.astype(np.int16) - 128).astype(np.int8)[None])
        judge.invoke()
        expected = judge.get_tensor(last).ravel().astype(np.int32)
        np.testing.assert_array_equal(found.ravel(), expected - network.tensors["fc_14"].zero_point)
    # Every output is equal, and so is the accuracy; chance would be a tenth.
    right = int((classify(output) == np.array(labels)).sum())
    print(f"resnet8: {right} of {len(labels)} right, as by LiteRT")
    assert right > 5_000
