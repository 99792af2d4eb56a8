"""What exporters write around the layers of an .onnx file: equal to ONNX Runtime throughout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from pilaster.base.errors import InputError
from pilaster.models.columns import read_along
from pilaster.models.graph import INPUT as SOURCE
from pilaster.models.importers import import_network
from pilaster.models.importers.onnx import build
from pilaster.models.importers.onnx_floats import float_network
from pilaster.models.importers.onnx_integers import integer_network
from pilaster.models.importers.values import UNPADDED
from pilaster.models.quantizer import float_tensors
from pilaster.models.reference.network import infer, infer_by_columns, tensors
from tests.models.importers.onnx_writer import INPUT, OnnxWriter, quantized
from tests.strategies import seeds

OPSET = 13

Build = Callable[[OnnxWriter], object]


def whole(w: OnnxWriter, *values: int) -> str:
    """Add a constant of whole numbers."""
    return w.constant(np.array(values, np.int64))


def number(w: OnnxWriter, value: int) -> str:
    return w.constant(np.array(value, np.int64))


def saved(w: OnnxWriter, folder: Path, *, images: int | str = "n", opset: int = OPSET) -> Path:
    """Write a file of what is there, its input of any number of axes."""
    model = w.model()
    shape = [images, *w.shape]
    source = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)
    model.graph.input[0].CopyFrom(source)
    model.opset_import[0].version = opset
    path = folder / "exported.onnx"
    onnx.save(model, path)
    return path


def run(path: Path, images: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    """Run a file as it is, without any optimization, and give tensors by name."""
    model = onnx.load(path)
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return dict(zip(names, session.run(names, {INPUT: images}), strict=True))


def judge(path: Path, w: OnnxWriter, *, count: int = 1) -> str:
    """Assert that each tensor of a float file is what ONNX Runtime makes it; give its input."""
    found = build(path)
    lowered = float_network(found, "exported")
    raw = w.rng.uniform(-1, 1, (count, *w.shape)).astype(np.float32)
    maps = found.values[INPUT].layout.arranged(raw)
    computed = float_tensors(lowered.network, maps.astype(np.float64))
    names = [
        name
        for name, value in found.values.items()
        if not value.host and value.padding == UNPADDED and value.name in lowered.held
    ]
    given_ = run(path, raw, names)
    assert len(names) > 1
    for name in names:
        value = found.values[name]
        wanted = value.layout.arranged(given_[name])
        mine = computed[lowered.held[value.name]]
        np.testing.assert_allclose(mine, wanted, rtol=1e-4, atol=1e-5, err_msg=name)
    return str(lowered.network.graph.input_shape)


def view_by_size(w: OnnxWriter) -> None:
    """Write PyTorch's x.view(x.size(0), -1)."""
    last = w.conv(INPUT, 3, (3, 3))
    sizes = w.add("Shape", [last], 0)
    first = w.add("Unsqueeze", [w.add("Gather", [sizes, number(w, 0)], 0, axis=0), whole(w, 0)], 0)
    flat = w.add("Reshape", [last, w.add("Concat", [first, whole(w, -1)], 0, axis=0)], 0)
    w.add("Gemm", [flat, w.reals(5, 3 * 4 * 3), w.reals(5)], 5, transB=1)


def view_by_product(w: OnnxWriter) -> None:
    """Flatten to a product of sizes that is computed by slices, casts and a division."""
    last = w.conv(INPUT, 4, (3, 3))
    sizes = w.add("Cast", [w.add("Shape", [last], 0)], 0, to=TensorProto.INT64)
    rest = w.add("Slice", [sizes, whole(w, 1), whole(w, 4), whole(w, 0)], 0)
    product = w.add("ReduceProd", [rest], 0, axes=[0], keepdims=1)
    halved = w.add("Mul", [w.add("Div", [product, whole(w, 2)], 0), whole(w, 2)], 0)
    one = w.add("Slice", [sizes, whole(w, 0), whole(w, 1)], 0)
    right = w.add("Equal", [halved, whole(w, 0)], 0)
    chosen = w.add("Where", [right, whole(w, -1), halved], 0)
    flat = w.add("Reshape", [last, w.add("Concat", [one, chosen], 0, axis=0)], 0)
    w.add("MatMul", [flat, w.reals(4 * 4 * 3, 5)], 5)


