"""Random stages for component tests, and when a stage does its work."""

from __future__ import annotations

import numpy as np

from pilaster.models.graph import INPUT, Graph
from pilaster.models.layers import Conv, Pool, Upsample, Window
from pilaster.models.network import Network, Precision
from pilaster.models.quantization import (
    ConvParameters,
    TensorQuantization,
    quantize_multiplier,
)
from pilaster.models.shape import Padding, Shape
from pilaster.sim.geometry import ConvGeometry
from pilaster.sim.machine import Fold, LoopOrder, Machine, Schedule, StageSpec
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.timing import COLUMN_BUFFERS
from tests.formal.schedule import steps_of
from tests.rtl.bench import Case, encode
from tests.rtl.drivers import Awaited, Credits, Pulses, Source
from tests.strategies import stream_values

__all__ = [
    "IMAGES",
    "STYLES",
    "StageCase",
    "draw_beats",
    "draw_conv",
    "draw_pool",
    "draw_tensor",
    "draw_upsample",
    "draw_window",
    "expected_times",
    "lay",
    "row_tokens",
    "step_value",
    "steps_with_targets",
    "tile_outputs",
]

IMAGES = 2

STYLES = [(schedule, order) for schedule in Schedule for order in LoopOrder]


def draw_tensor(rng):
    """A tensor of 1 to 16 bits, on the stream signed or not."""
    bits = int(rng.integers(1, 17))
    minimum = int(rng.choice([0, -(1 << (bits - 1))]))
    maximum = minimum + (1 << bits) - 1
    zero_point = int(rng.choice([minimum, int(rng.integers(minimum, maximum + 1))]))
    zero_point = min(zero_point, maximum - 1) if bits > 1 else minimum
    return TensorQuantization(1.0, zero_point, minimum, maximum)


def draw_window(rng, height, width, most):
    """A window that fits, each side with a kernel, stride and padding of its own."""
    kernel, stride, padding = [], [], []
    for size in (height, width):
        extent = int(rng.integers(1, min(size, most) + 1))
        kernel.append(extent)
        stride.append(int(rng.integers(1, 3)))
        padding.append(rng.integers(0, extent, 2).tolist())
    (top, bottom), (left, right) = padding
    return Window(tuple(kernel), tuple(stride), Padding(top, bottom, left, right))


