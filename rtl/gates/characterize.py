"""An energy table from gate-level measurements of machines.

Machines run on images at gates, where the energy of every component is known, and in the model,
which counts the actions of every stage. The price of an action is the energy of the component that
performs it, what the clock takes in every cycle and leakage aside, over the count, weighted by its
width: where a component performs several kinds of action, the prices that fit all stages best and
are not negative; kinds whose counts are in proportion in all stages share alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.energy.schema import TableFile
from pilaster.models.energy.table import EnergyTable
from pilaster.models.energy.technology import conversion_factor
from pilaster.models.energy.units import RELATIVE_UNIT
from pilaster.models.energy.write import table_yaml
from pilaster.rtl.gates.bill import compare_bill
from pilaster.rtl.gates.measure import PowerMeasurement
from pilaster.rtl.gates.synthesis import LOGIC_BITS, REGISTER_BITS, TABLE_BITS
from pilaster.sim.results import Result, StageResult

__all__ = ["Run", "blackened", "characterize", "fit", "table_yaml"]

Size = Callable[[Attributes], float]

LEAST_ENERGY = 1e-6
"""An energy that is a smaller share of the largest weighs as much as that share."""


BLACK, SEED = 0.75, 2023
"""Share of the pixels that `blackened` makes zero, and the seed that says which."""


@dataclass(frozen=True)
class Run:
    """A machine measured at gates, and the model's counts for the same images.

    black : whether they were `blackened`
    """

    measured: PowerMeasurement
    model: Result
    black: bool = False


def blackened(images: NDArray[np.generic]) -> NDArray[np.generic]:
    """Make most pixels zero, at random.

    Zeros and other values are mixed much alike in all stages of all machines, so that the price of
    a lane at rest is not found without such a run.
    """
    kept = np.random.default_rng(SEED).random(images.shape) >= BLACK
    found: NDArray[np.generic] = np.where(kept, images, images.dtype.type(0))
    return found


def fit(energies: Sequence[float], counts: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Find prices, none negative, of least squared error: energies (n), counts (n, kinds).

    Errors are weighed as if their squares grew in proportion to the energy.
    """
    table, target = np.array(counts, float), np.array(energies, float)
    weight = np.maximum(target, max(LEAST_ENERGY * target.max(), LEAST_ENERGY)) ** -0.5
    table, target = table * weight[:, None], target * weight
    kinds = table.shape[1]
    best, least = np.zeros(kinds), float((target**2).sum())
    subsets = chain.from_iterable(combinations(range(kinds), n) for n in range(1, kinds + 1))
    for subset in subsets:
        chosen = list(subset)
        found, *_ = np.linalg.lstsq(table[:, chosen], target, rcond=None)
        error = float(((table[:, chosen] @ found - target) ** 2).sum())
        if (found >= 0).all() and error < least:
            best, least = np.zeros(kinds), error
            best[chosen] = found
    return best


def _bits(attributes: Attributes) -> float:
    return attributes.bits


def _capacity(attributes: Attributes) -> float:
    return attributes.bits * attributes.depth


def _lane(attributes: Attributes) -> float:
    return attributes.activation_bits * attributes.weight_bits


def _scale(attributes: Attributes) -> float:
    return attributes.accumulator_bits * max(1, attributes.scale_bits)


_READS = (Action.PSUM_READ, Action.ROW_SUM_READ, Action.COLUMN_READ)
_WRITES = (Action.PSUM_WRITE, Action.ROW_SUM_WRITE, Action.COLUMN_WRITE)

_SIZES: Mapping[Action, Size] = {
    **dict.fromkeys(_READS, _capacity),  # all words are at the multiplexer of a memory of registers
    **dict.fromkeys((Action.MAC, Action.MAC_GATED), _lane),
    Action.REQUANTIZE: _scale,
    Action.ROW: lambda attributes: 1.0,
}
"""What the price of an action is proportional to; bits of all that are not here."""

_OF_POOLING = (Action.WINDOW_SHIFT, Action.PSUM_READ, Action.PSUM_WRITE, Action.PROGRAM_READ)
"""What a stage that pools does beside comparing and adding."""


