"""Graphs and shapes: what fits, what is refused and how, and the counts of published networks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilaster.base.errors import InputError
from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.layers import Add, Concat, Conv, FullyConnected, Layer, Pool, Weighted, Window
from pilaster.models.shape import Padding, Shape
from pilaster.models.zoo import architectures, branching
from tests.strategies import graphs, shapes, windows

SHAPE = Shape(8, 6, 4)
CONV = Conv(3, Window((3, 3)))

thorough = settings(max_examples=200, deadline=None, derandomize=True)


def positions(size: int, kernel: int, stride: int, before: int, after: int) -> int:
    """Count a window's positions by moving it."""
    return len(range(-before, size + after - kernel + 1, stride))


@thorough
@given(st.data())
def test_an_output_has_a_position_for_each_that_the_window_takes(data: st.DataObject) -> None:
    shape = data.draw(shapes())
    window = data.draw(windows(shape))
    (rows, columns), (step_v, step_h), pad = window.kernel, window.stride, window.padding
    assert window.output_extents(shape) == (
        positions(shape.height, rows, step_v, pad.top, pad.bottom),
        positions(shape.width, columns, step_h, pad.left, pad.right),
    )


@thorough
@given(st.data())
def test_the_completing_column_is_the_last_that_an_output_column_reads(data: st.DataObject) -> None:
    shape = data.draw(shapes())
    window = data.draw(windows(shape))
    for q in range(window.output_extents(shape)[1]):
        first = q * window.stride[1] - window.padding.left
        read = [w for w in range(first, first + window.kernel[1]) if 0 <= w < shape.width]
        assert window.completing_column(q, shape.width) == read[-1]


@thorough
@given(graphs())
def test_a_chain_passes_shapes_from_layer_to_layer(graph: Graph) -> None:
    shape = graph.input_shape
    for node in graph.nodes:
        assert graph.input_of(node) == shape
        shape = node.layer.output_shape(shape)
        assert graph.shapes[node.name] == shape
    assert graph.output_shape == shape
    assert graph.is_chain
    assert graph.outputs == (graph.nodes[-1].name,)


@thorough
@given(st.data())
def test_macs_are_products_counted_one_by_one_with_padding(data: st.DataObject) -> None:
    graph = data.draw(graphs(max_layers=1))
    (node,) = graph.nodes
    if node.layer.keeps_quantization:
        assert graph.macs == 0
        return
    layer = node.layer.as_conv(graph.input_shape)
    products = layer.window.kernel[0] * layer.window.kernel[1]
    products *= graph.input_shape.channels // layer.groups
    assert graph.macs == graph.output_shape.size * products
    assert node.layer.macs(graph.input_shape) == layer.macs(graph.input_shape)


def test_a_dense_layer_is_a_convolution_with_one_position() -> None:
    layer = FullyConnected(10, relu=True)
    assert layer.as_conv(SHAPE) == Conv(10, Window((8, 6)), relu=True)
    assert layer.weight_shape(SHAPE) == layer.as_conv(SHAPE).weight_shape(SHAPE) == (10, 8, 6, 4)
    assert layer.output_shape(SHAPE) == layer.as_conv(SHAPE).output_shape(SHAPE) == Shape(1, 1, 10)


def test_consumers_are_the_readers_of_each_tensor() -> None:
    graph = Graph.chain("net", SHAPE, {"a": CONV, "b": FullyConnected(2)})
    assert {name: [n.name for n in nodes] for name, nodes in graph.consumers.items()} == {
        INPUT: ["a"],
        "a": ["b"],
        "b": [],
    }
    assert graph.node("b").inputs == ("a",)


def test_a_part_of_a_graph_has_what_its_last_layer_depends_on() -> None:
    nodes = (
        Node("a", CONV, (INPUT,)),
        Node("b", Conv(3, Window((1, 1))), ("a",)),
        Node("c", Conv(3, Window((1, 1))), ("a",)),
        Node("d", Add(), ("b", "c")),
    )
    graph = Graph("net", SHAPE, nodes)
    assert not graph.is_chain
    assert [node.name for node in graph.until("c").nodes] == ["a", "c"]
    assert graph.until("c").is_chain
    assert graph.until("d") == graph
    assert [node.name for node in graph.consumers["a"]] == ["b", "c"]
    assert not Graph("net", SHAPE, (Node("a", Add(), (INPUT, INPUT)),)).is_chain


