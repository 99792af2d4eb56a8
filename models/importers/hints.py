"""How to export a model so that an operator that is not supported is not in it."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["hint"]

ACTIVATION = "train it with ReLU or ReLU6 in its place"
RECURRENT = "use convolutions over time in its place"
RESIZE = "end the network before it, and leave it to the host"
DILATION = "give the dilation to the convolution, as dilation_rate does in TensorFlow"
DYNAMIC = "quantize the model statically (quantize_static), not at run time"
SPLIT = "give each part a convolution of its own"
MAXIMUM = "use a max pool whose window is the whole map in its place"
FIXED = "export for a fixed input shape, so that nothing depends on sizes at run time"
NORMALIZATION = "use batch normalization in its place"

HINTS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("Celu", "Elu", "Erf", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish"),
            *("PRelu", "Selu", "Softplus", "Swish", "Tanh"),
            *("ELU", "GELU", "HARD_SWISH", "LEAKY_RELU", "PRELU", "RELU_N1_TO_1", "TANH"),
        ),
        ACTIVATION,
    ),
    **dict.fromkeys(
        (
            *("GRU", "LSTM", "RNN", "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN"),
            *("BIDIRECTIONAL_SEQUENCE_LSTM", "WHILE"),
        ),
        RECURRENT,
    ),
    **dict.fromkeys(
        (
            *("ConvTranspose", "DepthToSpace"),
            *("DEPTH_TO_SPACE", "RESIZE_BILINEAR", "TRANSPOSE_CONV"),
        ),
        RESIZE,
    ),
    **dict.fromkeys(("ConvInteger", "DynamicQuantizeLinear", "MatMulInteger"), DYNAMIC),
    **dict.fromkeys(
        ("Gather", "Slice", "Split", "SLICE", "SPLIT", "SPLIT_V", "STRIDED_SLICE"), SPLIT
    ),
    **dict.fromkeys(("GlobalMaxPool", "REDUCE_MAX", "ReduceMax"), MAXIMUM),
    **dict.fromkeys(("If", "Loop", "NonZero", "Scan", "IF"), FIXED),
    **dict.fromkeys(
        (
            *("GroupNormalization", "InstanceNormalization", "LRN", "LayerNormalization"),
            "LOCAL_RESPONSE_NORMALIZATION",
        ),
        NORMALIZATION,
    ),
    "BATCH_TO_SPACE_ND": DILATION,
    "SPACE_TO_BATCH_ND": DILATION,
}


def hint(kind: str) -> str:
    """Give what to do about an operator, to end a message with; empty where nothing is known."""
    if kind.startswith("CUSTOM"):
        return "; convert the model with built-in operators only (TFLITE_BUILTINS_INT8)"
    return f"; {HINTS[kind]}" if kind in HINTS else ""
