"""A result as one self-contained HTML page, without scripts or external files."""

from __future__ import annotations

import base64
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from pilaster.reports.plots import energy_figure, png, timeline_figure
from pilaster.reports.summary import all_notes, key_figures, summary_sentence
from pilaster.reports.tables import action_table, stage_table, storage_table
from pilaster.reports.units import count_text, energy_text
from pilaster.sim.results import Result

__all__ = ["report_html"]


def report_html(result: Result) -> str:
    """Give the whole result as a page: sentence, key figures, pictures, tables and notes."""
    source = resources.files("pilaster.reports").joinpath("templates/report.html.j2")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(source.read_text(encoding="utf-8"))
    return template.render(
        result=result,
        sentence=summary_sentence(result),
        waits=result.pace.describe_waits(),
        figures=key_figures(result),
        stages=stage_table(result),
        actions=action_table(result),
        storage=storage_table(result),
        notes=all_notes(result),
        energy_picture=_data_uri(png(energy_figure(result))),
        energy_words=_energy_words(result),
        timeline_picture=_data_uri(png(timeline_figure(result))),
        timeline_words=_timeline_words(result),
    )


def _data_uri(picture: bytes) -> Markup:
    return Markup("data:image/png;base64,") + base64.b64encode(picture).decode("ascii")


def _energy_words(result: Result) -> str:
    most = max(result.stages, key=lambda stage: stage.energy_pj)
    energy = energy_text(most.energy_pj)
    return (
        f"Bars of the energy of one image for each stage, split by kind of action. "
        f"{most.name} takes the most, {energy}. The tables below hold all numbers."
    )


def _timeline_words(result: Result) -> str:
    return (
        f"Bars of each stage's work on the columns of the first image over time. The last column "
        f"is due at cycle {count_text(int(result.stamps.due[0, -1]))}, the answer comes at cycle "
        f"{count_text(int(result.stamps.answers[0]))}."
    )
