"""What converters write around the layers of a .tflite file: equal to LiteRT, tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilaster.base.errors import InputError
from pilaster.models.columns import read_along
from pilaster.models.graph import INPUT as SOURCE
from pilaster.models.importers.tflite import trace_tflite
from pilaster.models.importers.values import UNPADDED
from pilaster.models.network import Network
from pilaster.models.reference.network import infer_by_columns, tensors
from tests.models import tflite_file as file
from tests.models.importers.tflite_writer import INPUT, RELU, RELU6, TfliteWriter
from tests.models.tflite_file import run_reference
from tests.strategies import seeds


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exporters")


def judge(writer: TfliteWriter, folder: Path, seed: int) -> Network:
    """Assert that each of the file's tensors is in the graph what LiteRT makes it."""
    content = writer.written()
    path = folder / "model.tflite"
    path.write_bytes(content)
    network, values = trace_tflite(path)
    source = next(tensor for tensor in writer.tensors if tensor.name == INPUT)
    rng = np.random.default_rng(seed)
    raw = rng.integers(-128, 128, source.shape).astype(np.int8)
    given_ = raw if source.dtype == "int8" else (raw.astype(np.int16) + 128).astype(np.uint8)
    found = run_reference(content, given_)
    numbers = {tensor.name: str(number) for number, tensor in enumerate(writer.tensors)}
    entering = values[numbers[INPUT]].layout.arranged(raw).astype(np.int32)
    stream = entering - network.tensors[SOURCE].zero_point
    computed = {SOURCE: stream, **dict(tensors(network, stream))}
    judged = 0
    for tensor in writer.tensors:
        value = values.get(numbers[tensor.name])
        if value is None or value.host or value.padding != UNPADDED:
            continue
        integers = found[tensor.name].astype(np.int32)
        integers -= 128 if found[tensor.name].dtype == np.uint8 else 0
        wanted = value.layout.arranged(integers) - network.tensors[value.name].zero_point
        np.testing.assert_array_equal(computed[value.name], wanted, err_msg=tensor.name)
        judged += tensor.name != INPUT
    assert judged
    return network


def constant(w: TfliteWriter, values: object, dtype: type = np.int32) -> str:
    name = f"k{len(w.tensors)}"
    w.tensors.append(
        file.Tensor(name, np.shape(values), np.zeros(0, np.float32), data=np.array(values, dtype))
    )
    return name


def computed(
    w: TfliteWriter,
    kind: str,
    inputs: tuple[str, ...],
    shape: tuple[int, ...],
    table: str,
    dtype: str = "int32",
    **options: int,
) -> str:
    """Add an operator whose result has no scale, such as SHAPE."""
    name = f"t{len(w.operators)}"
    w.tensors.append(file.Tensor(name, shape, np.zeros(0, np.float32), dtype=dtype))
    w.operators.append(file.operator(kind, inputs, name, table, **options))
    return name


def images_of(w: TfliteWriter, source: str, rank: int) -> str:
    """Add what Keras writes for the number of images: SHAPE, STRIDED_SLICE."""
    sizes = computed(w, "SHAPE", (source,), (rank,), "ShapeOptions", OutType=2)
    ends = [constant(w, [value]) for value in (0, 1, 1)]
    return computed(w, "STRIDED_SLICE", (sizes, *ends), (), "StridedSliceOptions", ShrinkAxisMask=1)


def keras_flatten(w: TfliteWriter) -> None:
    source = w.conv(INPUT, 3, (3, 3))
    size = int(np.prod(w.shapes[source]))
    both = (images_of(w, source, 4), constant(w, size))
    sizes = computed(w, "PACK", both, (2,), "PackOptions", ValuesCount=2)
    flat = w._add("RESHAPE", (source, sizes), (size,), "ReshapeOptions", 0, source)
    w.fully_connected(flat, 5)