def chain(layer: Layer) -> Callable[[], Graph]:
    return lambda: Graph.chain("net", SHAPE, {"good": CONV, "bad": layer})


def graph_of(*nodes: Node) -> Callable[[], Graph]:
    return lambda: Graph("net", SHAPE, nodes)


REFUSED = {
    "a kernel larger than its input": (
        chain(Conv(1, Window((7, 3)))),
        r"net: layer bad: kernel \(7, 3\) .* is larger than its input 6x4x3",
    ),
    "a pool larger than its input": (
        chain(Pool("max", Window((2, 5)))),
        r"net: layer bad: kernel \(2, 5\) .* is larger than its input 6x4x3",
    ),
    "channels that do not divide into groups": (
        chain(Conv(4, Window((1, 1)), groups=2)),
        r"net: layer bad: 3 input channels do not divide into 2 groups",
    ),
    "a name used twice": (
        graph_of(Node("a", CONV, (INPUT,)), Node("a", CONV, ("a",))),
        r"net: layer a: the name is used twice",
    ),
    "a layer called input": (
        graph_of(Node(INPUT, CONV, (INPUT,))),
        r"net: layer input: the name is used twice",
    ),
    "a tensor that comes later": (
        graph_of(Node("a", CONV, ("b",)), Node("b", CONV, (INPUT,))),
        r"net: layer a: reads 'b', which does not come before",
    ),
    "an addition of one tensor": (
        graph_of(Node("a", Add(), (INPUT,))),
        r"net: layer a: an addition reads two tensors, not 1",
    ),
    "an addition of different shapes": (
        graph_of(Node("a", CONV, (INPUT,)), Node("b", Add(), (INPUT, "a"))),
        r"net: layer b: an addition needs equal shapes, not 8x6x4 and 6x4x3",
    ),
    "a concatenation of different maps": (
        graph_of(Node("a", CONV, (INPUT,)), Node("b", Concat(), (INPUT, "a"))),
        r"net: layer b: a concatenation needs equal maps, not 8x6x4 and 6x4x3",
    ),
    "a layer that reads nothing": (
        graph_of(Node("a", Concat(), ())),
        r"net: layer a: reads 0 tensors, must read one",
    ),
    "two tensors into one layer": (
        graph_of(Node("a", CONV, (INPUT, INPUT))),
        r"net: layer a: reads 2 tensors, must read one",
    ),
    "two outputs": (
        graph_of(Node("a", CONV, (INPUT,)), Node("b", CONV, (INPUT,))),
        r"net: one output is needed, there are \('a', 'b'\)",
    ),
    "no layers": (graph_of(), r"net: a network needs at least one layer"),
    "an unknown name": (
        lambda: chain(CONV)().node("conv9"),
        r"net: no layer 'conv9'; there are \['good', 'bad'\]",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_in_one_line_that_names_the_layer(case: str) -> None:
    build, message = REFUSED[case]
    with pytest.raises(InputError, match=f"^{message}$") as caught:
        build()
    assert "\n" not in str(caught.value)


BUILDERS: dict[str, tuple[Callable[[], object], str]] = {
    "an empty shape": (lambda: Shape(0, 1, 1), "positive sizes"),
    "negative padding": (lambda: Padding(left=-1), "padding must not be negative"),
    "an empty kernel": (lambda: Window((0, 1)), "kernel and stride must be positive"),
    "a stride of zero": (lambda: Window((1, 1), (1, 0)), "kernel and stride must be positive"),
    "padding of a whole kernel": (
        lambda: Window((3, 2), padding=Padding(right=2)),
        "padding must be smaller than the kernel",
    ),
    "no output channels": (lambda: Conv(0, Window((1, 1))), "at least one output channel"),
    "no groups": (lambda: Conv(1, Window((1, 1)), 0), "and one group"),
    "outputs that do not divide into groups": (
        lambda: Conv(3, Window((1, 1)), 2),
        "3 output channels do not divide into 2 groups",
    ),
    "no output features": (lambda: FullyConnected(0), "at least one output"),
    "a ceiling without a ReLU": (
        lambda: Conv(1, Window((1, 1)), ceiling=6.0),
        "a ceiling is positive and over a ReLU, not 6.0",
    ),
    "a ceiling of zero": (
        lambda: FullyConnected(1, relu=True, ceiling=0.0),
        "a ceiling is positive and over a ReLU, not 0.0",
    ),
    "a pool of another mode": (
        lambda: Pool("median", Window((1, 1))),  # type: ignore[arg-type]
        "'max' or 'average', not 'median'",
    ),
}


@pytest.mark.parametrize("case", BUILDERS)
def test_what_cannot_be_is_refused_when_it_is_made(case: str) -> None:
    build, message = BUILDERS[case]
    with pytest.raises(InputError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)


def conv_macs(graph: Graph) -> int:
    convolutions = (node for node in graph.nodes if isinstance(node.layer, Conv))
    return sum(node.layer.macs(graph.input_of(node)) for node in convolutions)


def weight_count(graph: Graph) -> int:
    total = 0
    for node in graph.nodes:
        if isinstance(node.layer, Weighted):
            outputs, rows, columns, channels = node.layer.weight_shape(graph.input_of(node))
            total += outputs * rows * columns * channels
    return total


def bias_count(graph: Graph) -> int:
    return sum(
        graph.shapes[node.name].channels for node in graph.nodes if isinstance(node.layer, Weighted)
    )


def test_alexnet_has_the_published_counts() -> None:
    graph = architectures.alexnet()
    # Chen et al., Eyeriss, JSSC 52(1), 2017: 666 M MACs in the convolutions.
    assert conv_macs(graph) == 665_784_864
    assert graph.macs == 724_406_816
    # Krizhevsky et al., NIPS 2012: 60 million parameters.
    assert weight_count(graph) == 60_954_656
    assert weight_count(graph) + bias_count(graph) == 60_965_224


def test_vgg16_has_the_published_counts() -> None:
    graph = architectures.vgg16()
    # Chen et al., Eyeriss, JSSC 52(1), 2017: 15.3 G MACs in the convolutions.
    assert conv_macs(graph) == 15_346_630_656
    assert graph.macs == 15_470_264_320
    # Simonyan and Zisserman, ICLR 2015, table 2: 138 million parameters.
    assert weight_count(graph) == 138_344_128
    assert weight_count(graph) + bias_count(graph) == 138_357_544


def test_squeezenet_has_the_published_counts() -> None:
    graph = branching.squeezenet()
    # Iandola et al., SqueezeNet 1.1's page: 1,235,496 parameters.
    assert weight_count(graph) + bias_count(graph) == 1_235_496
    assert graph.macs == 349_151_936


def test_resnet18_has_the_published_counts() -> None:
    graph = branching.resnet18()
    # He et al., CVPR 2016, table 1: 1.8 G MACs. torchvision: 11,689,512 parameters, of which 9,600
    # are batch normalization's; folded, it is a bias for each of the 4,800 channels.
    assert weight_count(graph) + bias_count(graph) == 11_689_512 - 9_600 + 4_800
    assert graph.macs == 1_814_073_344


def test_googlenet_has_the_published_counts() -> None:
    graph = branching.googlenet()
    # Szegedy et al., CVPR 2015, section 5: 1.5 billion MACs; table 1: about 7 million parameters.
    assert graph.macs == 1_582_671_872
    assert weight_count(graph) + bias_count(graph) == 6_998_552
    assert graph.shapes["inception3a"] == Shape(28, 28, 256)
    assert graph.shapes["inception5b"] == Shape(7, 7, 1024)


def test_lenet5_has_its_counts() -> None:
    graph = architectures.lenet5()
    assert conv_macs(graph) == 28 * 28 * 6 * 25 + 10 * 10 * 16 * 150 + 120 * 400
    assert graph.macs == 416_520
    assert weight_count(graph) == 61_470
    assert graph.output_shape == Shape(1, 1, 10)


def test_digits_has_its_counts() -> None:
    graph = architectures.digits()
    assert graph.macs == 8 * 8 * 8 * 9 + 4 * 4 * 16 * 72 + 10 * 64
    assert weight_count(graph) == 72 + 1152 + 640
    assert graph.output_shape == Shape(1, 1, 10)
