"""Post-training quantization: close to the float network, in the widths asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.graph import INPUT, Graph
from pilaster.models.layers import Add, Concat, Conv, FullyConnected, Pool, Weighted, Window
from pilaster.models.network import Network
from pilaster.models.quantizer import FloatNetwork, QuantizerSettings, float_tensors, quantize
from pilaster.models.reference.network import tensors
from pilaster.models.shape import Padding, Shape
from tests.strategies import graphs, joined_graphs, seeds

Floats = NDArray[np.float64]

SHAPE = Shape(9, 10, 2)
LAYERS = {
    "conv1": Conv(6, Window((3, 3), padding=Padding.same(1)), relu=True),
    "pool1": Pool("max", Window((2, 2), (2, 2))),
    "conv2": Conv(8, Window((3, 2)), groups=2, relu=True),
    "pool2": Pool("average", Window((2, 2), padding=Padding(right=1))),
    "fc3": FullyConnected(5),
}


def float_network(graph: Graph, rng: np.random.Generator) -> FloatNetwork:
    weights, biases = {}, {}
    for node in graph.nodes:
        if isinstance(node.layer, Weighted):
            shape = node.layer.weight_shape(graph.input_of(node))
            weights[node.name] = rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape)
            biases[node.name] = rng.normal(0, 0.2, shape[0])
    return FloatNetwork(graph, weights, biases)


def images(graph: Graph, rng: np.random.Generator, count: int = 4) -> Floats:
    shape = graph.input_shape
    return rng.uniform(-0.5, 1.0, (count, shape.height, shape.width, shape.channels))


def example(seed: int = 3) -> tuple[FloatNetwork, Floats]:
    rng = np.random.default_rng(seed)
    graph = Graph.chain("small", SHAPE, LAYERS)
    return float_network(graph, rng), images(graph, rng)


def worst_error(network: Network, known: dict[str, Floats], name: str) -> float:
    """Largest error of a tensor in real units, as a fraction of its range."""
    found = dict(tensors(network, network.encode(known[INPUT])))[name]
    real = found * network.tensors[name].scale
    return float(np.abs(real - known[name]).max() / np.ptp(known[name]))


def test_eight_bits_are_close_to_the_float_network_in_every_layer() -> None:
    network, calibration = example()
    known = float_tensors(network, calibration)
    found = quantize(network, calibration, QuantizerSettings(), "test")
    for name in LAYERS:
        assert worst_error(found, known, name) < 0.03, name


def test_more_bits_are_closer_to_the_float_network() -> None:
    network, calibration = example()
    known = float_tensors(network, calibration)
    errors = [
        worst_error(
            quantize(network, calibration, QuantizerSettings(bits, bits), "test"), known, "fc3"
        )
        for bits in (4, 6, 8, 10, 12)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.002


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    graphs(max_layers=1, height=6, width=6).filter(
        lambda g: not g.nodes[0].layer.keeps_quantization
    ),
    seeds(),
    st.builds(QuantizerSettings, st.integers(2, 12), st.integers(1, 12), st.integers(4, 31)),
)
def test_one_layers_error_is_no_more_than_the_roundings_that_make_it(
    graph: Graph, seed: int, widths: QuantizerSettings
) -> None:
    rng = np.random.default_rng(seed)
    network, calibration = float_network(graph, rng), images(graph, rng)
    known = float_tensors(network, calibration)
    found = quantize(network, calibration, widths, "test")
    (node,) = graph.nodes
    name, weight = node.name, network.weights[node.name]
    source, target = found.tensors[INPUT], found.tensors[name]
    # Every input and every weight is off by at most half a step; so is the bias, in its own.
    top = (1 << (widths.weight_bits - 1)) - 1
    weight_step = np.abs(weight).max(axis=(1, 2, 3)) / top
    largest_input = np.abs(calibration).max() + source.scale / 2
    terms = weight[0].size
    sums = np.abs(weight).sum(axis=(1, 2, 3)) * source.scale / 2
    sums += terms * largest_input * weight_step / 2 + source.scale * weight_step / 2
    largest_sum = np.abs(known[name]).max(axis=(0, 1, 2)) + sums
    if node.layer.relu:  # type: ignore[union-attr]
        largest_sum = np.abs(weight).sum(axis=(1, 2, 3)) * largest_input
        largest_sum += np.abs(network.biases[name]) + sums
    scaling = largest_sum * 2.0**-widths.scale_bits
    bound = sums + scaling + target.scale * 1.01
    ((_, stream),) = tensors(found, found.encode(calibration))
    error = np.abs(stream * target.scale - known[name]).max(axis=(0, 1, 2))
    assert np.all(error <= bound)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(joined_graphs(), seeds(), st.integers(2, 12))
def test_a_join_is_off_by_no_more_than_its_roundings(graph: Graph, seed: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    network, calibration = float_network(graph, rng), images(graph, rng)
    found = quantize(network, calibration, QuantizerSettings(8, bits), "test")
    stream = {INPUT: found.encode(calibration), **dict(tensors(found, found.encode(calibration)))}
    for node in graph.nodes:
        sources = [stream[name] * found.tensors[name].scale for name in node.inputs]
        target = found.tensors[node.name]
        if isinstance(node.layer, Add):
            expected = sources[0] + sources[1]
        elif isinstance(node.layer, Concat):
            expected = np.concatenate(sources, axis=-1)
        else:
            continue
        low, high = target.stream_range
        expected = np.clip(expected / target.scale, low, high)
        assert np.abs(stream[node.name] - expected).max() < 0.51


def test_a_ceiling_bounds_the_activations() -> None:
    rng = np.random.default_rng(5)
    layers = {"conv": Conv(4, Window((3, 3)), relu=True, ceiling=0.5)}
    network = float_network(Graph.chain("small", SHAPE, layers), rng)
    calibration = images(network.graph, rng)
    assert float_tensors(network, calibration)["conv"].max() == 0.5
    found = quantize(network, calibration, QuantizerSettings(), "test")
    target = found.tensors["conv"]
    real = dict(tensors(found, found.encode(4 * calibration)))["conv"] * target.scale
    assert (real.min(), real.max()) == (0.0, pytest.approx(0.5))


@pytest.mark.parametrize("bits", range(1, 17))
def test_every_weight_width_keeps_its_range(bits: int) -> None:
    network, calibration = example()
    found = quantize(network, calibration, QuantizerSettings(weight_bits=bits), "test")
    top = max(1, (1 << (bits - 1)) - 1)
    for name, parameters in found.parameters.items():
        assert np.abs(parameters.weight).max() == top
        assert found.precisions[name].weight_bits == bits
    assert {node.name for node in found.graph.nodes} - set(found.parameters) == {"pool1", "pool2"}


@pytest.mark.parametrize("bits", range(1, 17))
def test_every_activation_width_keeps_its_range(bits: int) -> None:
    network, calibration = example()
    found = quantize(network, calibration, QuantizerSettings(activation_bits=bits), "test")
    for tensor in found.tensors.values():
        assert tensor.maximum - tensor.minimum == (1 << bits) - 1
    for name in ("conv1", "conv2"):
        assert found.tensors[name].stream_range == (0, (1 << bits) - 1)
    for name, values in tensors(found, found.encode(calibration)):
        low, high = found.tensors[name].stream_range
        assert low <= values.min()
        assert values.max() <= high


@pytest.mark.parametrize("bits", [1, 2, 8, 16, 31])
def test_scales_keep_to_their_bits(bits: int) -> None:
    network, calibration = example()
    found = quantize(network, calibration, QuantizerSettings(scale_bits=bits), "test")
    for name, parameters in found.parameters.items():
        assert parameters.scale_bits <= bits
        assert found.precisions[name].scale_bits == bits


def test_binary_weights_are_minus_one_or_plus_one() -> None:
    network, calibration = example()
    network.weights["conv1"][0, 0, 0, 0] = 0.0
    found = quantize(network, calibration, QuantizerSettings(weight_bits=1), "test")
    for name, parameters in found.parameters.items():
        expected = np.where(network.weights[name] < 0, -1, 1)
        np.testing.assert_array_equal(parameters.weight, expected)


def test_pruned_weights_stay_zero() -> None:
    network, calibration = example()
    network.weights["conv1"][:, :, 1] = 0.0
    found = quantize(network, calibration, QuantizerSettings(), "test")
    assert not found.parameters["conv1"].weight[:, :, 1].any()


def test_a_pool_keeps_the_quantization_of_what_it_reads() -> None:
    network, calibration = example()
    found = quantize(network, calibration, QuantizerSettings(), "test")
    assert found.tensors["pool1"] == found.tensors["conv1"]
    assert found.tensors["pool2"] == found.tensors["conv2"]


def test_zero_is_exact_in_every_tensor() -> None:
    network, calibration = example()
    found = quantize(network, calibration + 5.0, QuantizerSettings(), "test")
    assert found.tensors[INPUT].zero_point == found.tensors[INPUT].minimum
    np.testing.assert_array_equal(found.encode(np.zeros_like(calibration)), 0)


def test_sums_too_wide_for_32_bits_are_refused_in_one_line_that_names_the_layer() -> None:
    network, calibration = example()
    with pytest.raises(InputError, match="layer conv1: sums need more than 32 bits") as caught:
        quantize(network, calibration, QuantizerSettings(16, 16), "test")
    assert "\n" not in str(caught.value)


def test_the_same_input_gives_the_same_network() -> None:
    first, second = (quantize(*example(), QuantizerSettings(), "test") for _ in range(2))
    assert first.tensors == second.tensors
    assert first.precisions == second.precisions
    for name, parameters in first.parameters.items():
        for field in ("weight", "bias", "multiplier", "shift"):
            np.testing.assert_array_equal(
                getattr(parameters, field), getattr(second.parameters[name], field)
            )


@pytest.mark.parametrize("name", ["weight_bits", "activation_bits"])
@pytest.mark.parametrize("bits", [0, 17])
def test_widths_outside_1_to_16_are_refused(name: str, bits: int) -> None:
    with pytest.raises(InputError, match=f"{name} must be 1 to 16, not {bits}"):
        QuantizerSettings(**{name: bits})


@pytest.mark.parametrize("bits", [0, 32])
def test_scale_bits_outside_1_to_31_are_refused(bits: int) -> None:
    with pytest.raises(InputError, match=f"1 to 31, not {bits}"):
        quantize(*example(), QuantizerSettings(scale_bits=bits), "test")


def test_weights_of_another_shape_are_refused_by_layer() -> None:
    network, _ = example()
    weights = {**network.weights, "conv2": network.weights["conv2"][:, :1]}
    message = r"layer conv2: weights have the shape \(8, 1, 2, 3\), not \(8, 3, 2, 3\)"
    with pytest.raises(InputError, match=message):
        FloatNetwork(network.graph, weights, network.biases)
