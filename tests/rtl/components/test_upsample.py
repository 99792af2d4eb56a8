"""An upsampling stage equals the reference by columns, in the cycles that the model says."""

import pytest

from pilaster.models.reference.upsample import ColumnUpsample
from pilaster.rtl.stages.upsample import UpsampleComponent
from tests.rtl.bench import hold
from tests.rtl.components.stages import StageCase, draw_upsample
from tests.rtl.faults import FAULTS as ALL_FAULTS
from tests.rtl.faults import edit


class UpsampleCase(StageCase):
    def draw(self, rng, seed):
        return draw_upsample(rng)

    def build(self, network, beats):
        return UpsampleComponent(self.stage, self.target, beats, probes=True)

    def tiles(self):
        channels, step = self.stage.shape.channels, self.stage.fold.out_channels
        return [range(c, min(c + step, channels)) for c in range(0, channels, step)]

    def reference(self, network):
        return ColumnUpsample(network.graph.nodes[0].layer)


def fault(old, new):
    return edit(UpsampleComponent, "elaborate", old, new)


BY_NAME = {fault.name: fault.patch for fault in ALL_FAULTS}
FAULTS = {
    "upsample-first-tile": (BY_NAME["upsample-first-tile"], 6),
    "upsample-room-ignored": (BY_NAME["upsample-room-ignored"], 5),
    "upsample-columns-once": (fault("(copy, copies),", ""), 4),
    "upsample-rows-once": (fault("(again, rows),", ""), 4),
    "upsample-starts-early": (fault("(~at_column | (waiting != 0))", "1"), 5),
}


def test_columns(tmp_path):
    hold(tmp_path, UpsampleCase, range(9), FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, 11))
def test_more_columns(tmp_path, part):
    hold(tmp_path, UpsampleCase, range(10 * part, 10 * part + 10), {})
