"""Networks that fork and join, from the front door: run, map, rtl and verify."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pilaster as pl
from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.layers import Add, Conv, Window
from pilaster.models.network import Network
from pilaster.models.shape import Padding, Shape
from pilaster.models.zoo.synthetic import synthetic
from pilaster.sim.machine_file import machine_yaml, read_machine
from tests.pilaster.conftest import Command

SAME = Window((3, 3), padding=Padding(1, 1, 1, 1))
NODES = (
    Node("a", Conv(2, Window((1, 1))), (INPUT,)),
    Node("b", Conv(2, SAME), ("a",)),
    Node("c", Conv(2, SAME), ("b",)),
    Node("sum", Add(), ("a", "c")),
)


def network() -> Network:
    return synthetic(Graph("net", Shape(4, 6, 2), NODES))


def test_a_run_tells_of_the_join(command: Command) -> None:
    outcome = command("run", "resnet8", "--images", 1, "--json", "--report", "report")
    assert outcome.code == 0
    found = json.loads(outcome.out)
    (stage,) = (stage for stage in found["stages"] if stage["name"] == "add2")
    values = 32 * 32 * 16
    assert stage["kind"] == "add"
    assert (stage["lanes"], stage["macs"], stage["psum_bits"]) == (0, 0, 0)
    assert stage["actions"]["accumulate"] == values
    assert stage["actions"]["requantize"] == 3 * values
    machine = pl.load_machine(None, pl.load("resnet8"))
    columns = sum(machine.stages["add2"].arm_columns)
    tensors = pl.load("resnet8").tensors
    assert tensors["add2"].bits == 8
    assert stage["column_buffer_bits"] >= columns * 32 * 16 * 7
    assert stage["energy_pj"] > 0
    assert {path.name for path in Path("report").iterdir()} >= {"report.html", "trace.json"}


def test_a_machine_file_tells_the_column_buffers(command: Command, tmp_path: Path) -> None:
    machine = pl.default_machine(network(), 40)
    assert machine.stages["sum"].arm_columns[0] > 2
    path = tmp_path / "machine.yaml"
    path.write_text(machine_yaml(machine), encoding="utf-8")
    assert "arm_columns: [" in path.read_text(encoding="utf-8")
    assert read_machine(path) == machine
    path.write_text(machine_yaml(machine).replace("arm_columns: [", "arm_columns: [1, "))
    with pytest.raises(pl.InputError, match=r"machine.yaml: stages.sum.arm_columns.*2"):
        read_machine(path)


def test_without_column_buffers_told_there_are_as_many_as_are_needed() -> None:
    machine = pl.default_machine(network(), 40)
    untold = replace(machine.stages["sum"], arm_columns=())
    untold_machine = replace(machine, stages={**machine.stages, "sum": untold})
    found = pl.simulate(network(), untold_machine)
    assert found.as_dict() == pl.simulate(network(), machine).as_dict()


def test_rtl_and_verify(tmp_path: Path) -> None:
    machine = pl.default_machine(network(), 40)
    files = pl.write_rtl(network(), machine, tmp_path / "rtl")
    assert read_machine(tmp_path / "rtl" / "machine.yaml") == machine
    assert (tmp_path / "rtl" / "pilaster_top.v") in files
    images = np.random.default_rng(0).integers(0, 256, (1, 4, 6, 2)).astype(np.uint8)
    verdict = pl.verify(network(), machine, images, until="sum", load_weights=True)
    assert verdict.equal
    assert [stage.name for stage in verdict.stages] == ["a", "b", "c", "sum"]


def test_an_exploration_is_of_chains(command: Command) -> None:
    outcome = command("explore", "resnet8", "--out", "folder", "--column-interval", 5000)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "pilaster: network resnet8: forks or joins; an exploration is of chains of layers only; "
        "map finds a machine for any network\n"
    )
    assert not list(Path.cwd().iterdir())


def test_a_network_that_joins_is_mapped(command: Command) -> None:
    outcome = command("map", "resnet8", "--out", "m.yaml", "--column-interval", 1024)
    assert (outcome.code, outcome.err) == (0, "wrote m.yaml\n")
    machine = pl.load_machine(Path("m.yaml"))
    assert machine.network == "resnet8"
    result = pl.simulate("resnet8", machine)
    assert result.pace.holds
