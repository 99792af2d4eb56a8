"""Run a network on a machine: values, cycles, counts and energy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.calibration import unlike
from pilaster.models.energy.actions import Action
from pilaster.models.energy.table import EnergyTable
from pilaster.models.graph import INPUT
from pilaster.models.network import Network
from pilaster.models.reference.network import BATCH, classify, one_thread, tensors
from pilaster.sim.actions import ActionCounts, machine_actions
from pilaster.sim.area import stage_area_um2
from pilaster.sim.dram import NO_RTL, dram_traffic
from pilaster.sim.energy import stage_energy_pj, written_memories
from pilaster.sim.engine import simulate_events
from pilaster.sim.machine import Machine
from pilaster.sim.pace import pace
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.results import EnergyBill, Result, StageResult, per_image
from pilaster.sim.stages import Stage
from pilaster.sim.stages.kinds import kind_of
from pilaster.sim.utilization import utilization

__all__ = ["DEFAULT_TABLE", "simulate"]

DEFAULT_TABLE = "eyeriss65"

TIMED_IMAGES = 2
"""Images that the event engine runs: the first alone, the second behind it."""


@dataclass
class _Values:
    """What the images' values tell: classes, and how often each value is not zero."""

    nonzero: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    predictions: list[int] = field(default_factory=list)

    def see(self, name: str, values: NDArray[np.int32]) -> None:
        found = (values != 0).sum(axis=0, dtype=np.int64)
        self.nonzero[name] = self.nonzero[name] + found if name in self.nonzero else found


def simulate(
    network: Network,
    machine: Machine,
    images: NDArray[np.generic] | None = None,
    labels: NDArray[np.int64] | None = None,
    *,
    table: EnergyTable | None = None,
    clock_mhz: float | None = None,
    data: str = "",
    progress: Callable[[int], None] = lambda images_done: None,
) -> Result:
    """Simulate `network` on `machine`: integers, cycles, action counts and energy.

    Parameters
    ----------
    images : (N, H, W, C), unsigned bytes (0 to 255 for 0.0 to 1.0) or reals. None, or no images,
        gives times and the energy of one image whose values are all taken as not zero.
    labels : (N,), classes to compare with
    table : energy table; by default ``eyeriss65``
    clock_mhz : clock frequency; leakage, a power, is an energy only where it is known
    data : what the images are, for reports
    progress : called with the number of images done

    Raises
    ------
    InputError
        If the machine does not fit the network, or the images its input.
    """
    pipeline = Pipeline(network, machine)
    stages = pipeline.stages  # a machine that does not fit fails before any work
    table = table or EnergyTable.load(DEFAULT_TABLE)
    count = 0 if images is None else len(images)
    if labels is not None and len(labels) != count:
        raise InputError(f"{len(labels)} labels for {count} images")
    values = _Values()
    if images is not None and count:
        _infer(network, images, values, progress)
    stamps = simulate_events(pipeline, TIMED_IMAGES)
    kept = pace(pipeline)
    counted = max(1, count)
    results = []
    counts = machine_actions(pipeline, counted, values.nonzero)
    for node, stage, actions in zip(network.graph.nodes, stages, counts, strict=True):
        macs = node.layer.macs(network.graph.input_of(node))
        results.append(
            _stage_result(stage, actions, macs, counted, kept.cycles_per_image, table, clock_mhz)
        )
    accuracy = None
    if labels is not None and count:
        accuracy = float(np.mean(np.array(values.predictions) == labels))
    by_action: dict[str, float] = {}
    for result in results:
        for action, energy in result.energy_by_action.items():
            by_action[action] = by_action.get(action, 0.0) + energy
    bill = EnergyBill(
        table=table.name,
        by_action=by_action,
        by_stage={r.name: r.energy_pj for r in results},
        not_included=tuple(table.missing),
        remark=table.remark,
    )
    dram = dram_traffic(stages, counts, counted, kept.cycles_per_image)
    notes = [*_notes(network, count, table, clock_mhz)]
    if images is not None and (warning := unlike(network, images)):
        notes.append(warning)
    if dram is not None:
        notes.append(dram.describe(clock_mhz))
    elif any(result.weights_in_dram for result in results):
        notes.append(NO_RTL)
    return Result(
        network=network.name,
        machine=machine.name,
        data=data,
        images=count,
        counted_images=counted,
        accuracy=accuracy,
        predictions=tuple(values.predictions),
        stamps=stamps,
        pace=kept,
        clock_mhz=clock_mhz,
        stages=tuple(results),
        energy=bill,
        dram=dram,
        notes=tuple(notes),
    )


def _infer(
    network: Network,
    images: NDArray[np.generic],
    values: _Values,
    progress: Callable[[int], None],
) -> None:
    with one_thread():
        for first in range(0, len(images), BATCH):
            encoded = network.encode(images[first : first + BATCH])
            values.see(INPUT, encoded)
            for name, tensor in tensors(network, encoded):
                values.see(name, tensor)
                if name == network.graph.outputs[0]:
                    values.predictions += classify(tensor).tolist()
            progress(first + len(encoded))


def _stage_result(
    stage: Stage,
    actions: ActionCounts,
    macs: int,
    images: int,
    cycles_per_image: int,
    table: EnergyTable,
    clock_mhz: float | None,
) -> StageResult:
    kind = kind_of(stage)
    operations, storage = kind.lane_slots(stage), kind.storage(stage)
    energies = stage_energy_pj(stage, actions, images * cycles_per_image, table, clock_mhz)
    return StageResult(
        name=stage.name,
        kind=stage.kind,
        lanes=stage.lanes,
        busy_cycles=stage.busy_cycles,
        macs=macs,
        gated_macs=per_image(actions.of_action(Action.MAC_GATED), images),
        skipped_macs=macs - operations if stage.lanes else 0,
        utilization=utilization(operations, stage.lanes, cycles_per_image),
        column_buffer_bits=storage.column_buffers,
        psum_bits=storage.psums,
        weight_bits=storage.weights,
        weights_in_dram=bool(stage.spec.dram_bits_per_cycle),
        register_bits=kind.register_bits(stage),
        written_memories=written_memories(stage, actions),
        area_um2=stage_area_um2(stage, table) if table.has_area else None,
        counted_images=images,
        actions=actions,
        energy_by_action={action: energy / images for action, energy in energies.items()},
    )


def _notes(
    network: Network, images: int, table: EnergyTable, clock_mhz: float | None
) -> Iterator[str]:
    yield network.note
    if network.checked:
        yield network.checked
    if images:
        yield (
            f"energy is that of an image, the mean of {images}, with the zeros of their "
            f"activations; `pilaster map` and `explore` take none to be zero"
        )
    else:
        yield "no images: energy is that of one image in which no activation is zero"
    yield f"energy by table {table.name}"
    if table.has_leakage:
        known = (
            f"over the time at {clock_mhz:g} MHz" if clock_mhz else "left out: no clock is given"
        )
        yield f"{table.what_leaks}: {known}"
    if table.missing:
        yield f"the energy leaves out: {', '.join(table.missing)}"
