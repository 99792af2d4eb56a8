"""Law: whatever a function of the interface is given, it answers, or refuses it in one line."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pilaster as pl
from tests.models.importers.tflite_writer import TfliteWriter
from tests.pilaster.test_power_command import measurement

TINY = Path(__file__).parents[1] / "rtl" / "gates" / "tiny.lib"
IMAGES = np.zeros((2, 8, 8, 1), np.uint8)
SPEC = pl.StageSpec()

CALLS: dict[str, dict[str, Any]] = {
    "load": {"network": "digits"},
    "load_images": {"network": "digits", "count": 2},
    "load_machine": {"machine": "digits", "network": "digits"},
    "default_machine": {"network": "digits", "column_interval": 512},
    "write_machine": {"machine": "digits", "path": "m.yaml"},
    "simulate": {"network": "digits", "machine": "digits", "images": IMAGES},
    "write_report": {"directory": "out"},
    "map": {"network": "digits", "column_interval": 512},
    "explore": {"network": "digits", "column_interval": 512, "machines": 20},
    "write_exploration": {"directory": "out"},
    "verify": {"network": "digits", "machine": "digits", "images": IMAGES},
    "write_rtl": {"network": "digits", "machine": "digits", "directory": "out"},
    "bitstream": {"network": "digits", "board": "icebreaker"},
    "write_bitstream": {"directory": "out"},
    "power": {"network": "digits", "machine": "digits", "images": IMAGES, "liberty": TINY},
    "compare_bill": {},
    "write_power": {"directory": "out"},
    "characterize": {"liberty": TINY, "images": 1},
    "write_table": {"table": "ihp130", "path": "t.yaml"},
    "check": {"file": "small.tflite"},
    "Fold": {},
    "StageSpec": {},
    "Machine": {"name": "m", "network": "digits", "column_interval": 9, "stages": {"a": SPEC}},
}
"""Arguments that do, by function, beside `results`."""

PLACES = [
    (name, parameter)
    for name in CALLS
    for parameter in inspect.signature(getattr(pl, name)).parameters
]


def everything_else() -> list[object]:
    """Things that no parameter takes."""
    return [object(), b"digits", 1 + 2j, {1, 2}, int, np.zeros(3, complex), [[0.0]], {"a": [1]}]


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No synthesis and no simulation of RTL: what would be done is of no interest here."""
    from pilaster.api import checks
    from pilaster.rtl import export
    from pilaster.rtl.boards import bitstream, folder
    from pilaster.rtl.gates import measure
    from pilaster.rtl.verification import verify

    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.tflite").write_bytes(small_network())
    monkeypatch.setattr(checks, "check_file", lambda *_, **__: None)
    monkeypatch.setattr(verify, "verify", lambda *_, **__: None)
    monkeypatch.setattr(export, "export", lambda *_, **__: ())
    monkeypatch.setattr(bitstream, "build", lambda *_, **__: None)
    monkeypatch.setattr(folder, "write_build", lambda *_: ())
    monkeypatch.setattr(measure, "measure_power", _no_measurement)


@cache
def small_network() -> bytes:
    writer = TfliteWriter((8, 8, 1), 1)
    writer.conv("image", 2, (3, 3))
    return writer.written()


def _no_measurement(*_: object, **__: object) -> None:
    raise pl.CheckError("no measurement here")


@cache
def results() -> dict[str, dict[str, Any]]:
    """Results that functions take, by function."""
    from pilaster.rtl.boards.bitstream import Bitstream

    result = pl.simulate("digits", images=IMAGES)
    power = measurement(network=result.network, machine=result.machine)
    return {
        "write_report": {"result": result},
        "write_exploration": {"explored": pl.explore("digits", column_interval=512, machines=20)},
        "write_bitstream": {"found": object.__new__(Bitstream)},
        "compare_bill": {"found": power, "result": result},
        "write_power": {"found": power},
    }


def called(function: str, changes: Mapping[str, object]) -> pl.InputError | None:
    """Call a function; gives how it refuses what it is given."""
    try:
        getattr(pl, function)(**{**results().get(function, {}), **CALLS[function], **changes})
    except pl.InputError as error:
        return error
    except (pl.Infeasible, pl.CheckError):
        pass
    return None


