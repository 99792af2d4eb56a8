"""QONNX files: every layer's integers are those of QONNX' own executor."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from qonnx.custom_op.general.bipolar_quant import binary_quant
from qonnx.custom_op.general.intquant import int_quant

from pilaster.base.errors import InputError
from pilaster.models.graph import INPUT as SOURCE
from pilaster.models.importers import import_network
from pilaster.models.importers.onnx import build
from pilaster.models.importers.onnx_integers import integer_network
from pilaster.models.layers import Pool
from pilaster.rtl.verification.verify import verify
from pilaster.sim.default import default_machine
from tests.models.importers.onnx_writer import INPUT
from tests.models.importers.qonnx_writer import DOMAIN, QonnxWriter, network, saved
from tests.models.importers.test_onnx import as_stream, computed


class Quant(OpRun):
    """QONNX' own arithmetic, for ONNX' reference evaluator."""

    op_domain = DOMAIN

    def _run(self, x, scale, zero, bits, signed=1, narrow=1, rounding_mode="ROUND"):
        return (int_quant(x, scale, zero, bits, signed, narrow, rounding_mode).astype(x.dtype),)


class BipolarQuant(OpRun):
    """QONNX' own arithmetic, for ONNX' reference evaluator."""

    op_domain = DOMAIN

    def _run(self, x, scale):
        return (binary_quant(x, scale).astype(x.dtype),)


def executed(path, images, names):
    """Give tensors of a file by name, as ONNX' and QONNX' own arithmetic computes them."""
    model = onnx.load(path)
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in known)
    evaluator = ReferenceEvaluator(model, new_ops=[Quant, BipolarQuant])
    return dict(
        zip(names, evaluator.run(names, {INPUT: images.transpose(0, 3, 1, 2)}), strict=True)
    )


WIDTHS = [(8, 8), (4, 4), (3, 6), (2, 5), (1, 4), (1, 1)]


@pytest.mark.parametrize(("weight_bits", "activation_bits"), WIDTHS)
def test_every_layer_is_what_qonnx_computes(weight_bits, activation_bits, tmp_path):
    writer = QonnxWriter((2, 6, 7), weight_bits * 20 + activation_bits)
    output = network(writer, weight_bits, activation_bits)
    path = saved(writer, output, tmp_path / "few_bits.onnx")
    found = import_network(path)
    images = writer.images(20)
    graph = build(path)
    held = integer_network(graph, "", "").held
    assert {p.weight_bits for p in found.precisions.values()} == {weight_bits}
    makers = {
        held[graph.values[n.outputs[0]].name]: n.outputs[0]
        for n in graph.model.nodes
        if n.kind == "Quant" and n.outputs[0] in graph.values
    }
    theirs = executed(path, images, [*makers.values(), output])
    assert len(makers) == 3, "the image and two convolutions"
    values = {
        name: as_stream(np.rint(theirs[made] / found.tensors[name].scale), found, name)
        for name, made in makers.items()
    }
    np.testing.assert_array_equal(values[SOURCE], found.encode(images))
    differing = total = 0
    for node in found.graph.nodes:
        ours = computed(found, node.name, values)
        if isinstance(node.layer, Pool):
            values[node.name] = ours
            continue
        if node.name in values:
            distance = np.abs(ours - values[node.name])
        else:  # the last layer: real sums, in units of its scale
            real = theirs[output].reshape(ours.shape) / found.tensors[node.name].scale
            distance = np.abs(ours - real) > 0.51
        assert distance.max() <= 1
        differing += int((distance > 0).sum())
        total += distance.size
    # A bias is rounded to units of a sum, which are coarse where there are few bits.
    print(f"{weight_bits}:{activation_bits}: {differing} of {total} activations differ by one")
    assert differing <= total / 50


@pytest.mark.parametrize(
    ("weight_bits", "activation_bits"),
    [
        widths if widths == (1, 4) else pytest.param(*widths, marks=pytest.mark.slow)
        for widths in WIDTHS
    ],
)
def test_the_rtl_is_the_model(weight_bits, activation_bits, tmp_path):
    writer = QonnxWriter((2, 6, 7), 1)
    path = saved(writer, network(writer, weight_bits, activation_bits), tmp_path / "few_bits.onnx")
    found = import_network(path)
    verdict = verify(found, default_machine(found, 30), writer.images(2), optimize=False)
    assert verdict.equal, verdict


def test_a_factor_of_zero_and_a_negative_one_stay_with_the_integers(tmp_path):
    writer = QonnxWriter((2, 6, 7), 3)
    first = writer.quantized_conv(writer.activation(INPUT, 8, 0.01, signed=1), 3, (3, 3), 4)
    factors = np.array([-2.0, 0.0, 1.0], np.float32)
    ones, zeros = np.ones(3, np.float32), np.zeros(3, np.float32)
    inputs = [writer.constant(values) for values in (factors, zeros, zeros, ones)]
    normal = writer.add("BatchNormalization", [first, *inputs], 3, epsilon=0.0)
    path = saved(writer, writer.activation(normal, 6, 0.1, signed=1), tmp_path / "normal.onnx")
    before, after = build(path).constants["t1"].integers, import_network(path).parameters["n2"]
    expected = before.transpose(0, 2, 3, 1) * np.array([-1, 0, 1])[:, None, None, None]
    np.testing.assert_array_equal(after.weight, expected)


REFUSED = {
    "one-bit activations": (
        lambda w: w.add("BipolarQuant", [INPUT, w.number(1.0)], 2, domain=DOMAIN),
        r"node n0 \(BipolarQuant\): gives an activation the values -1 and \+1; only weights may",
    ),
    "one signed bit": (
        lambda w: w.activation(INPUT, 1, 1.0, signed=1),
        r"node n0 \(Quant\): gives an activation the values -1 and \+1",
    ),
    "too many bits": (
        lambda w: w.activation(INPUT, 17, 1.0),
        r"node n0 \(Quant\): quantizes to 17.* bits, must be one number from 1 to 16",
    ),
    "a scale for every channel of an activation": (
        lambda w: w.quant(INPUT, np.ones((1, 2, 1, 1)), 8, channels=2),
        r"node n0 \(Quant\): has 2 scales for an activation, must have one",
    ),
    "an activation rounded down": (
        lambda w: w.quant(INPUT, 1.0, 8, channels=2, rounding_mode="FLOOR"),
        r"rounding_mode FLOOR: an activation's must be ROUND",
    ),
    "a negative scale": (
        lambda w: w.activation(INPUT, 8, -1.0),
        r"has a scale that is not positive",
    ),
    "an operator of QONNX that is not supported": (
        lambda w: w.add("Trunc", [INPUT], 2, domain=DOMAIN),
        r"node n0 \(Trunc\): is not supported; supported are .*Quant",
    ),
    "an image that is not quantized": (
        lambda w: w.activation(w.quantized_conv(INPUT, 2, (3, 3), 4), 4, 0.1),
        r"input is not quantized: there is no QuantizeLinear and no Quant behind it",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name, tmp_path):
    write, message = REFUSED[name]
    writer = QonnxWriter((2, 6, 7), 1)
    path = saved(writer, write(writer), tmp_path / "bad.onnx")
    with pytest.raises(InputError, match=message):
        import_network(path)
