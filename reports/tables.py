"""Results as tables: text for terminals and pages, CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from pilaster.models.energy.actions import Action
from pilaster.reports.units import count_text, energy_unit, percent, short_count
from pilaster.sim.results import Result, StageResult

__all__ = ["Table", "action_table", "stage_table", "stages_csv", "storage_table"]


@dataclass(frozen=True)
class Table:
    """A table of text, whose first `labels` columns are words and the others numbers.

    Attributes
    ----------
    headers : (title, unit or remark) of every column; the second may be empty
    rows : a tuple of cells for each row
    total : cells of the totals row
    """

    caption: str
    labels: int
    headers: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]
    total: tuple[str, ...]


def stage_table(result: Result) -> Table:
    """Give time, lanes and energy of every stage, per image."""
    per_image = [stage.energy_pj for stage in result.stages]
    unit = energy_unit(max(per_image))
    *energies, total_energy = unit.column([*per_image, result.energy_per_image_pj])
    rows = tuple(
        (
            stage.name,
            stage.kind.replace("_", " "),
            count_text(stage.lanes) if stage.lanes else "-",
            count_text(stage.busy_cycles),
            percent(stage.utilization) if stage.lanes else "-",
            short_count(stage.macs) if stage.macs else "-",
            _gated([stage]),
            energy,
            _share(stage.energy_pj, result.energy.total_pj),
        )
        for stage, energy in zip(result.stages, energies, strict=True)
    )
    total = (
        "total",
        "",
        count_text(result.lanes),
        "",
        percent(result.utilization),
        short_count(result.macs),
        _gated(result.stages),
        total_energy,
        _share(result.energy.total_pj, result.energy.total_pj),
    )
    headers = (
        ("stage", ""),
        ("kind", ""),
        ("lanes", ""),
        ("busy", "cycles"),
        ("used", ""),
        ("MACs", ""),
        ("gated", ""),
        ("energy", unit.symbol),
        ("share", ""),
    )
    return Table("Stages, per image", 2, headers, rows, total)


def action_table(result: Result) -> Table:
    """Give count and energy of every action, the most expensive first."""
    total = result.energy.total_pj
    counts = {str(action): sum(stage.count(action) for stage in result.stages) for action in Action}
    free = dict.fromkeys((name for name in counts if counts[name]), 0.0)
    energy = {**free, **result.energy.by_action}
    names = sorted(energy, key=lambda name: -energy[name])
    unit = energy_unit(max(energy.values(), default=0.0))
    *energies, total_energy = unit.column([*(energy[name] for name in names), total])
    rows = tuple(
        (
            name.replace("_", " "),
            f"{counts[name]:,.0f}" if counts.get(name) else "-",
            text,
            _share(energy[name], total),
        )
        for name, text in zip(names, energies, strict=True)
    )
    headers = (("action", ""), ("count", ""), ("energy", unit.symbol), ("share", ""))
    return Table(
        "Actions, per image", 1, headers, rows, ("total", "", total_energy, _share(total, total))
    )


def storage_table(result: Result) -> Table:
    """Give the bits that every stage keeps."""
    titles = ("column buffers", "partial sums", "weights", "registers")
    kept = [
        (stage.column_buffer_bits, stage.psum_bits, stage.weight_bits, stage.register_bits)
        for stage in result.stages
    ]
    rows = tuple(
        (
            stage.name,
            *(count_text(count) if count else "-" for count in bits),
            "DRAM" if stage.weights_in_dram else "chip" if stage.weight_bits else "-",
        )
        for stage, bits in zip(result.stages, kept, strict=True)
    )
    total = ("total", *(count_text(sum(column)) for column in zip(*kept, strict=True)), "")
    headers = (("stage", ""), *((title, "bits") for title in titles), ("weights in", ""))
    return Table("Storage", 1, headers, rows, total)


def stages_csv(result: Result) -> str:
    """Give a row for every stage; all figures are those of an image, the mean of the run's images.

    Columns are the plain values of `StageResult.as_dict`, then ``<action>_count`` for every
    action that is counted, ``<action>_pj`` for every action that may have a price, and, in every
    row alike, how the machine keeps its column interval (`Pace.as_dict`).
    """
    counted = [action for action in Action if action is not Action.CLOCK]
    priced = list(dict.fromkeys([*map(str, Action), "leakage", *result.energy.by_action]))
    rows = []
    for stage in result.stages:
        plain = {name: value for name, value in stage.as_dict().items() if name != "actions"}
        counts = {f"{action}_count": stage.count(action) for action in counted}
        energies = {f"{name}_pj": stage.energy_by_action.get(name, 0.0) for name in priced}
        rows.append({**plain, **counts, **energies, **result.pace.as_dict()})
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _count(stages: Sequence[StageResult], action: Action) -> int:
    return sum(stage.actions.of_action(action) for stage in stages)


def _gated(stages: Sequence[StageResult]) -> str:
    """Share of the lanes' operations that were held."""
    gated, done = _count(stages, Action.MAC_GATED), _count(stages, Action.MAC)
    return percent(gated / (gated + done)) if gated + done else "-"


def _share(part: float, whole: float) -> str:
    return percent(part / whole) if whole else "-"