def computed_weights(w: OnnxWriter) -> None:
    """Write weights that are reshaped, transposed, scaled and normed in the file."""
    flat = w.add("Reshape", [w.reals(3 * 3 * 3, 4), whole(w, 3, 3, 3, 4)], 0)
    weight = w.add("Transpose", [flat], 0, perm=[3, 0, 1, 2])
    norm = w.add("ReduceL2", [weight], 0, axes=[1, 2, 3], keepdims=1)
    weight = w.add("Mul", [w.add("Div", [weight, norm], 0), w.reals(4, 1, 1, 1)], 0)
    bias = w.add("Expand", [w.reals(1), whole(w, 4)], 0)
    last = w.add("Conv", [INPUT, weight, w.add("Sub", [bias, w.reals(4)], 0)], 4)
    w.add("Relu", [last], 4)


def channels_last(w: OnnxWriter) -> None:
    """Write what tf2onnx does: an input with its channels last, and a Transpose at both ends."""
    first = w.add("Transpose", [INPUT], 0, perm=[0, 3, 1, 2])
    w.channels[first] = w.shape[2]
    last = w.relu(w.conv(first, 4, (3, 3), pads=[1, 1, 1, 1]))
    back = w.add("Transpose", [last], 4, perm=[0, 2, 3, 1])
    rows, columns, _ = w.shape
    flat = w.add("Reshape", [back, whole(w, -1, rows * columns * 4)], 4)
    w.add("MatMul", [flat, w.reals(rows * columns * 4, 5)], 5)


def channels_last_throughout(w: OnnxWriter) -> None:
    """Write Transposes around every layer, with what works on channels last between."""
    last, channels = INPUT, w.shape[2]
    for outputs in (4, 4):
        first = w.add("Transpose", [last], 0, perm=[0, 3, 1, 2])
        w.channels[first] = channels
        turned = w.conv(first, outputs, (3, 3), pads=[1, 1, 1, 1])
        last = w.add("Transpose", [turned], outputs, perm=[0, 2, 3, 1])
        last = w.add("Add", [w.add("Mul", [last, w.reals(outputs)], 0), w.reals(1, 1, outputs)], 0)
        last, channels = w.add("Relu", [last], 0), outputs
    both = w.add("Concat", [last, w.add("Relu", [last], 0)], 0, axis=3)
    w.add("ReduceMean", [both], 0, axes=[1, 2], keepdims=0)


def means_one_axis_at_a_time(first: int, second: int, keep: int) -> Build:
    def build_(w: OnnxWriter) -> None:
        last = w.conv(INPUT, 4, (2, 2))
        mean = w.add("ReduceMean", [last], 4, axes=[first], keepdims=keep)
        w.add("ReduceMean", [mean], 4, axes=[second], keepdims=keep)

    return build_


def padded_pool(kind: str, **attributes: int) -> Build:
    def build_(w: OnnxWriter) -> None:
        last = w.add("Pad", [w.conv(INPUT, 3, (2, 2)), whole(w, 0, 0, 1, 0, 0, 0, 1, 1)], 3)
        w.add(kind, [last], 3, kernel_shape=[3, 2], strides=[2, 1], **attributes)

    return build_


def padded_average(w: OnnxWriter) -> None:
    w.add("AveragePool", [INPUT], 3, kernel_shape=[3, 2], pads=[1, 1, 2, 0], count_include_pad=1)


def padded_far(w: OnnxWriter) -> None:
    w.conv(w.add("Pad", [INPUT, whole(w, 0, 0, 3, 1, 0, 0, 0, 4)], 3), 4, (2, 2))


def padded_twice(w: OnnxWriter) -> None:
    last = w.add("Pad", [INPUT, whole(w, 0, 0, 1, 0, 0, 0, 1, 1)], 3)
    last = w.add("Pad", [last, whole(w, 0, 0, 0, 1, 0, 0, 1, 0)], 3)
    w.add("Add", [w.conv(last, 3, (3, 3), pads=[1, 1, 1, 1]), last], 3)


