"""Output files of an exploration: tables and a plot of the front, and machines as YAML."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pilaster.base import output_files
from pilaster.reports.plots import (
    DOTS_PER_INCH,
    FAINT,
    INK,
    LARGE,
    NORMAL,
    SMALL,
    WIDTH_INCHES,
    png,
)
from pilaster.sim.explore import Axis, Exploration
from pilaster.sim.machine_file import machine_yaml

__all__ = [
    "FILES",
    "MACHINES",
    "axis_title",
    "check_writable",
    "front_csv",
    "front_figure",
    "has_parquet",
    "parquet",
    "write_exploration",
]

FILES = ("front.csv", "front.png", "front.parquet", "machines.parquet")
MACHINES = "front"
"""Folder of the front's machines."""

HEIGHT_INCHES = 6.0
MOST_DOTS = 20_000
"""Machines beside the front that are drawn: more make one cloud."""

MOST_LINES = 10
"""Values of the third axis that get a line each; of more, every point gets a shade."""

WIDE_RANGE = 10.0
"""An axis whose largest value is so many times its least is logarithmic."""


def has_parquet() -> bool:
    """Whether Parquet files can be written."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        return False
    return True


def check_writable(folder: Path) -> None:
    """Check that an exploration can be written into `folder`, and leave no trace.

    Raises
    ------
    InputError
        If it is no folder and cannot become one, or cannot be written.
    """
    output_files.check_writable(folder, FILES, "exploration")
    output_files.check_writable(folder / MACHINES, ["0.yaml"], "exploration")


def write_exploration(explored: Exploration, folder: Path) -> tuple[Path, ...]:
    """Write ``front.csv``, ``front.png``, and every machine of the front as ``front/N.yaml``.

    With pyarrow also ``front.parquet``, and ``machines.parquet`` with all machines.

    Returns
    -------
    tuple of Path
        The files written, without the machines'.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    contents = {
        "front.csv": front_csv(explored).encode(),
        "front.png": png(front_figure(explored)),
    }
    if has_parquet():
        contents["front.parquet"] = parquet(explored.front_columns)
        contents["machines.parquet"] = parquet(explored.columns)
    machines = {
        f"{explored.columns['machine'][row]}.yaml": machine_yaml(
            explored.machine(int(row))
        ).encode()
        for row in explored.front
    }
    output_files.write_files(folder / MACHINES, machines, "exploration")
    return output_files.write_files(folder, contents, "exploration")


def front_csv(explored: Exploration) -> str:
    """Write the front as CSV: a machine a row, units in the titles."""
    columns = {name: column.tolist() for name, column in explored.front_columns.items()}
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return file.getvalue()


def parquet(columns: Mapping[str, NDArray[Any]]) -> bytes:
    """Write columns as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({name: pa.array(column) for name, column in columns.items()}), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def front_figure(explored: Exploration) -> Figure:
    """Draw the first two axes against each other, the third as a color; all machines behind."""
    request, rows = explored.request, explored.front
    figure = Figure(
        (WIDTH_INCHES, HEIGHT_INCHES), dpi=DOTS_PER_INCH, facecolor="white", layout="constrained"
    )
    axes = figure.add_subplot()
    across, up, *more = request.axes
    x, y = explored.columns[across.column], explored.columns[up.column]
    others = np.linspace(0, len(x) - 1, min(len(x), MOST_DOTS)).astype(np.intp)
    kept = (
        f"{len(x):,} machines that keep up"
        if request.max_latency is None
        else (f"{len(x):,} machines that keep up and the latency")
    )
    axes.plot(x[others], y[others], ".", color=FAINT, markersize=2, label=kept, zorder=1)
    if more:
        _colored(axes, x[rows], y[rows], explored.columns[more[0].column][rows], more[0])
    else:
        axes.step(
            *(x[rows], y[rows]),
            where="post",
            marker="o",
            markersize=4,
            color="#0072B2",
            label="no machine drawn has less of both",
        )
    for scale, axis, values in ((axes.xaxis, across, x), (axes.yaxis, up, y)):
        if values.min() > 0 and values.max() >= WIDE_RANGE * values.min():
            (axes.set_xscale if scale is axes.xaxis else axes.set_yscale)("log")
        scale.set_label_text(axis_title(axis), fontsize=NORMAL)
    axes.tick_params(labelsize=SMALL)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=SMALL, frameon=False)
    figure.suptitle(
        f"Exploration of {request.network.name}: the best of {request.machines:,} machines",
        x=0.01,
        ha="left",
        fontsize=LARGE,
        weight="bold",
        parse_math=False,
    )
    names = ", ".join(str(axis) for axis in request.axes)
    remark = f"{len(rows):,} machines that none beats in all of: {names}"
    axes.set_title(remark, loc="left", fontsize=SMALL, color=INK, parse_math=False)
    return figure


def _colored(axes: Axes, x: NDArray[Any], y: NDArray[Any], third: NDArray[Any], axis: Axis) -> None:
    """Draw the front by the value of a third axis: where there are few, a line for each."""
    import matplotlib as mpl

    shades = mpl.colormaps["viridis"]
    values = np.unique(third)
    if len(values) > MOST_LINES:
        drawn = axes.scatter(x, y, c=third, s=14, cmap=shades, zorder=2)
        figure = axes.get_figure()
        assert isinstance(figure, Figure)
        bar = figure.colorbar(drawn, ax=axes)
        bar.set_label(axis_title(axis), fontsize=NORMAL)
        bar.ax.tick_params(labelsize=SMALL)
        return
    for place, value in enumerate(values):
        color = shades(place / max(1, len(values) - 1) * 0.9)
        same = third == value
        axes.plot(x[same], y[same], "o", markersize=4, color=color)
        # What can be had with no more of the third axis, for which another value's point may do.
        able = np.flatnonzero(third <= value)
        able = able[np.lexsort((y[able], x[able]))]
        least = np.minimum.accumulate(y[able])
        best = able[np.diff(least, prepend=least[0] + 1) < 0]
        axes.step(
            *(x[best], y[best]),
            where="post",
            linewidth=0.8,
            color=color,
            label=_value_text(axis, value),
        )


def axis_title(axis: Axis) -> str:
    """Name an axis, with its unit and table."""
    table = f", {axis.table}" if axis.table else ""
    return {
        "lanes": "lanes (multipliers)",
        "latency": "latency after the last column (cycles)",
        "interval": "column interval (cycles)",
        "energy": f"energy of an image, no activation zero (pJ{table})",
        "power": f"power, no activation zero (µW{table})",
        "area": f"area (µm²{table})",
    }[axis.name]


def _value_text(axis: Axis, value: float) -> str:
    if axis.name == "interval":
        return f"a column every {value:,} cycles"
    return f"{axis_title(axis)}: {value:,.6g}"
