"""A join equals the reference, in the cycles that the model says, however its arms hesitate."""

from dataclasses import replace

import pytest

from pilaster.models.joins import join_parameters
from pilaster.models.layers import Add, Concat
from pilaster.models.quantization import Rounding
from pilaster.models.reference.join import join
from pilaster.models.shape import Shape
from pilaster.rtl.stages.join import JoinComponent
from pilaster.sim.beats import Beats
from pilaster.sim.machine import Fold, StageSpec
from pilaster.sim.stages import JoinStage
from tests.rtl.bench import Case, encode, hold
from tests.rtl.components.stages import IMAGES, draw_beats, draw_tensor, expected_times
from tests.rtl.drivers import Awaited, Credits, Pulses, Source
from tests.rtl.faults import FAULTS as ALL_FAULTS
from tests.strategies import stream_values

KINDS = ("add", "concat", "concat of one scale")
ROUNDINGS = (Rounding.TWICE, Rounding.TWICE, Rounding.EVEN, Rounding.ODD)


def draw_join(rng, seed):
    """A join of arms of their own widths, scales and numbers of column buffers."""
    kind = KINDS[seed % len(KINDS)]
    height, width = int(rng.integers(1, 6)), int(rng.integers(2, 7))
    arms = 2 if kind == "add" else int(rng.integers(1, 4))
    channels = [int(n) for n in rng.integers(1, 5, arms)]
    if kind == "add":
        channels = [channels[0]] * 2
    tensors = [draw_tensor(rng) for _ in range(arms + 1)]
    tensors = [  # all of about one range, so that a result is rarely clamped
        replace(tensor, scale=float(rng.uniform(0.5, 1.5)) / max(1, tensor.magnitude))
        for tensor in tensors
    ]
    if kind == "concat of one scale":
        tensors = [replace(tensor, scale=1.0) for tensor in tensors]
    *sources, target = tensors
    layer = Add() if kind == "add" else Concat()
    return JoinStage(
        name="layer",
        layer=layer,
        shapes=tuple(Shape(height, width, count) for count in channels),
        spec=StageSpec(Fold(out_channels=int(rng.integers(1, max(channels) + 1)))),
        arm_columns=tuple(int(n) for n in rng.integers(2, 5, arms)),
        sources=tuple(sources),
        target=target,
        parameters=join_parameters(
            layer, tuple(sources), target, int(rng.integers(1, 32)), ROUNDINGS[seed // 3 % 4]
        ),
    )


class JoinCase(Case):
    """Columns come in every arm with hesitations; the next stage frees its buffers likewise."""

    def __init__(self, seed):
        super().__init__(seed)
        rng = self.rng
        self.stage = stage = draw_join(rng, seed)
        self.behind = int(rng.integers(2, 5))
        tiles = [draw_beats(rng, shape.channels) for shape in stage.shapes]
        beats = [Beats(max(count for _, count in each), each) for each in tiles]
        self.component = JoinComponent(stage, beats, probes=True, behind=self.behind)
        self.values = [
            stream_values(rng, source, IMAGES, shape)
            for source, shape in zip(stage.sources, stage.shapes, strict=True)
        ]
        for arm, (values, each) in enumerate(zip(self.values, beats, strict=True)):
            payload = self.component.inputs[arm].payload.shape()
            words = [
                encode(payload, row[first : first + count] + [0] * (each.channels - count))
                for image in values
                for column in image.transpose(1, 0, 2).tolist()
                for first, count in each.tiles
                for row in column
            ]
            self.drivers.append(Source(f"i{arm}", words, payload.size, rng))
        columns = IMAGES * stage.columns_out
        out_beats = stage.output.height * stage.beats.per_row
        slowly = 3 * stage.busy_cycles // stage.columns_out
        self.drivers += [
            Awaited("freed", columns),
            Pulses("room", columns, Credits(0, ["o.valid"], out_beats), rng, slowly),
        ]
        self.beats = beats

    def judge(self, trace, board):
        stage = self.stage
        columns = IMAGES * stage.columns_in
        came = []
        for arm, beats in enumerate(self.beats):
            board.stream(trace, f"i{arm}")
            taken = [cycle for cycle, _ in trace.beats(f"i{arm}")]
            per_column = stage.output.height * beats.per_row
            came.append(taken[per_column - 1 :: per_column])
        accepted = [max(cycles) for cycles in zip(*came, strict=False)]
        board.compare("columns", columns, len(accepted))
        board.series("accepted", accepted, trace.events("probes.accepted"))
        room = trace.events("room")
        started, finished, times = expected_times(stage, accepted, room, self.behind)
        board.series("started", started, trace.events("probes.started"))
        board.series("finished", finished, trace.events("probes.finished"))
        board.series("freed", finished, trace.events("freed"))
        board.series("beat at", times, trace.events("o.valid"))
        output = join(self.values, stage.parameters, stage.target)
        rows = [
            row[first : first + count]
            for image in output
            for column in image.transpose(1, 0, 2).tolist()
            for first, count in stage.beats.tiles
            for row in column
        ]
        payload = trace["o.payload"]
        found = [payload[cycle] for cycle in trace.events("o.valid")]
        board.series("values", rows, [f[: len(r)] for f, r in zip(found, rows, strict=False)])
        for arm, cycles in enumerate(came):
            held = stage.arm_columns[arm]
            late = [c > f for c, f in zip(cycles[held:], finished, strict=False)]
            board.series(f"arm {arm} has room", [True] * len(late), late)


BY_NAME = {fault.name: fault.patch for fault in ALL_FAULTS}
FAULTS = {
    name: (BY_NAME[name], seed)
    for name, seed in (
        ("join-beat-lost", 0),
        ("join-arms-swapped", 0),
        ("join-arms-order", 7),
        ("join-channel-order", 7),
        ("join-first-arm", 3),
        ("join-tile", 7),
        ("join-left-shift", 0),
        ("first-rounding", 4),
        ("clamp", 0),
    )
}


def test_columns(tmp_path):
    hold(tmp_path, JoinCase, range(12), FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, 11))
def test_more_columns(tmp_path, part):
    hold(tmp_path, JoinCase, range(12 * part, 12 * part + 12), {})