def normalized(w: OnnxWriter) -> None:
    last = w.add(
        "Div", [w.add("Sub", [INPUT, w.reals(1, 3, 1, 1)], 3), w.reals(3, 1, 1, low=0.5)], 3
    )
    w.relu(w.conv(last, 4, (3, 3), pads=[1, 1, 1, 1]))


def squeezed(w: OnnxWriter) -> None:
    last = w.add("GlobalAveragePool", [w.conv(INPUT, 4, (2, 2))], 4)
    flat = w.add("Squeeze", [w.add("Squeeze", [last, whole(w, -1)], 4), whole(w, 2)], 4)
    w.add("Gemm", [flat, w.reals(4, 5)], 5)


def dense_over_channels(w: OnnxWriter) -> None:
    turned = w.add("Transpose", [w.conv(INPUT, 4, (2, 2))], 4, perm=[0, 2, 3, 1])
    dense = w.add("Add", [w.add("MatMul", [turned, w.reals(4, 5)], 5), w.reals(5)], 5)
    w.add("Relu", [dense], 5)


def transposed_flat(w: OnnxWriter) -> None:
    turned = w.add("Transpose", [w.conv(INPUT, 4, (2, 2))], 4, perm=[0, 3, 1, 2])
    flat = w.add("Flatten", [turned], 4)
    w.add("Gemm", [flat, w.reals(5, 4 * 5 * 4), w.reals(5)], 5, transB=1)


MAPS: dict[str, Build] = {
    "a view by size": view_by_size,
    "a view by a product of sizes": view_by_product,
    "weights that are computed": computed_weights,
    "means, rows then columns": means_one_axis_at_a_time(2, 3, 1),
    "means, columns then rows": means_one_axis_at_a_time(-1, -2, 1),
    "means that leave axes out": means_one_axis_at_a_time(2, 2, 0),
    "padding before a max pool": padded_pool("MaxPool"),
    "padding before an average": padded_pool("AveragePool"),
    "padding that an average counts": padded_average,
    "padding wider than the kernel": padded_far,
    "padding twice, and a skip": padded_twice,
    "an input that is normalized": normalized,
    "axes left out one at a time": squeezed,
    "a dense layer over channels": dense_over_channels,
    "a transposed map that is flattened": transposed_flat,
}


@pytest.mark.parametrize("case", MAPS)
@pytest.mark.parametrize("images", ["n", 1])
def test_what_exporters_write_equals_onnx_runtime(
    case: str, images: int | str, tmp_path: Path
) -> None:
    writer = OnnxWriter((3, 6, 5), 1)
    MAPS[case](writer)
    assert judge(saved(writer, tmp_path, images=images), writer) == "6x5x3"


@pytest.mark.parametrize(
    "case", ["a view by size", "padding twice, and a skip", "a transposed map that is flattened"]
)
def test_a_file_for_several_images_takes_each_alone(case: str, tmp_path: Path) -> None:
    writer = OnnxWriter((3, 6, 5), 1)
    MAPS[case](writer)
    assert judge(saved(writer, tmp_path, images=3), writer, count=3) == "6x5x3"


@pytest.mark.parametrize("build_", [channels_last, channels_last_throughout])
def test_an_input_with_channels_last_is_a_map(build_: Build, tmp_path: Path) -> None:
    writer = OnnxWriter((6, 5, 3), 1)
    build_(writer)
    assert judge(saved(writer, tmp_path), writer) == "6x5x3"


def series(w: OnnxWriter) -> None:
    """Write an inertial network as PyTorch does: (images, channels, time)."""
    weight = w.reals(4, 3, 5)
    last = w.add("Conv", [INPUT, weight, w.reals(4)], 4, pads=[2, 2], strides=[2])
    last = w.relu(w.batch_norm(last))
    last = w.add("MaxPool", [last], 4, kernel_shape=[2], strides=[2])
    last = w.relu(w.add("Conv", [last, w.reals(6, 2, 3)], 6, group=2, dilations=[2], pads=[2, 2]))
    mean = w.add("GlobalAveragePool", [last], 6)
    w.add("Gemm", [w.add("Flatten", [mean], 6), w.reals(5, 6), w.reals(5)], 5, transB=1)


