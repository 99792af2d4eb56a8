"""An energy table from machines measured at gates.

Machines run on images at gates, where the energy of every component is known, and in the model,
which counts the actions of every stage. The price of an action is the energy of the component that
performs it, clock and leakage aside, over the count, weighted by its width: where a component
performs several kinds of action, the prices that fit all stages best and are not negative; kinds
whose counts are in proportion in all stages share alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.energy.schema import Entry, TableFile
from pilaster.models.energy.table import EnergyTable
from pilaster.models.errors import InputError
from pilaster.rtl.gates.bill import compare_bill, part_of
from pilaster.rtl.gates.measure import ComponentPower, PowerMeasurement
from pilaster.sim.results import Result, StageResult

__all__ = ["Run", "characterize", "fit", "table_yaml"]

Weight = Callable[[Attributes], float]


@dataclass(frozen=True)
class Run:
    """A machine measured at gates, and the model's counts for the same images."""

    measured: PowerMeasurement
    model: Result


def fit(energies: Sequence[float], counts: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Find prices, none negative, of least squared error: energies (n), counts (n, kinds)."""
    table, target = np.array(counts, float), np.array(energies, float)
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


def _lane(attributes: Attributes) -> float:
    return attributes.activation_bits * attributes.weight_bits


def _scale(attributes: Attributes) -> float:
    return attributes.accumulator_bits * max(1, attributes.scale_bits)


_WEIGHTS: Mapping[Action, tuple[Weight, str]] = {
    Action.MAC: (_lane, "product-bits"),
    Action.MAC_GATED: (_lane, "product-bits"),
    Action.REQUANTIZE: (_scale, "product-bits"),
    Action.ACCUMULATE: (_bits, "linear-bits"),
    Action.WINDOW_SHIFT: (_bits, "linear-bits"),
    Action.POOL: (_bits, "linear-bits"),
    Action.STREAM: (_bits, "linear-bits"),
    Action.PSUM_READ: (_bits, "word-depth"),
    Action.PSUM_WRITE: (_bits, "word-depth"),
    Action.COLUMN_READ: (_bits, "word-depth"),
    Action.COLUMN_WRITE: (_bits, "word-depth"),
    Action.WEIGHT_READ: (_bits, "word-depth"),
}
"""What the price of an action is proportional to, and the rule of the table that says so."""

_FITTED = {
    "lanes": (Action.MAC, Action.MAC_GATED),
    "partial sums": (Action.ACCUMULATE, Action.PSUM_READ, Action.PSUM_WRITE),
    "requantizers": (Action.REQUANTIZE,),
    "window": (Action.WINDOW_SHIFT,),
    "pooling": (Action.POOL,),
    "column buffer": (Action.COLUMN_READ, Action.COLUMN_WRITE),
    "weights": (Action.WEIGHT_READ,),
}
"""Actions of each component that is gates, by stage."""


def characterize(
    runs: Sequence[Run], base: EnergyTable, name: str, title: str, node_nm: float
) -> TableFile:
    """Make a table from runs.

    Parameters
    ----------
    base : prices memories that are no gates; its points are taken over with their source
    node_nm : technology node, which a Liberty file does not tell

    Raises
    ------
    InputError
        If a component that the table needs is in no run.
    """
    voltage = runs[0].measured.voltage
    prices: dict[Action, float] = {}
    for component, actions in _FITTED.items():
        rows = list(_rows(runs, component, actions))
        if not rows:
            raise InputError(f"no machine has {component} made of gates; name more machines")
        found = fit([energy for energy, _ in rows], [counts for _, counts in rows])
        prices.update(zip(actions, map(float, found), strict=True))
    prices[Action.STREAM] = _stream_price(runs)
    where = _where(runs)
    entries = [_entry(action, price, runs, base, where) for action, price in prices.items()]
    entries.append(_clock_entry(runs, where))
    entries += list(_leakage_entries(runs, base, where))
    plain = {
        "name": name,
        "title": title,
        "node_nm": float(node_nm),
        "voltage_v": voltage,
        "entries": entries,
    }
    return TableFile.model_validate(plain)


def _where(runs: Sequence[Run]) -> str:
    machines = ", ".join(f"{run.measured.machine} on {run.measured.images} images" for run in runs)
    first = runs[0].measured
    return (
        f"measured at gates by pilaster characterize: {first.library}, {first.voltage:g} V, "
        f"{first.clock_mhz:g} MHz, zero-delay switching of {machines}; no wires"
    )


def _stages(runs: Sequence[Run]) -> Iterator[tuple[PowerMeasurement, StageResult, float]]:
    for run in runs:
        for stage in run.model.stages:
            yield run.measured, stage, float(run.model.counted_images)


def _rows(
    runs: Sequence[Run], component: str, actions: Sequence[Action]
) -> Iterator[tuple[float, list[float]]]:
    """Energy of a component in every stage that has it, and its weighted counts, per image.

    Accesses of a memory that is no gates are not among these.
    """
    for measured, stage, images in _stages(runs):
        pools = frozenset() if stage.lanes else frozenset([stage.name])
        energy, there = 0.0, False
        for part in measured.components:
            known = "pooling" if part_of(part, pools) == "pooling" else part.component
            if part.stage == stage.name and known == component:
                energy += part.internal_pj + part.switching_pj - part.clock_pj
                there = True
        if not there:
            continue
        outside = {m.component for m in measured.memories if m.stage == stage.name}
        counts = []
        for action in actions:
            weight = _WEIGHTS[action][0]
            total = sum(
                count * weight(attributes)
                for (found, attributes), count in stage.actions.counts.items()
                if found is action
            )
            is_memory = _WEIGHTS[action][1] == "word-depth"
            counts.append(0.0 if is_memory and component in outside else total / images)
        if any(counts):
            yield energy, counts


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


def _entry(
    action: Action, price: float, runs: Sequence[Run], base: EnergyTable, where: str
) -> dict[str, Any]:
    """Write the entry of an action: at the widths of the runs, and of memories' macros."""
    weight, rule = _WEIGHTS[action]
    names = ("bits", "depth") if rule == "word-depth" else ("bits",)
    if rule == "product-bits":
        lane = ("activation_bits", "weight_bits")
        names = lane if weight is _lane else ("accumulator_bits", "scale_bits")
    points: dict[tuple[int, ...], dict[str, Any]] = {}
    for measured, stage, _ in _stages(runs):
        outside = {(m.width, m.depth) for m in measured.memories}
        for found, attributes in stage.actions.counts:
            at = tuple(getattr(attributes, name) for name in names)
            if found is action and at not in outside:
                value = price * weight(attributes)
                points[at] = {**dict(zip(names, at, strict=True)), "value": round(value, 6)}
    if rule == "word-depth":
        kept = (
            "memory_write" if action in (Action.PSUM_WRITE, Action.COLUMN_WRITE) else "memory_read"
        )
        for at, point in _macro_points(base, kept).items():
            points.setdefault(at, point)
        points = {at: point for at, point in points.items() if point["value"] > 0}
    return {
        "name": str(action),
        "unit": "pJ",
        "scaling": rule,
        "points": [points[at] for at in sorted(points)],
        "source": where,
    }


def _macro_points(base: EnergyTable, name: str) -> dict[tuple[int, ...], dict[str, Any]]:
    entry: Entry | None = base.entries.get(name)
    if entry is None or entry.converted_from is not None or entry.unit != "pJ":
        raise InputError(
            f"energy table {base.name}: has no {name} in pJ at its own node to take over"
        )
    points: dict[tuple[int, ...], dict[str, Any]] = {}
    for point in entry.published:
        at = (point.attributes.bits, point.attributes.depth)
        source = f"energy table {base.name}: {point.source or entry.source}"
        points[at] = {"bits": at[0], "depth": at[1], "value": point.value, "source": source}
    return points


def _clock_entry(runs: Sequence[Run], where: str) -> dict[str, Any]:
    """Energy a cycle of a register bit that the model counts: clock, and what steps the machine."""
    energy = bits = 0.0
    for run in runs:
        for line in compare_bill(run.measured, run.model):
            if line.part == "clock and control":
                energy += line.gates_pj
        cycles = run.measured.cycles / run.measured.images
        bits += sum(stage.register_bits for stage in run.model.stages) * cycles
    return {
        "name": str(Action.CLOCK),
        "unit": "fJ/bit",
        "value": round(energy / bits * 1e3, 6),
        "scaling": "linear-bits",
        "source": f"{where}; clock pins, clock gates and sequencers over the model's register bits",
    }


def _leakage_entries(
    runs: Sequence[Run], base: EnergyTable, where: str
) -> Iterator[dict[str, Any]]:
    gates = lanes = 0.0
    for run in runs:
        measured = run.measured
        microseconds = measured.cycles / measured.images / measured.clock_mhz
        parts = [part for part in measured.parts if isinstance(part, ComponentPower)]
        gates += sum(part.leakage_pj for part in parts) / microseconds
        lanes += run.model.lanes
    yield {
        "name": "lane_leakage",
        "unit": "nW",
        "value": round(gates / lanes * 1e3, 6),
        "scaling": "constant",
        "source": f"{where}; all gates of a machine over its lanes",
    }
    entry = base.entries.get("memory_leakage")
    if entry is not None:
        plain = entry.model_dump(exclude_none=True)
        plain["source"] = f"energy table {base.name}: {entry.source}"
        if "points" in plain:
            plain["points"] = [dict(point) for point in plain["points"]]
        yield plain


def table_yaml(table: TableFile) -> str:
    """Write a table as the text of its file."""
    plain = table.model_dump(exclude_none=True)
    plain["entries"] = [
        {**entry, **({"points": list(entry["points"])} if "points" in entry else {})}
        for entry in plain["entries"]
    ]
    text: str = yaml.safe_dump(plain, sort_keys=False, width=100, allow_unicode=True)
    return f"# Measured by `pilaster characterize`. The format: docs/energy-tables.md.\n\n{text}"
