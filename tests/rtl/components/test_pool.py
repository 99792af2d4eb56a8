"""A pooling stage equals the reference by columns, in the cycles that the model says."""

import pytest

from pilaster.models.quantization import AVERAGED
from pilaster.models.reference.pool import ColumnPool
from pilaster.rtl.stages.pool import PoolComponent
from tests.rtl.bench import hold
from tests.rtl.components.stages import StageCase, draw_pool
from tests.rtl.faults import FAULTS as ALL_FAULTS


class PoolCase(StageCase):
    def draw(self, rng, seed):
        return draw_pool(rng, AVERAGED[max(0, seed - 6) % len(AVERAGED)])

    def build(self, network, beats):
        return PoolComponent(self.stage, self.target, beats, probes=True)

    def tiles(self):
        channels, step = self.stage.shape.channels, self.stage.fold.out_channels
        return [range(c, min(c + step, channels)) for c in range(0, channels, step)]

    def reference(self, network):
        layer = network.graph.nodes[0].layer
        return ColumnPool(layer, network.graph.input_shape, self.target)


BY_NAME = {fault.name: fault.patch for fault in ALL_FAULTS}
FAULTS = {
    "max-from-zero": (BY_NAME["max-from-zero"], 0),
    "average-half": (BY_NAME["average-half"], 4),
    "pool-unmasked": (BY_NAME["pool-unmasked"], 5),
    "average-late": (BY_NAME["average-late"], 1),
    "average-ties": (BY_NAME["average-ties"], 7),
}


def test_columns(tmp_path):
    hold(tmp_path, PoolCase, range(9), FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, 11))
def test_more_columns(tmp_path, part):
    hold(tmp_path, PoolCase, range(10 * part, 10 * part + 10), {})
