"""Laws of `explore`: what it says of a machine is what the simulator says; none beats its front."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import pilaster as pl
from pilaster.models.energy import EnergyTable
from pilaster.sim.explore import Axis, ExploreRequest, explore, workers
from pilaster.sim.explore.check import Claim, differences
from pilaster.sim.explore.draw import Chunk, Drawn, chunks
from pilaster.sim.explore.explore import explore_request
from pilaster.sim.explore.options import stage_options
from pilaster.sim.explore.store import Store
from pilaster.sim.mapper import SCHEDULES
from tests.strategies import graphs, networks

DIGITS = pl.load("digits")
FEW = {"column_interval": (16, 400, 4), "machines": 3000}


def request_for(network, **changes):
    plain = {
        "column_intervals": (4000,),
        "max_latency": None,
        "tables": (EnergyTable.load("ihp130"),),
        "clock_mhz": 10.0,
        "schedule": "both",
        "machines": 40,
        "seed": 0,
        "axes": (Axis("lanes"), Axis("latency"), Axis("power", "ihp130"), Axis("area", "ihp130")),
    }
    return ExploreRequest(network=network, **(plain | changes))


def same(mine, theirs):
    assert list(mine.columns) == list(theirs.columns)
    assert all(np.array_equal(mine.columns[name], theirs.columns[name]) for name in mine.columns)
    assert np.array_equal(mine.choice, theirs.choice)
    assert np.array_equal(mine.front, theirs.front)


@settings(max_examples=30, deadline=None)
@given(networks(graphs(3)), st.integers(0, 2**32 - 1), st.sampled_from(list(SCHEDULES)))
def test_every_machine_is_as_the_simulator_says(network, seed, schedule):
    shape = network.graph.input_shape
    stages = range(len(network.graph.nodes))
    plain = request_for(network, schedule=schedule)
    busy = max(stage_options(plain, number).least_busy for number in stages)
    interval = 2 * max(shape.height, -(-busy // shape.width))
    try:
        found = explore_request(replace(plain, seed=seed, column_intervals=(interval,)))
    except pl.Infeasible:
        assume(False)
    request = found.request
    assert found.differences == ()
    assert found.checked_images >= 2 * len(found.front)
    figures = {name: column for name, column in found.columns.items() if column.dtype.kind in "if"}
    for row in range(0, len(found), 7):
        claim = {name: column[row] for name, column in figures.items() if name != "machine"}
        assert differences(request, Claim(found.machine(row), 16, claim)) == []
        gather = {str(s.schedule) for s in found.machine(row).stages.values()}
        assert (found.columns["schedule"][row] == "gather") <= ("gather" in gather)


def test_none_beats_the_front_and_the_front_beats_all_others():
    axes = ["lanes", "latency", "interval", "energy"]
    found = pl.explore(DIGITS, **FEW, axes=axes)
    rows = np.stack([found.columns[axis.column] for axis in found.request.axes]).astype(float)
    front = rows[:, found.front]
    assert 3 < len(found.front) < len(found)
    for column in front.T:
        no_worse = (rows <= column[:, np.newaxis]).all(axis=0)
        assert (rows[:, no_worse] == column[:, np.newaxis]).all(), "beaten"
    for column in rows.T:
        assert (front <= column[:, np.newaxis]).all(axis=0).any(), "not beaten, and not there"


def test_it_finds_what_the_mapper_proves_to_be_the_least():
    found = pl.explore(DIGITS, column_interval=200, machines=20_000)
    columns = found.front_columns
    mapped = pl.map(DIGITS, column_interval=200)
    assert mapped.proven
    assert columns["lanes"].min() == mapped.lanes
    latencies = columns["latency_after_last_column_cycles"]
    for lanes, latency in zip(columns["lanes"][::8], latencies[::8], strict=True):
        least = pl.map(DIGITS, column_interval=200, max_latency=int(latency))
        assert lanes >= least.bound


def test_limits_are_kept():
    found = pl.explore(DIGITS, **FEW, max_latency=500)
    whole = pl.explore(DIGITS, **FEW)
    assert found.columns["latency_after_last_column_cycles"].max() <= 500
    kept = whole.columns["latency_after_last_column_cycles"] <= 500
    assert np.array_equal(found.columns["machine"], whole.columns["machine"][kept])
    assert found.holding == whole.holding == len(whole) < 3000
    assert set(np.unique(whole.columns["column_interval_cycles"])) == set(
        whole.request.column_intervals
    )


def test_schedules_are_those_asked_for():
    for schedule in ("scatter", "gather"):
        found = pl.explore(DIGITS, column_interval=300, machines=200, schedule=schedule)
        assert set(found.columns["schedule"]) == {schedule}
    found = pl.explore(DIGITS, column_interval=300, machines=500, schedule="both")
    assert "mixed" in found.columns["schedule"]
    for row in found.front:
        stages = found.machine(int(row)).stages
        kinds = {
            str(stages[n].schedule)
            for n, o in zip(stages, found.options, strict=True)
            if o.lanes.any()
        }
        expected = kinds.pop() if len(kinds) == 1 else "mixed"
        assert found.columns["schedule"][row] == expected


def test_what_none_keeps_is_infeasible():
    with pytest.raises(pl.Infeasible, match="max_latency: 60 cycles: none of the"):
        pl.explore(DIGITS, **FEW, max_latency=60)
    with pytest.raises(pl.Infeasible, match="begin at 9 or more") as reason:
        pl.explore(DIGITS, column_interval=(8, 100), machines=100)
    assert reason.value.nearest == 9


def test_same_seed_same_machines_whatever_the_cores(monkeypatch):
    many = pl.explore(DIGITS, **FEW)
    monkeypatch.setattr(workers, "cores", lambda: 1)
    same(many, pl.explore(DIGITS, **FEW))
    other = pl.explore(DIGITS, **FEW, seed=1)
    assert not np.array_equal(many.choice, other.choice)


@given(st.integers(1, 20_000), st.integers(1, 9))
def test_every_machine_is_in_one_chunk(machines, intervals):
    request = request_for(
        DIGITS, machines=machines + 9, column_intervals=tuple(range(100, 100 + intervals))
    )
    found = chunks(request)
    assert [chunk.number for chunk in found] == list(range(len(found)))
    numbers = [n for chunk in found for n in range(chunk.first, chunk.first + chunk.count)]
    assert numbers == list(range(machines + 9))
    shares = [
        sum(c.count for c in found if c.column_interval == i) for i in request.column_intervals
    ]
    assert max(shares) - min(shares) <= 1


def test_a_wrong_figure_is_found():
    found = pl.explore(DIGITS, column_interval=200, machines=200, energy="ihp130")
    row = int(found.front[0])
    figures = {
        name: column[row]
        for name, column in found.columns.items()
        if name not in ("machine", "schedule")
    }
    machine = found.machine(row)
    assert differences(found.request, Claim(machine, 8, figures)) == []
    for name, value in figures.items():
        wrong = figures | {name: value * 1.001 + 1}
        (line,) = differences(found.request, Claim(machine, 8, wrong))
        assert f": {name}: " in line
    slow = replace(machine, column_interval=8)
    assert differences(found.request, Claim(slow, 8, figures)), "the source is held up"


# The folder


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    whole = pl.explore(DIGITS, **FEW)
    drawn = []
    real = explore.draw

    def stops(request, options, chunk):
        if len(drawn) == 2:
            raise KeyboardInterrupt
        drawn.append(chunk.number)
        return real(request, options, chunk)

    monkeypatch.setattr(workers, "cores", lambda: 1)
    monkeypatch.setattr(explore, "draw", stops)
    with pytest.raises(KeyboardInterrupt):
        pl.explore(DIGITS, **FEW, folder=tmp_path)
    assert drawn == [0, 1]
    assert len(list((tmp_path / "chunks").iterdir())) == 2

    def counts(request, options, chunk):
        drawn.append(chunk.number)
        return real(request, options, chunk)

    monkeypatch.setattr(explore, "draw", counts)
    same(whole, pl.explore(DIGITS, **FEW, folder=tmp_path))
    assert drawn == [0, 1, 2, 3], "what was done is not done again"
    same(whole, pl.explore(DIGITS, **FEW, folder=tmp_path))
    assert drawn == [0, 1, 2, 3]


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_a_killed_run_leaves_whole_chunks_and_no_workers(tmp_path):
    request = "column_interval=(40, 400, 4), machines=400_000"
    script = f"import pilaster as pl; pl.explore(pl.load('digits'), {request}, folder='.')"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    folder = tmp_path / "chunks"
    while process.poll() is None and not (folder.is_dir() and any(folder.glob("*.npz"))):
        time.sleep(0.01)
    process.kill()
    try:
        process.communicate(timeout=20)  # until the last that has its output open has ended
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail("workers are left")
    done = sorted(folder.glob("*.npz"))
    assert done
    for path in done:
        chunk = Chunk(int(path.stem), 0, 0, 0)
        assert Store(tmp_path).read(chunk) is not None


def test_the_folder_of_another_request_is_refused(tmp_path):
    pl.explore(DIGITS, column_interval=200, machines=50, folder=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    others = {
        "seed": 1,
        "machines": 60,
        "column_interval": (200, 300),
        "schedule": "both",
        "max_latency": 900,
        "axes": ["lanes", "energy"],
        "energy": "ihp130",
        "clock_mhz": 3.0,
    }
    for name, value in others.items():
        with pytest.raises(pl.InputError, match="another request, with"):
            pl.explore(
                DIGITS,
                **{"column_interval": 200, "machines": 50, "folder": tmp_path, name: value},
            )
    text = (tmp_path / "request.json").read_text()
    (tmp_path / "request.json").write_text(text.replace('"folds": "', '"folds": "0'))
    with pytest.raises(pl.InputError, match="other folds, by another version"):
        pl.explore(DIGITS, column_interval=200, machines=50, folder=tmp_path)
    (tmp_path / "request.json").write_text(text)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_files_that_are_not_its_own_are_refused(tmp_path):
    few = {"column_interval": 200, "machines": 50, "folder": tmp_path}
    (tmp_path / "request.json").write_text("{")
    with pytest.raises(pl.InputError, match="is not the request of an exploration"):
        pl.explore(DIGITS, **few)
    (tmp_path / "request.json").unlink()
    (tmp_path / "chunks").mkdir()
    with pytest.raises(pl.InputError, match="has chunks but no request"):
        pl.explore(DIGITS, **few)
    (tmp_path / "chunks").rmdir()
    pl.explore(DIGITS, **few)
    (tmp_path / "chunks" / "000000.npz").write_bytes(b"PK")
    with pytest.raises(pl.InputError, match="remove it and it is made anew"):
        pl.explore(DIGITS, **few)


def test_a_chunk_is_read_as_it_was_written(tmp_path):
    drawn = Drawn(np.arange(3), np.arange(3) * 7, np.ones((2, 3), np.int32))
    chunk = Chunk(4, 0, 3, 100)
    store = Store(tmp_path)
    assert store.read(chunk) is None
    store.write(chunk, drawn)
    found = store.read(chunk)
    for name in ("machine", "latency", "choice"):
        assert np.array_equal(getattr(found, name), getattr(drawn, name))


def test_a_frame_is_the_front():
    pd = pytest.importorskip("pandas")
    found = pl.explore(DIGITS, column_interval=200, machines=300)
    frame = found.frame()
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == len(found.front)
    assert len(found.machines_frame()) == len(found)
    assert frame["lanes"].is_monotonic_increasing
    assert frame["latency_after_last_column_cycles"].is_monotonic_decreasing


def test_without_pandas_a_frame_says_what_it_needs(monkeypatch):
    found = pl.explore(DIGITS, column_interval=200, machines=50)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(pl.InputError, match=r"pip install 'pilaster\[explore\]'"):
        found.frame()
