"""Hold the RTL to the model: every value, every cycle stamp, every action count."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.base.notebook import html_table
from pilaster.base.output_files import copy_file
from pilaster.models.graph import INPUT
from pilaster.models.network import Network
from pilaster.models.reference.network import tensors
from pilaster.rtl.components.probes import ACTION_PROBES
from pilaster.rtl.names import in_hardware
from pilaster.rtl.toolchain.verilator import Trace, build_and_run
from pilaster.rtl.toolchain.workplace import workplace
from pilaster.rtl.verification.observed import (
    Cycles,
    Observed,
    ObservedStage,
    column_stamps,
    expected_beats,
    read_observations,
)
from pilaster.rtl.verification.stimulus import write_stimulus
from pilaster.rtl.verification.switching import Switching, read_switching
from pilaster.rtl.verification.testbench import TESTBENCH
from pilaster.rtl.verilog import Design, generate
from pilaster.sim.actions import ActionCounts, machine_actions, nonzero_counts
from pilaster.sim.closed_form import stamps
from pilaster.sim.machine import Machine
from pilaster.sim.pace import Pace, pace
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.stages import Stage
from pilaster.sim.stamps import StageStamps, Stamps
from pilaster.sim.traffic import Traffic
from pilaster.sim.utilization import utilization

__all__ = ["Difference", "StageVerdict", "Verdict", "verify"]


@dataclass(frozen=True)
class Difference:
    """The first thing of a stage that the RTL did differently.

    what : the kind of thing: a value, a stamp or an action's name
    where : image, column, row and channel as far as they apply
    """

    stage: str
    what: str
    where: str
    expected: int
    found: int

    def __str__(self) -> str:
        place = f", {self.where}" if self.where else ""
        return f"{self.stage}: {self.what}{place}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True)
class StageVerdict:
    """What was compared of one stage.

    Attributes
    ----------
    utilization : by the RTL's counters, see `pilaster.sim.utilization`; 0 where there are no lanes
    differences : the first of each kind
    counted, expected : actions that the RTL counted, and those of the model
    """

    name: str
    values: int
    mismatches: int
    cycles_equal: bool
    actions_equal: bool
    utilization: float
    differences: tuple[Difference, ...]
    counted: ActionCounts
    expected: ActionCounts

    def __repr__(self) -> str:
        found = f"{len(self.differences)} differences" if self.differences else "equal"
        return f"<StageVerdict {self.name}: {self.values:,} values, {found}>"

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, for JSON."""
        plain = {**vars(self), "differences": [str(found) for found in self.differences]}
        del plain["counted"], plain["expected"]
        return plain


