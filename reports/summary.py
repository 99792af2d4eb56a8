"""Summary of a result: one sentence and the key figures."""

from __future__ import annotations

from pilaster.reports.units import (
    area_text,
    count_text,
    energy_text,
    percent,
    power_text,
    short_count,
    time_text,
)
from pilaster.sim.results import Result

__all__ = ["all_notes", "key_figures", "summary_sentence"]


def summary_sentence(result: Result) -> str:
    """Tell a result in one sentence: accuracy, latency, lanes, energy, power and area."""
    table = ", ".join(text for text in (result.energy.table, result.energy.remark) if text)
    parts = [
        f"the answer comes {_after(result)}",
        f"{count_text(result.lanes)} lanes, {percent(result.utilization, 0)} used",
        f"{_energy(result)} ({table})",
    ]
    if result.power_mw is not None:
        parts.append(power_text(result.power_mw))
    if result.area_um2 is not None:
        parts.append(area_text(result.area_um2))
    if result.accuracy is not None:
        parts.insert(0, f"{percent(result.accuracy)} of {_images(result)} right")
    elif result.images:
        parts.insert(0, f"{_images(result)} without labels")
    if not result.pace.holds:
        parts.append(
            f"DOES NOT HOLD its column interval of {count_text(result.column_interval_cycles)} "
            f"cycles, but one of {count_text(result.pace.held_interval)}"
        )
    return f"{result.network} on {result.machine}: {'; '.join(parts)}"


def key_figures(result: Result) -> tuple[tuple[str, str], ...]:
    """Give pairs of a name and a figure with its unit, the most important first."""
    pace, dram = result.pace, result.dram
    figures = {
        "Latency after the last column": _cycles(result, result.latency_after_last_column_cycles),
        "Energy an image": energy_text(result.energy_per_image_pj),
        "Right answers": None if result.accuracy is None else percent(result.accuracy),
        "Power": None if result.power_mw is None else power_text(result.power_mw),
        "Area": None if result.area_um2 is None else area_text(result.area_um2),
        "Latency from the first column": _cycles(result, result.latency_cycles),
        "One image every": _cycles(result, result.cycles_per_image),
        "One column is due every": _cycles(result, result.column_interval_cycles),
        "One column is taken every": None
        if pace.holds
        else f"{pace.sustained_interval:,.1f} cycles in the mean",
        "Columns wait up to": None if pace.holds else f"{count_text(pace.longest_wait)} cycles",
        "Interval that is held": None if pace.holds else f"{count_text(pace.held_interval)} cycles",
        "Lanes": f"{count_text(result.lanes)}, {percent(result.utilization, 0)} used",
        "MACs an image": short_count(result.macs),
        "DRAM, peak and mean": None
        if dram is None
        else f"{dram.peak_bits_per_cycle:,} and {dram.mean_bits_per_cycle:,.1f} bits a cycle",
    }
    return tuple((name, figure) for name, figure in figures.items() if figure is not None)


def all_notes(result: Result) -> tuple[str, ...]:
    """Give the images' origin, the result's notes, and what its energy leaves out."""
    untold = (
        f"the energy leaves out: {missing}"
        for missing in result.energy.not_included
        if not any(missing in note for note in result.notes)
    )
    data = [f"images: {result.data}"] if result.images and result.data else []
    return tuple(note for note in (*data, *result.notes, *untold) if note)


def _cycles(result: Result, cycles: int) -> str:
    time = result.microseconds(cycles)
    return f"{count_text(cycles)} cycles" + ("" if time is None else f", {time_text(time)}")


def _after(result: Result) -> str:
    cycles = result.latency_after_last_column_cycles
    time = result.microseconds(cycles)
    told = "" if time is None else f", {time_text(time)} at {result.clock_mhz:g} MHz"
    return f"{count_text(cycles)} cycles after the last column{told}"


def _energy(result: Result) -> str:
    image = "an image" if result.images else "an image in which no activation is zero"
    return f"{energy_text(result.energy_per_image_pj)} {image}"


def _images(result: Result) -> str:
    return f"{count_text(result.images)} image{'' if result.images == 1 else 's'}"
