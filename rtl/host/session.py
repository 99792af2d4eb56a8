"""What a device has answered, held to the reference."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.models.network import Network
from pilaster.models.reference.network import classify, infer
from pilaster.rtl.host.client import HostAnswer

__all__ = ["Session", "answer_class", "judge"]

CYCLES_WRAP = 1 << 32
"""Of a device's counter of cycles."""


@dataclass(frozen=True)
class Session:
    """The answers to some images, and how fast they came.

    Attributes
    ----------
    classes : of the images, as answered
    labels : of the images; None where they are not known
    wrong_images : those with a value that is not the reference's
    latency_cycles : from the last row of the last column in the machine to the answer, the median;
        None where it was not measured
    cycles : of the device, over the whole session
    """

    network: str
    board: str
    classes: tuple[int, ...]
    labels: tuple[int, ...] | None
    wrong_images: tuple[int, ...]
    latency_cycles: float | None
    cycles: int
    clock_hz: int
    retries: int

    @property
    def images(self) -> int:
        """Images answered."""
        return len(self.classes)

    @property
    def accuracy(self) -> float | None:
        """Share of images classified right; None without labels."""
        if self.labels is None:
            return None
        pairs = zip(self.classes, self.labels, strict=True)
        return sum(found == label for found, label in pairs) / self.images

    @property
    def latency_us(self) -> float | None:
        """Latency after the last column in microseconds."""
        cycles = self.latency_cycles
        return None if cycles is None else cycles / self.clock_hz * 1e6

    @property
    def images_per_second(self) -> float:
        """Throughput over the line."""
        return self.images * self.clock_hz / self.cycles

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, for JSON. Units are in the names."""
        return {
            "images": self.images,
            "classes": list(self.classes),
            "labels": None if self.labels is None else list(self.labels),
            "accuracy": self.accuracy,
            "wrong_images": list(self.wrong_images),
            "latency_after_last_column_cycles": self.latency_cycles,
            "latency_after_last_column_us": self.latency_us,
            "images_per_second": self.images_per_second,
            "clock_mhz": self.clock_hz / 1e6,
            "network": self.network,
            "board": self.board,
            "retries": self.retries,
        }


def judge(
    network: Network,
    values: NDArray[np.int32],
    answers: Sequence[HostAnswer],
    labels: Sequence[int] | None,
    *,
    board: str,
    cycles: int,
    clock_hz: int,
    retries: int,
) -> Session:
    """Hold a device's answers to the reference.

    Parameters
    ----------
    values : stream values (N, H, W, C) of the images that were sent
    labels : of these images, where they are known
    cycles : by the device's counter, which wraps
    """
    right = infer(network, values)
    pairs = enumerate(zip(answers, right, strict=True))
    wrong = tuple(place for place, (answer, r) in pairs if (answer.values != r).any())
    latencies = [a.latency_cycles for a in answers if a.latency_cycles is not None]
    return Session(
        network=network.name,
        board=board,
        classes=tuple(map(answer_class, answers)),
        labels=None if labels is None else tuple(labels),
        wrong_images=wrong,
        latency_cycles=statistics.median(latencies) if latencies else None,
        cycles=cycles % CYCLES_WRAP,
        clock_hz=clock_hz,
        retries=retries,
    )


def answer_class(answer: HostAnswer) -> int:
    """Class that an answer is for."""
    return int(classify(answer.values[np.newaxis])[0])
