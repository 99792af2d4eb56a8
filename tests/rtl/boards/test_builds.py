"""Laws: fixed builds need what they needed, to within tolerances, and are the same byte for byte.

`baselines.json` has each build's numbers and the versions of the tools that gave them. Where a
build differs on purpose, its entry is replaced by the one that the failing test prints.
"""

import json
from pathlib import Path

import pytest

import pilaster as pl
from pilaster.rtl.boards.bitstream import build
from pilaster.rtl.boards.catalog import BOARDS
from pilaster.rtl.boards.folder import write_build
from pilaster.sim.results import Result
from tests.rtl.boards.networks import hidden

BASELINES = Path(__file__).with_name("baselines.json")

TOLERANCES = {"luts": 0.05, "flip_flops": 0.05, "logic_cells": 0.05, "fmax_mhz": 0.15}
"""Relative; what is not named here is exact."""

KNOWN = json.loads(BASELINES.read_text())

MADE = {"hidden192": lambda: hidden(8, 8, 3, 192)}
"""Networks that are made here; the others are the zoo's."""


def measure(found):
    result: Result = pl.simulate(found.network, found.machine)
    return {
        **vars(found.resources["total"]),
        "logic_cells": found.logic_cells[0],
        "fmax_mhz": round(found.timing.fmax_mhz, 1),
        "column_interval": found.machine.column_interval,
        "cycles_per_image": result.cycles_per_image,
        "latency_after_last_column_cycles": result.latency_after_last_column_cycles,
    }


def differences(expected, found):
    """Lines that tell what is outside its tolerance."""
    return [
        f"{key}: {value} -> {found.get(key)}"
        for key, value in expected.items()
        if abs(found.get(key, float("inf")) - value) > TOLERANCES.get(key, 0) * value
    ]


def test_a_difference_is_told():
    expected = {"luts": 1000, "block_rams": 3}
    assert differences(expected, {"luts": 1049, "block_rams": 3}) == []
    found = differences(expected, {"luts": 1051, "block_rams": 4})
    assert found == ["luts: 1000 -> 1051", "block_rams: 3 -> 4"]
    assert differences(expected, {"luts": 1000})


@pytest.mark.slow
@pytest.mark.parametrize("name", KNOWN)
def test_a_build_is_as_it_was(name):
    entry = KNOWN[name]
    known = entry["network"]
    network = MADE[known]() if known in MADE else pl.load(known)
    found = build(network, BOARDS[entry["board"]], clock_hz=entry["clock_hz"])
    now = measure(found)
    lines = differences(entry["measured"], now)
    anew = {**entry, "tools": found.versions, "measured": now}
    assert not lines, "\n".join([*lines, json.dumps({name: anew}, indent=2)])


@pytest.mark.slow
def test_a_build_is_the_same_byte_for_byte(tmp_path):
    written = []
    for index in range(2):
        found = build(pl.load("digits"), BOARDS["icebreaker"])
        paths = write_build(found, tmp_path / str(index))
        written.append({path.name: path.read_bytes() for path in paths})
    assert written[0] == written[1]