def draw_conv(rng, seed):
    """A convolution on a stage, as a pipeline of one layer.

    Schedule, loop order and whether kernel columns are done in parallel follow from the seed, so
    that a few seeds in a row have them all; the same number of seeds later it keeps row sums.
    """
    kind = rng.choice(["plain", "plain", "grouped", "depthwise"])
    groups = 1 if kind == "plain" else int(rng.integers(2, 4))
    per_group = 1 if kind == "depthwise" else int(rng.integers(1, 4))
    shape = Shape(int(rng.integers(3, 8)), int(rng.integers(3, 6)), groups * per_group)
    window = draw_window(rng, shape.height, shape.width, 3)
    layer = Conv(groups * int(rng.integers(1, 4 if groups == 1 else 3)), window, groups)
    geometry = ConvGeometry(layer, shape)
    schedule, order = STYLES[seed % len(STYLES)]
    scatter, held = schedule is Schedule.SCATTER, order is LoopOrder.PSUMS_HELD
    columns = geometry.open_columns if scatter else geometry.kernel_columns
    out_channels = int(rng.integers(1, geometry.out_channels + 1))
    fold = Fold(
        taps=1 if held else int(rng.integers(1, geometry.taps + 1)),
        in_channels=int(rng.integers(1, geometry.channels + 1)),
        out_channels=out_channels,
        kernel_columns=columns if seed // len(STYLES) % 2 else 1,
        requantizers=int(rng.integers(1, out_channels + 1)),
        loop_order=order,
    )
    source, target = draw_tensor(rng), draw_tensor(rng)
    parameters = draw_parameters(rng, layer.weight_shape(shape), source, target)
    row_sums = bool(seed // (2 * len(STYLES)) % 2)
    return lay(
        shape, layer, StageSpec(fold, schedule, row_sums=row_sums), source, target, parameters
    )


def draw_parameters(rng, shape, source, target):
    """Weights of 1 to 16 bits, some tiles of them zero, and scales that use the target's range."""
    bits = int(rng.integers(1, 17))
    if bits == 1:
        weight = rng.choice(np.array([-1, 1], np.int16), shape)
    else:
        top = (1 << (bits - 1)) - 1
        weight = rng.integers(-top, top + 1, shape).astype(np.int16)
        if rng.integers(2):
            weight[rng.random(shape) < 0.5] = 0
            weight[int(rng.integers(shape[0])) :, :, int(rng.integers(shape[2]))] = 0
    spread = max(1.0, float(np.abs(weight).max()) * source.magnitude * weight[0].size ** 0.5)
    bias = np.rint(rng.uniform(-spread, spread, shape[0])).astype(np.int64)
    real = target.magnitude / spread * rng.uniform(0.25, 1.5, shape[0])
    scale_bits = int(rng.integers(1, 32))
    return bits, scale_bits, ConvParameters(weight, bias, *quantize_multiplier(real, scale_bits))


def draw_pool(rng, rounding):
    """A pooling layer on a stage, as a pipeline of one layer."""
    shape = Shape(*(int(n) for n in (rng.integers(2, 8), rng.integers(2, 7), rng.integers(1, 5))))
    mode = str(rng.choice(["max", "average"]))
    layer = Pool(mode, draw_window(rng, shape.height, shape.width, 3), rounding)
    fold = Fold(out_channels=int(rng.integers(1, shape.channels + 1)))
    tensor = draw_tensor(rng)
    return lay(shape, layer, StageSpec(fold), tensor, tensor, None)


def draw_upsample(rng):
    """An upsampling layer on a stage, as a pipeline of one layer."""
    shape = Shape(*(int(n) for n in (rng.integers(1, 7), rng.integers(1, 6), rng.integers(1, 5))))
    layer = Upsample((int(rng.integers(1, 4)), int(rng.integers(1, 4))))
    fold = Fold(out_channels=int(rng.integers(1, shape.channels + 1)))
    tensor = draw_tensor(rng)
    return lay(shape, layer, StageSpec(fold), tensor, tensor, None)


def lay(shape, layer, spec, source, target, drawn):
    """A pipeline of one layer."""
    graph = Graph.chain("drawn", shape, {"layer": layer})
    parameters, precisions = {}, {}
    if drawn is not None:
        weight_bits, scale_bits, parameters["layer"] = drawn
        precisions["layer"] = Precision(weight_bits, scale_bits)
    tensors = {INPUT: source, "layer": target}
    network = Network(graph, tensors, parameters, precisions, False, "drawn")
    return Pipeline(network, Machine("drawn", "drawn", 1, {"layer": spec}))


def tile_outputs(stage, tile):
    """Output channels of a tile; no tile spans two groups."""
    geometry, step = stage.geometry, stage.fold.out_channels
    channels = geometry.layer.out_channels
    per_group = channels if geometry.is_depthwise else channels // geometry.layer.groups
    tiles = [
        range(first + offset, first + min(offset + step, per_group))
        for first in range(0, channels, per_group)
        for offset in range(0, per_group, step)
    ]
    return tiles[tile]


def steps_with_targets(stage, program):
    """Steps of an image, as `steps_of` gives them, each with the output column of each slot."""
    scatter = stage.spec.schedule is Schedule.SCATTER
    held = stage.fold.loop_order is LoopOrder.PSUMS_HELD
    rows = stage.geometry.rows_out if held else 1
    steps, found = iter(steps_of(stage, program)), []
    for runs in stage.runs:
        count = 0
        for run in runs:
            active = run.uses[0].active if scatter else [(0, 0, run.completes)]
            targets = {slot: target for slot, _, target in active}
            number = int(stage.out_tile_counts(run).sum()) * rows
            found += [(next(steps), targets) for _ in range(number)]
            count += number
        if not count:
            found.append((next(steps), {}))
    return found


def step_value(step):
    """A step as a value of its layout; fields that it does not use are zero."""
    slots = [vars(slot) for slot in step.get("slots", ())]
    return {**step, "slots": slots}


def row_tokens(stage, steps):
    """(step, row) of every row that the lanes work on, from (step, anything) pairs."""
    held = stage.fold.loop_order is LoopOrder.PSUMS_HELD
    return [
        (step, row, rest)
        for step, rest in steps
        if not step["idle"]
        for row in ([step["row"]] if held else range(stage.geometry.rows_out))
    ]


def draw_beats(rng, channels):
    """(first channel, channels) of the beats of a row: tiles of one size, the last may be less."""
    tile = int(rng.integers(1, channels + 1))
    return tuple((first, min(tile, channels - first)) for first in range(0, channels, tile))


def expected_times(stage, accepted, room, behind=COLUMN_BUFFERS):
    """Cycles in which a stage starts and finishes its columns, and sends each beat.

    Parameters
    ----------
    accepted : cycle in which each column's last beat came
    room : cycles in which the next stage freed a buffer, beside those free from the start
    behind : column buffers of the next stage
    """
    started, finished, beats, sent = [], [], [], 0
    time = 0
    for column, came in enumerate(accepted):
        work = stage.work[column % stage.columns_in]
        time = begun = max(time, came + 1)
        for index, run in enumerate(work.completing):
            time += run.before
            if sent >= behind:
                if sent - behind >= len(room):
                    return started, finished, beats
                time = max(time, room[sent - behind] + 1)
            if index == 0 and not run.before:
                begun = time
            sent += 1
            beats += [time + beat - 1 for beat in run.beats]
            time += run.body
        time += work.deferred
        started.append(begun)
        finished.append(time - 1)
    return started, finished, beats


class StageCase(Case):
    """Columns come with hesitations, and the next stage frees its buffers with hesitations."""

    def __init__(self, seed):
        super().__init__(seed)
        rng = self.rng
        pipeline = self.draw(rng, seed)
        network, (self.stage,) = pipeline.network, pipeline.stages
        source, self.target = network.tensors[INPUT], network.tensors["layer"]
        shape = network.graph.input_shape
        beats = draw_beats(rng, shape.channels)
        self.component = self.build(network, beats)
        self.values = stream_values(rng, source, IMAGES, shape)
        payload = self.component.i.payload.shape()
        lanes = max(count for _, count in beats)
        words = []
        for image in self.values:
            for column in image.transpose(1, 0, 2).tolist():
                for first, count in beats:
                    for row in column:
                        tile = row[first : first + count]
                        words.append(encode(payload, tile + [0] * (lanes - count)))
        columns = IMAGES * self.stage.columns_out
        out_beats = self.stage.output.height * len(self.tiles())
        slowly = 3 * self.stage.busy_cycles // self.stage.columns_out
        allowance = Credits(0, ["o.valid"], out_beats)
        self.drivers = [
            Source("i", words, payload.size, rng),
            Awaited("freed", IMAGES * self.stage.columns_in),
            Pulses("room", columns, allowance, rng, slowly),
        ]
        reference = self.reference(network)
        self.columns = []  # (H_out, C_out) in order
        for image in self.values:
            for column in image.transpose(1, 0, 2):
                self.columns += [found[0] for found in reference.push(column[np.newaxis])]

    def judge(self, trace, board):
        board.stream(trace, "i")
        accepted = trace.events("probes.accepted")
        board.compare("columns accepted", IMAGES * self.stage.columns_in, len(accepted))
        started, finished, times = expected_times(self.stage, accepted, trace.events("room"))
        board.series("started", started, trace.events("probes.started"))
        board.series("finished", finished, trace.events("probes.finished"))
        board.series("freed", finished, trace.events("freed"))
        board.series("beat at", times, trace.events("o.valid"))
        rows = [
            column[row, list(tile)].tolist()
            for column in self.columns
            for tile in self.tiles()
            for row in range(self.stage.output.height)
        ]
        payload = trace["o.payload"]
        found = [payload[cycle] for cycle in trace.events("o.valid")]
        board.series("values", rows, [f[: len(r)] for f, r in zip(found, rows, strict=False)])