def characterize(
    runs: Sequence[Run], base: EnergyTable, name: str, title: str, node_nm: float
) -> TableFile:
    """Make a table from runs.

    Parameters
    ----------
    base : prices memories that are no gates; these entries are taken over with their sources
    node_nm : technology node, which a Liberty file does not tell

    Raises
    ------
    InputError
        If a component that the table needs is in no run.
    """
    mac, gated, load = _fit(
        runs, ("lanes",), ((Action.MAC,), (Action.MAC_GATED,), (Action.WEIGHT_LOAD,))
    )
    accumulate, read, write = _fit(
        runs, ("partial sums", "column buffer"), ((Action.ACCUMULATE,), _READS, _WRITES)
    )
    (requantize,) = _fit(runs, ("requantizers",), ((Action.REQUANTIZE,),))
    shift, row = _fit(runs, ("window",), ((Action.WINDOW_SHIFT,), (Action.ROW,)))
    (weights,) = _fit(runs, ("weights",), ((Action.WEIGHT_READ,),))
    (program,) = _fit(runs, ("program",), ((Action.PROGRAM_READ,),))
    of_pooling = dict(zip(_OF_POOLING, (shift, read, write, program), strict=True))
    words = {
        Action.WEIGHT_LOAD: load,
        Action.ACCUMULATE: accumulate,
        Action.WINDOW_SHIFT: shift,
        Action.POOL: _pool_price(runs, of_pooling),
        Action.STREAM: _stream_price(runs),
    }
    small = {
        "small_memory_read": (read * REGISTER_BITS, REGISTER_BITS, "linear-capacity"),
        "small_memory_write": (write, REGISTER_BITS, "linear-bits"),
        "small_weight_read": (weights, LOGIC_BITS, "linear-bits"),
        "small_program_read": (program, TABLE_BITS, "linear-bits"),
    }
    where = _where(runs)
    products = {Action.MAC: mac, Action.MAC_GATED: gated, Action.REQUANTIZE: requantize}
    entries = [_product_entry(action, price, runs, where) for action, price in products.items()]
    for action, price in words.items():
        entries.append(_plain_entry(action, "pJ/bit", price, "linear-bits", where))
    for kind, (price, bits, rule) in small.items():
        at = {"bits": 1, "depth": bits}
        entries.append({**_plain_entry(kind, "pJ", price, rule, where), "at": at})
    entries.append(_plain_entry(Action.ROW, "pJ", row, "constant", where))
    entries += [*_clock_entries(runs, where), _leakage_entry(runs, where), *_taken_over(base)]
    voltage, node, supply = runs[0].measured.voltage, base.node_nm, base.voltage_v
    memories = {"node_nm": node, "voltage_v": supply}
    return TableFile.model_validate(
        {
            "name": name,
            "title": title,
            "node_nm": float(node_nm),
            "voltage_v": voltage,
            "memories": None if (node, supply) == (node_nm, voltage) else memories,
            "entries": entries,
        }
    )


def _size(action: Action, attributes: Attributes) -> float:
    return _SIZES.get(action, _bits)(attributes)


def _where(runs: Sequence[Run]) -> str:
    machines = ", ".join(
        f"{run.measured.machine} on {run.measured.images} images"
        + (f", {BLACK:.0%} of their pixels black" if run.black else "")
        for run in runs
    )
    first = runs[0].measured
    return (
        f"measured at gates by pilaster characterize: {first.library}, {first.voltage:g} V, "
        f"{first.clock_mhz:g} MHz, zero-delay switching of {machines}; no wires"
    )


def _stages(runs: Sequence[Run]) -> Iterator[tuple[PowerMeasurement, StageResult, float]]:
    for run in runs:
        for stage in run.model.stages:
            yield run.measured, stage, float(run.model.counted_images)


