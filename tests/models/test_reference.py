"""The integer reference, whole and column by column, against the definition of each layer."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.graph import INPUT, Graph
from pilaster.models.joins import AddParameters, ConcatParameters, Scale
from pilaster.models.layers import Conv, Pool, Window
from pilaster.models.network import Network
from pilaster.models.quantization import (
    ConvParameters,
    Rounding,
    TensorQuantization,
    requantize,
)
from pilaster.models.reference.conv import conv, conv_accumulators
from pilaster.models.reference.join import join
from pilaster.models.reference.network import BATCH, classify, infer, infer_by_columns, tensors
from pilaster.models.reference.pool import pool
from pilaster.models.shape import Padding, Shape
from tests.strategies import (
    convolutions,
    graphs,
    inputs,
    joined_graphs,
    networks,
    pools,
    seeds,
    shapes,
)

thorough = settings(max_examples=100, deadline=None, derandomize=True)


def naive_accumulators(
    values: NDArray[np.integer], layer: Conv, parameters: ConvParameters
) -> NDArray[np.int64]:
    """Sums by the definition of a convolution: one product after the other."""
    count, height, width, channels = values.shape
    out = layer.output_shape(Shape(height, width, channels))
    (rows, columns), (step_v, step_h) = layer.window.kernel, layer.window.stride
    pad = layer.window.padding
    in_group, out_group = channels // layer.groups, layer.out_channels // layer.groups
    result = np.zeros((count, out.height, out.width, out.channels), np.int64)
    for r, q, o in np.ndindex(out.height, out.width, out.channels):
        result[:, r, q, o] = parameters.bias[o]
        first = (o // out_group) * in_group
        for j, k, c in np.ndindex(rows, columns, in_group):
            h, w = r * step_v + j - pad.top, q * step_h + k - pad.left
            if 0 <= h < height and 0 <= w < width:
                weight = int(parameters.weight[o, j, k, c])
                result[:, r, q, o] += weight * values[:, h, w, first + c].astype(np.int64)
    return result


def naive_pool(values: NDArray[np.integer], layer: Pool, zero_point: int) -> NDArray[np.int64]:
    """Pool by definition; an average that rounds away is of the raw integers."""
    count, height, width, channels = values.shape
    out = layer.output_shape(Shape(height, width, channels))
    (step_v, step_h), pad = layer.window.stride, layer.window.padding
    result = np.zeros((count, out.height, out.width, channels), np.int64)
    for n, r, q, c in np.ndindex(*result.shape):
        top, left = r * step_v - pad.top, q * step_h - pad.left
        rows = slice(max(0, top), top + layer.window.kernel[0])
        columns = slice(max(0, left), left + layer.window.kernel[1])
        window = [int(v) for v in values[n, rows, columns, c].ravel()]
        if layer.mode == "max":
            result[n, r, q, c] = max(window)
            continue
        if layer.rounding is not Rounding.AWAY:
            average = Fraction(sum(window), len(window))
            below, odd = average.numerator // average.denominator, layer.rounding is Rounding.ODD
            half = average - below == Fraction(1, 2)
            result[n, r, q, c] = below + (below % 2 != odd if half else average - below > 0.5)
            continue
        total = sum(window) + len(window) * zero_point
        sign = -1 if total < 0 else 1
        quotient = sign * ((2 * abs(total) + len(window)) // (2 * len(window)))
        result[n, r, q, c] = quotient - zero_point
    return result


@st.composite
def convolution_networks(draw: st.DrawFn) -> Network:
    """Draw a network of one convolution."""
    shape = draw(shapes(height=7, width=7))
    layer = draw(convolutions(shape))
    return draw(networks(st.just(Graph.chain("random", shape, {"conv": layer}))))


@thorough
@given(st.data())
def test_a_convolution_equals_its_definition(data: st.DataObject) -> None:
    network = data.draw(convolution_networks())
    values = data.draw(inputs(network))
    (node,) = network.graph.nodes
    assert isinstance(node.layer, Conv)
    parameters, output = network.parameters[node.name], network.tensors[node.name]
    magnitude = network.tensors[INPUT].magnitude
    expected = naive_accumulators(values, node.layer, parameters)
    found = conv_accumulators(values, node.layer, parameters, magnitude)
    np.testing.assert_array_equal(found, expected)
    scaled = requantize(expected, parameters.multiplier, parameters.shift, parameters.rounding)
    np.testing.assert_array_equal(
        conv(values, node.layer, parameters, output, magnitude),
        np.clip(scaled, *output.stream_range),
    )


@thorough
@given(st.data())
def test_a_pool_equals_its_definition(data: st.DataObject) -> None:
    shape = data.draw(shapes(height=8, width=8))
    layer = data.draw(pools(shape))
    tensor = TensorQuantization(1.0, data.draw(st.integers(-128, 127)), -128, 127)
    rng = np.random.default_rng(data.draw(seeds()))
    size = (2, shape.height, shape.width, shape.channels)
    values = rng.integers(*tensor.stream_range, size, np.int32, endpoint=True)
    expected = naive_pool(values, layer, tensor.zero_point)
    np.testing.assert_array_equal(pool(values, layer, tensor), expected)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(st.data())
def test_column_by_column_equals_the_whole_for_every_layer(data: st.DataObject) -> None:
    network = data.draw(networks())
    values = data.draw(inputs(network))
    by_columns = infer_by_columns(network, values)
    whole = dict(tensors(network, values))
    assert list(by_columns) == list(whole)
    for name, tensor in whole.items():
        np.testing.assert_array_equal(by_columns[name], tensor, err_msg=name)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_column_by_column_equals_the_whole_where_tensors_fork_and_join(data: st.DataObject) -> None:
    network = data.draw(networks(joined_graphs()))
    values = data.draw(inputs(network))
    by_columns = infer_by_columns(network, values)
    whole = dict(tensors(network, values))
    assert list(by_columns) == list(whole)
    for name, tensor in whole.items():
        np.testing.assert_array_equal(by_columns[name], tensor, err_msg=name)


@thorough
@given(st.data())
def test_a_part_of_a_graph_computes_what_the_whole_does(data: st.DataObject) -> None:
    network = data.draw(networks(joined_graphs()))
    values = data.draw(inputs(network))
    layer = data.draw(st.sampled_from([node.name for node in network.graph.nodes]))
    part = network.until(layer)
    assert part.graph.outputs == (layer,)
    np.testing.assert_array_equal(infer(part, values), dict(tensors(network, values))[layer])


@thorough
@given(st.data())
def test_every_value_stays_in_its_tensors_stream_range(data: st.DataObject) -> None:
    network = data.draw(networks())
    for name, tensor in tensors(network, data.draw(inputs(network))):
        low, high = network.tensors[name].stream_range
        shape = network.graph.shapes[name]
        assert low <= tensor.min()
        assert tensor.max() <= high
        assert tensor.shape[1:] == (shape.height, shape.width, shape.channels)


@thorough
@given(st.data())
def test_single_and_double_precision_give_the_same_sums(data: st.DataObject) -> None:
    network = data.draw(convolution_networks())
    values = data.draw(inputs(network))
    (node,) = network.graph.nodes
    assert isinstance(node.layer, Conv)
    parameters = network.parameters[node.name]
    single = conv_accumulators(values, node.layer, parameters, network.tensors[INPUT].magnitude)
    double = conv_accumulators(values, node.layer, parameters, 1 << 30)
    np.testing.assert_array_equal(single, double)


def test_sums_beyond_single_precision_are_exact() -> None:
    rng = np.random.default_rng(7)
    layer = Conv(3, Window((3, 3), padding=Padding.same(1)))
    weight = rng.integers(-32767, 32768, (3, 3, 3, 5))
    bias = rng.integers(-(1 << 30), 1 << 30, 3)
    parameters = ConvParameters(weight, bias, np.full(3, 1 << 30), np.full(3, -28))
    values = rng.integers(-32768, 32768, (2, 6, 7, 5), np.int32)
    found = conv_accumulators(values, layer, parameters, 32768)
    np.testing.assert_array_equal(found, naive_accumulators(values, layer, parameters))


@pytest.mark.parametrize("bound", [(1 << 24) - 1, 1 << 24, (1 << 24) + 1])
def test_sums_at_the_edge_of_single_precision_are_exact(bound: int) -> None:
    # 2**24 + 1 is the first integer that single precision cannot hold.
    layer = Conv(1, Window((1, 3)))
    weight = np.array([bound - 3, 2, 1]).reshape(1, 1, 3, 1)
    zero = np.zeros(1, np.int64)
    parameters = ConvParameters(weight, zero, zero, zero)
    assert parameters.accumulator_bound(1) == bound
    for signs in ([1, 1, 1], [-1, -1, -1], [1, -1, 1]):
        values = np.array(signs, np.int32).reshape(1, 1, 3, 1)
        found = conv_accumulators(values, layer, parameters, 1)
        np.testing.assert_array_equal(found, naive_accumulators(values, layer, parameters))


def test_large_maps_worked_on_block_by_block_equal_their_definition() -> None:
    rng = np.random.default_rng(11)
    layer = Conv(2, Window((5, 4), (1, 2), Padding(2, 1, 3, 0)))
    weight = rng.integers(-127, 128, (2, 5, 4, 8))
    zero = np.zeros(2, np.int64)
    parameters = ConvParameters(weight, zero + 9, zero + (1 << 30), zero - 8)
    values = rng.integers(-128, 128, (3, 70, 90, 8), np.int32)
    found = conv_accumulators(values, layer, parameters, 128)
    source = np.pad(values, ((0, 0), (2, 1), (3, 0), (0, 0)))
    expected = np.full((3, *layer.window.output_extents(Shape(70, 90, 8)), 2), 9)
    for j, k in np.ndindex(5, 4):
        part = source[:, j : j + expected.shape[1], k : k + 2 * expected.shape[2] - 1 : 2]
        expected += np.einsum("nrqc,oc->nrqo", part, weight[:, j, k])
    np.testing.assert_array_equal(found, expected)


def rounded_twice(value: int, scale: Scale) -> int:
    """Scale by definition, for scales of at most one: halves up at 31 places, then away."""
    fixed = (value * scale.multiplier + (1 << 30)) >> 31
    places = -scale.shift
    half = 1 << places >> 1
    return (fixed + half) >> places if fixed >= 0 else -((-fixed + half) >> places)


@thorough
@given(st.data())
def test_a_sum_equals_tensorflow_lites_rule(data: st.DataObject) -> None:
    scales = st.floats(1e-3, 1.0)
    first, second, target = (
        TensorQuantization(data.draw(scales), data.draw(st.integers(-128, 127)), -128, 127)
        for _ in range(3)
    )
    parameters = AddParameters.between((first, second), target)
    if parameters.output.shift > 0:
        return
    rng = np.random.default_rng(data.draw(seeds()))
    a, b = (rng.integers(*t.stream_range, (1, 2, 3, 4), endpoint=True) for t in (first, second))
    found = join([a, b], parameters, target)
    low, high = target.stream_range
    for place in np.ndindex(a.shape):
        scaled = [
            rounded_twice(int(x[place]) << 20, scale)
            for x, scale in zip((a, b), parameters.inputs, strict=True)
        ]
        assert found[place] == min(max(rounded_twice(sum(scaled), parameters.output), low), high)
        real = first.scale * a[place] + second.scale * b[place]
        assert abs(found[place] - np.clip(real / target.scale, low, high)) < 0.501


@thorough
@given(st.data())
def test_a_concatenation_brings_each_input_to_the_outputs_scale(data: st.DataObject) -> None:
    sources = [
        TensorQuantization(
            data.draw(st.floats(1e-2, 1.0)), data.draw(st.integers(-128, 127)), -128, 127
        )
        for _ in range(data.draw(st.integers(1, 3)))
    ]
    target = data.draw(st.sampled_from([*sources, TensorQuantization(0.1, 3, -128, 127)]))
    parameters = ConcatParameters.between(tuple(sources), target)
    rng = np.random.default_rng(data.draw(seeds()))
    values = [rng.integers(*t.stream_range, (1, 2, 3, 2), endpoint=True) for t in sources]
    parts = np.split(join(values, parameters, target), len(values), axis=-1)
    for value, source, part, scale in zip(values, sources, parts, parameters.inputs, strict=True):
        assert scale.is_one or source.scale != target.scale
        real = np.clip(value * source.scale / target.scale, *target.stream_range)
        assert np.abs(part - real).max() < 0.501
        if source == target:
            np.testing.assert_array_equal(part, value)


def test_the_inputs_of_a_sum_are_scaled_by_one_at_most() -> None:
    half, two = Scale.of(0.5, 31), Scale.of(2.0, 31)
    with pytest.raises(InputError, match="must be scaled by one at most"):
        AddParameters(20, (half, two), half)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.data())
def test_batches_do_not_change_the_output(data: st.DataObject) -> None:
    network = data.draw(networks(graphs(max_layers=3, height=5, width=5)))
    few = data.draw(inputs(network))
    values = np.concatenate([few] * (BATCH // len(few) + 1))
    found = infer(network, values)
    *_, (_, last) = tensors(network, few)
    np.testing.assert_array_equal(found, np.resize(last, found.shape))


def test_the_first_of_equal_outputs_is_the_class() -> None:
    output = np.array([[3, 7, 7], [-5, -5, -9]], np.int32).reshape(2, 1, 1, 3)
    np.testing.assert_array_equal(classify(output), [1, 0])