def series_flattened(w: OnnxWriter) -> None:
    last = w.relu(w.add("Conv", [INPUT, w.reals(4, 3, 5)], 4, auto_pad="SAME_UPPER"))
    last = w.add("AveragePool", [last], 4, kernel_shape=[3], strides=[2], ceil_mode=1)
    w.add("MatMul", [w.add("Flatten", [last], 4), w.reals(4 * 12, 3)], 3)


def series_as_map(w: OnnxWriter) -> None:
    """Write Conv1d as the older exporters do, between Unsqueeze and Squeeze."""
    high = w.add("Unsqueeze", [INPUT, whole(w, 2)], 3)
    last = w.add("Conv", [high, w.reals(4, 3, 1, 3)], 4)
    low = w.relu(w.add("Squeeze", [last, whole(w, 2)], 4))
    wide = w.add("Unsqueeze", [low, whole(w, 3)], 4)
    last = w.add("MaxPool", [wide], 4, kernel_shape=[2, 1], strides=[2, 1])
    last = w.add("Conv", [last, w.reals(2, 4, 3, 1)], 2, pads=[1, 0, 1, 0])
    w.add("ReduceMean", [last], 2, axes=[2, 3], keepdims=0)


def series_padded(w: OnnxWriter) -> None:
    last = w.add("Pad", [INPUT, whole(w, 0, 0, 2, 0, 0, 1)], 3)
    w.add("ReduceMean", [w.add("Conv", [last, w.reals(4, 3, 4)], 4)], 4, axes=[-1])


@pytest.mark.parametrize("build_", [series, series_flattened, series_as_map, series_padded])
def test_networks_over_time_have_one_row(build_: Build, tmp_path: Path) -> None:
    writer = OnnxWriter((3, 24), 1)  # type: ignore[arg-type]
    build_(writer)
    assert judge(saved(writer, tmp_path), writer) == "1x24x3"


def test_steps_before_channels_are_columns(tmp_path: Path) -> None:
    writer = OnnxWriter((24, 3), 1)  # type: ignore[arg-type]
    turned = writer.add("Transpose", [INPUT], 3, perm=[0, 2, 1])
    writer.add("Conv", [turned, writer.reals(4, 3, 5)], 4)
    assert judge(saved(writer, tmp_path), writer) == "1x24x3"


def test_a_spectrogram_without_a_channel_is_a_map(tmp_path: Path) -> None:
    writer = OnnxWriter((8, 12), 1)  # type: ignore[arg-type]
    writer.add(
        "Conv", [writer.add("Unsqueeze", [INPUT, whole(writer, 1)], 1), writer.reals(4, 1, 3, 3)], 4
    )
    assert judge(saved(writer, tmp_path), writer) == "8x12x1"


def ones_of_shape(w: OnnxWriter, source: str) -> str:
    one = helper.make_tensor("v", TensorProto.INT64, [1], [1])
    return w.add("Mul", [source, w.add("ConstantOfShape", [whole(w, 2)], 0, value=one)], 0)


def counted(w: OnnxWriter, source: str) -> str:
    count = w.add("Range", [number(w, 0), number(w, 2), number(w, 1)], 0)
    return w.add("Add", [source, w.add("Mul", [whole(w, 0), count], 0)], 0)


def tiled(w: OnnxWriter, source: str) -> str:
    twice = w.add("Identity", [w.add("Tile", [source, whole(w, 2)], 0)], 0)
    return w.add("Slice", [twice, whole(w, 2), whole(w, 4)], 0)


def summed(w: OnnxWriter, source: str) -> str:
    less = w.add("Sub", [source, whole(w, 1, 0)], 0)
    total = w.add("ReduceSum", [less, whole(w, 0)], 0, keepdims=1)
    return w.add("Concat", [whole(w, 1), total], 0, axis=0)