def _fit(
    runs: Sequence[Run], components: Sequence[str], kinds: Sequence[Sequence[Action]]
) -> tuple[float, ...]:
    """Fit prices to the energies that components have in every stage that convolves."""
    energies, counts = [], []
    for measured, stage, images in _stages(runs):
        for component in components:
            if not stage.lanes and component != "column buffer":
                continue
            names = _TOGETHER.get(component, (component,))
            found = [
                p for p in measured.components if p.stage == stage.name and p.component in names
            ]
            if not found:
                continue
            outside = {
                m.name.startswith("row_sums")
                for m in measured.memories
                if (m.stage, m.component) == (stage.name, component)
            }
            # Accesses of a memory that is no gates cost these nothing.
            mine = [
                action
                for action in _ACTIONS[component]
                if action not in _OF_MEMORIES or (action in _OF_ROW_SUMS) not in outside
            ]
            row = [
                sum(_amount(stage, action) for action in kind if action in mine) / images
                for kind in kinds
            ]
            if any(row):
                energies.append(sum(p.internal_pj + p.switching_pj - p.clock_pj for p in found))
                counts.append(row)
    if not counts:
        raise InputError(f"no machine has {components[0]} made of gates; name more machines")
    return tuple(map(float, fit(energies, counts)))


_OF_MEMORIES = {*_READS, *_WRITES, Action.WEIGHT_READ, Action.PROGRAM_READ}
_OF_ROW_SUMS = {Action.ROW_SUM_READ, Action.ROW_SUM_WRITE}

_ACTIONS: Mapping[str, tuple[Action, ...]] = {
    "lanes": (Action.MAC, Action.MAC_GATED, Action.WEIGHT_LOAD),
    "partial sums": (
        Action.ACCUMULATE,
        Action.PSUM_READ,
        Action.PSUM_WRITE,
        Action.ROW_SUM_READ,
        Action.ROW_SUM_WRITE,
    ),
    "column buffer": (Action.COLUMN_READ, Action.COLUMN_WRITE),
    "requantizers": (Action.REQUANTIZE,),
    "window": (Action.WINDOW_SHIFT, Action.ROW),
    "weights": (Action.WEIGHT_READ,),
    "program": (Action.PROGRAM_READ,),
}
"""Actions of each component of a stage."""

_TOGETHER = {"window": ("window", "sequencer")}
"""Components whose energy is that of the same actions."""


def _amount(stage: StageResult, action: Action) -> float:
    """Count of an action, times what its price is proportional to."""
    return sum(
        count * _size(action, attributes)
        for (found, attributes), count in stage.actions.counts.items()
        if found is action
    )


def _pool_price(runs: Sequence[Run], of_pooling: Mapping[Action, float]) -> float:
    """Price of a bit of a compare or an add: what pooling takes beyond its shifts and memories."""
    energy = bits = 0.0
    for run in runs:
        energy += sum(
            line.gates_pj
            for line in compare_bill(run.measured, run.model)
            if line.part == "pooling"
        )
    for _, stage, images in _stages(runs):
        if stage.kind.endswith("_pool"):
            energy -= sum(_amount(stage, a) * price for a, price in of_pooling.items()) / images
            bits += _amount(stage, Action.POOL) / images
    if not bits:
        raise InputError("no machine has pooling; name more machines")
    return max(energy, 0.0) / bits


def _stream_price(runs: Sequence[Run]) -> float:
    """Energy of a bit of a beat: of emitters, intakes and the output FIFO."""
    energy = bits = 0.0
    for run in runs:
        for line in compare_bill(run.measured, run.model):
            if line.part == "streams":
                energy += line.gates_pj
    for _, stage, images in _stages(runs):
        for (action, attributes), count in stage.actions.counts.items():
            if action is Action.STREAM:
                bits += count * attributes.bits / images
    return energy / bits


def _plain_entry(name: str, unit: str, price: float, rule: str, where: str) -> dict[str, Any]:
    value = float(f"{price:.6g}")
    return {"name": str(name), "unit": unit, "value": value, "scaling": rule, "source": where}


