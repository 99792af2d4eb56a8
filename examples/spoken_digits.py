"""Spoken digits: a spectrogram arrives a column at a time, and the answer soon after the last.

    python spoken_digits.py RECORDINGS [--clock-mhz F] [--max-latency-us T] [--epochs N]

RECORDINGS is a folder of mono 16-bit WAV files named DIGIT_SPEAKER_NUMBER.wav, such as those of the
Free Spoken Digit Dataset. A column is the energy in 32 mel bands over 32 ms, taken every 16 ms. A
small network is trained on two thirds of the speakers (PyTorch: pip install 'pilaster[train]') and
quantised to 8 bits. The mapper finds the machine with the fewest lanes that takes a column every
16 ms and answers in time, and recordings of the other speakers stream through it.
"""

from __future__ import annotations

import argparse
import sys
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pilaster as pl
from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.layers import Conv, FullyConnected, Pool, Window
from pilaster.models.network import Network
from pilaster.models.quantizer import FloatNetwork, QuantizerSettings, quantize
from pilaster.models.shape import Padding, Shape

RATE_HZ = 8_000
WINDOW, HOP = 256, 128
"""Samples of a column, and from one column to the next."""

BANDS, COLUMNS = 32, 64
LOWEST_HZ, HIGHEST_HZ = 60.0, 3_800.0
QUIETEST = 1e-6
"""Energy that counts as silence; full scale is 1."""

