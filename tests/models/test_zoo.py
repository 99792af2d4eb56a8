"""Laws: a network of the zoo loads whole, always the same, and says where its weights are from."""

from __future__ import annotations

import numpy as np
import pytest

from pilaster.base.errors import InputError
from pilaster.models.graph import INPUT
from pilaster.models.layers import Pool, Weighted
from pilaster.models.quantization import MULTIPLIER_BITS
from pilaster.models.zoo import ZOO, architectures
from pilaster.models.zoo.synthetic import synthetic
from pilaster.models.zoo.trained import read_network, write_network

TRAINED = [name for name, entry in ZOO.items() if entry.trained]
SEEDED = [name for name, entry in ZOO.items() if not entry.trained]


@pytest.mark.parametrize("name", ZOO)
def test_a_network_has_its_key_for_a_name(name: str) -> None:
    network = ZOO[name].load()
    assert network.name == name
    assert network.graph == ZOO[name].build()
    assert ZOO[name].title
    assert network.note


@pytest.mark.parametrize("name", ZOO)
def test_every_layer_with_weights_has_parameters_and_a_precision(name: str) -> None:
    network = ZOO[name].load()
    layers = [n.name for n in network.graph.nodes if isinstance(n.layer, Weighted)]
    assert list(network.parameters) == layers
    assert list(network.precisions) == layers
    assert set(network.tensors) == {INPUT, *(node.name for node in network.graph.nodes)}


@pytest.mark.parametrize("name", TRAINED)
def test_trained_parameters_fit_their_layers_and_widths(name: str) -> None:
    network = ZOO[name].load()
    assert "trained" in network.note
    for node in network.graph.nodes:
        if isinstance(node.layer, Pool):
            continue
        parameters, precision = network.parameters[node.name], network.precisions[node.name]
        shape = node.layer.weight_shape(network.graph.input_of(node))
        assert parameters.weight.shape == shape
        for array in (parameters.bias, parameters.multiplier, parameters.shift):
            assert array.shape == (shape[0],)
        assert np.abs(parameters.weight.astype(int)).max() < 1 << (precision.weight_bits - 1)
        # A multiplier is a fraction of 31 bits, of which the lowest are zero.
        assert 0 < parameters.multiplier.max() < 1 << MULTIPLIER_BITS
        assert not (parameters.multiplier % (1 << (MULTIPLIER_BITS - precision.scale_bits))).any()


@pytest.mark.parametrize("name", TRAINED)
def test_a_trained_network_reads_back_as_it_was_written(name: str, tmp_path) -> None:
    network = ZOO[name].load()
    write_network(network, tmp_path / "written.npz")
    again = read_network(network.graph, tmp_path / "written.npz")
    assert again.tensors == network.tensors
    assert dict(again.precisions) == dict(network.precisions)
    assert again.note == network.note
    for layer, parameters in network.parameters.items():
        for field, array in vars(parameters).items():
            np.testing.assert_array_equal(getattr(again.parameters[layer], field), array)


@pytest.mark.parametrize("name", SEEDED)
def test_seeded_weights_are_said_to_be_so_and_are_never_zero(name: str) -> None:
    network = ZOO[name].load()
    assert network.dense
    assert "synthetic" in network.note
    first = network.graph.nodes[0].name
    weight = network.parameters[first].weight
    assert (weight != 0).all()
    assert np.abs(weight.astype(int)).max() <= 127
    np.testing.assert_array_equal(weight, network.parameters[first].weight)


def test_seeds_differ() -> None:
    graph = architectures.lenet5()
    one, other, same = synthetic(graph, 1), synthetic(graph, 2), synthetic(graph, 1)
    assert (one.parameters["conv1"].weight != other.parameters["conv1"].weight).any()
    assert (one.parameters["conv1"].weight == same.parameters["conv1"].weight).all()
    with pytest.raises(InputError, match="seed"):
        synthetic(graph, -1)


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_synthetic_weights_have_the_width_asked_for(bits: int) -> None:
    network = synthetic(architectures.digits(), weight_bits=bits, activation_bits=bits)
    largest = (1 << (bits - 1)) - 1
    assert network.tensors[INPUT].bits == bits
    for name, precision in network.precisions.items():
        weight = network.parameters[name].weight
        assert precision.weight_bits == bits
        assert (weight != 0).all()
        assert np.abs(weight.astype(np.int64)).max() <= largest
        assert np.abs(weight.astype(np.int64)).max() > largest * 0.9


@pytest.mark.parametrize("bits", [1, 17])
@pytest.mark.parametrize("name", ["weight_bits", "activation_bits"])
def test_a_synthetic_width_out_of_range_is_refused(name: str, bits: int) -> None:
    with pytest.raises(InputError, match=f"{name}: must be from 2 to 16, not {bits}"):
        synthetic(architectures.digits(), **{name: bits})
