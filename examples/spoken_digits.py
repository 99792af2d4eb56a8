"""Recognize spoken digits from a spectrogram that arrives one column at a time.

    python spoken_digits.py RECORDINGS [--clock-mhz F] [--max-latency-us T] [--epochs N]

RECORDINGS is a folder of mono 16-bit WAV files named DIGIT_SPEAKER_NUMBER.wav, such as those of the
Free Spoken Digit Dataset. A column contains the energy in 32 mel bands over 32 ms; columns arrive
every 16 ms. The script trains a small network on two thirds of the speakers (with PyTorch: pip
install 'pilaster[train]') and quantizes it to 8 bits. The mapper finds the machine with the fewest
lanes that accepts a column every 16 ms and answers in time. The script then streams the recordings
of the other speakers through this machine.
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
from pilaster.models.graph import Graph
from pilaster.models.layers import Conv, FullyConnected, Pool, Window
from pilaster.models.network import Network
from pilaster.models.quantizer import FloatNetwork, QuantizerSettings, float_tensors, quantize
from pilaster.models.shape import Padding, Shape

RATE_HZ = 8_000
WINDOW, HOP = 256, 128
"""Samples in a column, and samples between the starts of consecutive columns."""

BANDS, COLUMNS = 32, 64
LOWEST_HZ, HIGHEST_HZ = 60.0, 3_800.0
FAINTEST = 1e-10
"""Energy of a band in silence; full scale is 1."""
FORGOTTEN = 0.05
"""Weight of each new column in the running mean of the energy."""
OFFSET = 2.0
"""Added under the square root, to keep noise small compared with speech."""

FASTEST = 1.3
LATEST = 1_600
"""Samples."""
NOISE_DB = (-40.0, -5.0)
"""Noise level relative to the recording."""
QUIETEST_DB = -30.0
STRETCHES = np.geomspace(1 / 1.2, 1.2, 21)
"""Frequency scaling factors, which imitate vocal tracts of other lengths."""
LOST_BANDS, LOST_COLUMNS = 5, 7
"""Side by side, at most; twice."""

SEED = 2023
BATCH = 64
LEARNING_RATE = 6e-3
WEIGHT_DECAY = 0.02
DROPOUT = 0.3
CALIBRATION = 500

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Recordings:
    """Samples (N, samples) of one length, between -1 and 1; digits (N,) and speakers (N,)."""

    samples: Floats
    digits: NDArray[np.int64]
    speakers: NDArray[np.str_]

    def of(self, chosen: NDArray[np.bool_]) -> Recordings:
        """Select some of the recordings."""
        return Recordings(self.samples[chosen], self.digits[chosen], self.speakers[chosen])


def read(folder: Path) -> Recordings:
    """Read a folder of recordings; center each in a second of silence, or cut it."""
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


def parts(recordings: Recordings) -> tuple[Recordings, Recordings, list[str]]:
    """Hold out a third of the speakers, the last ones in alphabetical order."""
    names = sorted(set(recordings.speakers.tolist()))
    unheard = names[-(len(names) // 3) :]
    held_out = np.isin(recordings.speakers, unheard)
    return recordings.of(~held_out), recordings.of(held_out), unheard


def mel_bands(stretch: float = 1.0) -> Floats:
    """Triangular mel filters, (WINDOW // 2 + 1, BANDS), with all frequencies stretched."""
    lowest, highest = 2595 * np.log10(1 + np.array([LOWEST_HZ, HIGHEST_HZ]) / 700)
    corners = 700 * (10 ** (np.linspace(lowest, highest, BANDS + 2) / 2595) - 1)
    hertz = np.fft.rfftfreq(WINDOW, 1 / RATE_HZ)[:, None] * stretch
    rising = (hertz - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - hertz) / (corners[2:] - corners[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def columns(samples: Floats, bands: Floats | None = None) -> Floats:
    """Compute normalized energies, (N, BANDS, COLUMNS, 1); silence is 0.

    Each energy is divided by the running mean of its band, under a square root. The result does not
    depend on the loudness of a recording or on the frequency response of the microphone. A column
    uses only samples up to its end, so that a new column is available every 16 ms.

    samples : (N, samples)
    bands : filters in place of `mel_bands()`, one set for all recordings or one set for each
    """
    starts = HOP * np.arange(COLUMNS)[:, None] + np.arange(WINDOW)
    window = (np.hanning(WINDOW) / (WINDOW / 4)).astype(np.float32)
    energy = np.abs(np.fft.rfft(samples[:, starts] * window)).astype(np.float32) ** 2
    energy = energy @ (mel_bands() if bands is None else bands)
    lately = np.zeros_like(energy)
    average = energy[:, 0]
    for column in range(COLUMNS):
        average = average + (energy[:, column] - average) * FORGOTTEN
        lately[:, column] = average
    louder = np.sqrt(energy / (lately + FAINTEST) + OFFSET) - np.sqrt(OFFSET)
    return louder.transpose(0, 2, 1)[..., None].astype(np.float32)


def varied(samples: Floats, rng: np.random.Generator) -> Floats:
    """Vary recordings as other speakers would say them, add noise, and compute their columns.

    Recordings are sped up or slowed down and shifted in time, and some neighboring bands and
    columns are dropped.
    """
    count, length = samples.shape
    speed = FASTEST ** rng.uniform(-1, 1, (count, 1))
    shift = rng.uniform(-LATEST, LATEST, (count, 1))
    places = (np.arange(length) - length / 2 - shift) * speed + length / 2
    before = np.clip(places.astype(np.int64), 0, length - 2)
    part = np.clip(places - before, 0, 1)
    heard = np.take_along_axis(samples, before, 1) * (1 - part)
    heard += np.take_along_axis(samples, before + 1, 1) * part
    noise = np.sqrt((samples**2).mean(1, keepdims=True))
    noise *= 10 ** (rng.uniform(*NOISE_DB, (count, 1)) / 20)
    heard += noise * rng.standard_normal(heard.shape)
    heard *= 10 ** (rng.uniform(QUIETEST_DB, 0, (count, 1)) / 20)

    voices = np.stack([mel_bands(stretch) for stretch in STRETCHES])
    found = columns(heard.astype(np.float32), voices[rng.integers(len(voices), size=count)])
    for image in found:
        for lines, most in ((image, LOST_BANDS), (image.swapaxes(0, 1), LOST_COLUMNS)) * 2:
            first = rng.integers(len(lines))
            lines[first : first + rng.integers(most + 1)] = 0
    return found


def graph() -> Graph:
    """Shorten the bands to one row, look at five columns around each twice, and keep the maxima."""
    halves = Pool("max", Window((2, 2), (2, 2)))
    layers = {
        "conv1": around(16, 5, 5),
        "pool1": halves,
        "conv2": around(24, 3, 3),
        "pool2": halves,
        "conv3": around(32, 3, 3),
        "pool3": Pool("max", Window((2, 1), (2, 1))),
        "conv4": Conv(48, Window((4, 1)), relu=True),
        "conv5": around(48, 1, 5),
        "conv6": around(48, 1, 5),
        "pool6": Pool("max", Window((1, COLUMNS // 4))),
        "fc7": FullyConnected(10),
    }
    return Graph.chain("spoken_digits", Shape(BANDS, COLUMNS, 1), layers)


def around(channels: int, rows: int, columns: int) -> Conv:
    """Give a convolution of odd sides that keeps the map's size."""
    padding = Padding(rows // 2, rows // 2, columns // 2, columns // 2)
    return Conv(channels, Window((rows, columns), padding=padding), relu=True)


def train(recordings: Recordings, epochs: int) -> FloatNetwork:
    """Train on recordings, with new random variations in each epoch."""
    torch = _torch()
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    model = torch_model(graph())
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=WEIGHT_DECAY)
    digits = torch.from_numpy(recordings.digits)
    batches = -(-len(digits) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, epochs * batches)
    for epoch in range(epochs):
        total = 0.0
        for batch in torch.randperm(len(digits)).split(BATCH):
            seen = varied(recordings.samples[batch.numpy()], rng).transpose(0, 3, 1, 2)
            loss = torch.nn.functional.cross_entropy(
                model(torch.from_numpy(seen)), digits[batch], label_smoothing=0.1
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        if sys.stderr.isatty():
            print(f"\repoch {epoch + 1}/{epochs}: {total / batches:.3f} ", end="", file=sys.stderr)
    return folded(model)


def torch_model(network: Graph) -> Any:
    """Build the network in PyTorch: one block per layer, batch normalization per convolution."""
    nn = _torch().nn
    model = nn.Sequential()
    for node in network.nodes:
        layer, shape = node.layer, network.input_of(node)
        if isinstance(layer, Conv):
            kernel, padding = layer.window.kernel, layer.window.padding
            sides = (padding.top, padding.left)
            conv = nn.Conv2d(shape.channels, layer.out_channels, kernel, padding=sides)
            block = nn.Sequential(conv, nn.BatchNorm2d(layer.out_channels), nn.ReLU())
        elif isinstance(layer, FullyConnected):
            model.add_module("dropout", nn.Dropout(DROPOUT))
            dense = nn.Conv2d(shape.channels, layer.out_features, (shape.height, shape.width))
            block = nn.Sequential(dense, nn.Flatten())
        else:
            assert isinstance(layer, Pool)
            block = nn.MaxPool2d(layer.window.kernel)
        model.add_module(node.name, block)
    return model


def folded(model: Any) -> FloatNetwork:
    """Return the network with each normalization folded into its convolution."""
    nn = _torch().nn
    weights, biases = {}, {}
    for name, block in model.eval().named_children():
        if isinstance(block, nn.Sequential):
            normalized = isinstance(block[1], nn.BatchNorm2d)
            conv = nn.utils.fuse_conv_bn_eval(*block[:2]) if normalized else block[0]
            weights[name] = conv.weight.detach().double().numpy().transpose(0, 2, 3, 1)
            biases[name] = conv.bias.detach().double().numpy()
    return FloatNetwork(graph(), weights, biases)


def right(floats: FloatNetwork, test: Recordings) -> float:
    """Accuracy of the network before quantization."""
    *_, scores = float_tensors(floats, columns(test.samples).astype(np.float64)).values()
    return float((scores.reshape(len(scores), -1).argmax(axis=1) == test.digits).mean())


def streamed(network: Network, test: Recordings, clock_mhz: float, latency_us: float) -> None:
    """Map the network, stream the recordings through it, and print accuracy and latency."""
    interval = int(HOP / RATE_HZ * clock_mhz * 1e6)
    found = pl.map(network, column_interval=interval, max_latency=int(latency_us * clock_mhz))
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
    """Train, quantize, map, and stream."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--clock-mhz", type=float, default=10.0)
    parser.add_argument("--max-latency-us", type=float, default=1000.0)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args(arguments)
    try:
        _torch()
        heard, unheard, names = parts(read(options.recordings))
        print(
            f"trained on {len(heard.digits)} recordings of "
            f"{len(set(heard.speakers.tolist()))} speakers; judged by {', '.join(names)}"
        )
        floats = train(heard, options.epochs)
        calibration = columns(heard.samples[:: max(1, len(heard.digits) // CALIBRATION)])
        network = quantize(floats, calibration.astype(np.float64), QuantizerSettings(), "trained")
        print(f"before they are quantized: {right(floats, unheard):.1%}")
        streamed(network, unheard, options.clock_mhz, options.max_latency_us)
    except (pl.InputError, pl.Infeasible) as error:
        print(f"spoken_digits: {error}", file=sys.stderr)
        return 2
    return 0


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise pl.InputError("training needs PyTorch: pip install 'pilaster[train]'") from error
    torch.set_num_threads(1)
    return torch


if __name__ == "__main__":
    sys.exit(main())