def cast(w: OnnxWriter, source: str) -> str:
    return w.add("Cast", [w.add("Floor", [w.add("Cast", [source], 0, to=1)], 0)], 0, to=7)


FOLDS: dict[str, Callable[[OnnxWriter, str], str]] = {
    "Abs": lambda w, x: w.add("Abs", [x], 0),
    "Neg": lambda w, x: w.add("Neg", [w.add("Neg", [x], 0)], 0),
    "Add and Sub": lambda w, x: w.add("Sub", [w.add("Add", [x, whole(w, 3)], 0), whole(w, 3)], 0),
    "Mod": lambda w, x: w.add("Mod", [x, whole(w, 1 << 20)], 0),
    "Max": lambda w, x: w.add("Max", [x, whole(w, 1)], 0),
    "ConstantOfShape": ones_of_shape,
    "Range": counted,
    "Tile": tiled,
    "Split": lambda w, x: w.add("Concat", [*split(w, x)], 0, axis=0),
    "Cast": cast,
    "ReduceSum": summed,
}


def split(w: OnnxWriter, source: str) -> tuple[str, str]:
    names = (f"s{len(w.nodes)}", f"r{len(w.nodes)}")
    w.nodes.append(helper.make_node("Split", [source], names, axis=0))
    return names


@pytest.mark.parametrize("fold", FOLDS)
def test_arithmetic_over_sizes_is_computed_before(fold: str, tmp_path: Path) -> None:
    writer = OnnxWriter((2, 3, 4), 3)
    last = writer.conv(INPUT, 2, (1, 1))
    sizes = FOLDS[fold](writer, whole(writer, 1, 24))
    flat = writer.add("Reshape", [last, sizes], 2)
    writer.add("MatMul", [flat, writer.reals(24, 5)], 5)
    judge(saved(writer, tmp_path, images=1), writer)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.permutations([1, 2, 3]), st.integers(0, 3), seeds())
def test_axes_are_followed_wherever_they_go(
    tmp_path_factory: pytest.TempPathFactory, axes: list[int], cut: int, seed: int
) -> None:
    """Transpose a map, regroup its axes, and read it whole: the weights follow their values."""
    writer = OnnxWriter((3, 4, 5), seed)
    sizes = [1, 3, 4, 5]
    turned = writer.add("Transpose", [writer.conv(INPUT, 3, (1, 1))], 3, perm=[0, *axes])
    sizes = [sizes[axis] for axis in [0, *axes]]
    groups = {
        0: sizes,
        1: [1, sizes[1] * sizes[2], sizes[3]],
        2: [sizes[1], sizes[2] * sizes[3]],
        3: [sizes[1], 1, sizes[2], 1, sizes[3]],
    }[cut]
    moved = writer.add("Reshape", [turned, whole(writer, *groups)], 3)
    moved = writer.add("Relu", [moved], 3)
    flat = writer.add("Reshape", [moved, whole(writer, 1, -1)], 3)
    writer.add("MatMul", [flat, writer.reals(60, 4)], 4)
    judge(saved(writer, tmp_path_factory.mktemp("axes"), images=1), writer)


QUANTIZED: dict[str, Build] = {
    name: MAPS[name]
    for name in (
        "a view by size",
        "means, rows then columns",
        "padding before a max pool",
        "padding wider than the kernel",
        "padding twice, and a skip",
        "a dense layer over channels",
        "a transposed map that is flattened",
    )
}


