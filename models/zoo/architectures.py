"""Shapes of the zoo's networks."""

from __future__ import annotations

from pilaster.models.graph import Graph
from pilaster.models.layers import Conv, FullyConnected, Layer, Pool, Window
from pilaster.models.shape import Padding, Shape

__all__ = ["alexnet", "digits", "lenet5", "vgg16"]


def lenet5() -> Graph:
    """LeNet-5 (LeCun et al., Proc. IEEE 86(11), 1998), with max pooling and ReLU."""
    pool = Pool("max", Window((2, 2), (2, 2)))
    return Graph.chain(
        "lenet5",
        Shape(32, 32, 1),
        {
            "conv1": Conv(6, Window((5, 5)), relu=True),
            "pool1": pool,
            "conv2": Conv(16, Window((5, 5)), relu=True),
            "pool2": pool,
            "conv3": Conv(120, Window((5, 5)), relu=True),
            "fc4": FullyConnected(84, relu=True),
            "fc5": FullyConnected(10),
        },
    )


def digits() -> Graph:
    """Build a network for 8x8 digits, small enough for an iCE40 UP5K."""
    pool = Pool("max", Window((2, 2), (2, 2)))
    same = Window((3, 3), padding=Padding.same(1))
    return Graph.chain(
        "digits",
        Shape(8, 8, 1),
        {
            "conv1": Conv(8, same, relu=True),
            "pool1": pool,
            "conv2": Conv(16, same, relu=True),
            "pool2": pool,
            "fc3": FullyConnected(10),
        },
    )


def alexnet() -> Graph:
    """AlexNet (Krizhevsky et al., NIPS 2012), two groups, without response normalization."""
    pool = Pool("max", Window((3, 3), (2, 2)))
    same3 = Window((3, 3), padding=Padding.same(1))
    return Graph.chain(
        "alexnet",
        Shape(227, 227, 3),
        {
            "conv1": Conv(96, Window((11, 11), (4, 4)), relu=True),
            "pool1": pool,
            "conv2": Conv(256, Window((5, 5), padding=Padding.same(2)), groups=2, relu=True),
            "pool2": pool,
            "conv3": Conv(384, same3, relu=True),
            "conv4": Conv(384, same3, groups=2, relu=True),
            "conv5": Conv(256, same3, groups=2, relu=True),
            "pool5": pool,
            "fc6": FullyConnected(4096, relu=True),
            "fc7": FullyConnected(4096, relu=True),
            "fc8": FullyConnected(1000),
        },
    )


def vgg16() -> Graph:
    """VGG-16, configuration D (Simonyan and Zisserman, ICLR 2015)."""
    same = Window((3, 3), padding=Padding.same(1))
    layers: dict[str, Layer] = {}
    for block, (channels, repeats) in enumerate(
        [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], 1
    ):
        for index in range(1, repeats + 1):
            layers[f"conv{block}_{index}"] = Conv(channels, same, relu=True)
        layers[f"pool{block}"] = Pool("max", Window((2, 2), (2, 2)))
    layers["fc6"] = FullyConnected(4096, relu=True)
    layers["fc7"] = FullyConnected(4096, relu=True)
    layers["fc8"] = FullyConnected(1000)
    return Graph.chain("vgg16", Shape(224, 224, 3), layers)
