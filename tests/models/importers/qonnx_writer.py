"""Test support: QONNX files of random networks."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from tests.models.importers.onnx_writer import INPUT, OnnxWriter

__all__ = ["DOMAIN", "QonnxWriter", "network", "saved"]

DOMAIN = "qonnx.custom_op.general"


class QonnxWriter(OnnxWriter):
    """Writes quantizers; weights are quantized a channel at a time."""

    def number(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def quant(self, source, scale, bits, *, signed=0, narrow=0, channels=0, **attributes):
        inputs = [source, self.constant(np.float32(scale)), self.number(0), self.number(bits)]
        found = {"signed": signed, "narrow": narrow, "rounding_mode": "ROUND", **attributes}
        return self.add("Quant", inputs, channels, domain=DOMAIN, **found)

    def activation(self, source, bits, scale, signed=0):
        return self.quant(source, scale, bits, signed=signed, channels=self.channels[source])

    def weight(self, shape, bits):
        real = self.reals(*shape)
        spread = (shape[0],) + (1,) * (len(shape) - 1)
        scale = self.rng.uniform(0.7, 1.3, spread) / max(1, (1 << (bits - 1)) - 1)
        if bits == 1:
            return self.add(
                "BipolarQuant", [real, self.constant(np.float32(scale))], 0, domain=DOMAIN
            )
        return self.quant(real, scale, bits, signed=1, narrow=1)

    def quantized_conv(self, source, outputs, kernel, bits, groups=1, **attributes):
        weight = self.weight((outputs, self.channels[source] // groups, *kernel), bits)
        inputs = [source, weight, self.reals(outputs)]
        return self.add("Conv", inputs, outputs, group=groups, **attributes)


def network(writer, weight_bits, activation_bits):
    """Write convolutions, a normalization with factors of both signs, a pool and a dense layer."""
    image = writer.activation(INPUT, 8, 2**-7 * 1.01, signed=1)
    first = writer.quantized_conv(image, 5, (3, 3), weight_bits, pads=[1, 1, 1, 1])
    factors = [writer.reals(5, low=-2.0, high=2.0), *(writer.reals(5, low=0.5) for _ in range(3))]
    normal = writer.add("BatchNormalization", [first, *factors], 5)
    reach = 4.03 / (1 << activation_bits)
    relu = writer.activation(writer.relu(normal), activation_bits, reach)
    pooled = writer.add("MaxPool", [relu], 5, kernel_shape=[2, 2], strides=[2, 2])
    second = writer.quantized_conv(pooled, 5, (3, 2), weight_bits, groups=5)
    deep = writer.activation(writer.relu(second), activation_bits, reach)
    flat = writer.add("Flatten", [deep], 10)
    if weight_bits == 1:
        return writer.add("MatMul", [flat, turned(writer, (3, 10), 1)], 3)
    return writer.add("Gemm", [flat, writer.weight((3, 10), weight_bits)], 3, transB=1)


def turned(writer, shape, bits):
    return writer.add("Transpose", [writer.weight(shape, bits)], 0, perm=[1, 0])


def saved(writer, output, path):
    model = writer.model(output)
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    onnx.save(model, path)
    return path