@pytest.mark.parametrize("case", QUANTIZED)
@pytest.mark.parametrize("qdq", [True, False])
def test_quantized_files_keep_their_integers(case: str, qdq: bool, tmp_path: Path) -> None:
    """Compare integers layer by layer: each within one, from what ONNX Runtime has before it."""
    writer = OnnxWriter((3, 6, 5), 5)
    QUANTIZED[case](writer)
    model = onnx.load(saved(writer, tmp_path, images=1))
    made = quantized(model, writer.images(20), tmp_path, qdq=qdq, per_channel=True, unsigned=True)
    path = tmp_path / "quantized.onnx"
    onnx.save(made, path)
    found = build(path)
    lowered = integer_network(found, "quantized", "")
    network = lowered.network
    names = [
        name
        for name, value in found.values.items()
        if value.whole
        and not value.host
        and value.padding == UNPADDED
        and value.name in lowered.held
    ]
    images = writer.images(6)
    differing = total = 0
    for image in images:
        given_ = run(path, image[np.newaxis].transpose(0, 3, 1, 2), names)
        computed = dict(tensors(network, network.encode(image[np.newaxis])))
        computed[SOURCE] = network.encode(image[np.newaxis])
        for name in names:
            value = found.values[name]
            tensor = lowered.held[value.name]
            integers = value.layout.arranged(given_[name].astype(np.int32))
            wanted = integers - network.tensors[tensor].zero_point
            distance = np.abs(
                computed[tensor] - np.clip(wanted, *network.tensors[tensor].stream_range)
            )
            assert distance.max() <= 2, name
            differing, total = differing + int((distance > 0).sum()), total + distance.size
    assert len(names) > 1
    assert differing <= total / 50
    across = read_along(network, "height")
    for way in (network, across):
        by_columns = infer_by_columns(way, way.encode(images))
        for name, tensor in tensors(way, way.encode(images)):
            np.testing.assert_array_equal(by_columns[name], tensor, err_msg=name)


def test_weights_that_the_file_quantizes_itself(tmp_path: Path) -> None:
    """Write float weights behind QuantizeLinear, transposed and scaled behind DequantizeLinear."""
    writer = OnnxWriter((3, 6, 5), 5)

    def pair(source: str, scale: str, zero: str, **attributes: int) -> str:
        raw = writer.add("QuantizeLinear", [source, scale, zero], 3, **attributes)
        return writer.add("DequantizeLinear", [raw, scale, zero], 3, **attributes)

    step, zero = writer.constant(np.float32(1 / 64)), writer.constant(np.int8(0))
    image = pair(INPUT, step, zero)
    weight = writer.reals(2, 3, 3, 4)
    scales = writer.reals(4, low=0.006, high=0.009)
    zeros = writer.constant(np.zeros(4, np.int8))
    weight = writer.add("Transpose", [pair(weight, scales, zeros, axis=3)], 4, perm=[3, 2, 0, 1])
    weight = writer.add("Mul", [weight, writer.reals(4, 1, 1, 1, low=0.5, high=2)], 4)
    last = writer.add("Conv", [image, weight], 4)
    pair(last, writer.constant(np.float32(1 / 32)), zero)
    path = saved(writer, tmp_path)
    network = import_network(path)
    images = writer.images(5)
    target = writer.nodes[-1].output[0]
    wanted = run(path, images.transpose(0, 3, 1, 2), [target])[target].transpose(0, 2, 3, 1)
    mine = infer(network, network.encode(images)) / 32
    distance = np.abs(mine - wanted)
    assert distance.max() <= 1.01 / 32
    assert (distance > 0.001).mean() < 0.01
    assert network.precisions[network.graph.nodes[-1].name].weight_bits == 9


@pytest.mark.parametrize("behind", [[], ["Flatten"], ["Reshape"]])
def test_a_sigmoid_at_the_end_is_left_to_the_host(behind: list[str], tmp_path: Path) -> None:
    writer = OnnxWriter((3, 6, 5), 5)
    last = writer.add("Sigmoid", [writer.dense(writer.conv(INPUT, 4, (3, 3)), 4 * 4 * 3, 1)], 1)
    for kind in behind:
        extra = [whole(writer, -1)] if kind == "Reshape" else []
        last = writer.add(kind, [last, *extra], 1)
    network = import_network(saved(writer, tmp_path), writer.images(5))
    assert network.note.endswith("; sigmoid left to the host")
    assert len(network.graph.nodes) == 2


def huge(w: OnnxWriter) -> None:
    constant = w.add("Expand", [w.reals(1), whole(w, 1 << 20, 1 << 20)], 0)
    w.conv(w.add("Add", [INPUT, constant], 3), 4, (1, 1))


