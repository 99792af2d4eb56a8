"""Laws: the picture and the tables are the exploration's; text can be read and has units."""

from __future__ import annotations

import csv
import io

import matplotlib.text
import numpy as np
import pytest

import pilaster as pl
from pilaster.reports.explore import front_csv, front_figure, parquet
from pilaster.reports.plots import png
from pilaster.sim.explore import Exploration

REQUESTS = {
    "two axes": {"column_interval": 200},
    "a line for each interval": {"column_interval": (100, 400, 3)},
    "a shade for each point": {
        "column_interval": 200,
        "axes": ["lanes", "latency", "energy", "area"],
        "energy": ["horowitz45", "ihp130"],
    },
    "power": {"column_interval": 200, "axes": ["power", "lanes"], "clock_mhz": 10.0},
}


@pytest.fixture(params=REQUESTS, scope="module")
def explored(request: pytest.FixtureRequest) -> Exploration:
    return pl.explore(pl.load("digits"), machines=300, **REQUESTS[request.param])


def test_every_machine_of_the_front_is_drawn(explored: Exploration) -> None:
    axes = front_figure(explored).axes[0]
    dots = [np.asarray(line.get_xydata()) for line in axes.lines[1:]]
    dots += [np.asarray(each.get_offsets()) for each in axes.collections]
    drawn = {(float(x), float(y)) for points in dots for x, y in points}
    x, y = (explored.columns[axis.column][explored.front] for axis in explored.request.axes[:2])
    assert drawn == set(zip(x.astype(float).tolist(), y.astype(float).tolist(), strict=True))
    assert len(axes.lines[0].get_xdata()) == len(explored)  # type: ignore[arg-type]


def test_text_is_legible_and_units_are_named(explored: Exploration) -> None:
    figure = front_figure(explored)
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text()]
    assert min(float(text.get_fontsize()) for text in texts) >= 8
    assert figure.axes
    for axes in figure.axes:
        labels = [label for label in (axes.get_xlabel(), axes.get_ylabel()) if label]
        assert labels
        assert all("(" in label for label in labels), "a unit"
    words = " ".join(text.get_text() for text in texts)
    assert f"{len(explored.front):,} machines" in words
    assert "digits" in words


def test_same_exploration_same_bytes(explored: Exploration) -> None:
    picture = png(front_figure(explored))
    assert picture.startswith(b"\x89PNG")
    assert picture == png(front_figure(explored))


def test_csv_is_the_front(explored: Exploration) -> None:
    rows = list(csv.DictReader(io.StringIO(front_csv(explored))))
    columns = explored.front_columns
    assert list(rows[0]) == list(columns)
    for name, column in columns.items():
        kind = type(column.tolist()[0])
        assert [kind(row[name]) for row in rows] == column.tolist()


def test_parquet_is_the_columns(explored: Exploration) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    read = pq.read_table(io.BytesIO(parquet(explored.columns)))
    assert read.column_names == list(explored.columns)
    for name, column in explored.columns.items():
        assert read[name].to_pylist() == column.tolist()
