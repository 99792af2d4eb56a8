"""Law: the trained networks classify digits that they have never seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pilaster.models.datasets import EMBEDDED_TRAIN_COUNT, embedded_digits
from tests.pilaster.conftest import Command

MNIST = Path(__file__).parents[2] / ".." / "shared" / "data" / "mnist"


def accuracy(command: Command, *arguments: object) -> tuple[float, int]:
    outcome = command("run", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    return found["accuracy"], found["images"]


@pytest.mark.parametrize(
    ("network", "images", "least"),
    [("lenet5", 200, 0.97), ("lenet5", 600, 0.97), ("digits", 600, 0.96)],
)
def test_held_out_digits(network: str, images: int, least: float, command: Command) -> None:
    found, count = accuracy(command, network, "--images", images)
    assert count == images
    assert found >= least


@pytest.mark.skipif(not MNIST.is_dir(), reason="MNIST's files are not beside the repository")
def test_the_10000_test_images_of_mnist(command: Command) -> None:
    found, count = accuracy(command, "lenet5", "--data", MNIST, "--images", 10_000)
    assert count == 10_000
    assert found >= 0.988


def test_the_held_out_images_are_not_trained_on() -> None:
    train, test = embedded_digits("train"), embedded_digits("test")
    assert len(train) == EMBEDDED_TRAIN_COUNT
    assert len(test) == 600
    assert not {image.tobytes() for image in train.images} & {i.tobytes() for i in test.images}


def test_a_run_takes_the_held_out_images(command: Command) -> None:
    found = json.loads(command("run", "digits", "--images", 5, "--json").out)
    assert "test split" in found["data"]
