"""Published ONNX graphs without their weights: the zoo has their shapes.

The files are the user's own: PILASTER_DATA says where they stand.
"""

from __future__ import annotations

import pytest

from pilaster.base.errors import InputError
from pilaster.models.importers import import_network
from pilaster.models.importers.onnx import build
from pilaster.models.importers.onnx_floats import float_network
from pilaster.models.layers import Conv, Pool
from pilaster.models.zoo import branching
from tests.models.importers.test_mlperf_tiny import MODELS

pytestmark = pytest.mark.skipif(
    not MODELS.is_dir(), reason="PILASTER_DATA names no folder with models/"
)


def test_squeezenet_is_that_of_the_onnx_model_zoo() -> None:
    ours = branching.squeezenet()
    theirs = float_network(build(MODELS / "light_squeezenet.onnx"), "squeezenet").network.graph
    assert ours.macs == theirs.macs

    def windows(graph: object) -> list[str]:
        nodes = [n for n in graph.nodes if isinstance(n.layer, Conv | Pool)]  # type: ignore[attr-defined]
        return sorted(str(node.layer.window) for node in nodes)

    assert windows(ours) == windows(theirs)
    assert sorted(map(str, ours.shapes.values())) == sorted(map(str, theirs.shapes.values()))


def test_batch_normalization_of_resnet50_is_folded() -> None:
    graph = float_network(build(MODELS / "light_resnet50.onnx"), "resnet50").network.graph
    # He et al., CVPR 2016, table 1: 3.8 G MACs with the stride in the first 1x1; here in the 3x3.
    assert graph.macs == 4_089_184_256
    assert len([node for node in graph.nodes if isinstance(node.layer, Conv)]) == 53


def test_response_normalization_is_not_left_out_in_silence() -> None:
    with pytest.raises(InputError, match=r"node n2 \(LRN\): is not supported; supported are Add"):
        import_network(MODELS / "light_bvlc_alexnet.onnx")
