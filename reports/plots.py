"""Plots of a result: energy by stage, and stage activity over time.

Figures are drawn with matplotlib's objects alone: nothing is kept in global state.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from pilaster.models.energy.actions import Action
from pilaster.reports.units import count_text, energy_text, energy_unit, percent
from pilaster.sim.results import Result
from pilaster.sim.stamps import Stamps

__all__ = ["energy_figure", "png", "timeline_figure"]

WIDTH_INCHES = 9.5
STAGE_INCHES = 0.32
SMALL, NORMAL, LARGE = 8.5, 9.5, 11.5
DOTS_PER_INCH = 150
MOST_LEGEND_COLUMNS = 6
INK, FAINT = "#222222", "#d9d9d9"


@dataclass(frozen=True)
class Group:
    """Actions that share a color."""

    title: str
    color: str
    actions: tuple[Action | str, ...]


# Okabe and Ito's palette, made for all kinds of color vision, with three of Tol's beside it.
GROUPS = (
    Group("lanes", "#0072B2", (Action.MAC, Action.WEIGHT_LOAD)),
    Group("gated lanes", "#56B4E9", (Action.MAC_GATED,)),
    Group(
        "psum memory",
        "#E69F00",
        (
            Action.PSUM_READ,
            Action.PSUM_WRITE,
            Action.ROW_SUM_READ,
            Action.ROW_SUM_WRITE,
            Action.ACCUMULATE,
        ),
    ),
    Group("weight memory", "#D55E00", (Action.WEIGHT_READ,)),
    Group(
        "column buffers",
        "#009E73",
        (Action.COLUMN_READ, Action.COLUMN_WRITE, Action.WINDOW_SHIFT),
    ),
    Group("requantization", "#CC79A7", (Action.REQUANTIZE,)),
    Group("pooling", "#F0E442", (Action.POOL,)),
    Group("streams", "#332288", (Action.STREAM,)),
    Group("DRAM", "#882255", (Action.DRAM_READ,)),
    Group("steps and clock", "#999999", (Action.ROW, Action.PROGRAM_READ, Action.CLOCK)),
    Group("leakage", "#44525C", ("leakage",)),
)
OTHER = Group("other", "#DDDDDD", ())

COLUMN_SHADES = ("#0072B2", "#6DB6E3")
LAST_COLUMN, LATENCY_SPAN, WAITING = "#A63F00", "#F3E3D3", "#D62728"
THINNEST_BAR_POINTS = 0.4
LONG_CYCLES = 10_000_000
MOST_MARKED_COLUMNS = 64
"""Where an image has more columns, marks of when they were accepted run into each other."""


def energy_figure(result: Result) -> Figure:
    """Draw the energy of one image: a bar for every stage, a color for every kind of action."""
    figure, axes = _figure(result, extra_inches=1.9)
    parts = _energy_by_group(result)
    totals = parts.sum(axis=0)
    unit = energy_unit(float(totals.max()))
    left = np.zeros(len(totals))
    places = np.arange(len(totals))
    for group, part in zip((*GROUPS, OTHER), parts / unit.pj, strict=True):
        if part.any():
            axes.barh(
                places,
                part,
                left=left,
                height=0.72,
                color=group.color,
                edgecolor="white",
                linewidth=0.4,
                label=group.title,
            )
            left += part
    for place, total in zip(places, totals, strict=True):
        share = f"  ({percent(total / totals.sum())})" if totals.sum() else ""
        axes.annotate(
            f"{energy_text(total)}{share}",
            (total / unit.pj, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )
    # Room for the longest bar's label.
    axes.set_xlim(0, 1.22 * float(totals.max()) / unit.pj or 1.0)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_xlabel(f"energy of one image ({unit.symbol})", fontsize=NORMAL)
    _title(
        axes,
        f"Energy: {result.network} on {result.machine}",
        f"{energy_text(result.energy_per_image_pj)} an image, by table {result.energy.table}; "
        f"activations: {result.activations}",
    )
    if shown := int(parts.any(axis=1).sum()):
        columns = -(-shown // -(-shown // MOST_LEGEND_COLUMNS))
        figure.legend(loc="outside lower center", ncols=columns, fontsize=SMALL, frameon=False)
    return figure


def timeline_figure(result: Result) -> Figure:
    """Draw when every stage works on the columns of the first image."""
    figure, axes = _figure(result, extra_inches=1.9)
    stamps = result.stamps
    for place, stage in enumerate(stamps.stages):
        started, finished = stage.started[0], stage.finished[0]
        bars = np.stack([started, finished - started], axis=1)
        for shade, color in enumerate(COLUMN_SHADES):
            axes.broken_barh(
                [(float(x), float(width)) for x, width in bars[shade::2]],
                (place - 0.3, 0.6),
                facecolors=color,
                edgecolors=color,
                linewidth=THINNEST_BAR_POINTS,
            )
        if len(started) <= MOST_MARKED_COLUMNS:
            marks = stage.accepted[0]
            axes.vlines(marks, place - 0.46, place - 0.34, color=INK, linewidth=0.8)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    _mark_waits(axes, stamps)
    _mark_latency(axes, stamps)
    ticks = "; ticks: a column stands in the stage's buffer"
    marked = any(stage.started.shape[1] <= MOST_MARKED_COLUMNS for stage in stamps.stages)
    remark = "first image; a bar is the work on one column, with its waiting for the next stage"
    if not result.pace.holds:
        interval = count_text(result.column_interval_cycles)
        ticks += f"\nDOES NOT HOLD its interval of {interval} cycles; red: columns wait to be taken"
    _title(
        axes,
        f"Timeline: {result.network} on {result.machine}",
        f"{remark}{ticks if marked or not result.pace.holds else ''}",
    )
    return figure


def png(figure: Figure) -> bytes:
    """Give a figure as a PNG file, the same bytes for the same figure."""
    file = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(file, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return file.getvalue()


def _figure(result: Result, extra_inches: float) -> tuple[Figure, Axes]:
    """Make a figure with a row for every stage, the first on top."""
    count = len(result.stages)
    size = (WIDTH_INCHES, STAGE_INCHES * count + extra_inches)
    figure = Figure(size, dpi=DOTS_PER_INCH, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("white")
    axes.set_axisbelow(True)
    axes.set_ylim(count - 0.4, -0.6)
    names = [stage.name for stage in result.stages]
    axes.set_yticks(range(count), names, fontsize=NORMAL, parse_math=False)
    axes.set_ylabel("stage", fontsize=NORMAL)
    axes.tick_params(axis="x", labelsize=SMALL)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _title(axes: Axes, title: str, remark: str) -> None:
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=LARGE, weight="bold", parse_math=False)
    axes.set_title(remark, loc="left", fontsize=SMALL, color=INK, parse_math=False)


def _energy_by_group(result: Result) -> NDArray[np.float64]:
    """Give pJ of an image, (groups and other, stages)."""
    group_of = {str(action): i for i, group in enumerate(GROUPS) for action in group.actions}
    energy = np.zeros((len(GROUPS) + 1, len(result.stages)))
    for place, stage in enumerate(result.stages):
        for name, part in stage.energy_by_action.items():
            energy[group_of.get(name, len(GROUPS)), place] += part
    return energy


def _mark_waits(axes: Axes, stamps: Stamps) -> None:
    """Mark when columns of the input wait to be taken, above the first stage."""
    due, waits = stamps.due[0], stamps.waits[0]
    late = waits > 0
    spans = [(float(x), float(width)) for x, width in zip(due[late], waits[late], strict=True)]
    axes.broken_barh(spans, (-0.6, 0.14), facecolors=WAITING, edgecolors="none")


def _mark_latency(axes: Axes, stamps: Stamps) -> None:
    """Lay out the axis of cycles; mark the last column, the answer and the cycles between."""
    last, answer = int(stamps.due[0, -1]), int(stamps.answers[0])
    end = max(answer, *(int(stage.finished[0].max()) for stage in stamps.stages))
    wide, narrow = answer - last > 0.5 * end, answer - last < 0.2 * end
    axes.set_xlim(0, (1.18 if narrow else 1.01) * end)
    unit, name = (1e6, "million cycles") if end >= LONG_CYCLES else (1.0, "cycles")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda cycle, _: f"{cycle / unit:,.10g}"))
    axes.set_xlabel(f"{name} since the first column was offered", fontsize=NORMAL)
    bottom, _ = axes.get_ylim()
    axes.set_ylim(bottom, -2.0)
    axes.axvspan(last, answer, color=LATENCY_SPAN, zorder=0, linewidth=0)
    arrow = {"arrowstyle": "<->", "color": INK, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (answer, -1.0), (last, -1.0), arrowprops=arrow)
    for cycle, color in ((last, LAST_COLUMN), (answer, INK)):
        axes.axvline(cycle, color=color, linewidth=1.2, linestyle="--")
    before, after, amid = ((-4, 0), "right"), ((4, 0), "left"), ((0, 0), "center")
    latency = f"latency after the last column: {count_text(answer - last)} cycles"
    labels = (
        (
            float(last),
            -1.6,
            f"last column due: {count_text(last)}",
            LAST_COLUMN,
            after if wide else before,
        ),
        (answer, -1.6, f"answer: {count_text(answer)}", INK, after if narrow else before),
        ((last + answer) / 2 if wide else last, -1.0, latency, INK, amid if wide else before),
    )
    for at, row, text, color, (offset, align) in labels:
        axes.annotate(
            text,
            (at, row),
            xytext=offset,
            textcoords="offset points",
            ha=align,
            va="center",
            fontsize=SMALL,
            weight="bold" if text is latency else "normal",
            color=color,
            bbox={"facecolor": LATENCY_SPAN, "edgecolor": "none", "pad": 1} if wide else None,
        )
