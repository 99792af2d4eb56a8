"""Test support: .onnx files of random networks, an operator a call, and their quantized forms."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

__all__ = ["INPUT", "OnnxWriter", "quantized", "run"]

INPUT = "image"
OPSET = 17


@dataclass
class OnnxWriter:
    """A graph that grows; every method adds an operator, and names its result.

    shape : (channels, rows, columns)
    """

    shape: tuple[int, int, int]
    seed: int
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    channels: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.channels[INPUT] = self.shape[0]

    def constant(self, values: NDArray[Any]) -> str:
        """Add an initializer."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def reals(self, *shape: int, low: float = -1.0, high: float = 1.0) -> str:
        """Add an initializer of random numbers."""
        return self.constant(self.rng.uniform(low, high, shape).astype(np.float32))

    def add(self, kind: str, inputs: list[str], channels: int, **attributes: Any) -> str:
        """Add any operator."""
        name = f"t{len(self.nodes)}"
        node = helper.make_node(kind, inputs, [name], name=f"n{len(self.nodes)}", **attributes)
        self.nodes.append(node)
        self.channels[name] = channels
        return name

    def conv(
        self, source: str, outputs: int, kernel: tuple[int, int], groups: int = 1, **attributes: Any
    ) -> str:
        """Conv with a bias."""
        shape = (outputs, self.channels[source] // groups, *kernel)
        reach = 1.5 / np.sqrt(np.prod(shape[1:]))
        weight = self.reals(*shape, low=-reach, high=reach)
        inputs = [source, weight, self.reals(outputs)]
        return self.add("Conv", inputs, outputs, group=groups, **attributes)

    def batch_norm(self, source: str) -> str:
        """BatchNormalization."""
        count = self.channels[source]
        inputs = [self.reals(count, low=0.5, high=1.5) for _ in range(4)]
        return self.add("BatchNormalization", [source, *inputs], count)

    def relu(self, source: str) -> str:
        """Relu."""
        return self.add("Relu", [source], self.channels[source])

    def clip(self, source: str, high: float) -> str:
        """Clip from zero."""
        limits = [self.constant(np.array(v, np.float32)) for v in (0.0, high)]
        return self.add("Clip", [source, *limits], self.channels[source])

    def dense(self, source: str, inputs: int, outputs: int) -> str:
        """Flatten and Gemm."""
        flat = self.add("Flatten", [source], inputs)
        reach = 1.5 / np.sqrt(inputs)
        weight = self.reals(outputs, inputs, low=-reach, high=reach)
        return self.add("Gemm", [flat, weight, self.reals(outputs)], outputs, transB=1)

    def model(self, output: str | None = None) -> Any:
        """Give the model, with the last operator's result, or `output`, as its output."""
        name = output or self.nodes[-1].output[0]
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", *self.shape])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)],
            self.constants,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        made.ir_version = 9
        return made

    def images(self, count: int) -> NDArray[np.float32]:
        """Give random images (N, rows, columns, channels)."""
        channels, rows, columns = self.shape
        images: NDArray[np.float32] = self.rng.uniform(-1, 1, (count, rows, columns, channels))
        return images.astype(np.float32)


def run(model: Any, images: NDArray[Any], names: list[str]) -> dict[str, NDArray[Any]]:
    """Run a model on images (N, rows, columns, channels); give tensors by name."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {output.name for output in copy.graph.output}
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        copy.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    found = session.run(names, {session.get_inputs()[0].name: images.transpose(0, 3, 1, 2)})
    return dict(zip(names, found, strict=True))


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, images: NDArray[Any]) -> None:
        self._left = [{INPUT: image[np.newaxis].transpose(0, 3, 1, 2)} for image in images]

    def get_next(self) -> Any:
        return self._left.pop() if self._left else None


def quantized(
    model: Any, images: NDArray[Any], folder: Path, *, qdq: bool, per_channel: bool, unsigned: bool
) -> Any:
    """Quantize a model with ONNX Runtime's quantizer, batch normalization folded before.

    qdq : whether with QuantizeLinear and DequantizeLinear, else with QLinear operators
    """
    logging.getLogger().setLevel(logging.ERROR)
    source, target = folder / "float.onnx", folder / "quantized.onnx"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(source)
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    quantize_static(
        source,
        target,
        _Reader(images),
        quant_format=QuantFormat.QDQ if qdq else QuantFormat.QOperator,
        per_channel=per_channel,
        activation_type=QuantType.QUInt8 if unsigned else QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )
    return onnx.load(target)
