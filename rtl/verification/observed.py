"""What a testbench wrote down: values, stamps and counts of every stage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.models.network import Network
from pilaster.models.quantization import TensorQuantization
from pilaster.rtl.verification.testbench import END
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.stages import Stage

__all__ = ["Observed", "ObservedStage", "column_stamps", "expected_beats", "read_observations"]

Cycles = NDArray[np.int64]


@dataclass(frozen=True)
class ObservedStage:
    """What was seen of one stage, in the order in which it happened.

    Attributes
    ----------
    accepted, started, finished : cycle stamps of input columns
    beats : cycle stamps of output beats
    values : stream values (beats, lanes of a beat)
    counts : by action
    """

    accepted: Cycles
    started: Cycles
    finished: Cycles
    beats: Cycles
    values: NDArray[np.int64]
    counts: dict[str, int]

    @property
    def lane_operations(self) -> int:
        """Products that lanes were busy with or held, of all images; 0 without lanes."""
        return self.counts.get("mac", 0) + self.counts.get("mac_gated", 0)


@dataclass(frozen=True)
class Observed:
    """What was seen of a machine.

    Attributes
    ----------
    taken : cycle stamps of the answer's beats at the sink
    answers : their values (beats, lanes of a beat)
    cycles : the last stamp
    finished : whether every answer was taken and every stage came to rest
    """

    stages: tuple[ObservedStage, ...]
    taken: Cycles
    answers: NDArray[np.int64]
    cycles: int
    finished: bool


def read_observations(pipeline: Pipeline, folder: Path) -> Observed:
    """Read what the testbench wrote to `folder`.

    Raises
    ------
    InputError
        If it could not write all of it.
    """
    stamps: dict[tuple[str, int], list[int]] = defaultdict(list)
    words: dict[int, list[str]] = defaultdict(list)
    answers: list[str] = []
    for line in _lines(folder / "log.txt"):
        parts = line.split()
        stamps[parts[0], int(parts[1])].append(int(parts[2]))
        if parts[0] == "o":
            words[int(parts[1])].append(parts[3])
        elif parts[0] == "t":
            answers.append(parts[3])
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    late, *lines = _lines(folder / "counts.txt")
    for line in lines:
        number, action, count = line.split()
        counts[int(number)][action] = int(count)
    network, stages = pipeline.network, []
    for index, (node, stage) in enumerate(zip(network.graph.nodes, pipeline.stages, strict=True)):
        tensor = network.tensors[node.name]
        stages.append(
            ObservedStage(
                accepted=_array(stamps["a", index]),
                started=_array(stamps["s", index]),
                finished=_array(stamps["f", index]),
                beats=_array(stamps["o", index]),
                values=_unpack(words[index], stage.fold.out_channels, tensor),
                counts=counts[index],
            )
        )
    last = max((max(found) for found in stamps.values() if found), default=0)
    lanes = pipeline.stages[-1].fold.out_channels
    tensor = network.tensors[network.graph.outputs[0]]
    taken = _array(stamps["t", 0])
    return Observed(tuple(stages), taken, _unpack(answers, lanes, tensor), last, late == "0")


def _lines(path: Path) -> Iterator[str]:
    """Give the lines of a file of the testbench, up to the one that tells that it is whole."""
    with path.open(encoding="ascii") as file:
        for line in file:
            if line == f"{END}\n":
                return
            yield line.removesuffix("\n")
    raise InputError(
        f"{path.parent.parent}: the simulation could not write all: is the disk full? Set TMPDIR"
    )


def _array(stamps: list[int]) -> Cycles:
    return np.array(stamps, np.int64)


def _unpack(words: list[str], lanes: int, tensor: TensorQuantization) -> NDArray[np.int64]:
    """Values of beats, the first lane in the lowest bits; -2**40 where a bit is unknown."""
    bits = tensor.bits
    values = np.empty((len(words), lanes), np.int64)
    mask, negative = (1 << bits) - 1, tensor.stream_range[0] < 0
    for row, word in enumerate(words):
        try:
            number = int(word, 16)
        except ValueError:
            values[row] = -(1 << 40)
            continue
        for lane in range(lanes):
            value = (number >> (lane * bits)) & mask
            values[row, lane] = value - (1 << bits) if negative and value >> (bits - 1) else value
    return values


def column_stamps(stage: Stage, rows: int, beats: Cycles) -> Cycles:
    """Stamps of whole output columns of `stage`, from those of their beats."""
    per_column = stage.beats.per_row * rows
    return beats[per_column - 1 :: per_column]


def expected_beats(
    network: Network, stage: Stage, tensor: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Values (beats, lanes) that a stage must send for its output (N, H, W, C), and which count."""
    count, rows, columns, _ = tensor.shape
    step = stage.fold.out_channels
    tiles = stage.beats.tiles
    values = np.zeros((count, columns, len(tiles), rows, step), np.int64)
    real = np.zeros(values.shape, bool)
    for index, (first, channels) in enumerate(tiles):
        part = tensor[..., first : first + channels].transpose(0, 2, 1, 3)
        values[:, :, index, :, :channels] = part
        real[:, :, index, :, :channels] = True
    return values.reshape(-1, step), real.reshape(-1, step)
