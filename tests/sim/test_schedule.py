"""The pass order computes the layer: executed pass by pass, it gives the reference's sums.

The same execution counts every event one by one, which the counted actions must equal.
"""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pilaster.models.energy.actions import Action
from pilaster.models.layers import Pool
from pilaster.models.reference.conv import conv_accumulators
from pilaster.sim.actions import count_actions
from pilaster.sim.beats import Beats
from pilaster.sim.machine import LoopOrder, Schedule
from pilaster.sim.stages import ConvStage
from tests.sim.strategies import pipelines


def conv_stages(pipeline):
    for node, stage in zip(pipeline.network.graph.nodes, pipeline.stages, strict=True):
        if isinstance(stage, ConvStage):
            yield stage, pipeline.network.parameters[node.name]


def fold_column(geometry, column):
    """Lay a column (H, C) out as (rows, groups, folded channels), with what is real in it."""
    rows = max(geometry.rows, -(-(geometry.shape.height + geometry.offset) // geometry.row_fold))
    padded = np.zeros((rows * geometry.row_fold, column.shape[1]), np.int64)
    padded[geometry.offset : geometry.offset + len(column)] = column
    groups = geometry.layer.groups
    split = padded.reshape(rows, geometry.row_fold, groups, -1)
    return split.transpose(0, 2, 1, 3).reshape(rows, groups, -1)


class Execution:
    """A stage executed pass by pass in plain arithmetic, every event counted where it happens."""

    def __init__(self, stage, parameters, image):
        self.stage, self.geometry = stage, stage.geometry
        geometry = stage.geometry
        folded = geometry.fold_weights(parameters.weight)
        self.weight = np.pad(
            folded,
            (
                (0, 0),
                (0, stage.tile_shape[3] * stage.fold.taps - geometry.taps),
                (0, 0),
                (0, 0),
            ),
        )
        self.columns = [fold_column(geometry, image[:, w]) for w in range(geometry.columns_in)]
        self.bias = parameters.bias
        self.counts = Counter()
        self.sums = {}
        self.taken_up = set()
        self.output = {}

    def run(self):
        for column, runs in enumerate(self.stage.runs):
            for run in runs:
                for step in self.stage.passes(run):
                    self.do_pass(column, run, step)
                self.taken_up.clear()
        return self

    def do_pass(self, column, run, step):
        stage, geometry, fold = self.stage, self.geometry, self.stage.fold
        use = run.uses[step.use]
        per_group = stage.tile_shape[1] // geometry.tiled_groups
        group, tile = divmod(step.out_tile, per_group)
        first = tile * fold.out_channels
        outs = np.arange(first, min(first + fold.out_channels, geometry.out_channels))
        outs = outs + group * geometry.out_channels
        present = (
            stage.present is None
            or stage.present[use.group, step.out_tile, step.in_tile, step.tap_group]
        )
        channels = np.arange(step.in_tile * fold.in_channels, geometry.channels)[: fold.in_channels]
        taps = np.arange(step.tap_group * fold.taps, (step.tap_group + 1) * fold.taps)
        if present:
            self.counts["sets"] += 1
            self.counts["words"] += self.words(use, taps)
        targets = {target for _, _, target in use.active}
        for target in targets:
            self.take_up(target, step)
            self.counts["adds"] += geometry.rows_out * len(outs)
        for _, offset, target in use.active:
            source = column
            if stage.spec.schedule is Schedule.GATHER:
                start = target * geometry.stride - geometry.layer.window.padding.left
                source = start + offset
            if present:
                self.multiply(source, offset, target, outs, channels, taps)
        if step.emits:
            self.output[run.completes, step.out_tile] = {
                o: self.pending(run.completes, o).copy() for o in outs
            }
            self.counts["emitted"] += geometry.rows_out

    def pending(self, target, out_channel):
        start = np.full(self.geometry.rows_out, self.bias[out_channel], np.int64)
        return self.sums.setdefault((target, out_channel), start)

    def take_up(self, target, step):
        """A pass reads the sums that wait, unless they are new or the run's last pass kept them."""
        stage = self.stage
        held = stage.fold.loop_order is LoopOrder.PSUMS_HELD
        scatter = stage.spec.schedule is Schedule.SCATTER
        in_memory = scatter and not held and stage.spec.row_sums
        key = (target, step.out_tile)
        if key not in self.taken_up or not (held or in_memory):
            self.counts["touches"] += 1
            self.taken_up.add(key)
        elif in_memory:
            self.counts["kept"] += 1

    def words(self, use, taps):
        """Rows of the column buffers read: where the sweep needs a row that is there."""
        geometry = self.geometry
        rows = {r + t - geometry.pad_top for r in range(geometry.rows_out) for t in taps}
        inside = [row for row in rows if 0 <= row < geometry.rows]
        copies = len(use.active) if self.stage.spec.schedule is Schedule.GATHER else 1
        return len(inside) * copies

    def multiply(self, source, offset, target, outs, channels, taps):
        geometry, layer = self.geometry, self.geometry.layer
        in_per_group = geometry.channels // geometry.row_fold
        for o in outs:
            group = o // (layer.out_channels // layer.groups)
            sums = self.pending(target, o)
            for t in taps:
                for c in channels:
                    real = t * geometry.row_fold + c // in_per_group < layer.window.kernel[0]
                    if not real:
                        continue
                    for r in range(geometry.rows_out):
                        row = r + t - geometry.pad_top
                        inside = 0 <= row < len(self.columns[source])
                        value = self.columns[source][row, group, c] if inside else 0
                        self.counts["mac" if value else "gated"] += 1
                        sums[r] += self.weight[o, t, offset, c] * value


@settings(max_examples=120, deadline=None)
@given(pipelines(most_layers=2), st.integers(0, 2**32 - 1))
def test_executed_passes_give_the_sums_and_the_counts(pipeline, seed):
    rng = np.random.default_rng(seed)
    for stage, parameters in conv_stages(pipeline):
        geometry = stage.geometry
        shape = geometry.shape
        image = rng.integers(-255, 256, (shape.height, shape.width, shape.channels))
        image[rng.random(image.shape) < 0.3] = 0
        done = Execution(stage, parameters, image).run()

        expected = conv_accumulators(image[None], geometry.layer, parameters, 255)[0]
        assert len(done.output) == geometry.columns_out * stage.tile_shape[1]
        for (q, _), tile in done.output.items():
            for o, sums in tile.items():
                np.testing.assert_array_equal(sums, expected[:, q, o])

        counted = count_actions(
            stage, [Beats.whole(shape.channels)], 1, (image != 0).astype(np.int64)
        )
        events = done.counts
        assert counted.of_action(Action.MAC) == events["mac"]
        assert counted.of_action(Action.MAC_GATED) == events["gated"]
        assert counted.of_action(Action.ACCUMULATE) == events["adds"]
        assert counted.of_action(Action.STREAM) == events["emitted"]
        if stage.weight_sets:
            assert counted.of_action(Action.COLUMN_READ) == events["words"] * geometry.row_fold
        waits = events["touches"] - geometry.columns_out * stage.tile_shape[1]
        if stage.spec.schedule is Schedule.GATHER and stage.fold.loop_order is LoopOrder.PSUMS_HELD:
            waits = 0
        assert counted.of_action(Action.PSUM_READ) == waits * geometry.rows_out
        assert counted.of_action(Action.PSUM_WRITE) == waits * geometry.rows_out
        assert counted.of_action(Action.ROW_SUM_READ) == events["kept"] * geometry.rows_out
        assert counted.of_action(Action.ROW_SUM_WRITE) == events["kept"] * geometry.rows_out


@settings(max_examples=120, deadline=None)
@given(pipelines())
def test_cycles_of_runs_are_the_cycles_of_their_passes(pipeline):
    for stage in pipeline.stages:
        if not isinstance(stage, ConvStage):
            continue
        for runs, work in zip(stage.runs, stage.work, strict=True):
            assert max(1, sum(map(stage_cycles(stage), runs))) == work.cycles
            assert len(work.completing) == sum(run.completes is not None for run in runs)


def stage_cycles(stage):
    """Cycles of a run, from its list of passes."""

    def cycles(run):
        passes = list(stage.passes(run))
        if stage.fold.loop_order is LoopOrder.WEIGHTS_HELD:
            return sum(
                stage.emitting_sweep_cycles if step.emits else stage.sweep_cycles for step in passes
            )
        by_tile = Counter(step.out_tile for step in passes)
        step = max(1, stage.fetch_cycles)
        slow = stage.requantize_cycles if run.completes is not None else 0
        return sum(max(n * step, slow) for n in by_tile.values()) * stage.geometry.rows_out

    return cycles


def test_pools_complete_every_column_in_order():
    @settings(max_examples=100, deadline=None)
    @given(pipelines())
    def check(pipeline):
        for node, stage in zip(pipeline.network.graph.nodes, pipeline.stages, strict=True):
            if isinstance(node.layer, Pool):
                done = [q for w in range(stage.columns_in) for q in stage.completed(w)]
                assert done == list(range(stage.columns_out))

    check()
