"""Plots of the studies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from pilaster.reports.plots import DOTS_PER_INCH, FAINT, INK, LARGE, NORMAL, SMALL, WIDTH_INCHES
from pilaster.reports.reproduce.eyeriss import PIPELINE, WHOLE, Row
from pilaster.reports.reproduce.sensors2023 import (
    CLOCKED,
    LANE_SHARES,
    PUBLISHED,
    Reduction,
    StageSlack,
)

__all__ = ["eyeriss_figure", "interval_figure", "slack_figure"]

COLORS = ("#0072B2", "#D55E00", "#009E73")
LANES_COLOR = "#999999"
CHIP_COLOR, OURS_COLOR = "#999999", "#0072B2"
POLICY_COLORS = {"immediate": "#D55E00", "multi-cycle": "#0072B2"}


def interval_figure(rows: Sequence[Reduction]) -> Figure:
    """Draw the reduction of power and of lanes against the column interval, a panel a network."""
    names = [name for name in PUBLISHED if any(row.network == name for row in rows)]
    figure, panels = _figure(4.2, 1, len(names))
    for axes, name in zip(panels, names, strict=True):
        found = [row for row in rows if row.network == name and row.study == "interval"]
        for table, color in zip(CLOCKED, COLORS, strict=True):
            least = [row for row in found if (row.objective, row.table) == ("power", table)]
            x = [row.column_interval_cycles for row in least]
            y = [100 * row.power_saved for row in least]
            axes.plot(x, y, color=color, marker="o", markersize=4, label=f"power, {table}")
        for share, style in zip(LANE_SHARES, ("--", ":"), strict=True):
            fewest = [
                row
                for row in found
                if (row.objective, row.table, row.latency_share) == ("lanes", CLOCKED[0], share)
            ]
            x = [row.column_interval_cycles for row in fewest]
            y = [100 * row.lanes_saved for row in fewest]
            label = f"lanes, latency x {share:g}"
            axes.plot(
                x, y, color=LANES_COLOR, linestyle=style, marker="s", markersize=3, label=label
            )
        axes.axhline(
            100 * PUBLISHED[name],
            color=INK,
            linewidth=1.2,
            linestyle="-.",
            label="published, up to",
        )
        axes.set_xscale("log", base=2)
        axes.set_xticks(x, [f"{each:,}" for each in x], fontsize=SMALL, rotation=45)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(-5, 70)
        axes.axhline(0, color=INK, linewidth=0.6)
        axes.set_title(name, loc="left", fontsize=NORMAL)
        axes.set_xlabel("column interval (cycles)", fontsize=NORMAL)
    panels[0].set_ylabel("saved by multi-cycle (%)", fontsize=NORMAL)
    _legend(figure, panels[0], 3)
    _title(figure, "Multi-cycle against immediate, at equal interval and latency limit")
    return figure


def slack_figure(rows: Sequence[StageSlack]) -> Figure:
    """Draw how much longer the work on a column of each stage may take, a panel a network."""
    names = list(dict.fromkeys(row.network for row in rows))
    most = max(len({row.stage for row in rows if row.network == name}) for name in names)
    figure, panels = _figure(1.4 + 0.26 * most, 1, len(names))
    for axes, name in zip(panels, names, strict=True):
        found = [row for row in rows if row.network == name]
        stages = list(dict.fromkeys(row.stage for row in found))
        for number, (policy, color) in enumerate(POLICY_COLORS.items()):
            slack = [row.slack_cycles for row in found if row.policy == policy]
            places = np.arange(len(stages)) + 0.38 * (number - 0.5)
            axes.barh(places, slack, height=0.36, color=color, label=policy)
        axes.set_yticks(range(len(stages)), stages, fontsize=SMALL)
        axes.invert_yaxis()
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(left=0)
        axes.tick_params(axis="x", labelsize=SMALL)
        axes.set_title(
            f"{name}, a column every {found[0].column_interval_cycles:,} cycles",
            loc="left",
            fontsize=SMALL,
        )
        axes.set_xlabel("slack (cycles a column)", fontsize=NORMAL)
    panels[0].set_ylabel("stage", fontsize=NORMAL)
    _legend(figure, panels[0], 2)
    _title(figure, "Cycles that each stage's work on a column may still grow by (fewest lanes)")
    return figure


def eyeriss_figure(rows: Sequence[Row]) -> Figure:
    """Draw time, energy and DRAM traffic of every layer beside the chip's."""
    names = list(dict.fromkeys(row.network for row in rows))
    figure, panels = _figure(3.1 * len(names) + 0.8, len(names), 3)
    measures = (
        ("ms", "chip_ms", "time (ms an image)"),
        ("clocked_mj", "chip_mj", "energy on chip, clocked (mJ an image)"),
        ("dram_mb", "chip_dram_mb", "DRAM traffic (MB an image)"),
    )
    for number, name in enumerate(names):
        found = [r for r in rows if r.network == name and r.layer not in (WHOLE, PIPELINE)]
        places = np.arange(len(found))
        for (ours, theirs, label), axes in zip(
            measures, panels[3 * number : 3 * number + 3], strict=True
        ):
            chip = [getattr(row, theirs) for row in found]
            made = [getattr(row, ours) for row in found]
            axes.bar(places - 0.2, chip, 0.38, color=CHIP_COLOR, label="Eyeriss, measured")
            axes.bar(places + 0.2, made, 0.38, color=OURS_COLOR, label="column-wise, model")
            axes.set_xticks(places, [row.layer for row in found], fontsize=SMALL, rotation=90)
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.set_ylabel(label, fontsize=SMALL)
            axes.set_title(name, loc="left", fontsize=NORMAL)
    _legend(figure, panels[0], 2)
    _title(figure, "168 lanes, 16 bit, 200 MHz: a layer at a time, all lanes")
    return figure


def _figure(height: float, rows: int, columns: int) -> tuple[Figure, list[Axes]]:
    size = (WIDTH_INCHES, height)
    figure = Figure(size, dpi=DOTS_PER_INCH, facecolor="white", layout="constrained")
    panels = list(np.atleast_1d(figure.subplots(rows, columns)).flat)
    for axes in panels:
        axes.grid(color=FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=SMALL)
    return figure, panels


def _legend(figure: Figure, axes: Axes, columns: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, fontsize=SMALL, frameon=False
    )


def _title(figure: Figure, title: str) -> None:
    figure.suptitle(title, x=0.01, ha="left", fontsize=LARGE, weight="bold")
