"""What a person remembers of a result: one sentence, and the key figures."""

from __future__ import annotations

from pilaster.reports.units import count_text, energy_text, percent, short_count
from pilaster.sim.results import Result

__all__ = ["all_notes", "key_figures", "summary_sentence"]


def summary_sentence(result: Result) -> str:
    """Tell a result in one sentence: accuracy, latency after the last column, lanes, energy."""
    table = ", ".join(text for text in (result.energy.table, result.energy.remark) if text)
    parts = [
        f"the answer comes {count_text(result.latency_after_last_column_cycles)} cycles "
        f"after the last column",
        f"{count_text(result.lanes)} lanes, {percent(result.utilisation, 0)} used",
        f"{energy_text(result.energy_per_image_pj)} an image ({table})",
    ]
    if result.accuracy is not None:
        parts.insert(0, f"{percent(result.accuracy)} of {_images(result)} right")
    elif result.images:
        parts.insert(0, f"{_images(result)} without labels")
    return f"{result.network} on {result.machine}: {'; '.join(parts)}"


def key_figures(result: Result) -> tuple[tuple[str, str], ...]:
    """Give pairs of a name and a figure with its unit, the most important first."""
    accuracy = () if result.accuracy is None else (("Right answers", percent(result.accuracy)),)
    return (
        (
            "Latency after the last column",
            f"{count_text(result.latency_after_last_column_cycles)} cycles",
        ),
        ("Energy an image", energy_text(result.energy_per_image_pj)),
        *accuracy,
        ("Latency from the first column", f"{count_text(result.latency_cycles)} cycles"),
        ("One image every", f"{count_text(result.cycles_per_image)} cycles"),
        ("One column every", f"{count_text(result.column_interval_cycles)} cycles"),
        ("Lanes", f"{count_text(result.lanes)}, {percent(result.utilisation, 0)} used"),
        ("MACs an image", short_count(result.macs / result.counted_images)),
    )


def all_notes(result: Result) -> tuple[str, ...]:
    """Give the images' origin, the result's notes, and what its energy leaves out."""
    untold = (
        f"the energy leaves out: {missing}"
        for missing in result.energy.not_included
        if not any(missing in note for note in result.notes)
    )
    data = [f"images: {result.data}"] if result.images and result.data else []
    return tuple(note for note in (*data, *result.notes, *untold) if note)


def _images(result: Result) -> str:
    return f"{count_text(result.images)} image{'' if result.images == 1 else 's'}"
