"""Shapes of three networks of the MLPerf Tiny benchmark (Banbury et al., NeurIPS 2021)."""

from __future__ import annotations

from pilaster.models.graph import Graph
from pilaster.models.shape import Shape
from pilaster.models.zoo.builder import Builder

__all__ = ["dscnn", "mobilenet_v1_025", "resnet8"]

CONVOLUTION = (3, 3)


def resnet8() -> Graph:
    """ResNet-8 for CIFAR-10: three residual blocks (He et al., CVPR 2016, made small)."""
    build = Builder("resnet8", Shape(32, 32, 3))
    last = build.conv("conv1", 16, CONVOLUTION)
    for block, (channels, stride) in enumerate([(16, 1), (32, 2), (64, 2)], 2):
        build.conv(f"conv{block}a", channels, CONVOLUTION, stride, source=last)
        arm = build.conv(f"conv{block}b", channels, CONVOLUTION, relu=False)
        if stride > 1:
            last = build.conv(f"short{block}", channels, stride=stride, source=last, relu=False)
        last = build.add(f"add{block}", last, arm)
    build.global_average("pool")
    build.dense("fc", 10)
    return build.graph()


def dscnn() -> Graph:
    """DS-CNN for 12 keywords (Zhang et al., arXiv 1711.07128, small): 49 frames of 10 features.

    As the benchmark stores it, frames are rows; `read_along` its height to have them as columns.
    """
    build = Builder("dscnn", Shape(49, 10, 1))
    build.conv("conv1", 64, (10, 4), 2)
    for block in range(2, 6):
        build.conv(f"depthwise{block}", 64, CONVOLUTION, depthwise=True)
        build.conv(f"conv{block}", 64)
    build.global_average("pool")
    build.dense("fc", 12)
    return build.graph()


def mobilenet_v1_025() -> Graph:
    """MobileNet-v1, a quarter of the width (Howard et al., arXiv 1704.04861), for 96x96 images."""
    build = Builder("mobilenet_v1_025", Shape(96, 96, 3))
    build.conv("conv1", 8, CONVOLUTION, 2)
    sizes = [16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256]
    channels = 8
    for block, wider in enumerate(sizes, 2):
        stride = 2 if block in (3, 5, 7, 13) else 1
        build.conv(f"depthwise{block}", channels, CONVOLUTION, stride, depthwise=True)
        build.conv(f"conv{block}", wider)
        channels = wider
    build.global_average("pool")
    build.dense("fc", 2)
    return build.graph()