def _product_entry(action: Action, price: float, runs: Sequence[Run], where: str) -> dict[str, Any]:
    """Write the entry of an action at the operand widths of the runs."""
    names = ("activation_bits", "weight_bits")
    if action is Action.REQUANTIZE:
        names = ("accumulator_bits", "scale_bits")
    points = {}
    for _, stage, _ in _stages(runs):
        for found, at in stage.actions.counts:
            if found is action:
                widths = tuple(max(1, getattr(at, name)) for name in names)
                value = float(f"{price * _size(action, at):.6g}")
                points[widths] = {**dict(zip(names, widths, strict=True)), "value": value}
    return {
        "name": str(action),
        "unit": "pJ",
        "points": [points[widths] for widths in sorted(points)],
        "scaling": "product-bits",
        "source": where,
    }


_TAKEN_OVER = {
    "register": "register",
    "memory_read": "memory_read",
    "memory_write": "memory_write",
    str(Action.PROGRAM_READ): "memory_read",
    "memory_leakage": "memory_leakage",
}
"""Entries of a table, and those of the table they are taken from."""


def _taken_over(base: EnergyTable) -> Iterator[dict[str, Any]]:
    """Entries of larger memories, at the technology of their table.

    A large program is priced as any other memory that is read.
    """
    for name, source in _TAKEN_OVER.items():
        entry = base.entries.get(source)
        if entry is None:
            continue
        if entry.unit == RELATIVE_UNIT:
            raise InputError(
                f"energy table {base.name}: {source} is relative to a MAC; name a table in joules"
            )
        plain = entry.model_dump(exclude_none=True)
        plain["name"] = name
        plain["source"] = f"energy table {base.name}: {entry.source}"
        if "points" in plain:
            plain["points"] = [dict(point) for point in plain["points"]]
        origin = entry.converted_from
        if origin is not None:
            factor = conversion_factor(
                origin.rule, origin.node_nm, origin.voltage_v, base.node_nm, base.voltage_v
            )
            del plain["converted_from"]
            for point in plain.get("points", (plain,)):
                point["value"] = float(f"{point['value'] * factor:.6g}")
            node, supply = origin.node_nm, origin.voltage_v
            plain["source"] += f"; converted from {node:g} nm and {supply:g} V by {origin.rule}"
        yield plain


def _clock_entries(runs: Sequence[Run], where: str) -> Iterator[dict[str, Any]]:
    """Energies of a cycle, at work or not: by register bits, by words of memories, and beside."""
    energies, counts = [], []
    for measured, stage, _ in _stages(runs):
        cycles = measured.cycles / measured.images
        parts = [part for part in measured.components if part.stage == stage.name]
        energies.append(sum(part.clock_pj for part in parts) / cycles)
        counts.append([float(stage.register_bits), float(_small_words(stage)), 1.0])
    a_bit, a_word, a_stage = fit(energies, counts)
    source = f"{where}; clock gates of a stage, and clock pins that have none, by"
    yield _plain_entry(
        Action.CLOCK, "pJ/bit", a_bit, "linear-bits", f"{source} the model's register bits"
    )
    words = _plain_entry(
        "small_memory_clock", "pJ", a_word, "constant", f"{source} memories' words"
    )
    yield {**words, "at": {"bits": 1, "depth": REGISTER_BITS}}
    yield _plain_entry("control", "pJ", a_stage, "constant", f"{source} stage")


def _small_words(stage: StageResult) -> int:
    """Words of the memories of a stage that are registers."""
    memories = stage.written_memories
    return sum(at.depth for at in memories if at.bits * at.depth <= REGISTER_BITS)


def _leakage_entry(runs: Sequence[Run], where: str) -> dict[str, Any]:
    gates = lanes = 0.0
    for run in runs:
        measured = run.measured
        microseconds = measured.cycles / measured.images / measured.clock_mhz
        gates += sum(part.leakage_pj for part in measured.components) / microseconds
        lanes += run.model.lanes
    source = f"{where}; all gates of a machine over its lanes"
    return _plain_entry("lane_leakage", "nW", gates / lanes * 1e3, "constant", source)
