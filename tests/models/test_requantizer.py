"""A quantized network at other widths stands for the same reals."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

import pilaster as pl
from pilaster.base.errors import InputError
from pilaster.data import images_for
from pilaster.models.graph import INPUT
from pilaster.models.quantization import TensorQuantization
from pilaster.models.quantizer import QuantizerSettings, float_tensors
from pilaster.models.reference.network import classify, infer
from pilaster.models.requantizer import dequantized, requantized
from tests.strategies import graphs, networks, stream_values


@settings(max_examples=40, deadline=None)
@given(networks(graphs(1)))
def test_the_reals_of_a_network_are_what_its_integers_compute(network):
    """But for the roundings of a layer, and its bounds."""
    tensor = network.tensors[INPUT]
    stream = stream_values(np.random.default_rng(1), tensor, 2, network.graph.input_shape)
    name = network.graph.nodes[0].name
    floats = float_tensors(dequantized(network), stream * tensor.scale)[name]
    target = network.tensors[name]
    bounded = np.clip(floats / target.scale, *target.stream_range)
    assert np.abs(bounded - infer(network, stream)).max() <= 1


@pytest.mark.parametrize("name", ["digits", "lenet5"])
def test_the_same_widths_give_nearly_the_same_network(name):
    network, again = pl.load(name), pl.load(name, bits=8)
    for layer, found in again.parameters.items():
        before = network.parameters[layer]
        assert np.abs(found.weight.astype(int) - before.weight).max() <= 1
    assert again.precisions == network.precisions
    assert "quantized anew to 8-bit weights and 8-bit activations" in again.note


@pytest.mark.parametrize(("bits", "least"), [((4, 8), 0.95), (5, 0.95), (8, 0.97)])
def test_the_digits_stay_readable_with_fewer_bits(bits, least):
    network = pl.load("digits", bits=bits)
    weight_bits = bits if isinstance(bits, int) else bits[0]
    assert {p.weight_bits for p in network.precisions.values()} == {weight_bits}
    digits = images_for(network, None, 600)
    right = classify(infer(network, network.encode(digits.images))) == digits.labels
    assert right.mean() >= least


def test_made_up_weights_take_other_widths():
    network = pl.load("alexnet", bits=(3, 5))
    assert {p.weight_bits for p in network.precisions.values()} == {3}
    assert network.tensors[INPUT].bits == 5


@pytest.mark.parametrize("images", [None, np.zeros((0, 8, 8, 1), np.uint8)])
def test_images_are_needed(images):
    with pytest.raises(InputError, match="other widths need images"):
        requantized(pl.load("digits"), images, QuantizerSettings(4, 4))


@pytest.mark.parametrize("bits", [0, 17, (8, 0)])
def test_widths_out_of_range_are_refused(bits):
    with pytest.raises(InputError, match="must be 1 to 16"):
        pl.load("digits", bits=bits)


@pytest.mark.parametrize("bounds", [(-20, 127), (-20, 0)])
def test_a_range_that_ends_at_zero_is_kept_though_no_layer_says_relu(bounds):
    """As onnxruntime's quantizer writes it: a ReLU that the range does already is left out."""
    network = pl.load("digits")
    name = network.graph.nodes[0].name
    tensor = TensorQuantization(0.1, -20, *bounds)
    first, *others = network.graph.nodes
    plain = replace(first, layer=replace(first.layer, relu=False))
    graph = replace(network.graph, nodes=(plain, *others))
    network = replace(network, graph=graph, tensors={**network.tensors, name: tensor})
    images = np.random.default_rng(1).integers(0, 256, (9, 8, 8, 1), np.uint8)
    reals = network.encode(images) * network.tensors[INPUT].scale
    found = float_tensors(dequantized(network), reals)[name]
    low, high = tensor.real_range
    assert (found.min(), low) == (0.0, 0.0)
    assert found.max() <= high