SEED = 2023
BATCH = 64
CALIBRATION = 500
VIEWS = 10
"""Of a recording: how else it could have been said."""
VOICES = 40
"""Stretches of frequency: vocal tracts of other lengths."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Recordings:
    """Samples (N, samples) of one length, between -1 and 1; digits (N,) and speakers (N,)."""

    samples: Floats
    digits: NDArray[np.int64]
    speakers: NDArray[np.str_]


def read(folder: Path) -> Recordings:
    """Read a folder; recordings are put in the middle of a second of silence, or cut."""
    samples, digits, speakers = [], [], []
    length = HOP * (COLUMNS - 1) + WINDOW
    for path in sorted(folder.glob("*.wav")):
        parts = path.stem.split("_")
        if len(parts) != 3 or not (parts[0].isdecimal() and len(parts[0]) == 1):
            raise pl.InputError(f"{path}: must be named DIGIT_SPEAKER_NUMBER.wav")
        try:
            with wave.open(str(path)) as file:
                kind = (file.getframerate(), file.getnchannels(), file.getsampwidth())
                raw = file.readframes(file.getnframes())
        except (wave.Error, EOFError) as error:
            raise pl.InputError(f"{path}: no WAV file: {error}") from error
        if kind != (RATE_HZ, 1, 2):
            raise pl.InputError(f"{path}: must be mono, of 16 bits, at {RATE_HZ} Hz")
        heard = np.frombuffer(raw, "<i2")[:length].astype(np.float32) / 32768
        before = (length - len(heard)) // 2
        samples.append(np.pad(heard, (before, length - len(heard) - before)))
        digits.append(int(parts[0]))
        speakers.append(parts[1])
    if len(set(speakers)) < 3:
        raise pl.InputError(f"{folder}: needs WAV files of at least three speakers")
    return Recordings(np.stack(samples), np.array(digits), np.array(speakers))


def mel_bands(stretch: float = 1.0) -> Floats:
    """Triangles of equal width in mel, (WINDOW // 2 + 1, BANDS), all frequencies stretched."""
    lowest, highest = 2595 * np.log10(1 + np.array([LOWEST_HZ, HIGHEST_HZ]) / 700)
    corners = 700 * (10 ** (np.linspace(lowest, highest, BANDS + 2) / 2595) - 1)
    hertz = np.fft.rfftfreq(WINDOW, 1 / RATE_HZ)[:, None] * stretch
    rising = (hertz - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - hertz) / (corners[2:] - corners[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def columns(samples: Floats, stretch: float = 1.0) -> Floats:
    """Log energies of samples (N, samples): (N, BANDS, COLUMNS, 1), silence 0, full scale 1.

    A column is made of its own 256 samples alone, so that it is there 16 ms after the one before.
    """
    starts = HOP * np.arange(COLUMNS)[:, None] + np.arange(WINDOW)
    spectra = np.fft.rfft(samples[:, starts] * np.hanning(WINDOW)) / (WINDOW / 4)
    energy = (np.abs(spectra) ** 2).astype(np.float32) @ mel_bands(stretch)
    level = 1 - np.log10(np.clip(energy, QUIETEST, 1)) / np.log10(QUIETEST)
    return level.transpose(0, 2, 1)[..., None].astype(np.float32)


def graph() -> Graph:
    """Three convolutions, two pools and a dense layer: 32 bands, 64 columns, ten digits."""
    half = Pool("max", Window((2, 2), (2, 2)))
    around = Window((3, 3), (1, 1), Padding(1, 1, 1, 1))
    layers = {
        "conv1": Conv(12, around),
        "pool1": half,
        "conv2": Conv(24, around),
        "pool2": half,
        "conv3": Conv(24, Window((3, 3), (2, 2), Padding(1, 0, 1, 0))),
        "fc4": FullyConnected(10, relu=False),
    }
    sources = [INPUT, *layers]
    nodes = [
        Node(name, layer, (source,))
        for (name, layer), source in zip(layers.items(), sources, strict=False)
    ]
    return Graph("spoken_digits", Shape(BANDS, COLUMNS, 1), tuple(nodes))


def train(recordings: Recordings, epochs: int) -> FloatNetwork:
    """Train on recordings, of which an epoch has one of several views."""
    torch = _torch()
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    model = torch.nn.Sequential(
        *(torch.nn.Conv2d(1, 12, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2)),
        *(torch.nn.Conv2d(12, 24, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2)),
        *(torch.nn.Conv2d(24, 24, 3, padding=1, stride=2), torch.nn.ReLU()),
        *(torch.nn.Flatten(), torch.nn.Dropout(0.4), torch.nn.Linear(24 * 4 * 8, 10)),
    )
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.02)
    count = len(recordings.digits)
    batches = -(-count // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, epochs * batches)
    views = np.stack([varied(recordings.samples, rng) for _ in range(VIEWS)])
    for epoch in range(epochs):
        drawn = views[rng.integers(0, VIEWS, count), np.arange(count)]
        seen = torch.from_numpy(drawn.transpose(0, 3, 1, 2))
        total = 0.0
        for batch in torch.randperm(count).split(BATCH):
            loss = torch.nn.functional.cross_entropy(
                model(seen[batch]), torch.from_numpy(recordings.digits)[batch], label_smoothing=0.1
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        if sys.stderr.isatty():
            print(f"\repoch {epoch + 1}/{epochs}: {total / batches:.3f} ", end="", file=sys.stderr)
    parameters = [p.detach().numpy().astype(np.float64) for p in model.parameters()]
    convs = ["conv1", "conv2", "conv3"]
    weights = {
        name: weight.transpose(0, 2, 3, 1)
        for name, weight in zip(convs, parameters[:6:2], strict=True)
    }
    # A fully connected layer's weights are (out, rows, columns, channels), as its map is.
    weights["fc4"] = parameters[6].reshape(10, 24, 4, 8).transpose(0, 2, 3, 1)
    biases = dict(zip([*convs, "fc4"], parameters[1::2], strict=True))
    return FloatNetwork(graph(), weights, biases)


def varied(samples: Floats, rng: np.random.Generator) -> Floats:
    """Columns of recordings said sooner or later, faster, louder, in noise, by other voices."""
    count, length = samples.shape
    middle = length / 2
    speed = rng.uniform(0.8, 1.25, (count, 1))
    shift = rng.uniform(-1600, 1600, (count, 1))
    places = (np.arange(length) - middle - shift) * speed + middle
    before = np.clip(places.astype(np.int64), 0, length - 2)
    part = np.clip(places - before, 0, 1)
    rows = np.arange(count)[:, None]
    moved = samples[rows, before] * (1 - part) + samples[rows, before + 1] * part
    moved *= 10 ** rng.uniform(-1, 0, (count, 1))
    moved += 10 ** rng.uniform(-4, -2.3, (count, 1)) * rng.standard_normal(moved.shape)
    found = np.empty((count, BANDS, COLUMNS, 1), np.float32)
    for voice in np.array_split(rng.permutation(count), VOICES):
        found[voice] = columns(moved[voice].astype(np.float32), rng.uniform(0.82, 1.22))
    return found


def parts(recordings: Recordings) -> tuple[Recordings, Recordings, list[str]]:
    """Leave out a third of the speakers, the last in order."""
    names = sorted(set(recordings.speakers.tolist()))
    unheard = names[-(len(names) // 3) :]
    held_out = np.isin(recordings.speakers, unheard)
    chosen = (
        Recordings(*(array[mask] for array in vars(recordings).values()))
        for mask in (~held_out, held_out)
    )
    return (*chosen, unheard)  # type: ignore[return-value]


def streamed(network: Network, test: Recordings, clock_mhz: float, latency_us: float) -> None:
    """Map the network, stream the recordings through, and tell how well and how soon."""
    interval = int(HOP / RATE_HZ * clock_mhz * 1e6)
    latency = int(latency_us * clock_mhz)
    found = pl.map(network, column_interval=interval, max_latency=latency)
    result = pl.simulate(
        network, found.machine, columns(test.samples), test.digits, clock_mhz=clock_mhz
    )
    cycles = result.latency_after_last_column_cycles
    print(f"digits of {len(test.digits)} recordings right: {result.accuracy:.1%}, in 8 bits")
    print(f"machine: {found.lanes} lanes at {clock_mhz:g} MHz, a column every {interval:,} cycles")
    print(
        f"answer after the last column: {cycles / clock_mhz:,.1f} us ({cycles:,} cycles), "
        f"{latency_us:g} us allowed"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, quantise, map and stream."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--clock-mhz", type=float, default=10.0)
    parser.add_argument("--max-latency-us", type=float, default=1000.0)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args(arguments)
    try:
        _torch()
        train_part, test_part, unheard = parts(read(options.recordings))
        print(
            f"trained on {len(train_part.digits)} recordings of "
            f"{len(set(train_part.speakers.tolist()))} speakers; judged by {', '.join(unheard)}"
        )
        floats = train(train_part, options.epochs)
        calibration = columns(train_part.samples[:: max(1, len(train_part.digits) // CALIBRATION)])
        network = quantize(floats, calibration.astype(np.float64), QuantizerSettings(), "trained")
        streamed(network, test_part, options.clock_mhz, options.max_latency_us)
    except (pl.InputError, pl.Infeasible) as error:
        print(f"spoken_digits: {error}", file=sys.stderr)
        return 2
    return 0


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise pl.InputError("training needs PyTorch: pip install 'pilaster[train]'") from error
    torch.set_num_threads(2)
    return torch


if __name__ == "__main__":
    sys.exit(main())