@dataclass(frozen=True)
class Verdict:
    """Whether the RTL equals the model.

    pace : how the machine keeps up with columns at its column interval
    rtl_cycles, model_cycles : last cycle stamp of the RTL and of the model
    finished : whether the RTL simulation ran to its end
    simulator_seconds : wall time of building and running the RTL
    switching : by module and component, over the whole run; None if not requested
    """

    network: str
    machine: str
    images: int
    stages: tuple[StageVerdict, ...]
    pace: Pace
    rtl_cycles: int
    model_cycles: int
    finished: bool
    simulator_seconds: float
    switching: Mapping[tuple[str, str], Switching] | None = None

    def __repr__(self) -> str:
        first = next((found for stage in self.stages for found in stage.differences), None)
        told = "equal" if self.equal else f"DIFFERENT: {first or 'the RTL came to no end'}"
        return f"<Verdict {self.network} on {self.machine}, {self.images} images: {told}>"

    def _repr_html_(self) -> str:
        rows = [
            (
                stage.name,
                f"{stage.values:,}",
                f"{stage.mismatches:,}",
                "equal" if stage.cycles_equal else "DIFFER",
                "equal" if stage.actions_equal else "DIFFER",
                f"{stage.utilization:.1%}" if stage.utilization else "-",
            )
            for stage in self.stages
        ]
        titles = ("stage", "values", "wrong values", "cycles", "actions", "lanes used")
        return html_table(repr(self), titles, rows)

    @property
    def values_equal(self) -> bool:
        """Whether every value of every stage is the reference's."""
        return not any(stage.mismatches for stage in self.stages)

    @property
    def cycles_equal(self) -> bool:
        """Whether every stamp of every stage is the model's."""
        return all(stage.cycles_equal for stage in self.stages)

    @property
    def actions_equal(self) -> bool:
        """Whether every action count of every stage is the model's."""
        return all(stage.actions_equal for stage in self.stages)

    @property
    def equal(self) -> bool:
        """Whether all is equal."""
        laws = self.values_equal and self.cycles_equal and self.actions_equal
        return laws and self.finished

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, for JSON."""
        return {
            "network": self.network,
            "machine": self.machine,
            "values_equal": self.values_equal,
            "cycles_equal": self.cycles_equal,
            "actions_equal": self.actions_equal,
            "images": self.images,
            **self.pace.as_dict(),
            "rtl_cycles": self.rtl_cycles,
            "model_cycles": self.model_cycles,
            "finished": self.finished,
            "stages": [stage.as_dict() for stage in self.stages],
            "simulator_seconds": self.simulator_seconds,
        }


def verify(
    network: Network,
    machine: Machine,
    images: NDArray[np.generic],
    *,
    seed: int | None = None,
    waves: Path | None = None,
    switching: bool = False,
    saif: Path | None = None,
    loaded: bool = False,
    mutate: Callable[[Design], Design] = lambda design: design,
    optimize: bool = True,
) -> Verdict:
    """Run the RTL on `images` and compare it with the model.

    Parameters
    ----------
    images : (N, H, W, C), as for `simulate`, at least one
    seed : seed of random hesitations of source and sink; None for none
    waves : file to write the waves to; not with `switching` or `saif`
    switching : count how often registers change
    saif : file to write the activity of every net to
    loaded : load weights and biases through the stream, and have none in the design
    mutate : what is done to the design before it is built; the check of the check
    optimize : compile for speed; not worth it for a few thousand cycles

    Raises
    ------
    InputError
        If the machine does not fit the network, or a tool is missing.
    """
    if not len(images):
        raise InputError("verification needs at least one image")
    trace: Trace | None = "vcd" if waves else "saif" if switching or saif else None
    if waves and (switching or saif):
        raise InputError("a run writes waves or counts switching: ask for one at a time")
    pipeline = Pipeline(network, machine)
    count = len(images)
    traffic = Traffic.steady(pipeline, count)
    if seed is not None:
        traffic = Traffic.random(pipeline, count, seed)
    expected = stamps(pipeline, count, traffic)
    values = network.encode(images)
    hardware = in_hardware(pipeline)
    design = mutate(generate(hardware, probes=True, loaded=loaded))
    with workplace() as folder:
        write_stimulus(folder, hardware, design, values, traffic, _last(expected))
        start = time.perf_counter()
        build_and_run(["machine.v", "testbench.v"], TESTBENCH, folder, optimize, trace)
        seconds = time.perf_counter() - start
        if kept := waves or saif:
            copy_file(folder / f"dump.{trace}", kept, "waves" if waves else "activity")
        found = read_switching(folder / "dump.saif", design.verilog) if switching else None
        observed = read_observations(pipeline, folder)
    steady = pace(pipeline)
    return Verdict(
        network=network.name,
        machine=machine.name,
        images=count,
        stages=tuple(_compare(pipeline, values, expected, observed, steady.cycles_per_image)),
        pace=steady,
        rtl_cycles=observed.cycles,
        model_cycles=_last(expected),
        finished=observed.finished,
        simulator_seconds=seconds,
        switching=found,
    )


def _last(expected: Stamps) -> int:
    tables = [(s.accepted, s.finished, s.emitted) for s in expected.stages]
    stages = max(int(table.max()) for group in tables for table in group)
    return max(stages, int(expected.taken.max()))


def _compare(
    pipeline: Pipeline,
    values: NDArray[np.int32],
    expected: Stamps,
    observed: Observed,
    cycles_per_image: int,
) -> Iterator[StageVerdict]:
    network = pipeline.network
    outputs = {INPUT: values, **dict(tensors(network, values))}
    for node, stage, counts, found, times in zip(
        network.graph.nodes,
        pipeline.stages,
        machine_actions(pipeline, len(values), nonzero_counts(outputs)),
        observed.stages,
        expected.stages,
        strict=True,
    ):
        output = outputs[node.name]
        wrong, first = _compare_values(network, stage, output, found.values)
        late = list(_compare_stamps(stage, _stamp_pairs(stage, output.shape[1], times, found)))
        actions = [
            Difference(stage.name, f"count of {action}", "", model, found.counts[action])
            for action in ACTION_PROBES
            if (model := counts.of_action(action)) != found.counts[action]
        ]
        if stage is pipeline.stages[-1]:  # what the sink takes is told with the last stage
            taken = column_stamps(stage, output.shape[1], observed.taken)
            more, answers = _compare_values(network, stage, output, observed.answers, "answer")
            wrong, first = wrong + more, [*first, *answers]
            late += _compare_stamps(stage, {"taken": (expected.taken, taken)})
        yield StageVerdict(
            name=stage.name,
            values=output.size,
            mismatches=wrong,
            cycles_equal=not late,
            actions_equal=not actions,
            utilization=utilization(
                found.lane_operations / len(values), stage.lanes, cycles_per_image
            ),
            differences=(*first, *late, *actions),
            counted=_by_attributes(found.counts, counts),
            expected=counts,
        )


def _by_attributes(totals: Mapping[str, int], model: ActionCounts) -> ActionCounts:
    """Give the RTL's totals the model's attributes: where it has several, in their proportions."""
    return ActionCounts.of(
        (action, attributes, totals.get(action, 0) * count // model.of_action(action))
        for (action, attributes), count in model.counts.items()
    )


def _compare_values(
    network: Network,
    stage: Stage,
    output: NDArray[np.int32],
    found: NDArray[np.int64],
    what: str = "value",
) -> tuple[int, Sequence[Difference]]:
    """Count wrong values, and tell the first."""
    values, real = expected_beats(network, stage, output)
    beats = min(len(values), len(found))
    wrong = (values[:beats] != found[:beats]) & real[:beats]
    missing = abs(len(values) - len(found))
    if wrong.any():
        beat, lane = (int(index) for index in np.argwhere(wrong)[0])
        where = _place(stage, output.shape, beat, lane)
        expected, seen = int(values[beat, lane]), int(found[beat, lane])
        first = [Difference(stage.name, what, where, expected, seen)]
    elif missing:
        first = [Difference(stage.name, f"beats of {what}s", "", len(values), len(found))]
    else:
        first = []
    return int(wrong.sum()) + missing * values.shape[1], first


def _place(stage: Stage, shape: tuple[int, ...], beat: int, lane: int) -> str:
    tiles = stage.beats.tiles
    _, rows, columns, _ = shape
    column, within = divmod(beat, rows * len(tiles))
    tile, row = divmod(within, rows)
    image, column = divmod(column, columns)
    return f"image {image}, column {column}, row {row}, channel {tiles[tile][0] + lane}"


def _stamp_pairs(
    stage: Stage, rows: int, times: StageStamps, found: ObservedStage
) -> dict[str, tuple[Cycles, Cycles]]:
    """Put the model's stamps (images, columns) beside those seen, by kind."""
    return {
        "accepted": (times.accepted, found.accepted),
        "started": (times.started, found.started),
        "finished": (times.finished, found.finished),
        "emitted": (times.emitted, column_stamps(stage, rows, found.beats)),
    }


def _compare_stamps(stage: Stage, pairs: dict[str, tuple[Cycles, Cycles]]) -> Iterator[Difference]:
    """Tell the first wrong stamp of each kind."""
    for what, (table, seen) in pairs.items():
        model = table.reshape(-1)
        common = min(len(model), len(seen))
        wrong = np.flatnonzero(model[:common] != seen[:common])
        if len(wrong):
            index = int(wrong[0])
            image, column = divmod(index, table.shape[1])
            where = f"image {image}, column {column}"
            yield Difference(stage.name, what, where, int(model[index]), int(seen[index]))
        elif len(model) != len(seen):
            yield Difference(stage.name, f"columns {what}", "", len(model), len(seen))
