"""A whole machine under the drivers, monitor and scoreboard of its components."""

import pytest

from pilaster.models.graph import INPUT, Graph
from pilaster.models.layers import Pool
from pilaster.models.network import Network
from pilaster.models.reference.network import tensors
from pilaster.rtl.pipeline import PipelineComponent
from pilaster.sim.machine import Fold, Machine, StageSpec
from pilaster.sim.pipeline import Pipeline
from tests.rtl.bench import Case, encode, hold
from tests.rtl.components.stages import draw_conv, draw_window, expected_times
from tests.rtl.drivers import Awaited, Sink, Source
from tests.rtl.faults import FAULTS as ALL_FAULTS
from tests.strategies import stream_values

IMAGES = 2


def draw_machine(rng, seed):
    """A convolution and a pooling layer on a machine."""
    drawn = draw_conv(rng, seed)
    network, (conv,) = drawn.network, drawn.network.graph.nodes
    shape = network.graph.output_shape
    pool = Pool("max", draw_window(rng, shape.height, shape.width, 2))
    graph = Graph.chain("drawn", network.graph.input_shape, {"conv": conv.layer, "pool": pool})
    target = network.tensors["layer"]
    parameters = {"conv": network.parameters["layer"]}
    precisions = {"conv": network.precisions["layer"]}
    quantized = {INPUT: network.tensors[INPUT], "conv": target, "pool": target}
    joined = Network(graph, quantized, parameters, precisions, False, "drawn")
    fold = Fold(out_channels=int(rng.integers(1, shape.channels + 1)))
    stages = {"conv": drawn.machine.stages["layer"], "pool": StageSpec(fold)}
    return Pipeline(joined, Machine("drawn", "drawn", 1, stages))


def beats_by_column(stage, output):
    """Real values of every beat of (N, H, W, C) outputs."""
    return [
        row[first : first + count]
        for image in output
        for column in image.transpose(1, 0, 2).tolist()
        for first, count in stage.beats.tiles
        for row in column
    ]


class MachineCase(Case):
    """The source and the sink hesitate."""

    def __init__(self, seed):
        super().__init__(seed)
        rng = self.rng
        self.pipeline = draw_machine(rng, seed)
        network = self.pipeline.network
        self.component = PipelineComponent(self.pipeline, self.files, probes=True)
        self.values = stream_values(rng, network.tensors[INPUT], IMAGES, network.graph.input_shape)
        self.expected = {
            stage.name: beats_by_column(stage, output)
            for stage, (_, output) in zip(
                self.pipeline.stages, tensors(network, self.values), strict=True
            )
        }
        payload = self.component.i.payload.shape()
        rows = self.values.transpose(0, 2, 1, 3).reshape(-1, self.values.shape[3])
        words = [encode(payload, row) for row in rows.tolist()]
        answers = self.expected[self.pipeline.stages[-1].name]
        self.drivers = [Source("i", words, payload.size, rng), Sink("o", len(answers), rng)]
        self.drivers += [
            Awaited(f"{stage.name}_probes.finished", IMAGES * stage.columns_in)
            for stage in self.pipeline.stages
        ]

    def judge(self, trace, board):
        board.stream(trace, "i")
        board.stream(trace, "o")
        stages = self.pipeline.stages
        taken = trace.beats("o")
        per_column = len(self.expected[stages[-1].name]) // (IMAGES * stages[-1].columns_out)
        freed = [cycle for cycle, _ in taken][per_column - 1 :: per_column]
        rooms = [trace.events(f"{stage.name}_probes.finished") for stage in stages[1:]]
        for stage, room in zip(stages, [*rooms, freed], strict=True):
            name = stage.name
            accepted = trace.events(f"{name}_probes.accepted")
            started, finished, times = expected_times(stage, accepted, room)
            board.compare(f"{name} columns", IMAGES * stage.columns_in, len(accepted))
            board.series(f"{name} started", started, trace.events(f"{name}_probes.started"))
            board.series(f"{name} finished", finished, trace.events(f"{name}_probes.finished"))
            sent = trace.events(f"{name}_probes.stream")
            board.series(f"{name} beat at", times, sent)
            beat = trace[f"{name}_beat"]
            self._compare(board, f"{name} values", name, [beat[cycle] for cycle in sent])
        self._compare(board, "answers", stages[-1].name, [beat for _, beat in taken])

    def _compare(self, board, what, stage, found):
        rows = self.expected[stage]
        real = [beat[: len(row)] for beat, row in zip(found, rows, strict=False)]
        board.series(what, rows, real)


BY_NAME = {fault.name: fault.patch for fault in ALL_FAULTS}
FAULTS = {name: (BY_NAME[name], 0) for name in ("bubble", "answer-early")}


def test_stages(tmp_path):
    hold(tmp_path, MachineCase, range(3), FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, 11))
def test_more_stages(tmp_path, part):
    hold(tmp_path, MachineCase, range(5 * part, 5 * part + 5), {})