REFUSED: dict[str, tuple[Build, str]] = {
    "a sigmoid between": (
        lambda w: w.conv(w.add("Sigmoid", [INPUT], 3), 4, (1, 1)),
        "reads the result of sigmoid, which is left to the host",
    ),
    "a mean over channels": (
        lambda w: w.add("ReduceMean", [INPUT], 3, axes=[1]),
        "must be over rows and columns, not over",
    ),
    "a huge constant": (huge, "more than"),
    "a map with its axes exchanged": (
        lambda w: w.conv(w.add("Transpose", [INPUT], 3, perm=[0, 2, 1, 3]), 4, (1, 1)),
        "must be (images, channels, rows, columns)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_followed_is_refused(case: str, tmp_path: Path) -> None:
    apply, message = REFUSED[case]
    writer = OnnxWriter((3, 6, 5), 1)
    apply(writer)
    with pytest.raises(InputError) as raised:
        import_network(saved(writer, tmp_path), writer.images(2))
    assert message in str(raised.value)


def sixteen_bits(w: OnnxWriter, zero: int, dtype: type, *, wide: bool = False) -> None:
    """Write convolutions whose activations between have 16 bits."""

    def pair(source: str, scale: float, zero: np.generic) -> str:
        both = [w.constant(np.float32(scale)), w.constant(zero)]
        raw = w.add("QuantizeLinear", [source, *both], 0)
        return w.add("DequantizeLinear", [raw, *both], 0)

    def weights(*shape: int) -> str:
        raw = w.constant(w.rng.integers(-127, 128, shape, np.int8))
        return w.add("DequantizeLinear", [raw, w.constant(np.float32(1 / 1024))], 0)

    image = pair(INPUT, 1 / 127, np.int8(3))
    first = w.add("Conv", [image, weights(8, 3, 3, 3), w.reals(8)], 8)
    held = pair(w.add("Relu", [first], 8), 2.0**-14, dtype(zero))
    if wide:
        held = pair(w.add("Conv", [held, weights(64, 8, 3, 3)], 64), 2.0**-14, dtype(zero))
    last = weights(4, 64, 3, 3) if wide else weights(4, 8, 2, 2)
    second = w.add("Conv", [held, last, w.reals(4)], 4)
    pair(second, 2.0**-5, np.uint8(120))


@pytest.mark.parametrize(
    ("zero", "dtype"), [(0, np.int16), (0, np.uint16), (20000, np.uint16), (-3000, np.int16)]
)
def test_activations_of_sixteen_bits(zero: int, dtype: type, tmp_path: Path) -> None:
    writer = OnnxWriter((3, 6, 5), 5)
    sixteen_bits(writer, zero, dtype)
    path = saved(writer, tmp_path, opset=21)
    network = import_network(path)
    images = writer.images(20)
    raw = images.transpose(0, 3, 1, 2)
    found = build(path)
    held = integer_network(found, "exported", "").held
    computed = {SOURCE: network.encode(images), **dict(tensors(network, network.encode(images)))}
    names = [n.outputs[0] for n in found.model.nodes if n.kind == "DequantizeLinear"]
    names = [name for name in names if name in found.values]
    for name, wanted in run(path, raw, names).items():
        tensor = held[found.values[name].name]
        steps = computed[tensor] - wanted.transpose(0, 2, 3, 1) / network.tensors[tensor].scale
        assert np.abs(steps).max() < 1.1
        assert (np.abs(steps) > 0.1).mean() < 0.02
    assert network.tensors[network.graph.nodes[0].name].bits in (15, 16, 17)


def test_sums_of_sixteen_bits_that_are_too_wide_say_the_limit(tmp_path: Path) -> None:
    writer = OnnxWriter((3, 8, 8), 5)
    sixteen_bits(writer, 0, np.uint16, wide=True)
    with pytest.raises(
        InputError, match=r"must be 32 at most: .* may reach [\d,]+ steps from zero"
    ):
        import_network(saved(writer, tmp_path, opset=21))


def quantizers(w: OnnxWriter) -> tuple[Callable[[str], str], Callable[..., str]]:
    """Give what quantizes a value, by a scale of its own, and what gives weights."""

    def pair(source: str) -> str:
        scale = float(w.rng.uniform(0.02, 0.06)) if source != INPUT else 1 / 127
        zero = np.int8(3) if source == INPUT else np.uint8(w.rng.integers(0, 100))
        both = [w.constant(np.float32(scale)), w.constant(zero)]
        raw = w.add("QuantizeLinear", [source, *both], 0)
        return w.add("DequantizeLinear", [raw, *both], 0)

    def weights(*shape: int) -> str:
        raw = w.constant(w.rng.integers(-127, 128, shape).astype(np.int8))
        return w.add("DequantizeLinear", [raw, w.constant(np.float32(0.006))], 0)

    return pair, weights


def sum_of_a_layer_and_a_skip(w: OnnxWriter) -> None:
    pair, weights = quantizers(w)
    first = w.add("Conv", [pair(INPUT), weights(4, 3, 3, 3), w.reals(4)], 4)
    skip = pair(w.add("Relu", [first], 4))
    second = w.add("Conv", [skip, weights(4, 4, 3, 3)], 4, pads=[1, 1, 1, 1])
    pair(w.add("Relu", [w.add("Add", [second, skip], 4)], 4))


def sum_of_two_layers(w: OnnxWriter) -> None:
    pair, weights = quantizers(w)
    image = pair(INPUT)
    first = w.add("Conv", [image, weights(4, 3, 3, 3)], 4, pads=[1, 1, 1, 1])
    second = w.add("Conv", [image, weights(4, 3, 1, 1)], 4)
    pair(w.add("Relu", [w.add("Add", [first, second], 4)], 4))


def sum_that_two_quantizers_read(w: OnnxWriter) -> None:
    pair, weights = quantizers(w)
    image = pair(INPUT)
    first = w.add("Conv", [image, weights(4, 3, 1, 1)], 4)
    total = w.add(
        "Relu", [w.add("Add", [first, w.add("Conv", [image, weights(4, 3, 1, 1)], 4)], 4)], 4
    )
    again = w.add("Conv", [pair(total), weights(4, 4, 3, 3)], 4, pads=[1, 1, 1, 1])
    pair(w.add("Add", [again, pair(total)], 4))


def average_of_a_layer(w: OnnxWriter) -> None:
    pair, weights = quantizers(w)
    first = w.add("Conv", [pair(INPUT), weights(4, 3, 3, 3)], 4)
    pair(w.add("GlobalAveragePool", [w.add("Relu", [first], 4)], 4))


def concatenation_of_layers(w: OnnxWriter) -> None:
    pair, weights = quantizers(w)
    image = pair(INPUT)
    arms = [w.add("Relu", [w.add("Conv", [image, weights(n, 3, 1, 1)], n)], n) for n in (2, 3)]
    arms[1] = w.add("MaxPool", [arms[1]], 3, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    pair(w.add("Concat", arms, 5, axis=1))


CARRIED: dict[str, Build] = {
    "the sum of a layer and a skip": sum_of_a_layer_and_a_skip,
    "the sum of two layers": sum_of_two_layers,
    "a sum that two quantizers read": sum_that_two_quantizers_read,
    "the average of a layer": average_of_a_layer,
    "the concatenation of layers": concatenation_of_layers,
}


@pytest.mark.parametrize("case", CARRIED)
@pytest.mark.parametrize("seed", range(3))
def test_reals_that_nothing_quantizes_are_carried_to_their_reader(
    case: str, seed: int, tmp_path: Path
) -> None:
    writer = OnnxWriter((3, 8, 7), seed)
    CARRIED[case](writer)
    path = saved(writer, tmp_path)
    network = import_network(path)
    images = writer.images(20)
    target = writer.nodes[-1].output[0]
    wanted = run(path, images.transpose(0, 3, 1, 2), [target])[target].transpose(0, 2, 3, 1)
    tensor = network.tensors[network.graph.outputs[0]]
    steps = np.abs(infer(network, network.encode(images)) - wanted / tensor.scale)
    assert steps.max() < 1.5
    assert (steps > 0.5).mean() < 0.005