def flatten_by_product(w: TfliteWriter) -> None:
    """Flatten to the product of the sizes, by slices, casts, products and a concatenation."""
    source = w.conv(INPUT, 3, (3, 3))
    sizes = computed(w, "SHAPE", (source,), (4,), "ShapeOptions", OutType=2)
    wide = computed(w, "CAST", (sizes,), (4,), "CastOptions", "int64", InDataType=2, OutDataType=4)
    back = computed(w, "CAST", (wide,), (4,), "CastOptions", InDataType=4, OutDataType=2)
    rest = computed(w, "SLICE", (back, constant(w, [1]), constant(w, [-1])), (3,), "SliceOptions")
    count = computed(w, "REDUCE_PROD", (rest, constant(w, [0])), (1,), "ReducerOptions", KeepDims=1)
    first = computed(w, "GATHER", (back, constant(w, [0])), (1,), "GatherOptions")
    both = computed(w, "CONCATENATION", (first, count), (2,), "ConcatenationOptions")
    size = int(np.prod(w.shapes[source]))
    w.fully_connected(w._add("RESHAPE", (source, both), (size,), "ReshapeOptions", 0, source), 4)


def over(axes: list[int], *, keep: bool = True) -> Callable[[TfliteWriter], object]:
    """Give MEANs over axes, one after the other."""

    def build(w: TfliteWriter) -> None:
        source, shape = INPUT, [1, *w.shapes[INPUT]]
        for axis in axes:
            place = axis % len(shape)
            shape = (
                [1 if i == place else s for i, s in enumerate(shape)]
                if keep
                else [s for i, s in enumerate(shape) if i != place]
            )
            scale = w._scale(source) * w.rng.uniform(0.3, 1.2)
            inputs = (source, constant(w, [axis]))
            source = w._add(
                "MEAN", inputs, tuple(shape[1:]), "ReducerOptions", scale, KeepDims=int(keep)
            )

    return build


def scaled(
    kind: str, shape: tuple[int, ...], fused: int = 0, *, first: bool = False, ties: bool = False
) -> Callable[[TfliteWriter], object]:
    """Give MUL, ADD or SUB of a constant."""

    def build(w: TfliteWriter) -> None:
        source = w.conv(INPUT, 4, (2, 2))
        name, zero = f"k{len(w.tensors)}", int(w.rng.integers(-20, 20))
        step = np.array([0.02 if ties else w.rng.uniform(0.5, 1.5) * w._scale(source)], np.float32)
        data = w.rng.integers(-127, 128, shape).astype(np.int8)
        w.tensors.append(file.Tensor(name, shape, step, zero, data))
        if ties:
            place = next(i for i, t in enumerate(w.tensors) if t.name == source)
            w.tensors[place] = file.Tensor(
                source, w.tensors[place].shape, np.array([0.1], np.float32), -5
            )
        scale = (
            {"MUL": 60 * float(step[0])}.get(kind, 1.0) * w._scale(source) * w.rng.uniform(0.7, 2)
        )
        inputs = (name, source) if first else (source, name)
        w._add(
            kind,
            inputs,
            w.shapes[source],
            f"{kind.title()}Options",
            0.12 if ties else scale,
            FusedActivationFunction=fused,
        )

    return build


def transposed_input(w: TfliteWriter) -> None:
    """Read a file whose input has its channels first."""
    rows, columns, channels = w.shapes[INPUT]
    axes = constant(w, [0, 2, 3, 1])
    last = w._add(
        "TRANSPOSE", (INPUT, axes), (columns, channels, rows), "TransposeOptions", 0, INPUT
    )
    w.conv(last, 3, (3, 2))


def transposed_and_flattened(w: TfliteWriter) -> None:
    source = w.conv(INPUT, 3, (3, 3))
    rows, columns, channels = w.shapes[source]
    first = w._add(
        "TRANSPOSE",
        (source, constant(w, [0, 3, 1, 2])),
        (channels, rows, columns),
        "TransposeOptions",
        0,
        source,
    )
    w.fully_connected(w.flatten(first), 5)


def transposed_means(w: TfliteWriter) -> None:
    source = w.conv(INPUT, 3, (3, 3))
    rows, columns, channels = w.shapes[source]
    first = w._add(
        "TRANSPOSE",
        (source, constant(w, [0, 3, 2, 1])),
        (channels, columns, rows),
        "TransposeOptions",
        0,
        source,
    )
    mean = w._add(
        "MEAN", (first, constant(w, [-1])), (channels, columns), "ReducerOptions", 0.03, KeepDims=0
    )
    w._add("MEAN", (mean, constant(w, [2])), (channels,), "ReducerOptions", 0.02, KeepDims=0)


