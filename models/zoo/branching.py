"""Shapes of larger networks whose tensors fork and join."""

from __future__ import annotations

from pilaster.models.graph import Graph
from pilaster.models.shape import Padding, Shape
from pilaster.models.zoo.builder import Builder

__all__ = ["googlenet", "resnet18", "squeezenet"]

UNPADDED = Padding()

CUT_SHORT = Padding(bottom=1, right=1)
"""A pool's last window may begin on the map and end outside."""


def squeezenet() -> Graph:
    """SqueezeNet 1.1 (Iandola et al., arXiv 1602.07360): eight fire modules."""
    build = Builder("squeezenet", Shape(224, 224, 3))
    build.conv("conv1", 64, (3, 3), 2, padding=UNPADDED)
    build.max_pool("pool1", 3, 2)
    squeezes = [16, 16, 32, 32, 48, 48, 64, 64]
    for module, channels in enumerate(squeezes, 2):
        squeezed = build.conv(f"squeeze{module}", channels)
        one = build.conv(f"expand{module}_1x1", 4 * channels, source=squeezed)
        three = build.conv(f"expand{module}_3x3", 4 * channels, (3, 3), source=squeezed)
        build.concat(f"fire{module}", one, three)
        if module in (3, 5):
            build.max_pool(f"pool{module}", 3, 2)
    build.conv("conv10", 1000)
    build.global_average("pool10")
    return build.graph()


def resnet18() -> Graph:
    """ResNet-18 (He et al., CVPR 2016), batch normalization folded."""
    build = Builder("resnet18", Shape(224, 224, 3))
    build.conv("conv1", 64, (7, 7), 2, padding=Padding.same(3))
    last = build.max_pool("pool1", 3, 2, Padding.same(1))
    one = Padding.same(1)
    for group, channels in enumerate([64, 128, 256, 512], 2):
        for block in (1, 2):
            stride = 2 if group > 2 and block == 1 else 1
            name = f"{group}_{block}"
            build.conv(f"conv{name}a", channels, (3, 3), stride, source=last, padding=one)
            arm = build.conv(f"conv{name}b", channels, (3, 3), padding=one, relu=False)
            if stride > 1:
                last = build.conv(
                    f"short{name}",
                    channels,
                    stride=stride,
                    source=last,
                    padding=UNPADDED,
                    relu=False,
                )
            last = build.add(f"add{name}", last, arm)
    build.global_average("pool")
    build.dense("fc", 1000)
    return build.graph()


MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""GoogLeNet's inception modules: 1x1, 3x3 reduced and 3x3, 5x5 reduced and 5x5, behind the pool."""


def googlenet() -> Graph:
    """GoogLeNet (Szegedy et al., CVPR 2015, table 1), without response normalization."""
    build = Builder("googlenet", Shape(224, 224, 3))
    build.conv("conv1", 64, (7, 7), 2, padding=Padding.same(3))
    build.max_pool("pool1", 3, 2, CUT_SHORT)
    build.conv("conv2_reduce", 64)
    build.conv("conv2", 192, (3, 3))
    last = build.max_pool("pool2", 3, 2, CUT_SHORT)
    for module, (one, reduce3, three, reduce5, five, pooled) in MODULES.items():
        name = f"inception{module}"
        arms = [build.conv(f"{name}_1x1", one, source=last)]
        build.conv(f"{name}_3x3_reduce", reduce3, source=last)
        arms.append(build.conv(f"{name}_3x3", three, (3, 3)))
        build.conv(f"{name}_5x5_reduce", reduce5, source=last)
        arms.append(build.conv(f"{name}_5x5", five, (5, 5)))
        build.max_pool(f"{name}_pool", 3, 1, Padding.same(1), source=last)
        arms.append(build.conv(f"{name}_pool_1x1", pooled))
        last = build.concat(name, *arms)
        if module in ("3b", "4e"):
            last = build.max_pool(f"pool{module[0]}", 3, 2, CUT_SHORT)
    build.global_average("pool5")
    build.dense("fc", 1000)
    return build.graph()
