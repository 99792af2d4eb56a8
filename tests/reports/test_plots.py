"""Laws: bars are the result's energies and stamps; text is large enough to read."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib.text
import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pilaster.models.energy.actions import Action
from pilaster.reports.plots import GROUPS, energy_figure, png, timeline_figure
from pilaster.reports.units import energy_unit
from pilaster.sim.results import Result

Draw = Callable[[Result], Figure]
FIGURES: list[Draw] = [energy_figure, timeline_figure]


def texts(figure: Figure) -> list[matplotlib.text.Text]:
    found = figure.findobj(matplotlib.text.Text)
    return [text for text in found if text.get_text()]


def test_every_action_has_one_color() -> None:
    grouped = [action for group in GROUPS for action in group.actions]
    assert sorted(grouped) == sorted([*Action, "leakage"])
    assert len({group.color for group in GROUPS}) == len(GROUPS)


def test_bars_add_up_to_the_energy_of_an_image(result: Result) -> None:
    axes = energy_figure(result).axes[0]
    unit = energy_unit(max(stage.energy_pj for stage in result.stages))
    widths = np.zeros(len(result.stages))
    for bar in axes.patches:
        assert isinstance(bar, Rectangle)
        widths[round(bar.get_y() + bar.get_height() / 2)] += bar.get_width()
    expected = [stage.energy_pj / unit.pj for stage in result.stages]
    assert widths == pytest.approx(expected)
    assert unit.symbol in axes.get_xlabel()


def test_bars_are_the_work_on_columns(result: Result) -> None:
    axes = timeline_figure(result).axes[0]
    drawn = set()
    for bars in axes.collections:
        if isinstance(bars, PolyCollection):
            for path in bars.get_paths():
                box = path.get_extents()
                drawn.add((round((box.y0 + box.y1) / 2), round(box.x0), round(box.x1)))
    assert drawn == {
        (place, int(started), int(finished))
        for place, stage in enumerate(result.stamps.stages)
        for started, finished in zip(stage.started[0], stage.finished[0], strict=True)
    }


def test_latency_is_told(result: Result) -> None:
    words = [text.get_text() for text in texts(timeline_figure(result))]
    cycles = f"{result.latency_after_last_column_cycles:,}"
    assert f"latency after the last column: {cycles} cycles" in words
    assert f"answer: {result.stamps.answers[0]:,}" in words


@pytest.mark.parametrize("draw", FIGURES)
def test_text_is_legible_and_units_are_named(draw: Draw, result: Result) -> None:
    figure = draw(result)
    figure.draw_without_rendering()
    assert min(float(text.get_fontsize()) for text in texts(figure)) >= 8
    words = " ".join(text.get_text() for text in texts(figure))
    for name in (result.network, result.machine, *(stage.name for stage in result.stages)):
        assert name in words
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in figure.axes)


@pytest.mark.parametrize("draw", FIGURES)
def test_same_result_same_bytes(draw: Draw, result: Result) -> None:
    picture = png(draw(result))
    assert picture.startswith(b"\x89PNG")
    assert picture == png(draw(result))


@pytest.mark.parametrize("draw", FIGURES)
def test_nothing_to_pay_is_drawn_too(draw: Draw, free_result: Result) -> None:
    assert png(draw(free_result)).startswith(b"\x89PNG")