def convolution_over_time(w: TfliteWriter) -> None:
    """Write Keras' Conv1D, MaxPooling1D and GlobalAveragePooling1D."""
    row, steps, _ = w.shapes[INPUT]
    assert row == 1
    first = w.conv(INPUT, 4, (1, 3), fused=RELU)
    flat = w._add(
        "RESHAPE", (first, constant(w, [-1, steps, 4])), (steps, 4), "ReshapeOptions", 0, first
    )
    tall = w._add(
        "EXPAND_DIMS", (flat, constant(w, 2)), (steps, 1, 4), "ExpandDimsOptions", 0, first
    )
    pooled = w.pool("max", tall, (2, 1), (2, 1), same=False)
    half = steps // 2
    flat = w._add(
        "RESHAPE", (pooled, constant(w, [-1, half, 4])), (half, 4), "ReshapeOptions", 0, first
    )
    wide = w._add(
        "EXPAND_DIMS", (flat, constant(w, 1)), (1, half, 4), "ExpandDimsOptions", 0, first
    )
    second = w.conv(wide, 5, (1, 2), same=False)
    flat = w._add(
        "RESHAPE",
        (second, constant(w, [-1, half - 1, 5])),
        (half - 1, 5),
        "ReshapeOptions",
        0,
        second,
    )
    mean = w._add(
        "MEAN", (flat, constant(w, [1])), (5,), "ReducerOptions", w._scale(second) * 0.7, KeepDims=0
    )
    w.fully_connected(mean, 3)


def dense_over_channels(w: TfliteWriter) -> None:
    source = w.conv(INPUT, 4, (2, 2))
    weight = w._weights((3, 4), 0, 1)
    shape = (*w.shapes[source][:-1], 3)
    dense = w._add(
        "FULLY_CONNECTED",
        (source, *weight, w._bias(source, 3)),
        shape,
        "FullyConnectedOptions",
        w._gain(source, 4),
        KeepNumDims=1,
    )
    w.conv(dense, 2, (2, 3))


def padded_pool(mode: str, *, relu: bool = False) -> Callable[[TfliteWriter], object]:
    def build(w: TfliteWriter) -> None:
        source = w.conv(INPUT, 3, (2, 2), fused=RELU if relu else 0)
        w.pool(mode, w.pad(source, (1, 1), (0, 1)), (3, 3), (2, 1), same=False)

    return build


def padded_far(w: TfliteWriter) -> None:
    w.conv(w.pad(INPUT, (2, 3), (4, 1)), 3, (2, 2), same=False)


def padded_sum(w: TfliteWriter) -> None:
    first = w.pad(INPUT, (1, 0), (0, 2))
    w.add(first, w.conv(first, w.shapes[INPUT][-1], (3, 3)))


def padded_end(w: TfliteWriter) -> None:
    w.pad(w.conv(INPUT, 2, (2, 2)), (1, 0), (0, 2))


def unsigned(w: TfliteWriter, name: str, zero: int, scale: float | None = None) -> None:
    place = next(i for i, tensor in enumerate(w.tensors) if tensor.name == name)
    old = w.tensors[place]
    scales = old.scales if scale is None else np.array([scale], np.float32)
    w.tensors[place] = file.Tensor(name, old.shape, scales, zero, dtype="uint8")


def unsigned_edges(*, rescaled: bool) -> Callable[[TfliteWriter], object]:
    def build(w: TfliteWriter) -> None:
        first = w.rescale("QUANTIZE", INPUT)
        unsigned(
            w,
            INPUT,
            117 if rescaled else w._tensor(first).zero_point + 128,
            None if rescaled else w._scale(first),
        )
        last = w.conv(first, 3, (3, 3))
        out = w.rescale("QUANTIZE", last)
        zero = w._tensor(last).zero_point + 128
        unsigned(w, out, 100 if rescaled else zero, None if rescaled else w._scale(last))

    return build


def sigmoid(w: TfliteWriter) -> None:
    last = w.fully_connected(w.flatten(w.conv(INPUT, 3)), 1)
    name = w._add("LOGISTIC", (last,), (1,), "LogSoftmaxOptions", 1 / 256)
    place = next(i for i, tensor in enumerate(w.tensors) if tensor.name == name)
    w.tensors[place] = file.Tensor(name, (1, 1), np.array([1 / 256], np.float32), -128)


