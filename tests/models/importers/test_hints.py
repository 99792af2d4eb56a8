"""What a refusal says to export instead is taken."""

from pathlib import Path

import onnx
import pytest

from pilaster.base.errors import InputError
from pilaster.models.importers import trace_network
from tests.models.importers.onnx_writer import INPUT, OnnxWriter


def test_a_global_maximum_is_refused_and_the_pool_in_its_place_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "maximum.onnx"
    writer = OnnxWriter((3, 6, 5), 3)
    writer.add("GlobalMaxPool", [INPUT], 3)
    onnx.save(writer.model(), path)
    with pytest.raises(InputError, match="use a max pool whose window is the whole map"):
        trace_network(path)
    writer = OnnxWriter((3, 6, 5), 3)
    writer.add("MaxPool", [INPUT], 3, kernel_shape=[6, 5])
    onnx.save(writer.model(), path)
    trace_network(path)