def test_every_function_with_parameters_is_here() -> None:
    functions = {name for name in pl.__all__ if inspect.isfunction(getattr(pl, name))}
    with_parameters = {n for n in functions if inspect.signature(getattr(pl, n)).parameters}
    assert with_parameters <= set(CALLS)


@pytest.mark.parametrize(("name", "parameter"), PLACES)
def test_what_no_parameter_takes_is_refused_by_its_name(name: str, parameter: str) -> None:
    for thing in everything_else():
        if isinstance(thing, type) and parameter == "progress":
            continue  # it can be called
        error = called(name, {parameter: thing})
        assert error is not None, thing
        assert str(error).startswith(parameter), (thing, error)
        assert "\n" not in str(error)


LETTERS = st.characters(blacklist_characters="/", codec=None)
WORDS = st.text(LETTERS, max_size=20) | st.sampled_from(
    ["digits", "lenet5", "scatter", "width", "ihp130", "", "m.onnx", "m.tflite", "m.yaml", "\0"]
)
NUMBERS = (
    st.integers()
    | st.sampled_from([10**400, -(10**400)])
    | st.floats()
    | st.integers(0, 20)
    | st.booleans()
)
DTYPES = st.sampled_from([np.uint8, np.int64, np.float16, np.float64, bool, complex, "U3", object])
SHAPES = st.sampled_from([(), (0,), (2,), (2, 8, 8, 1), (0, 8, 8, 1), (2, 8, 8), (1, 2, 3, 4)])
ARRAYS = st.builds(lambda shape, dtype: np.zeros(shape, dtype), SHAPES, DTYPES)
SCALARS = st.sampled_from([np.int64(3), np.float32(2.5), np.bool(True), np.str_("digits")])
PLAIN = st.none() | NUMBERS | WORDS | st.binary(max_size=4) | ARRAYS | SCALARS
THINGS = (
    PLAIN
    | st.lists(PLAIN, max_size=3)
    | st.lists(PLAIN, max_size=3).map(tuple)
    | st.dictionaries(WORDS, PLAIN, max_size=2)
    | WORDS.filter(lambda word: word not in ("", ".")).map(Path)
    | st.just(SPEC)
)


@pytest.mark.parametrize("name", CALLS)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_anything_is_answered_or_refused_in_one_line(name: str, data: st.DataObject) -> None:
    parameters = [parameter for function, parameter in PLACES if function == name]
    parameter = data.draw(st.sampled_from(parameters))
    thing = data.draw(THINGS)
    error = called(name, {parameter: thing})
    assert error is None or "\n" not in str(error)


def test_methods_refuse_what_they_cannot_use() -> None:
    network, table = pl.load("digits"), pl.tables()["ihp130"]
    explored = results()["write_exploration"]["explored"]
    for method, parameter in (
        (network.until, "layer"),
        (network.encode, "images"),
        (network.encode_column, "column"),
        (type(table).load, "energy table"),
        (explored.machine, "row"),
        (pl.Network, "graph"),
    ):
        more = [{}] * 5 if method is pl.Network else []
        for thing in [None, *everything_else()]:
            if isinstance(thing, np.ndarray) and parameter in ("images", "column"):
                thing = np.zeros((1, 8, 8, 1) if parameter == "images" else (8, 1), complex)
            with pytest.raises(pl.InputError) as caught:
                method(thing, *more)
            assert str(caught.value).startswith(("images", parameter))
    with pytest.raises(pl.InputError, match="row: must be below"):
        explored.machine(10**6)


@pytest.mark.parametrize(
    ("function", "parameter"),
    [
        ("power", "liberty"),
        ("characterize", "liberty"),
        ("characterize", "machines"),
        ("explore", "energy"),
        ("explore", "column_interval"),
    ],
)
def test_an_empty_list_is_refused_where_one_thing_is_needed(function: str, parameter: str) -> None:
    for nothing in ([], ()):
        error = called(function, {parameter: nothing})
        assert str(error).startswith(parameter)


def test_images_of_noise_are_no_more_than_memory_holds() -> None:
    error = called("check", {"count": 10**12})
    assert str(error) == "--images 1000000000000: small runs on noise; ask for at most 1000"