CASES: dict[str, Callable[[TfliteWriter], object]] = {
    "Flatten of Keras": keras_flatten,
    "a flattening by the product of sizes": flatten_by_product,
    "means, rows then columns": over([1, 2]),
    "means, columns then rows": over([2, 1]),
    "means over axes counted from behind": over([-2, -3]),
    "means that leave axes out": over([1, 1], keep=False),
    "a mean over rows": over([1], keep=False),
    "a mean over channels": over([3]),
    "a factor a channel": scaled("MUL", (1, 1, 1, 4)),
    "a factor": scaled("MUL", (), RELU),
    "a factor first": scaled("MUL", (4,), RELU6, first=True),
    "an offset a channel": scaled("ADD", (1, 1, 1, 4)),
    "an offset": scaled("ADD", (1,), RELU, first=True),
    "offsets that make ties": scaled("ADD", (4,), ties=True),
    "offsets taken off": scaled("SUB", (1, 4)),
    "offsets taken off, with ties": scaled("SUB", (4,), RELU, ties=True),
    "an offset less the map": scaled("SUB", (1, 1, 4), first=True),
    "an input with channels first": transposed_input,
    "a transposed map that is flattened": transposed_and_flattened,
    "means of a transposed map": transposed_means,
    "a dense layer over channels": dense_over_channels,
    "padding before a max pool": padded_pool("max"),
    "padding before a max pool of what is not negative": padded_pool("max", relu=True),
    "padding before an average": padded_pool("average"),
    "padding wider than the kernel": padded_far,
    "padding before a sum": padded_sum,
    "padding at the end": padded_end,
    "uint8 at both ends": unsigned_edges(rescaled=False),
    "uint8 at both ends, of other scales": unsigned_edges(rescaled=True),
    "a sigmoid at the end": sigmoid,
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_what_converters_write_equals_litert(case: str, seed: int, folder: Path) -> None:
    writer = TfliteWriter((7, 6, 4), seed)
    CASES[case](writer)
    network = judge(writer, folder, seed)
    images = np.random.default_rng(seed).integers(0, 256, (2, *shape_of(network))).astype(np.uint8)
    for way in (network, read_along(network, "height")):
        by_columns = infer_by_columns(way, way.encode(images))
        for name, tensor in tensors(way, way.encode(images)):
            np.testing.assert_array_equal(by_columns[name], tensor, err_msg=name)


def shape_of(network: Network) -> tuple[int, int, int]:
    shape = network.image_shape
    return shape.height, shape.width, shape.channels


@pytest.mark.parametrize("seed", range(4))
def test_networks_over_time_equal_litert(seed: int, folder: Path) -> None:
    writer = TfliteWriter((1, 12, 3), seed)
    convolution_over_time(writer)
    network = judge(writer, folder, seed)
    assert str(network.graph.input_shape) == "1x12x3"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from(["MUL", "ADD", "SUB"]),
    st.booleans(),
    st.sampled_from([0, RELU, RELU6]),
    seeds(),
)
def test_constants_of_any_scale_equal_litert(
    folder: Path, kind: str, first: bool, fused: int, seed: int
) -> None:
    writer = TfliteWriter((3, 40, 4), seed)
    scaled(kind, (4,), fused, first=first)(writer)
    judge(writer, folder, seed)


def test_a_sigmoid_is_left_to_the_host_and_said_so(folder: Path) -> None:
    writer = TfliteWriter((4, 4, 2), 1)
    sigmoid(writer)
    assert "; sigmoid left to the host" in judge(writer, folder, 1).note


def test_a_product_of_two_maps_is_refused(folder: Path) -> None:
    writer = TfliteWriter((4, 4, 2), 1)
    writer._add("MUL", (INPUT, writer.conv(INPUT, 2)), (4, 4, 2), "MulOptions", 0.1)
    path = folder / "bad.tflite"
    path.write_bytes(writer.written())
    with pytest.raises(InputError, match="MUL: multiplies two maps; one must be a constant"):
        trace_tflite(path)
