"""Laws: the public interface is three lines, and says what the command line says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pilaster as pl
from pilaster.models.datasets import embedded_digits, fit
from pilaster.models.zoo import ZOO
from pilaster.sim.machine import Fold, StageSpec
from tests.pilaster.conftest import Command


def lenet5_digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    test = fit(embedded_digits("test"), 32, 32, 1)
    assert test.labels is not None
    return test.images[:count], test.labels[:count]


def test_three_lines_give_stages_latency_and_energy() -> None:
    images, _ = lenet5_digits(5)
    network = pl.load("lenet5")
    machine = pl.load_machine(None, network)
    result = pl.simulate(network, machine, images)
    assert [stage.name for stage in result.stages] == [n.name for n in network.graph.nodes]
    assert result.latency_cycles > result.latency_after_last_column_cycles > 0
    assert result.energy.total_pj > 0
    assert len(result.predictions) == 5
    assert result.accuracy is None


def test_the_numbers_are_those_of_the_command_line(command: Command) -> None:
    images, labels = lenet5_digits(20)
    network = pl.load("lenet5")
    result = pl.simulate(network, pl.load_machine(None, network), images, labels)
    mine = json.loads(json.dumps(result.as_dict()))
    theirs = json.loads(command("run", "lenet5", "--images", 20, "--json").out)
    assert mine.pop("data") == ""
    assert "digits" in theirs.pop("data")
    assert mine == theirs


@pytest.mark.parametrize("name", ZOO)
def test_without_images_there_are_times_and_energy(name: str) -> None:
    network = pl.load(name)
    result = pl.simulate(network, pl.load_machine(None, network))
    assert (result.images, result.counted_images, result.predictions) == (0, 1, ())
    assert result.latency_cycles > 0
    assert result.energy.total_pj > 0


def test_a_network_with_no_machine_of_its_own_gets_one() -> None:
    network = _renamed()
    machine = pl.load_machine(None, network)
    assert machine.network == network.name
    assert set(machine.stages) == {node.name for node in network.graph.nodes}


def test_times_do_not_depend_on_values() -> None:
    network = pl.load("lenet5")
    machine = pl.load_machine(None, network)
    with_images = pl.simulate(network, machine, lenet5_digits(3)[0])
    without = pl.simulate(network, machine)
    assert with_images.latency_cycles == without.latency_cycles
    assert with_images.cycles_per_image == without.cycles_per_image


def test_bytes_stand_for_reals_from_0_to_1() -> None:
    images, _ = lenet5_digits(5)
    network = pl.load("lenet5")
    machine = pl.load_machine(None, network)
    by_byte = pl.simulate(network, machine, images)
    by_real = pl.simulate(network, machine, images / 255)
    assert by_byte.as_dict() == by_real.as_dict()
    assert by_byte.predictions == by_real.predictions


def test_a_default_machine_runs() -> None:
    network = pl.load("digits")
    machine = pl.default_machine(network, 100)
    result = pl.simulate(network, machine)
    assert result.column_interval_cycles == 100
    assert result.cycles_per_image <= 100 * 8


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "network": (lambda: pl.load("lenet6"), "did you mean lenet5"),
    "machine": (lambda: pl.load_machine("lenet", pl.load("lenet5")), "did you mean lenet5"),
    "machine of another network": (
        lambda: pl.load_machine("digits", pl.load("lenet5")),
        "is for the network digits, not for lenet5",
    ),
    "shape": (lambda: _simulated(images=np.zeros((2, 32, 31, 1))), r"must be \(N, 32, 32, 1\)"),
    "rank": (lambda: _simulated(images=np.zeros((2, 32, 32))), r"must be \(N, 32, 32, 1\)"),
    "not finite": (lambda: _simulated(images=np.full((1, 32, 32, 1), np.nan)), "not finite"),
    "labels": (
        lambda: _simulated(images=np.zeros((2, 32, 32, 1)), labels=np.zeros(3, int)),
        "3 labels for 2 images",
    ),
    "labels without images": (lambda: _simulated(labels=np.zeros(3, int)), "3 labels for 0 images"),
    "fold": (lambda: _simulated(conv1=Fold(taps=6)), "taps: 6 is larger than the layer"),
    "no requantizer": (lambda: Fold(requantizers=0), "must be at least 1"),
    "interval": (
        lambda: pl.default_machine(pl.load("lenet5"), 1),
        "cycles are too few",
    ),
    "no interval": (lambda: pl.default_machine(pl.load("lenet5"), 0), "column_interval"),
}


def _renamed() -> object:
    network = pl.load("lenet5")
    return replace(network, graph=replace(network.graph, name="mine"))


def _simulated(
    images: np.ndarray | None = None, labels: np.ndarray | None = None, conv1: Fold | None = None
) -> object:
    network = pl.load("lenet5")
    machine = pl.load_machine(None, network)
    if conv1 is not None:
        machine = replace(machine, stages={**machine.stages, "conv1": StageSpec(conv1)})
    return pl.simulate(network, machine, images, labels)


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(what: str) -> None:
    act, message = REFUSED[what]
    with pytest.raises(pl.InputError, match=message) as caught:
        act()
    assert "\n" not in str(caught.value)


def test_a_machine_file_is_named_where_it_does_not_fit(lenet5_text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(lenet5_text.replace("taps: 5", "taps: 6"))
    with pytest.raises(pl.InputError, match="taps: 6 is larger") as caught:
        pl.load_machine(path, pl.load("lenet5"))
    assert str(path) in str(caught.value)
