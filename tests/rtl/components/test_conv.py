"""A convolution's stage equals the reference by columns, in the cycles that the model says."""

import pytest

from pilaster.models.graph import INPUT
from pilaster.models.reference.conv import ColumnConv
from pilaster.rtl.stages.conv import ConvComponent
from tests.rtl.bench import hold
from tests.rtl.components.stages import StageCase, draw_conv, tile_outputs
from tests.rtl.faults import FAULTS as ALL_FAULTS


class ConvCase(StageCase):
    def draw(self, rng, seed):
        return draw_conv(rng, seed)

    def build(self, network, beats):
        source = network.tensors[INPUT]
        parameters = network.parameters["layer"]
        return ConvComponent(
            self.stage, parameters, source, self.target, beats, self.files, probes=True
        )

    def tiles(self):
        return [tile_outputs(self.stage, tile) for tile in range(self.stage.tile_shape[1])]

    def reference(self, network):
        layer = network.graph.nodes[0].layer
        shape = network.graph.input_shape
        return ColumnConv(layer, shape, network.parameters["layer"], self.target)


BY_NAME = {fault.name: fault.patch for fault in ALL_FAULTS}
FAULTS = {
    "taps-swapped": (BY_NAME["taps-swapped"], 6),
    "bubble": (BY_NAME["bubble"], 2),
    "window-column": (BY_NAME["window-column"], 3),
}


SEEDS = (*range(8), 88, 92)  # the last two keep row sums


def test_columns(tmp_path):
    hold(tmp_path, ConvCase, SEEDS, FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, 11))
def test_more_columns(tmp_path, part):
    hold(tmp_path, ConvCase, range(10 * part, 10 * part + 10), {})
