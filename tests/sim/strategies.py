"""Random machines: any fold, order and schedule that fits a random network."""

from __future__ import annotations

from hypothesis import strategies as st

from pilaster.models.layers import Join, Pool, Upsample
from pilaster.sim.geometry import ConvGeometry
from pilaster.sim.machine import Fold, LoopOrder, Machine, Schedule, StageSpec
from pilaster.sim.pipeline import Pipeline
from tests.strategies import graphs, joined_graphs, networks

MOST_BITS = 16


@st.composite
def specs(draw, node, *shapes):
    """A stage for a layer that reads tensors of `shapes`; the buffers of a join are left open."""
    shape = shapes[0]
    schedule = draw(st.sampled_from(Schedule))
    if isinstance(node.layer, Join):
        widest = max(shape.channels for shape in shapes)
        return StageSpec(Fold(out_channels=draw(st.integers(1, widest))), schedule)
    if isinstance(node.layer, Pool | Upsample):
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
    dram = draw(st.sampled_from([0, 0, 0, 8, 64]))
    return StageSpec(fold, schedule, dram, row_sums=draw(st.booleans()))


@st.composite
def pipelines(draw, most_layers=4):
    """A random network, of widths from 1 to 16 bits, on a random machine: mostly chains."""
    drawn = draw(st.one_of(graphs(most_layers), graphs(most_layers), joined_graphs(2)))
    return draw(machines(drawn))


@st.composite
def machines(draw, graph, intervals=(1, 3, 10, 50, 300)):
    """A random network of a graph, of widths from 1 to 16 bits, on a random machine."""
    network = draw(networks(st.just(graph), MOST_BITS))
    stages = {
        node.name: draw(specs(node, *(graph.shapes[name] for name in node.inputs)))
        for node in graph.nodes
    }
    interval = draw(st.sampled_from(intervals))
    return Pipeline(network, Machine("random", "random", interval, stages))
