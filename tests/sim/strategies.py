"""Random machines: any fold, order and schedule that fits a random network."""

from __future__ import annotations

from hypothesis import strategies as st

from pilaster.models.layers import Pool
from pilaster.sim.geometry import ConvGeometry
from pilaster.sim.machine import Fold, LoopOrder, Machine, Schedule, StageSpec
from pilaster.sim.pipeline import Pipeline
from tests.strategies import graphs, networks

MOST_BITS = 16


@st.composite
def specs(draw, node, shape):
    schedule = draw(st.sampled_from(Schedule))
    if isinstance(node.layer, Pool):
        return StageSpec(Fold(out_channels=draw(st.integers(1, shape.channels))), schedule)
    geometry = ConvGeometry(node.layer.as_conv(shape), shape)
    order = draw(st.sampled_from(LoopOrder))
    columns = geometry.kernel_columns
    if schedule is Schedule.SCATTER:
        columns = geometry.open_columns
    out_channels = draw(st.integers(1, geometry.out_channels))
    fold = Fold(
        taps=1 if order is LoopOrder.PSUMS_HELD else draw(st.integers(1, geometry.taps)),
        in_channels=draw(st.integers(1, geometry.channels)),
        out_channels=out_channels,
        kernel_columns=draw(st.integers(1, columns)),
        requantizers=draw(st.integers(1, out_channels)),
        loop_order=order,
    )
    return StageSpec(fold, schedule, draw(st.sampled_from([0, 0, 0, 8, 64])))


@st.composite
def pipelines(draw, most_layers=4):
    """A random network, of widths from 1 to 16 bits, on a random machine."""
    network = draw(networks(graphs(most_layers), MOST_BITS))
    stages = {
        node.name: draw(specs(node, network.graph.input_of(node))) for node in network.graph.nodes
    }
    interval = draw(st.sampled_from([1, 3, 10, 50, 300]))
    return Pipeline(network, Machine("random", "random", interval, stages))
